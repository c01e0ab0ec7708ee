//! WebSocket on a viewer's socket.
//!
//! The protocol is tungstenite's; it sees the socket through a [`Pipe`] that hands it bytes already read and takes
//! whatever it writes.

use std::{
    future::poll_fn,
    io::{self, ErrorKind, Read, Write},
    time::Duration,
};

use bytes::Bytes;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::{
    Error,
    error::CapacityError,
    protocol::{CloseFrame, Role, WebSocketConfig, WebSocketContext, frame::coding::CloseCode},
};

use super::socket::{Connection, Handler, Protocol, Socket};
use crate::gateway::metrics::Disconnect;

/// Close code for who is banned: like HTTP's 403, in the range for applications (RFC 6455, section 7.4.2).
const BANNED: u16 = 4403;

/// A connection's own read buffer: bytes arrive in a buffer that all share, this one holds half a message at most.
const READ_BUFFER_BYTES: usize = 64;
/// A goodbye may take this long to be written and answered.
pub(crate) const GOODBYE: Duration = Duration::from_secs(2);

/// Serves a connection until it ends; then tells the handler why it did.
///
/// `first` are bytes that came behind the handshake; `message_bytes_max` bounds a message of the peer. What is used
/// only at the beginning or the end stays out of the future: it lives as long as an idle connection does.
pub(crate) fn serve<H: Handler>(
    handler: H,
    first: &[u8],
    message_bytes_max: usize,
) -> impl Future<Output = ()> + use<H> {
    let config = WebSocketConfig::default()
        .read_buffer_size(READ_BUFFER_BYTES)
        .write_buffer_size(0)
        .max_message_size(Some(message_bytes_max))
        .max_frame_size(Some(message_bytes_max));
    let protocol = WebSocket(WebSocketContext::new(Role::Server, Some(config)));
    let mut connection = Connection { protocol, handler };
    let at_once = connection.feed(first);
    async move {
        let reason = match at_once {
            Some(reason) => reason,
            None => poll_fn(|cx| connection.poll(cx)).await,
        };
        if reason != Disconnect::Lost {
            let Connection { protocol, handler } = &mut connection;
            protocol.say_goodbye(handler, reason);
            // A peer that does not take its goodbye in time goes without.
            let _ = Box::pin(timeout(GOODBYE, linger(connection.handler.socket()))).await;
        }
        connection.handler.ended(reason);
    }
}

/// The protocol as tungstenite speaks it.
struct WebSocket(WebSocketContext);

impl<H: Handler> Protocol<H> for WebSocket {
    fn feed(&mut self, handler: &H, input: &[u8]) -> Option<Disconnect> {
        let mut pipe = Pipe { input, socket: handler.socket() };
        loop {
            match self.0.read(&mut pipe) {
                // The protocol answers pings and goodbyes by itself.
                Ok(message) => handler.message(message),
                Err(Error::Io(error)) if error.kind() == ErrorKind::WouldBlock => return None,
                Err(error) => return Some(self.fail(handler, &error)),
            }
        }
    }

    fn end_of_input(&mut self, _: &H) -> Disconnect {
        Disconnect::Lost
    }
}

impl WebSocket {
    /// What an error of the protocol means; the peer is told the code that RFC 6455, section 7.4.1, has for it.
    fn fail(&mut self, handler: &impl Handler, error: &Error) -> Disconnect {
        let (reason, code) = match error {
            Error::ConnectionClosed | Error::AlreadyClosed => return Disconnect::ClosedByPeer,
            Error::Io(_) => return Disconnect::Lost,
            Error::Capacity(CapacityError::MessageTooLong { .. }) => (Disconnect::MessageTooLarge, CloseCode::Size),
            Error::Utf8(_) => (Disconnect::ProtocolError, CloseCode::Invalid),
            _ => (Disconnect::ProtocolError, CloseCode::Protocol),
        };
        self.close(handler, code, "");
        reason
    }

    fn say_goodbye(&mut self, handler: &impl Handler, reason: Disconnect) {
        if let Some((code, text)) = goodbye(reason) {
            self.close(handler, code, text);
        }
    }

    fn close(&mut self, handler: &impl Handler, code: CloseCode, reason: &'static str) {
        let mut pipe = Pipe { input: &[], socket: handler.socket() };
        let frame = CloseFrame { code, reason: reason.into() };
        // The pipe takes everything; a connection that is closed already has said its goodbye.
        let _ = self.0.close(&mut pipe, Some(frame));
    }
}

/// What is said to whom the gateway sends away; what the protocol has ended has said its own.
const fn goodbye(reason: Disconnect) -> Option<(CloseCode, &'static str)> {
    match reason {
        Disconnect::Idle | Disconnect::Shutdown => Some((CloseCode::Away, "")),
        Disconnect::Slow => Some((CloseCode::Again, "")),
        Disconnect::Flood => Some((CloseCode::Policy, "")),
        // Coming back makes no sense: the upgrade is answered by 404 then.
        Disconnect::RoomClosed => Some((CloseCode::Normal, "room closed")),
        Disconnect::Banned => Some((CloseCode::Library(BANNED), "")),
        Disconnect::ProtocolError | Disconnect::MessageTooLarge | Disconnect::ClosedByPeer | Disconnect::Lost => None,
    }
}

/// The code that a session is closed with, and its text: where it has one, that of a WebSocket.
pub(crate) fn close_code(reason: Disconnect) -> (u16, &'static str) {
    let (code, text) = goodbye(reason).unwrap_or(match reason {
        Disconnect::ProtocolError => (CloseCode::Protocol, ""),
        Disconnect::MessageTooLarge => (CloseCode::Size, ""),
        _ => (CloseCode::Normal, ""),
    });
    (code.into(), text)
}

/// Writes what is left, says that nothing follows, and reads until the peer says so too: closing with unread bytes
/// would reset the connection and could take the goodbye with it.
async fn linger(socket: &Socket) -> io::Result<()> {
    socket.drained().await?;
    socket.stream.finish()?;
    while poll_fn(|cx| socket.stream.poll_read(cx, &mut [0; 512])).await? > 0 {}
    Ok(())
}

/// A socket as the protocol sees it: bytes already read, and a writer that takes everything.
struct Pipe<'a> {
    input: &'a [u8],
    socket: &'a Socket,
}

impl Read for Pipe<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.input.is_empty() {
            return Err(ErrorKind::WouldBlock.into());
        }
        self.input.read(buffer)
    }
}

impl Write for Pipe<'_> {
    fn write(&mut self, frame: &[u8]) -> io::Result<usize> {
        self.socket.send(&Bytes::copy_from_slice(frame));
        Ok(frame.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
