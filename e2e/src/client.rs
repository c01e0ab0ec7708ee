//! Plain clients for tests, blocking, one connection each: what a client of either version does, and what it must
//! not do. Many at once are [`crate::swarm`]'s business.

mod socket;
mod tls;
mod v1;
mod v2;
mod webtransport;

pub use socket::Socket;
pub use tls::{Certificate, handshake as tls_handshake};
pub use v1::{ClientV1, Shown};
pub use v2::{ClientV2, Danmaku, Event};
pub use webtransport::WebTransport;

use std::{io, net::TcpStream, time::Duration};

use thiserror::Error;
use tokio_tungstenite::tungstenite::Message;

/// How to join a room; start from [`Join::new`] and say what is different.
#[derive(Debug, Clone)]
pub struct Join {
    /// `ws://HOST:PORT`, `wss://` for TLS, `https://` for WebTransport.
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
    /// The certificate that the server has to show, DER; any where nothing stands here.
    pub certificate: Option<Vec<u8>>,
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
            certificate: None,
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

/// One connection; messages in, messages out.
pub enum Connection {
    /// WebSocket, in plain text or over TLS.
    WebSocket(Box<Socket>),
    /// WebTransport; a message is one frame.
    WebTransport(Box<WebTransport>),
}

impl Connection {
    /// Connects and shakes hands: `ws://` and `wss://` by WebSocket, `https://` by WebTransport.
    ///
    /// # Errors
    /// [`ClientError::Io`], [`ClientError::Refused`], [`ClientError::Protocol`].
    pub fn open(join: &Join) -> Result<Self, ClientError> {
        if join.url.starts_with("https://") {
            return WebTransport::open(join).map(|session| Self::WebTransport(Box::new(session)));
        }
        Socket::open(join).map(|socket| Self::WebSocket(Box::new(socket)))
    }

    /// The subprotocol that the server chose.
    #[must_use]
    pub fn protocol(&self) -> Option<&str> {
        match self {
            Self::WebSocket(socket) => socket.protocol(),
            Self::WebTransport(_) => Some(barrage_proto::v2::SUBPROTOCOL),
        }
    }

    /// Sends a WebSocket message of any kind.
    ///
    /// # Errors
    /// [`ClientError::Io`], [`ClientError::Closed`], [`ClientError::Protocol`] where there are no messages.
    pub fn send(&mut self, message: Message) -> Result<(), ClientError> {
        match self {
            Self::WebSocket(socket) => socket.send(message),
            Self::WebTransport(_) => Err(ClientError::Protocol("a session has no messages".to_owned())),
        }
    }

    /// Sends bytes: a binary message, or just so on a stream.
    ///
    /// # Errors
    /// [`ClientError::Io`], [`ClientError::Closed`].
    pub fn send_bytes(&mut self, bytes: &[u8]) -> Result<(), ClientError> {
        match self {
            Self::WebSocket(socket) => socket.send(Message::binary(bytes.to_vec())),
            Self::WebTransport(session) => session.send(bytes),
        }
    }

    /// The next binary message or frame; nothing when none comes in time. Pings are answered on the way.
    ///
    /// # Errors
    /// [`ClientError::Io`], [`ClientError::Closed`], [`ClientError::Protocol`] for a text message.
    pub fn receive(&mut self, timeout: Duration) -> Result<Option<Vec<u8>>, ClientError> {
        match self {
            Self::WebSocket(socket) => socket.receive(timeout),
            Self::WebTransport(session) => session.receive(timeout),
        }
    }

    /// The TCP connection beneath, for what no client should do.
    ///
    /// # Panics
    /// Over QUIC, where there is none.
    #[must_use]
    pub fn stream(&self) -> &TcpStream {
        match self {
            Self::WebSocket(socket) => socket.stream(),
            Self::WebTransport(_) => panic!("WebTransport has no TCP connection"),
        }
    }

    /// The session beneath, for what no client should do.
    ///
    /// # Panics
    /// Over TCP, where there is none.
    pub fn session(&mut self) -> &mut WebTransport {
        match self {
            Self::WebTransport(session) => session,
            Self::WebSocket(_) => panic!("WebSocket has no session"),
        }
    }

    /// Is gone without a word, as a machine that loses its power.
    ///
    /// # Panics
    /// Over TCP, where the kernel says goodbye.
    pub fn vanish(self) {
        match self {
            Self::WebTransport(session) => session.vanish(),
            Self::WebSocket(_) => panic!("WebSocket cannot vanish"),
        }
    }

    /// Says goodbye and leaves.
    pub fn close(self) {
        match self {
            Self::WebSocket(socket) => socket.close(),
            Self::WebTransport(session) => drop(session),
        }
    }
}

#[cfg(test)]
pub(crate) mod tests;
