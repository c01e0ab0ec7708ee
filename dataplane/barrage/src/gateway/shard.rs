//! A shard: one thread that accepts and serves its own connections.

use std::{
    cell::{Cell, RefCell},
    collections::HashMap,
    future::pending,
    io,
    net::IpAddr,
    rc::Rc,
    sync::{Arc, atomic::Ordering},
    time::{Duration, Instant},
};

use axum::Router;
use barrage_proto::v2::{CLIENT_FRAME_BYTES_MAX, Decoder, Encoder, pb};
use http::Request;
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use rand::RngExt;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{self, TcpStream},
    runtime::{Builder, LocalOptions},
    sync::{Notify, mpsc},
    task::spawn_local,
    time::{interval, sleep, timeout},
};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

use super::{
    Identity,
    admission::{Admitted, Full},
    api,
    broadcast::RoomHere,
    connection::Version,
    encode::message_of,
    held::Held,
    hub::Rounds,
    listen::Doors,
    metrics::{Disconnect, Transport},
    outbox::Outbox,
    publish,
    served::{Served, ServedRoom},
    upgrade,
    webtransport::{self, Arrival},
};

/// Longest head of a request; tokens are a few hundred bytes.
const REQUEST_HEAD_BYTES_MAX: usize = 16 * 1024;
/// How long a connection may stay that is no WebSocket; a browser opens another when it wants more.
const PLAIN_HTTP_MAX: Duration = Duration::from_secs(60);
/// After the kernel refused a connection (out of descriptors), how long until the next try.
const ACCEPT_RETRY: Duration = Duration::from_millis(100);
/// At shutdown, how long what was sent may take to the log, and then goodbyes to the viewers.
const DRAIN: Duration = Duration::from_secs(5);
/// Lines about bad frames in a second, at the most: a hostile client must not fill the disk.
const LOG_LINES_PER_SECOND: u32 = 10;

/// What the tasks of one shard share.
pub(super) struct Shard {
    pub(super) served: Arc<Served>,
    router: Router,
    rooms: RefCell<HashMap<String, Rc<RoomHere>>>,
    pub(super) outbox: RefCell<Outbox>,
    /// What waits for a verdict before it goes there.
    pub(super) held: RefCell<Held>,
    /// Something is in the outbox.
    pub(super) accepted: Notify,
    /// Appends under way.
    pub(super) appending: Cell<usize>,
    pub(super) encoder: RefCell<Encoder>,
    pub(super) decoder: RefCell<Decoder>,
    /// Where texts are folded for the word filter.
    pub(super) folded: RefCell<String>,
    /// Seconds since the shard began: what idle connections are measured with.
    pub(super) now_s: Cell<u32>,
    log_lines: Cell<u32>,
}

/// Where a shard's work comes from.
pub(super) struct Inlets {
    pub(super) doors: Doors,
    /// For TLS.
    pub(super) identity: Option<Identity>,
    pub(super) sessions: mpsc::Receiver<Arrival>,
    pub(super) rounds: Rounds,
}

/// Runs a shard on this thread until `shutdown`.
pub(super) fn run(served: Arc<Served>, router: Router, inlets: Inlets, shutdown: CancellationToken) -> io::Result<()> {
    let runtime = Builder::new_current_thread().enable_all().build_local(LocalOptions::default())?;
    let shard = Rc::new(Shard {
        served,
        router,
        rooms: RefCell::default(),
        outbox: RefCell::default(),
        held: RefCell::default(),
        accepted: Notify::new(),
        appending: Cell::new(0),
        encoder: RefCell::new(Encoder::new()),
        decoder: RefCell::new(Decoder::new(CLIENT_FRAME_BYTES_MAX)),
        folded: RefCell::default(),
        now_s: Cell::new(0),
        log_lines: Cell::new(0),
    });
    runtime.block_on(async move {
        let Inlets { doors, identity, sessions, rounds } = inlets;
        let plain = net::TcpListener::from_std(doors.plain)?;
        let tls = doors.tls.map(net::TcpListener::from_std).transpose()?;
        spawn_local(Rc::clone(&shard).broadcast(rounds));
        spawn_local(publish::run(Rc::clone(&shard)));
        spawn_local(Rc::clone(&shard).sweep());
        tokio::select! {
            () = Rc::clone(&shard).accept(plain, None) => {}
            () = Rc::clone(&shard).accept_tls(tls, identity) => {}
            () = Rc::clone(&shard).accept_sessions(sessions) => {}
            () = shutdown.cancelled() => {}
        }
        shard.drain().await;
        Ok(())
    })
}

impl Shard {
    /// A room here, made when the first viewer comes.
    pub(super) fn room(&self, served: &Arc<ServedRoom>) -> Rc<RoomHere> {
        let id = served.id().as_str();
        // One that was deleted and made again is another.
        if let Some(room) = self.rooms.borrow().get(id).filter(|room| Arc::ptr_eq(&room.served, served)) {
            return Rc::clone(room);
        }
        let room = Rc::new(RoomHere::new(Arc::clone(served), self.served.metrics.clone()));
        self.rooms.borrow_mut().insert(id.to_owned(), Rc::clone(&room));
        room
    }

    /// Whether another line about a client's mistake may be logged in this second.
    pub(super) fn may_log(&self) -> bool {
        self.log_lines.set(self.log_lines.get().saturating_add(1));
        self.log_lines.get() <= LOG_LINES_PER_SECOND
    }

    async fn accept(self: Rc<Self>, listener: net::TcpListener, identity: Option<Identity>) {
        loop {
            match listener.accept().await {
                Ok((stream, peer)) => match &identity {
                    None => drop(spawn_local(Rc::clone(&self).serve_plain(stream, peer.ip()))),
                    Some(identity) => {
                        let acceptor = TlsAcceptor::from(identity.tcp());
                        spawn_local(Rc::clone(&self).serve_tls(stream, peer.ip(), acceptor));
                    }
                },
                Err(error) => {
                    tracing::warn!(%error, "cannot accept a connection");
                    sleep(ACCEPT_RETRY).await;
                }
            }
        }
    }

    async fn accept_tls(self: Rc<Self>, listener: Option<net::TcpListener>, identity: Option<Identity>) {
        match (listener, identity) {
            (Some(listener), Some(identity)) => self.accept(listener, Some(identity)).await,
            _ => pending().await,
        }
    }

    async fn accept_sessions(self: Rc<Self>, mut sessions: mpsc::Receiver<Arrival>) {
        while let Some(arrival) = sessions.recv().await {
            spawn_local(webtransport::serve(Rc::clone(&self), arrival));
        }
        pending().await
    }

    async fn serve_plain(self: Rc<Self>, stream: TcpStream, peer: IpAddr) {
        let admitted = self.served.admission.admit(peer);
        self.serve(stream, peer, admitted).await;
    }

    /// A handshake of TLS has to be through in the time that a request has.
    async fn serve_tls(self: Rc<Self>, stream: TcpStream, peer: IpAddr, acceptor: TlsAcceptor) {
        let admitted = self.served.admission.admit(peer);
        match timeout(self.served.config.handshake_timeout, acceptor.accept(stream)).await {
            Ok(Ok(stream)) => return self.serve(stream, peer, admitted).await,
            Ok(Err(error)) => tracing::debug!(%peer, %error, "a TLS handshake failed"),
            Err(_) => tracing::debug!(%peer, "a TLS handshake took too long"),
        }
        self.served.metrics.handshake_failed(Transport::Tls);
    }

    async fn serve<S>(self: Rc<Self>, stream: S, peer: IpAddr, admitted: Result<Admitted, Full>)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let shard = Rc::clone(&self);
        // An upgrade takes this with it; a plain connection gives it back when it ends.
        let admitted = Rc::new(RefCell::new(Some(admitted)));
        let service = service_fn(move |mut request: Request<Incoming>| {
            request.extensions_mut().insert(api::Peer(peer));
            upgrade::route(Rc::clone(&shard), Rc::clone(&admitted), request)
        });
        let served = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(self.served.config.handshake_timeout)
            .max_buf_size(REQUEST_HEAD_BYTES_MAX)
            .serve_connection(TokioIo::new(stream), service)
            .with_upgrades();
        match timeout(PLAIN_HTTP_MAX, served).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::debug!(%peer, %error, "request given up"),
            Err(_) => tracing::debug!(%peer, "a plain connection has lasted long enough"),
        }
    }

    /// The router for everything but upgrades.
    pub(super) fn router(&self) -> Router {
        self.router.clone()
    }

    async fn broadcast(self: Rc<Self>, mut rounds: Rounds) {
        while let Some(flushes) = rounds.next().await {
            let began = Instant::now();
            for flush in flushes.iter() {
                let Some(served) = self.served.room(flush.room.as_str()) else { continue };
                self.room(&served).broadcast(flush, began);
            }
            rounds.spent(began.elapsed());
        }
    }

    /// Once a second looks at every connection: a plain walk costs less than a timer for each.
    async fn sweep(self: Rc<Self>) {
        let mut seconds = interval(Duration::from_secs(1));
        loop {
            seconds.tick().await;
            self.now_s.set(self.now_s.get() + 1);
            self.log_lines.set(0);
            let now_s = self.now_s.get();
            let now = Instant::now();
            self.for_each_room(|room| {
                room.for_each(|viewer| viewer.check(now_s));
                if room.served.closed.load(Ordering::Relaxed) {
                    room.for_each(|viewer| viewer.socket.end(Disconnect::RoomClosed));
                }
                room.tidy(now);
            });
        }
    }

    fn for_each_room(&self, mut visit: impl FnMut(&RoomHere)) {
        let rooms: Vec<_> = self.rooms.borrow().values().cloned().collect();
        rooms.iter().for_each(|room| visit(room));
    }

    /// Shutdown: viewers are sent away, each to come back at another moment; what they sent goes to the log.
    async fn drain(self: Rc<Self>) {
        if timeout(DRAIN, publish::publish_all(&self)).await.is_err() {
            tracing::error!("the log did not take everything in time; what is missing was not acknowledged");
        }
        let spread_ms = u32::try_from(self.served.config.reconnect_spread.as_millis()).unwrap_or(u32::MAX);
        self.for_each_room(|room| {
            room.for_each(|viewer| {
                if viewer.version == Version::V2 {
                    let reconnect_after_ms = rand::rng().random_range(0..=spread_ms);
                    let away = pb::GoAway { reconnect_after_ms };
                    viewer.send(&message_of(&away, &mut self.encoder.borrow_mut()));
                }
                viewer.socket.end(Disconnect::Shutdown);
            });
        });
        let gone = async {
            while self.viewers() > 0 {
                sleep(Duration::from_millis(10)).await;
            }
        };
        // Who does not take the goodbye in time goes without.
        let _ = timeout(DRAIN, gone).await;
    }

    fn viewers(&self) -> usize {
        let mut count = 0;
        self.for_each_room(|room| room.for_each(|_| count += 1));
        count
    }
}
