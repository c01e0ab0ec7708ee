//! A blocking WebSocket, in plain text or over TLS.

use std::{
    io::{self, Read, Write},
    net::TcpStream,
    time::{Duration, Instant},
};

use rustls::{ClientConnection, StreamOwned};
use tokio_tungstenite::tungstenite::{
    self, Message, WebSocket,
    client::client_with_config,
    handshake::{HandshakeError, client::generate_key},
    http::{Request, header},
    protocol::{WebSocketConfig, frame::coding::CloseCode},
};

use super::{ClientError, Join, tls};
use crate::http::problem_detail;

/// Bytes of read buffer of a test's connection.
const BUFFER_BYTES: usize = 4 * 1024;

/// One WebSocket; messages in, messages out.
pub struct Socket {
    socket: WebSocket<Wire>,
    protocol: Option<String>,
}

impl Socket {
    /// Connects and shakes hands.
    ///
    /// # Errors
    /// [`ClientError::Io`], [`ClientError::Refused`], [`ClientError::Protocol`].
    pub fn open(join: &Join) -> Result<Self, ClientError> {
        let request = request(join).map_err(|error| ClientError::Protocol(error.to_string()))?;
        let host = host(&join.url);
        let failed = |source| ClientError::Io { doing: format!("connecting to {host}"), source };
        let stream = TcpStream::connect(host).map_err(failed)?;
        stream.set_nodelay(true).map_err(failed)?;
        let wire = if join.url.starts_with("wss://") {
            Wire::Tls(Box::new(tls::connect(stream, join.certificate.as_deref())?))
        } else {
            Wire::Plain(stream)
        };
        let config = WebSocketConfig::default().read_buffer_size(BUFFER_BYTES);
        match client_with_config(request, wire, Some(config)) {
            Ok((socket, response)) => {
                let protocol = response.headers().get(header::SEC_WEBSOCKET_PROTOCOL);
                let protocol = protocol.and_then(|value| value.to_str().ok()).map(str::to_owned);
                Ok(Self { socket, protocol })
            }
            Err(HandshakeError::Failure(error)) => Err(error_of("shaking hands", error)),
            Err(HandshakeError::Interrupted(_)) => {
                Err(ClientError::Protocol("the handshake would block on a blocking socket".to_owned()))
            }
        }
    }

    /// The subprotocol that the server chose.
    #[must_use]
    pub fn protocol(&self) -> Option<&str> {
        self.protocol.as_deref()
    }

    /// Sends a message of any kind.
    ///
    /// # Errors
    /// [`ClientError::Io`], [`ClientError::Closed`].
    pub fn send(&mut self, message: Message) -> Result<(), ClientError> {
        self.socket.send(message).map_err(|error| error_of("sending", error))
    }

    /// The next binary message; nothing when none comes in time. Pings are answered on the way.
    ///
    /// # Errors
    /// [`ClientError::Io`], [`ClientError::Closed`], [`ClientError::Protocol`] for a text message.
    pub fn receive(&mut self, timeout: Duration) -> Result<Option<Vec<u8>>, ClientError> {
        let deadline = Instant::now() + timeout;
        loop {
            // A timeout of zero would mean none at all.
            let left = deadline.saturating_duration_since(Instant::now()).max(Duration::from_millis(1));
            let set = self.stream().set_read_timeout(Some(left));
            set.map_err(|source| ClientError::Io { doing: "setting a timeout".to_owned(), source })?;
            match self.socket.read() {
                Ok(Message::Binary(bytes)) => return Ok(Some(bytes.into())),
                Ok(Message::Text(text)) => {
                    return Err(ClientError::Protocol(format!("text message {text:?}")));
                }
                Ok(Message::Close(frame)) => {
                    let code = frame.as_ref().map_or(CloseCode::Status, |frame| frame.code);
                    let reason = frame.map(|frame| frame.reason.to_string()).unwrap_or_default();
                    return Err(ClientError::Closed { code: code.into(), reason });
                }
                Ok(_) => {}
                Err(tungstenite::Error::Io(error)) if is_timeout(&error) => {
                    if Instant::now() >= deadline {
                        return Ok(None);
                    }
                }
                Err(error) => return Err(error_of("receiving", error)),
            }
        }
    }

    /// The TCP connection beneath, for what no client should do.
    #[must_use]
    pub fn stream(&self) -> &TcpStream {
        match self.socket.get_ref() {
            Wire::Plain(stream) => stream,
            Wire::Tls(stream) => stream.get_ref(),
        }
    }

    /// Says goodbye and leaves.
    pub fn close(mut self) {
        // A server that is gone already needs no goodbye.
        let _gone = self.socket.close(None).and_then(|()| self.socket.flush());
    }
}

/// What a WebSocket goes over.
enum Wire {
    Plain(TcpStream),
    Tls(Box<StreamOwned<ClientConnection, TcpStream>>),
}

impl Read for Wire {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Plain(stream) => stream.read(buffer),
            Self::Tls(stream) => stream.read(buffer),
        }
    }
}

impl Write for Wire {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Plain(stream) => stream.write(bytes),
            Self::Tls(stream) => stream.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Plain(stream) => stream.flush(),
            Self::Tls(stream) => stream.flush(),
        }
    }
}

fn host(url: &str) -> &str {
    url.trim_start_matches("wss://").trim_start_matches("ws://")
}

fn request(join: &Join) -> Result<Request<()>, tungstenite::http::Error> {
    let Join { url, room, token, query, protocols, origin, .. } = join;
    let host = host(url);
    let mut request = Request::get(format!("{}/v1/rooms/{room}/ws?{query}", url.replacen("wss:", "ws:", 1)))
        .header(header::HOST, host)
        .header(header::CONNECTION, "Upgrade")
        .header(header::UPGRADE, "websocket")
        .header(header::SEC_WEBSOCKET_VERSION, "13")
        .header(header::SEC_WEBSOCKET_KEY, generate_key());
    if let Some(token) = token {
        request = request.header(header::AUTHORIZATION, format!("Bearer {token}"));
    }
    for (name, value) in [(header::SEC_WEBSOCKET_PROTOCOL, protocols), (header::ORIGIN, origin)] {
        if let Some(value) = value {
            request = request.header(name, value);
        }
    }
    request.body(())
}

fn is_timeout(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut)
}

fn error_of(doing: &str, error: tungstenite::Error) -> ClientError {
    match error {
        tungstenite::Error::Http(response) => {
            let body = response.body().as_deref().map(String::from_utf8_lossy).unwrap_or_default();
            ClientError::Refused { status: response.status().as_u16(), detail: problem_detail(&body) }
        }
        tungstenite::Error::Io(source) if source.kind() == io::ErrorKind::ConnectionReset => {
            ClientError::Closed { code: 1006, reason: source.to_string() }
        }
        tungstenite::Error::Io(source) => ClientError::Io { doing: doing.to_owned(), source },
        tungstenite::Error::ConnectionClosed
        | tungstenite::Error::AlreadyClosed
        | tungstenite::Error::Protocol(tungstenite::error::ProtocolError::ResetWithoutClosingHandshake) => {
            ClientError::Closed { code: 1006, reason: error.to_string() }
        }
        error => ClientError::Protocol(format!("{doing}: {error}")),
    }
}
