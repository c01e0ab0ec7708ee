//! An echo server on the same connection code, for public WebSocket conformance suites. Never in a release.

use std::rc::Rc;

use axum::{
    body::Body,
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use http::{Request, StatusCode};
use hyper::body::Incoming;
use tokio::task::spawn_local;
use tokio_tungstenite::tungstenite::{
    Message,
    handshake::server::create_response_with_body,
    protocol::frame::{
        Frame,
        coding::{Data, OpCode},
    },
};

use super::stream;
use crate::gateway::{
    metrics::Disconnect,
    problem::Problem,
    transport::{
        socket::{self, Socket},
        websocket,
    },
};

/// The suites send messages of 16 MiB.
const MESSAGE_BYTES_MAX: usize = 32 * 1024 * 1024;

/// Upgrades and sends back every message.
pub(super) fn echo(request: Request<Incoming>) -> Response {
    let response = match create_response_with_body(&request, Body::empty) {
        Ok(response) => response,
        Err(error) => return Problem::new(StatusCode::BAD_REQUEST, &error.to_string()).into_response(),
    };
    spawn_local(async move {
        let Some((stream, first)) = stream(request).await else { return };
        websocket::serve(Echo(Rc::new(Socket::new(stream))), &first, MESSAGE_BYTES_MAX).await;
    });
    response
}

#[derive(Clone)]
struct Echo(Rc<Socket>);

impl socket::Handler for Echo {
    fn message(&self, message: Message) {
        let (data, opcode) = match message {
            Message::Text(text) => (Bytes::from(text), Data::Text),
            Message::Binary(bytes) => (bytes, Data::Binary),
            Message::Ping(_) | Message::Pong(_) | Message::Close(_) | Message::Frame(_) => return,
        };
        let frame = Frame::message(data, OpCode::Data(opcode), true);
        let mut bytes = Vec::with_capacity(frame.len());
        // Writing to a vector does not fail.
        let _ = frame.format(&mut bytes);
        self.0.send(&bytes.into());
    }

    fn drained(&self) -> bool {
        false
    }

    fn socket(&self) -> &Socket {
        &self.0
    }

    fn heard(&self) {}

    fn ended(&self, _: Disconnect) {}
}
