//! Where QUIC connections arrive: admitted, or sent away before they cost a handshake, and shared out among the workers.

use std::{net::UdpSocket, sync::Arc, time::Duration};

use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore, mpsc},
    time::timeout,
};
use tokio_util::sync::CancellationToken;
use web_transport_quinn::quinn::{
    self, EndpointConfig, IdleTimeout, Incoming, ServerConfig, TokioRuntime, TransportConfig,
    crypto::rustls::QuicServerConfig,
};

use crate::gateway::{
    config::Config,
    metrics::{Metrics, Transport, UpgradeRefusal},
    state::admission::{Admission, Admitted},
    transport::certificate::ViewerCertificate,
};

/// Connections that wait for a worker; it takes them as fast as it turns.
pub(crate) const SESSIONS_QUEUE: usize = 256;
/// Connections at once that have no viewer yet; each costs a handshake, at most for the handshake's time.
const PENDING_MAX: usize = 2_048;
/// With so many pending, newcomers prove their address first: whoever forges one gets no further.
const PENDING_UNPROVEN_MAX: usize = 256;

/// Streams that a client may have open: the one of its request and the one for frames.
const BIDIRECTIONAL_MAX: u32 = 2;
/// HTTP/3's own: control and two of QPACK, and some that are only there to be ignored (RFC 9114, section 6.2).
const UNIDIRECTIONAL_MAX: u32 = 8;
/// What a client may send ahead of its being read, on a stream and in all, bytes: a few of its longest frames.
const STREAM_WINDOW_BYTES: u32 = 64 * 1024;
const CONNECTION_WINDOW_BYTES: u32 = 2 * STREAM_WINDOW_BYTES;
/// What a viewer has not confirmed yet, bytes: as for TCP, a second or two of a full budget.
const SEND_WINDOW_BYTES: u64 = 128 * 1024;
/// Browsers want datagrams to be possible. Nobody reads them: what is more than this is dropped, the oldest first.
const DATAGRAM_BYTES: usize = 2 * 1024;
/// Chances to be heard within the idle timeout.
const KEEP_ALIVES: u32 = 3;
const CLOSE: Duration = Duration::from_secs(2);

/// A connection on its way to a worker.
pub(crate) struct IncomingSession {
    pub(crate) incoming: Incoming,
    pub(crate) admitted: Admitted,
    /// Its place among those that are pending.
    pub(crate) pending: OwnedSemaphorePermit,
}

/// Takes connections in.
pub(crate) struct Endpoint {
    endpoint: quinn::Endpoint,
    certificate: ViewerCertificate,
    admission: Admission,
    config: Config,
    metrics: Metrics,
    workers: Vec<mpsc::Sender<IncomingSession>>,
    pending: Arc<Semaphore>,
}

pub(crate) struct EndpointDeps {
    pub(crate) certificate: ViewerCertificate,
    pub(crate) admission: Admission,
    pub(crate) config: Config,
    pub(crate) metrics: Metrics,
}

impl Endpoint {
    /// Must be called on a runtime.
    ///
    /// # Errors
    /// The socket cannot be used.
    pub(crate) fn new(
        socket: UdpSocket,
        deps: EndpointDeps,
        workers: Vec<mpsc::Sender<IncomingSession>>,
    ) -> std::io::Result<Self> {
        let EndpointDeps { certificate, admission, config, metrics } = deps;
        let endpoint = quinn::Endpoint::new(EndpointConfig::default(), None, socket, Arc::new(TokioRuntime))?;
        let pending = Arc::new(Semaphore::new(PENDING_MAX));
        Ok(Self { endpoint, certificate, admission, config, metrics, workers, pending })
    }

    /// Runs until `shutdown`; what is served goes on until [`Self::close`].
    pub(crate) async fn run(self, shutdown: CancellationToken) -> Self {
        let mut certificate = self.certificate.quic();
        let mut next = 0;
        let config = |crypto: &Arc<QuicServerConfig>| Some(self.server_config(Arc::clone(crypto)));
        self.endpoint.set_server_config(config(&certificate.borrow_and_update()));
        loop {
            tokio::select! {
                () = shutdown.cancelled() => break,
                changed = certificate.changed() => {
                    if changed.is_err() {
                        break;
                    }
                    self.endpoint.set_server_config(config(&certificate.borrow_and_update()));
                }
                incoming = self.endpoint.accept() => {
                    let Some(incoming) = incoming else { break };
                    next = (next + 1) % self.workers.len();
                    self.take_in(incoming, next);
                }
            }
        }
        // Who comes now is refused.
        self.endpoint.set_server_config(None);
        self
    }

    /// Ends what is left, and lets it be said.
    pub(crate) async fn close(self) {
        self.endpoint.close(0_u32.into(), b"");
        let _ = timeout(CLOSE, self.endpoint.wait_idle()).await;
    }

    fn take_in(&self, incoming: Incoming, worker: usize) {
        let many = self.pending.available_permits() < PENDING_MAX - PENDING_UNPROVEN_MAX;
        // Whoever is counted by address has to have it.
        let prove = many || self.config.connections_per_address_max > 0;
        if prove && !incoming.remote_address_validated() && incoming.may_retry() {
            // Not at all is as good an answer.
            let _ = incoming.retry();
            return;
        }
        let Ok(pending) = Arc::clone(&self.pending).try_acquire_owned() else {
            self.metrics.handshake_failed(Transport::Quic);
            return incoming.refuse();
        };
        let Ok(admitted) = self.admission.admit(incoming.remote_address().ip().to_canonical()) else {
            self.metrics.upgrade_refused(UpgradeRefusal::Full);
            return incoming.refuse();
        };
        if let Err(refused) = self.workers[worker].try_send(IncomingSession { incoming, admitted, pending }) {
            self.metrics.handshake_failed(Transport::Quic);
            refused.into_inner().incoming.refuse();
        }
    }

    fn server_config(&self, crypto: Arc<QuicServerConfig>) -> ServerConfig {
        let idle_timeout = self.config.idle_timeout;
        let mut transport = TransportConfig::default();
        transport
            .max_concurrent_bidi_streams(BIDIRECTIONAL_MAX.into())
            .max_concurrent_uni_streams(UNIDIRECTIONAL_MAX.into())
            .max_idle_timeout(IdleTimeout::try_from(idle_timeout).ok())
            .keep_alive_interval(Some(idle_timeout / KEEP_ALIVES))
            .stream_receive_window(STREAM_WINDOW_BYTES.into())
            .receive_window(CONNECTION_WINDOW_BYTES.into())
            .send_window(SEND_WINDOW_BYTES)
            .datagram_receive_buffer_size(Some(DATAGRAM_BYTES))
            .datagram_send_buffer_size(0);
        let mut config = ServerConfig::with_crypto(crypto);
        config.transport_config(Arc::new(transport)).max_incoming(PENDING_MAX);
        config
    }
}
