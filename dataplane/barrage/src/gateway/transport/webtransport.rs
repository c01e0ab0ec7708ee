//! WebTransport: a session is one QUIC connection with one stream that its client opens, on which frames of version 2
//! go both ways, one after the other.
//!
//! The endpoint ([`endpoint`]) only takes connections in. Their handshakes and all that follows is done by one worker.

mod endpoint;
mod frames;

use std::{future::poll_fn, time::Duration};

use bytes::Bytes;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::Message;

use super::{
    socket::{Connection, Handler, Protocol, Socket},
    stream::Stream,
    websocket::{GOODBYE, close_code},
};
use crate::gateway::metrics::Disconnect;
use frames::{Assembler, Broken};

pub(crate) use endpoint::{Endpoint, EndpointDeps, IncomingSession, SESSIONS_QUEUE};

/// After the stream has ended, how long the client may take to read it before the session is closed: a browser throws
/// away what its page has not read.
const READ_TO_END: Duration = Duration::from_millis(250);

/// Serves a session until it ends; then tells the handler why it did.
pub(crate) fn run<H: Handler>(handler: H, frame_bytes_max: usize) -> impl Future<Output = ()> + use<H> {
    let protocol = Frames(Assembler::new(frame_bytes_max));
    let mut connection = Connection { protocol, handler };
    async move {
        let reason = poll_fn(|cx| connection.poll(cx)).await;
        Box::pin(end(connection.handler.socket(), reason)).await;
        connection.handler.ended(reason);
    }
}

/// Lets the client have what waits for it, ends the stream, then the session with a code.
async fn end(socket: &Socket, reason: Disconnect) {
    let Stream::Quic(quic) = &socket.stream else { return };
    if matches!(reason, Disconnect::Lost) {
        return quic.abandon();
    }
    let last_words = async {
        if socket.drained().await.is_ok() {
            quic.end_stream().await;
            let _ = timeout(READ_TO_END, quic.closed()).await;
        }
    };
    // A peer that does not take its goodbye in time goes without.
    let _ = timeout(GOODBYE, last_words).await;
    let (code, text) = close_code(reason);
    quic.close(code, text);
    let _ = timeout(GOODBYE, quic.closed()).await;
}

/// The protocol: nothing but frames.
struct Frames(Assembler);

impl<H: Handler> Protocol<H> for Frames {
    fn feed(&mut self, handler: &H, input: &[u8]) -> Option<Disconnect> {
        let take = |frames: Bytes| handler.message(Message::Binary(frames));
        match self.0.feed(input, take) {
            Ok(()) => None,
            Err(Broken::NoFrame) => Some(Disconnect::ProtocolError),
            Err(Broken::TooLong) => Some(Disconnect::MessageTooLarge),
        }
    }

    fn end_of_input(&mut self, handler: &H) -> Disconnect {
        self.0.end(|frames| handler.message(Message::Binary(frames)));
        Disconnect::ClosedByPeer
    }
}
