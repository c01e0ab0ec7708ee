//! Plain clients for tests, blocking, one connection each: what a client of either version does, and what it must
//! not do. Many at once are [`crate::swarm`]'s business.

mod v1;
mod v2;

pub use v1::{ClientV1, Shown};
pub use v2::{ClientV2, Danmaku, Event};

use std::{
    io,
    net::TcpStream,
    time::{Duration, Instant},
};

use thiserror::Error;
use tokio_tungstenite::tungstenite::{
    self, Message, WebSocket,
    client::client_with_config,
    handshake::{HandshakeError, client::generate_key},
    http::{Request, header},
    protocol::{WebSocketConfig, frame::coding::CloseCode},
};

use crate::http::problem_detail;

/// Bytes of read buffer of a test's connection.
const BUFFER_BYTES: usize = 4 * 1024;

/// How to join a room; start from [`Join::new`] and say what is different.
#[derive(Debug, Clone)]
pub struct Join {
    /// `ws://HOST:PORT`.
    pub url: String,
    /// Room ID.
    pub room: String,
    /// Token, in the `Authorization` header.
    pub token: Option<String>,
    /// Further query parameters, as they stand in the URL: `session=7&history=0`.
    pub query: String,
    /// `Sec-WebSocket-Protocol`; v2 clients offer `barrage.v2` where nothing stands here.
    pub protocols: Option<String>,
    /// `Origin`.
    pub origin: Option<String>,
}

impl Join {
    /// Joins a room with a token and nothing special.
    #[must_use]
    pub fn new(url: &str, room: &str, token: &str) -> Self {
        Self {
            url: url.to_owned(),
            room: room.to_owned(),
            token: Some(token.to_owned()),
            query: String::new(),
            protocols: None,
            origin: None,
        }
    }
}

/// What a client can meet.
#[derive(Debug, Error)]
pub enum ClientError {
    /// The connection cannot be made or is lost.
    #[error("{doing}: {source}")]
    Io {
        /// What was being done.
        doing: String,
        /// What the system said.
        source: io::Error,
    },
    /// The server refused before the upgrade.
    #[error("the server refuses the WebSocket with {status}: {detail}")]
    Refused {
        /// HTTP status.
        status: u16,
        /// What it says about it.
        detail: String,
    },
    /// The server closed the connection.
    #[error("the server closed the connection with {code}: {reason}")]
    Closed {
        /// WebSocket close code; 1006 when there was no close frame.
        code: u16,
        /// Its reason.
        reason: String,
    },
    /// What was waited for did not come.
    #[error("no {what} within {timeout:?}")]
    Timeout {
        /// What was waited for.
        what: String,
        /// How long.
        timeout: Duration,
    },
    /// The server broke the protocol.
    #[error("the server broke the protocol: {0}")]
    Protocol(String),
}

/// One WebSocket; messages in, messages out.
pub struct Connection {
    socket: WebSocket<TcpStream>,
    protocol: Option<String>,
}

impl Connection {
    /// Connects and shakes hands.
    ///
    /// # Errors
    /// [`ClientError::Io`], [`ClientError::Refused`], [`ClientError::Protocol`].
    pub fn open(join: &Join) -> Result<Self, ClientError> {
        let request = request(join).map_err(|error| ClientError::Protocol(error.to_string()))?;
        let host = join.url.trim_start_matches("ws://");
        let failed = |source| ClientError::Io { doing: format!("connecting to {host}"), source };
        let stream = TcpStream::connect(host).map_err(failed)?;
        stream.set_nodelay(true).map_err(failed)?;
        let config = WebSocketConfig::default().read_buffer_size(BUFFER_BYTES);
        match client_with_config(request, stream, Some(config)) {
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

    /// Sends a binary message.
    ///
    /// # Errors
    /// As [`Connection::send`].
    pub fn send_bytes(&mut self, bytes: &[u8]) -> Result<(), ClientError> {
        self.send(Message::binary(bytes.to_vec()))
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
        self.socket.get_ref()
    }

    /// Says goodbye and leaves.
    pub fn close(mut self) {
        // A server that is gone already needs no goodbye.
        let _gone = self.socket.close(None).and_then(|()| self.socket.flush());
    }
}

fn request(join: &Join) -> Result<Request<()>, tungstenite::http::Error> {
    let Join { url, room, token, query, protocols, origin } = join;
    let host = url.trim_start_matches("ws://");
    let mut request = Request::get(format!("{url}/v1/rooms/{room}/ws?{query}"))
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

#[cfg(test)]
pub(crate) mod tests;
