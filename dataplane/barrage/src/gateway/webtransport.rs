//! WebTransport: a session is one QUIC connection with one stream that its client opens, on which frames of version 2
//! go both ways, one after the other.
//!
//! The endpoint ([`endpoint`]) only takes connections in. Their handshakes and all that follows is done by one shard.

mod endpoint;
mod frames;

use std::{rc::Rc, time::Duration};

use bytes::Bytes;
use http::{
    Uri,
    header::{HOST, HeaderValue},
};
use tokio::{
    task::spawn_local,
    time::{Instant, timeout, timeout_at},
};
use tokio_tungstenite::tungstenite::Message;
use web_transport_quinn::{Request, quinn::Connection as QuicConnection};

use super::{
    connection::Version,
    metrics::{Disconnect, Transport, UpgradeRefusal},
    shard::Shard,
    socket::{Connection, Handler, Protocol, Socket},
    stream::{Quic, Stream},
    upgrade::{self, Checked, Entry, Refused},
    websocket::{GOODBYE, close_code},
};
use frames::{Assembler, Broken};

pub(super) use endpoint::{Arrival, Endpoint, SESSIONS_QUEUE};

/// How long a refusal may take to reach its client.
const REFUSAL: Duration = Duration::from_secs(1);
/// After the stream has ended, how long the client may take to read it before the session is closed: a browser throws
/// away what its page has not read.
const READ_TO_END: Duration = Duration::from_millis(250);

/// Serves a connection from its handshake on.
pub(super) async fn serve(shard: Rc<Shard>, arrival: Arrival) {
    let deadline = Instant::now() + shard.served.config.handshake_timeout;
    let Arrival { incoming, admitted, pending } = arrival;
    let peer = incoming.remote_address();
    let Ok(connecting) = incoming.accept() else { return shard.served.metrics.handshake_failed(Transport::Quic) };
    let connection = match timeout_at(deadline, connecting).await {
        Ok(Ok(connection)) => connection,
        Ok(Err(error)) => {
            tracing::debug!(%peer, %error, "a QUIC handshake failed");
            return shard.served.metrics.handshake_failed(Transport::Quic);
        }
        Err(_) => return shard.served.metrics.handshake_failed(Transport::Quic),
    };
    match timeout_at(deadline, shake_hands(&shard, connection.clone())).await {
        Ok(Ok((checked, quic))) => {
            drop(pending);
            spawn_local(async move {
                let stream = Stream::Quic(Box::new(quic));
                let viewer = upgrade::enter(shard, Entry { stream, checked, version: Version::V2, admitted }).await;
                // The viewer's task is its own, so that what the handshake needed is freed.
                spawn_local(viewer.run_session());
            });
        }
        ended => {
            if ended.is_err() || matches!(ended, Ok(Err(NoSession::Failed))) {
                shard.served.metrics.handshake_failed(Transport::Quic);
            }
            connection.close(0_u32.into(), b"");
        }
    }
}

/// Why there is no session.
enum NoSession {
    /// It was refused, and counted.
    Refused,
    /// The peer does not speak WebTransport, or no longer.
    Failed,
}

/// Reads what a client asks for, checks it, and waits for its stream.
async fn shake_hands(shard: &Shard, connection: QuicConnection) -> Result<(Checked, Quic), NoSession> {
    let request = Request::accept(connection).await.map_err(|_| NoSession::Failed)?;
    let checked = match check(shard, &request) {
        Ok(checked) => checked,
        Err((refusal, problem)) => {
            shard.served.metrics.upgrade_refused(refusal);
            let connection = request.conn().clone();
            if request.reject(problem.status()).await.is_ok() {
                // The client leaves when it has read it.
                let _ = timeout(REFUSAL, connection.closed()).await;
            }
            return Err(NoSession::Refused);
        }
    };
    let session = request.ok().await.map_err(|_| NoSession::Failed)?;
    let stream = session.accept_bi().await.map_err(|_| NoSession::Failed)?;
    Ok((checked, Quic::new(session, stream)))
}

fn check(shard: &Shard, request: &Request) -> Result<Checked, Refused> {
    let url = &request.url;
    let room = url.path().strip_prefix("/v1/rooms/").and_then(|path| path.strip_suffix("/wt"));
    let uri = url.query().map_or_else(|| url.path().to_owned(), |query| format!("{}?{query}", url.path()));
    let uri: Option<Uri> = uri.parse().ok();
    let Some((room, uri)) = room.zip(uri) else {
        return Err(upgrade::refused(UpgradeRefusal::Room, http::StatusCode::NOT_FOUND, "no such path"));
    };
    let mut headers = request.headers.clone();
    let authority = url.authority().rsplit('@').next().unwrap_or_default();
    if let Ok(host) = HeaderValue::from_str(authority) {
        headers.insert(HOST, host);
    }
    upgrade::check(&shard.served, room, &uri, &headers)
}

/// Serves a session until it ends; then tells the handler why it did.
pub(super) fn run<H: Handler>(handler: H, frame_bytes_max: usize) -> impl Future<Output = ()> + use<H> {
    let protocol = Frames(Assembler::new(frame_bytes_max));
    let mut connection = Connection { protocol, handler };
    async move {
        let reason = std::future::poll_fn(|cx| connection.poll(cx)).await;
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
