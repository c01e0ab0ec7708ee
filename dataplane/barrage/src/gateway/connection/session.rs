//! A WebTransport session, from its QUIC handshake until it has a viewer.

use std::{rc::Rc, time::Duration};

use http::{
    StatusCode, Uri,
    header::{HOST, HeaderValue},
};
use tokio::{
    task::spawn_local,
    time::{Instant, timeout, timeout_at},
};
use web_transport_quinn::{Request, quinn::Connection as QuicConnection};

use super::{
    auth::{Checked, Refused, check, refused},
    connections::{Connections, Entry},
    handler,
};
use crate::gateway::{
    encode::Version,
    metrics::{Transport, UpgradeRefusal},
    transport::{
        stream::{Quic, Stream},
        webtransport::IncomingSession,
    },
};

const REFUSAL: Duration = Duration::from_secs(1);

/// Serves a connection from its handshake on.
pub(crate) async fn serve(connections: Rc<Connections>, incoming: IncomingSession) {
    let deadline = Instant::now() + connections.gateway().config.handshake_timeout;
    let IncomingSession { incoming, admitted, pending } = incoming;
    let peer = incoming.remote_address();
    let Ok(connecting) = incoming.accept() else {
        return connections.gateway().metrics.handshake_failed(Transport::Quic);
    };
    let connection = match timeout_at(deadline, connecting).await {
        Ok(Ok(connection)) => connection,
        Ok(Err(error)) => {
            tracing::debug!(%peer, %error, "a QUIC handshake failed");
            return connections.gateway().metrics.handshake_failed(Transport::Quic);
        }
        Err(_) => return connections.gateway().metrics.handshake_failed(Transport::Quic),
    };
    match timeout_at(deadline, shake_hands(&connections, connection.clone())).await {
        Ok(Ok((checked, quic))) => {
            drop(pending);
            spawn_local(async move {
                let stream = Stream::Quic(Box::new(quic));
                let viewer = connections.enter(Entry { stream, checked, version: Version::V2, admitted }).await;
                // The viewer's task is its own, so that what the handshake needed is freed.
                spawn_local(handler::run_session(viewer));
            });
        }
        ended => {
            if ended.is_err() || matches!(ended, Ok(Err(NoSession::Failed))) {
                connections.gateway().metrics.handshake_failed(Transport::Quic);
            }
            connection.close(0_u32.into(), b"");
        }
    }
}

enum NoSession {
    /// It was refused, and counted.
    Refused,
    /// The peer does not speak WebTransport, or no longer.
    Failed,
}

/// Reads what a client asks for, checks it, and waits for its stream.
async fn shake_hands(connections: &Connections, connection: QuicConnection) -> Result<(Checked, Quic), NoSession> {
    let request = Request::accept(connection).await.map_err(|_| NoSession::Failed)?;
    let checked = match check_request(connections, &request) {
        Ok(checked) => checked,
        Err((refusal, problem)) => {
            connections.gateway().metrics.upgrade_refused(refusal);
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

fn check_request(connections: &Connections, request: &Request) -> Result<Checked, Refused> {
    let url = &request.url;
    let room = url.path().strip_prefix("/v1/rooms/").and_then(|path| path.strip_suffix("/wt"));
    let uri = url.query().map_or_else(|| url.path().to_owned(), |query| format!("{}?{query}", url.path()));
    let uri: Option<Uri> = uri.parse().ok();
    let Some((room, uri)) = room.zip(uri) else {
        return Err(refused(UpgradeRefusal::Room, StatusCode::NOT_FOUND, "no such path"));
    };
    let mut headers = request.headers.clone();
    let authority = url.authority().rsplit('@').next().unwrap_or_default();
    if let Ok(host) = HeaderValue::from_str(authority) {
        headers.insert(HOST, host);
    }
    check(connections.gateway(), room, &uri, &headers)
}
