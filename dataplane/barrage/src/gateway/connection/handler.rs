//! Runs a viewer's connection: what its transport hears goes to the viewer.

use std::rc::Rc;

use tokio_tungstenite::tungstenite::Message;

use super::viewer::Viewer;
use crate::gateway::{
    metrics::Disconnect,
    transport::{
        socket::{Handler, Socket},
        websocket, webtransport,
    },
};

/// The longest message of a client, bytes: one frame of version 1 with the longest content that it can say, which is
/// refused by the gateway's own limit but must not end the connection.
const MESSAGE_BYTES_MAX: usize = 68 * 1024;

/// Serves a WebSocket to its end; `first` are bytes that came behind the handshake.
pub(super) fn run(viewer: Rc<Viewer>, first: &[u8]) -> impl Future<Output = ()> + use<> {
    viewer.arrive();
    websocket::serve(ViewerHandler(viewer), first, MESSAGE_BYTES_MAX)
}

/// Serves a session of WebTransport to its end.
pub(super) fn run_session(viewer: Rc<Viewer>) -> impl Future<Output = ()> + use<> {
    viewer.arrive();
    webtransport::run(ViewerHandler(viewer), MESSAGE_BYTES_MAX)
}

/// A viewer as its connection drives it.
#[derive(Clone)]
struct ViewerHandler(Rc<Viewer>);

impl Handler for ViewerHandler {
    fn message(&self, message: Message) {
        match message {
            Message::Binary(bytes) => self.0.message(&bytes),
            Message::Text(_) => self.0.text(),
            Message::Ping(_) | Message::Pong(_) => self.0.control(),
            Message::Close(_) | Message::Frame(_) => {}
        }
    }

    fn drained(&self) -> bool {
        self.0.room().catch_up(&self.0)
    }

    fn socket(&self) -> &Socket {
        self.0.socket()
    }

    fn heard(&self) {
        self.0.heard();
    }

    fn ended(&self, reason: Disconnect) {
        self.0.leave(reason);
    }
}
