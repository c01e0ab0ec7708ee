//! A worker: one thread that accepts and serves its own connections.

use std::{
    cell::RefCell,
    future::pending,
    io,
    net::IpAddr,
    rc::Rc,
    sync::Arc,
    time::{Duration, Instant},
};

use axum::Router;
use http::Request;
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{self, TcpStream},
    runtime::{Builder, LocalOptions},
    sync::mpsc,
    task::spawn_local,
    time::{interval, sleep, timeout},
};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

use super::{
    connection::{Connections, session, upgrade},
    delivery::Rounds,
    http::Peer,
    metrics::Transport,
    publish,
    state::{
        GatewayState,
        admission::{Admitted, Full},
    },
    transport::{Doors, ViewerCertificate, webtransport::IncomingSession},
};

/// Longest head of a request; tokens are a few hundred bytes.
const REQUEST_HEAD_BYTES_MAX: usize = 16 * 1024;
/// How long a connection may stay that is no WebSocket; a browser opens another when it wants more.
const PLAIN_HTTP_MAX: Duration = Duration::from_secs(60);
/// After the kernel refused a connection (out of descriptors), how long until the next try.
const ACCEPT_RETRY: Duration = Duration::from_millis(100);
/// At shutdown, how long what was sent may take to the log, and then goodbyes to the viewers.
const DRAIN: Duration = Duration::from_secs(5);

struct Worker {
    gateway: Arc<GatewayState>,
    connections: Rc<Connections>,
}

pub(super) struct Inlets {
    pub(super) doors: Doors,
    /// For TLS.
    pub(super) certificate: Option<ViewerCertificate>,
    pub(super) sessions: mpsc::Receiver<IncomingSession>,
    pub(super) rounds: Rounds,
}

/// Runs a worker on this thread until `shutdown`.
pub(super) fn run(
    gateway: Arc<GatewayState>,
    router: Router,
    inlets: Inlets,
    shutdown: CancellationToken,
) -> io::Result<()> {
    let runtime = Builder::new_current_thread().enable_all().build_local(LocalOptions::default())?;
    let connections = Rc::new(Connections::new(Arc::clone(&gateway), router));
    let worker = Rc::new(Worker { gateway, connections });
    runtime.block_on(async move {
        let Inlets { doors, certificate, sessions, rounds } = inlets;
        let plain = net::TcpListener::from_std(doors.plain)?;
        let tls = doors.tls.map(net::TcpListener::from_std).transpose()?;
        spawn_local(Rc::clone(&worker).broadcast(rounds));
        spawn_local(publish::run(Rc::clone(worker.connections.intake())));
        spawn_local(Rc::clone(&worker).sweep());
        tokio::select! {
            () = Rc::clone(&worker).accept(plain, None) => {}
            () = Rc::clone(&worker).accept_tls(tls, certificate) => {}
            () = Rc::clone(&worker).accept_sessions(sessions) => {}
            () = shutdown.cancelled() => {}
        }
        worker.drain().await;
        Ok(())
    })
}

impl Worker {
    async fn accept(self: Rc<Self>, listener: net::TcpListener, certificate: Option<ViewerCertificate>) {
        loop {
            match listener.accept().await {
                Ok((stream, peer)) => match &certificate {
                    None => drop(spawn_local(Rc::clone(&self).serve_plain(stream, peer.ip()))),
                    Some(certificate) => {
                        let acceptor = TlsAcceptor::from(certificate.tcp());
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

    async fn accept_tls(self: Rc<Self>, listener: Option<net::TcpListener>, certificate: Option<ViewerCertificate>) {
        match (listener, certificate) {
            (Some(listener), Some(certificate)) => self.accept(listener, Some(certificate)).await,
            _ => pending().await,
        }
    }

    async fn accept_sessions(self: Rc<Self>, mut sessions: mpsc::Receiver<IncomingSession>) {
        while let Some(incoming) = sessions.recv().await {
            spawn_local(session::serve(Rc::clone(&self.connections), incoming));
        }
        pending().await
    }

    async fn serve_plain(self: Rc<Self>, stream: TcpStream, peer: IpAddr) {
        let admitted = self.gateway.admission.admit(peer);
        self.serve(stream, peer, admitted).await;
    }

    /// A handshake of TLS has to be through in the time that a request has.
    async fn serve_tls(self: Rc<Self>, stream: TcpStream, peer: IpAddr, acceptor: TlsAcceptor) {
        let admitted = self.gateway.admission.admit(peer);
        match timeout(self.gateway.config.handshake_timeout, acceptor.accept(stream)).await {
            Ok(Ok(stream)) => return self.serve(stream, peer, admitted).await,
            Ok(Err(error)) => tracing::debug!(%peer, %error, "a TLS handshake failed"),
            Err(_) => tracing::debug!(%peer, "a TLS handshake took too long"),
        }
        self.gateway.metrics.handshake_failed(Transport::Tls);
    }

    async fn serve<S>(self: Rc<Self>, stream: S, peer: IpAddr, admitted: Result<Admitted, Full>)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let connections = Rc::clone(&self.connections);
        // An upgrade takes this with it; a plain connection gives it back when it ends.
        let admitted = Rc::new(RefCell::new(Some(admitted)));
        let service = service_fn(move |mut request: Request<Incoming>| {
            request.extensions_mut().insert(Peer(peer));
            upgrade::route(Rc::clone(&connections), Rc::clone(&admitted), request)
        });
        let served = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(self.gateway.config.handshake_timeout)
            .max_buf_size(REQUEST_HEAD_BYTES_MAX)
            .serve_connection(TokioIo::new(stream), service)
            .with_upgrades();
        match timeout(PLAIN_HTTP_MAX, served).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::debug!(%peer, %error, "request given up"),
            Err(_) => tracing::debug!(%peer, "a plain connection has lasted long enough"),
        }
    }

    async fn broadcast(self: Rc<Self>, mut rounds: Rounds) {
        while let Some(flushes) = rounds.next().await {
            let began = Instant::now();
            for flush in flushes.iter() {
                self.connections.broadcast(flush, began);
            }
            rounds.spent(began.elapsed());
        }
    }

    /// Once a second looks at every connection.
    async fn sweep(self: Rc<Self>) {
        let mut seconds = interval(Duration::from_secs(1));
        loop {
            seconds.tick().await;
            self.connections.check();
        }
    }

    /// Shutdown: what viewers sent goes to the log; then they are sent away, each to come back at another moment.
    async fn drain(&self) {
        if timeout(DRAIN, publish::publish_all(self.connections.intake())).await.is_err() {
            tracing::error!("the log did not take everything in time; what is missing was not acknowledged");
        }
        let spread_ms = u32::try_from(self.gateway.config.reconnect_spread.as_millis()).unwrap_or(u32::MAX);
        self.connections.send_away(spread_ms);
        let gone = async {
            while !self.connections.is_empty() {
                sleep(Duration::from_millis(10)).await;
            }
        };
        // A viewer that does not take the goodbye in time goes without.
        let _ = timeout(DRAIN, gone).await;
    }
}
