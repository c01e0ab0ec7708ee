//! The side of consumers and gateways: keeps a connection to every ranker that the routes name.

use std::{
    collections::BTreeMap,
    io,
    net::{Ipv4Addr, Ipv6Addr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use quinn::{ConnectError, Endpoint, EndpointConfig, TokioRuntime};
use thiserror::Error;
use tokio::{
    net::lookup_host,
    select,
    sync::{mpsc, watch},
    task::JoinHandle,
    time::{sleep, timeout},
};
use tokio_util::sync::CancellationToken;
use tracing::Instrument;

use super::{
    Code, LINK_NAME, Local, PATIENCE, STREAMS_MAX, close, end,
    hello::{HelloError, Link, greet},
    listen::{bind, close_endpoint},
    metrics::Caller,
    pump,
};
use crate::link::{
    ACCOUNTED_QUEUE, CANDIDATES_QUEUE, Following, Peer, REQUESTS_QUEUE, ToRanker, UPDATES_QUEUE, codec::Malformed,
};

/// Waits between dials, with up to half of it taken off by lot, so that peers of a ranker that restarts do not come as one.
const BACKOFF_MIN: Duration = Duration::from_millis(100);
const BACKOFF_MAX: Duration = Duration::from_secs(2);

/// Where the rankers are: host and port of each, as the routes say.
pub type Rankers = watch::Receiver<BTreeMap<Peer, String>>;

/// Keeps a session with every ranker, for a consumer; one goes to `sessions` each time that a connection is made. Rankers
/// that leave `rankers`, or have another address there, are left. Returns when `shutdown` is cancelled or nobody takes
/// sessions, having closed them all.
///
/// # Errors
/// No UDP socket can be had.
pub async fn dial_consumer(
    local: Local,
    rankers: Rankers,
    sessions: mpsc::Sender<ToRanker>,
    shutdown: CancellationToken,
) -> io::Result<()> {
    dial(local, rankers, Sessions::Consumer(sessions), shutdown).await
}

/// Like [`dial_consumer`], for a gateway.
///
/// # Errors
/// No UDP socket can be had.
pub async fn dial_gateway(
    local: Local,
    rankers: Rankers,
    sessions: mpsc::Sender<Following>,
    shutdown: CancellationToken,
) -> io::Result<()> {
    dial(local, rankers, Sessions::Gateway(sessions), shutdown).await
}

#[derive(Clone)]
enum Sessions {
    Consumer(mpsc::Sender<ToRanker>),
    Gateway(mpsc::Sender<Following>),
}

/// A ranker that is dialled.
struct Dialled {
    address: String,
    leave: CancellationToken,
    task: JoinHandle<()>,
}

#[derive(Debug, Error)]
enum DialError {
    #[error("its name cannot be resolved: {0}")]
    Resolve(#[from] io::Error),
    #[error("its name has no address")]
    NoAddress,
    #[error("it cannot be dialled: {0}")]
    Connect(#[from] ConnectError),
    #[error(transparent)]
    Hello(#[from] HelloError),
    #[error("it does not answer")]
    Silent,
}

async fn dial(local: Local, mut rankers: Rankers, sessions: Sessions, shutdown: CancellationToken) -> io::Result<()> {
    let endpoint = endpoint()?;
    let dialer = Dialer { endpoint: endpoint.clone(), local, sessions };
    let mut dialled = BTreeMap::new();
    loop {
        let wanted = rankers.borrow_and_update().clone();
        dialer.follow(&wanted, &mut dialled).await;
        select! {
            changed = rankers.changed() => if changed.is_err() { break },
            () = shutdown.cancelled() => break,
            () = dialer.sessions.closed() => break,
        }
    }
    dialer.follow(&BTreeMap::new(), &mut dialled).await;
    close_endpoint(&endpoint).await;
    Ok(())
}

/// One socket for all rankers; for both families of addresses where there are two.
fn endpoint() -> io::Result<Endpoint> {
    let any = |ip| SocketAddr::new(ip, 0);
    let socket = bind(any(Ipv6Addr::UNSPECIFIED.into())).or_else(|_| bind(any(Ipv4Addr::UNSPECIFIED.into())))?;
    Endpoint::new(EndpointConfig::default(), None, socket, Arc::new(TokioRuntime))
}

#[derive(Clone)]
struct Dialer {
    endpoint: Endpoint,
    local: Local,
    sessions: Sessions,
}

impl Dialer {
    /// Leaves who is not wanted any more, then dials who is new.
    async fn follow(&self, wanted: &BTreeMap<Peer, String>, dialled: &mut BTreeMap<Peer, Dialled>) {
        let unwanted = dialled.extract_if(.., |ranker, dialled| wanted.get(ranker) != Some(&dialled.address));
        let unwanted: Vec<_> = unwanted.map(|(_, dialled)| dialled).collect();
        unwanted.iter().for_each(|dialled| dialled.leave.cancel());
        for left in unwanted {
            left.task.await.ok();
        }
        for (ranker, address) in wanted {
            if !dialled.contains_key(ranker) {
                let (address, leave) = (address.clone(), CancellationToken::new());
                let span = tracing::info_span!("link", %ranker, address);
                let keep = self.clone().keep(Peer::clone(ranker), address.clone(), leave.clone());
                let task = tokio::spawn(keep.instrument(span));
                dialled.insert(Peer::clone(ranker), Dialled { address, leave, task });
            }
        }
    }

    /// Dials a ranker whenever there is no session with it.
    async fn keep(self, ranker: Peer, address: String, leave: CancellationToken) {
        let mut backoff = BACKOFF_MIN;
        let mut known = String::new();
        loop {
            let connected = select! {
                connected = self.connect(&ranker, &address) => connected,
                () = leave.cancelled() => return,
            };
            match connected {
                Ok(link) => {
                    (backoff, known) = (BACKOFF_MIN, String::new());
                    self.serve(link, &ranker, &leave).await;
                }
                Err(error) => {
                    self.local.metrics.dial_failed();
                    let reason = error.to_string();
                    // Once for each reason, not once for each dial.
                    if reason != known {
                        tracing::warn!(reason, "no link to the ranker; it is dialled until there is one");
                        known = reason;
                    }
                }
            }
            select! {
                () = sleep(backoff.mul_f64(rand::random_range(0.5..=1.0))) => {}
                () = leave.cancelled() => return,
            }
            backoff = (backoff * 2).min(BACKOFF_MAX);
        }
    }

    /// Tries every address of a name that is looked up anew.
    async fn connect(&self, ranker: &str, address: &str) -> Result<Link, DialError> {
        let mut last = DialError::NoAddress;
        for address in lookup_host(address).await? {
            match timeout(PATIENCE, self.try_address(ranker, address)).await {
                Ok(Ok(link)) => return Ok(link),
                Ok(Err(error)) => last = error,
                Err(_) => last = DialError::Silent,
            }
        }
        Err(last)
    }

    async fn try_address(&self, ranker: &str, address: SocketAddr) -> Result<Link, DialError> {
        let streams = match self.sessions.caller() {
            Caller::Consumer => 0,
            Caller::Gateway => STREAMS_MAX,
        };
        let config = self.local.certificate.client(streams);
        let connecting = self.endpoint.connect_with(config, address, LINK_NAME)?;
        let connection = connecting.await.map_err(HelloError::Lost)?;
        let greeted = greet(connection.clone(), &self.local, self.sessions.caller(), ranker).await;
        Ok(greeted.inspect_err(|error| error.tell(&connection))?)
    }

    async fn serve(&self, link: Link, ranker: &Peer, leave: &CancellationToken) {
        let _connected = self.local.metrics.connected(self.sessions.caller());
        tracing::info!("session begins");
        let connection = link.connection.clone();
        let ranker = Peer::clone(ranker);
        let session = async {
            match &self.sessions {
                Sessions::Consumer(sessions) => self.consumer(link, ranker, sessions).await,
                Sessions::Gateway(sessions) => self.gateway(link, ranker, sessions).await,
            }
        };
        select! {
            outcome = session => end(&connection, outcome),
            () = leave.cancelled() => close(&connection, Code::Gone, "it leaves, or the routes name another ranker"),
        }
    }

    async fn consumer(&self, link: Link, ranker: Peer, sessions: &mpsc::Sender<ToRanker>) -> Result<(), Malformed> {
        let (candidates, to_send) = mpsc::channel(CANDIDATES_QUEUE);
        let (received, accounted) = mpsc::channel(ACCOUNTED_QUEUE);
        // Where the stage has gone, its ends of the queues go with the session that it did not take.
        sessions.send(ToRanker { ranker, candidates, accounted }).await.ok();
        let Link { connection, stream, messages } = link;
        let send = pump::send(&connection, stream, to_send, &self.local.metrics.sent);
        pump::both(send, pump::receive(messages, received)).await
    }

    async fn gateway(&self, link: Link, ranker: Peer, sessions: &mpsc::Sender<Following>) -> Result<(), Malformed> {
        let (requests, to_send) = mpsc::channel(REQUESTS_QUEUE);
        let (received, updates) = mpsc::channel(UPDATES_QUEUE);
        sessions.send(Following { ranker, requests, updates }).await.ok();
        let Link { connection, stream, .. } = link;
        let metrics = &self.local.metrics;
        let send = pump::send(&connection, stream, to_send, &metrics.sent);
        pump::both(send, pump::receive_all(&connection, received, &metrics.received)).await
    }
}

impl Sessions {
    const fn caller(&self) -> Caller {
        match self {
            Self::Consumer(_) => Caller::Consumer,
            Self::Gateway(_) => Caller::Gateway,
        }
    }

    async fn closed(&self) {
        match self {
            Self::Consumer(sessions) => sessions.closed().await,
            Self::Gateway(sessions) => sessions.closed().await,
        }
    }
}
