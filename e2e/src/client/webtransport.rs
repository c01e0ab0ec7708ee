//! A blocking session of WebTransport, with a runtime of its own.

use std::{io, sync::Arc, time::Duration};

use barrage_proto::v2::{self, FrameError};
use tokio::{
    runtime::{Builder, Runtime},
    time,
};
use url::Url;
use web_transport_quinn::{
    Client, ClientError as SessionFailure, ConnectError, RecvStream, SendStream, Session, SessionError,
    WebTransportError,
    proto::{ConnectError as Malformed, ConnectRequest},
    quinn::{ClientConfig, Endpoint, TransportConfig, crypto::rustls::QuicClientConfig},
};

use super::{ClientError, Join, tls};

/// A session takes longer than this only where something is wrong.
const PATIENCE: Duration = Duration::from_secs(10);

/// What may come ahead of being read, bytes: little, so that a test can fill it.
const WINDOW_BYTES: u32 = 32 * 1024;

/// One session with its stream; frames in, frames out.
pub struct WebTransport {
    session: Session,
    send: SendStream,
    receive: RecvStream,
    /// What has come and is no whole frame yet.
    buffer: Vec<u8>,
    // Dropped last: the others are driven by it.
    endpoint: Endpoint,
    runtime: Runtime,
}

impl WebTransport {
    pub(super) fn open(join: &Join) -> Result<Self, ClientError> {
        let failed = |source| ClientError::Io { doing: "beginning a session".to_owned(), source };
        let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build().map_err(failed)?;
        let (endpoint, session, stream) = runtime.block_on(async {
            let endpoint = Endpoint::client(([0, 0, 0, 0], 0).into()).map_err(failed)?;
            let begun = time::timeout(PATIENCE, begin(&endpoint, join)).await;
            let (session, stream) = begun.map_err(|_| failed(io::ErrorKind::TimedOut.into()))??;
            Ok::<_, ClientError>((endpoint, session, stream))
        })?;
        let (send, receive) = stream;
        Ok(Self { session, send, receive, buffer: Vec::new(), endpoint, runtime })
    }

    pub(super) fn send(&mut self, bytes: &[u8]) -> Result<(), ClientError> {
        let sent = self.runtime.block_on(async { time::timeout(PATIENCE, self.send.write_all(bytes)).await });
        match sent {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) => Err(self.ending()),
            Err(_) => Err(ClientError::Timeout { what: "room for what is sent".to_owned(), timeout: PATIENCE }),
        }
    }

    pub(super) fn receive(&mut self, timeout: Duration) -> Result<Option<Vec<u8>>, ClientError> {
        let deadline = std::time::Instant::now() + timeout;
        loop {
            match v2::decode(&self.buffer) {
                Ok((_, bytes)) => return Ok(Some(self.buffer.drain(..bytes).collect())),
                Err(FrameError::ShortHeader { .. } | FrameError::ShortPayload { .. }) => {}
                Err(error) => return Err(ClientError::Protocol(error.to_string())),
            }
            let left = deadline.saturating_duration_since(std::time::Instant::now());
            let read = self.receive.read_chunk(usize::MAX, true);
            match self.runtime.block_on(async { time::timeout(left, read).await }) {
                Err(_) => return Ok(None),
                Ok(Ok(Some(chunk))) => self.buffer.extend_from_slice(&chunk.bytes),
                Ok(Ok(None) | Err(_)) => return Err(self.ending()),
            }
        }
    }

    /// Ends the own direction of the stream.
    pub fn finish(&mut self) {
        let _ended = self.send.finish();
    }

    /// Resets the own direction of the stream.
    pub fn reset(&mut self) {
        let _ended = self.send.reset(7);
    }

    /// Stops as a machine that loses its power: what comes is answered no more, and nobody says goodbye.
    pub(super) fn vanish(self) {
        // Its only worker drives the connection; without it, dropping the rest would wait for ever.
        self.runtime.spawn(async {
            loop {
                std::thread::park();
            }
        });
        std::mem::forget(self);
    }

    /// Sends a datagram.
    ///
    /// # Errors
    /// [`ClientError::Protocol`].
    pub fn datagram(&self, bytes: &[u8]) -> Result<(), ClientError> {
        let _entered = self.runtime.enter();
        self.session.send_datagram(bytes.to_vec().into()).map_err(|error| ClientError::Protocol(error.to_string()))
    }

    /// Whether the server lets a second stream be opened within a time.
    #[must_use]
    pub fn opens_another_stream(&self, within: Duration) -> bool {
        self.runtime.block_on(async { time::timeout(within, self.session.open_bi()).await.is_ok_and(|it| it.is_ok()) })
    }

    /// How the server ended the session.
    fn ending(&self) -> ClientError {
        let ended = self.runtime.block_on(async { time::timeout(PATIENCE, self.session.closed()).await });
        match ended {
            Ok(SessionError::WebTransportError(WebTransportError::Closed(code, reason))) => {
                ClientError::Closed { code: u16::try_from(code).unwrap_or(u16::MAX), reason }
            }
            Ok(error) => ClientError::Closed { code: 1006, reason: error.to_string() },
            Err(_) => ClientError::Protocol("the stream has ended, the session has not".to_owned()),
        }
    }
}

impl Drop for WebTransport {
    /// Says goodbye, or the server would wait for more until its idle timeout.
    fn drop(&mut self) {
        self.runtime.block_on(async {
            self.session.close(1000, b"");
            let _gone = time::timeout(PATIENCE, self.endpoint.wait_idle()).await;
        });
    }
}

async fn begin(endpoint: &Endpoint, join: &Join) -> Result<(Session, (SendStream, RecvStream)), ClientError> {
    let Join { url, room, token, query, origin, certificate, .. } = join;
    let broken = |error: String| ClientError::Protocol(error);
    let mut tls = tls::config(certificate.as_deref()).map_err(|error| broken(error.to_string()))?;
    tls.alpn_protocols = vec![web_transport_quinn::ALPN.as_bytes().to_vec()];
    let crypto = QuicClientConfig::try_from(tls).map_err(|error| broken(error.to_string()))?;
    let mut transport = TransportConfig::default();
    transport.stream_receive_window(WINDOW_BYTES.into());
    let mut config = ClientConfig::new(Arc::new(crypto));
    config.transport_config(Arc::new(transport));
    let client = Client::new(endpoint.clone(), config);
    let url = Url::parse(&format!("{url}/v1/rooms/{room}/wt?{query}"));
    let mut request = ConnectRequest::new(url.map_err(|error| broken(error.to_string()))?);
    let token = token.as_ref().map(|token| format!("Bearer {token}"));
    for (name, value) in [("authorization", token.as_ref()), ("origin", origin.as_ref())] {
        if let Some(value) = value {
            let value = value.parse().map_err(|_| broken(format!("no header: {value}")))?;
            request = request.with_header(web_transport_quinn::http::HeaderName::from_static(name), value);
        }
    }
    let session = client.connect(request).await.map_err(refusal)?;
    let stream = session.open_bi().await.map_err(|error| broken(error.to_string()))?;
    Ok((session, stream))
}

fn refusal(error: SessionFailure) -> ClientError {
    match error {
        SessionFailure::HttpError(ConnectError::ProtoError(Malformed::WrongStatus(Some(status)))) => {
            ClientError::Refused { status: status.as_u16(), detail: String::new() }
        }
        error => ClientError::Io { doing: "beginning a session".to_owned(), source: io::Error::other(error) },
    }
}
