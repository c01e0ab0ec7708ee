//! The door: tells WebSocket upgrades from other requests, and makes viewers of them.

use std::{cell::RefCell, convert::Infallible, rc::Rc};

use axum::{
    body::Body,
    response::{IntoResponse, Response},
};
use barrage_proto::v2::SUBPROTOCOL;
use bytes::Bytes;
use http::{HeaderValue, Request, StatusCode, header::SEC_WEBSOCKET_PROTOCOL};
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use tokio::{net::TcpStream, task::spawn_local, time::timeout};
use tokio_rustls::server::TlsStream;
use tokio_tungstenite::tungstenite::handshake::server::create_response_with_body;
use tower::ServiceExt;

use super::{
    auth::{Refused, check, offered, refused},
    connections::{Connections, Entry},
    handler,
};
use crate::gateway::{
    encode::Version,
    metrics::UpgradeRefusal,
    problem::Problem,
    state::admission::{Admitted, Full},
    transport::stream::{Stream, Tls},
};

/// Version 1's name among subprotocols, for clients that name it; without any it is the default.
const SUBPROTOCOL_V1: &str = "barrage.v1";

/// Answers a request: an upgrade here, anything else by the router.
pub(crate) async fn route(
    connections: Rc<Connections>,
    admission: Rc<Admission>,
    request: Request<Incoming>,
) -> Result<Response, Infallible> {
    #[cfg(feature = "conformance")]
    if request.uri().path() == "/echo" {
        return Ok(conformance::echo(request));
    }
    let room = request.uri().path().strip_prefix("/v1/rooms/").and_then(|path| path.strip_suffix("/ws"));
    match room.map(ToOwned::to_owned) {
        Some(room) => {
            let (response, refusal) = match upgrade(&connections, &admission, &room, request) {
                Ok(response) => (response, None),
                Err((refusal, problem)) => (problem.into_response(), Some(refusal)),
            };
            if let Some(refusal) = refusal {
                connections.gateway().metrics.upgrade_refused(refusal);
            }
            Ok(response)
        }
        None => match full(&admission) {
            Some((_, problem)) => Ok(problem.into_response()),
            None => plain(&connections, request).await,
        },
    }
}

/// A connection's place among those that there may be, until an upgrade takes it along.
pub(crate) type Admission = RefCell<Option<Result<Admitted, Full>>>;

/// Anything but an upgrade; a body that does not come in time is not waited for.
async fn plain(connections: &Connections, request: Request<Incoming>) -> Result<Response, Infallible> {
    let answer = connections.router().oneshot(request.map(Body::new));
    match timeout(connections.gateway().config.handshake_timeout, answer).await {
        Ok(answer) => answer,
        Err(_) => Ok(Problem::new(StatusCode::REQUEST_TIMEOUT, "the request took too long").into_response()),
    }
}

/// Why the connection has no place, if it has none.
fn full(admission: &Admission) -> Option<Refused> {
    let (status, why) = match &*admission.borrow() {
        Some(Err(Full::Gateway)) => (StatusCode::SERVICE_UNAVAILABLE, "this server is full; try again"),
        Some(Err(Full::Address)) => (StatusCode::TOO_MANY_REQUESTS, "too many connections from this address"),
        Some(Ok(_)) | None => return None,
    };
    Some(refused(UpgradeRefusal::Full, status, why))
}

fn upgrade(
    connections: &Rc<Connections>,
    admission: &Admission,
    room: &str,
    request: Request<Incoming>,
) -> Result<Response, Refused> {
    let checked = check(connections.gateway(), room, request.uri(), request.headers())?;
    let (version, subprotocol) = choose(&offered(request.headers()))?;
    let malformed = |why: &str| refused(UpgradeRefusal::Request, StatusCode::BAD_REQUEST, why);
    let mut response =
        create_response_with_body(&request, Body::empty).map_err(|error| malformed(&error.to_string()))?;
    if let Some(refused) = full(admission) {
        return Err(refused);
    }
    let Some(Ok(admitted)) = admission.take() else { return Err(malformed("this connection is upgraded already")) };
    if let Some(subprotocol) = subprotocol {
        response.headers_mut().insert(SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(subprotocol));
    }
    let connections = Rc::clone(connections);
    spawn_local(async move {
        let Some((stream, first)) = stream(request).await else { return };
        let viewer = connections.enter(Entry { stream, checked, version, admitted }).await;
        // The viewer's task is its own, so that what the handshake needed is freed.
        spawn_local(handler::run(viewer, &first));
    });
    Ok(response)
}

/// The connection behind an upgraded request, with what came behind the handshake.
async fn stream(request: Request<Incoming>) -> Option<(Stream, Bytes)> {
    let upgraded = hyper::upgrade::on(request).await.ok()?;
    // A copy, mostly of nothing: the buffer of the handshake is of 8 KiB and would live as long as the connection.
    let upgraded = match upgraded.downcast::<TokioIo<TcpStream>>() {
        Ok(parts) => return Some((Stream::Plain(parts.io.into_inner()), Bytes::copy_from_slice(&parts.read_buf))),
        Err(upgraded) => upgraded,
    };
    let parts = upgraded.downcast::<TokioIo<TlsStream<TcpStream>>>().ok()?;
    let (tcp, session) = parts.io.into_inner().into_inner();
    Some((Stream::Tls(Box::new(Tls::new(tcp, session))), Bytes::copy_from_slice(&parts.read_buf)))
}

fn choose(offered: &[String]) -> Result<(Version, Option<&'static str>), Refused> {
    let offers = |name| offered.iter().any(|offer| offer == name);
    if offers(SUBPROTOCOL) {
        return Ok((Version::V2, Some(SUBPROTOCOL)));
    }
    if offers(SUBPROTOCOL_V1) {
        return Ok((Version::V1, Some(SUBPROTOCOL_V1)));
    }
    if offered.iter().any(|offer| offer.starts_with("barrage.")) {
        let why = format!("this server speaks {SUBPROTOCOL} and {SUBPROTOCOL_V1}; without a subprotocol version 1");
        return Err(refused(UpgradeRefusal::Request, StatusCode::BAD_REQUEST, &why));
    }
    Ok((Version::V1, None))
}

#[cfg(feature = "conformance")]
mod conformance;
