//! The door: tells WebSocket upgrades from other requests, and checks who wants in before that is granted.

use std::{cell::RefCell, convert::Infallible, rc::Rc, sync::Arc};

use axum::{
    body::Body,
    extract::Query,
    response::{IntoResponse, Response},
};
use barrage_proto::{Cursor, v2::SUBPROTOCOL};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use bytes::Bytes;
use http::{
    HeaderMap, HeaderValue, Request, StatusCode, Uri,
    header::{AUTHORIZATION, HOST, ORIGIN, SEC_WEBSOCKET_PROTOCOL},
};
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use serde::Deserialize;
use tokio::{net::TcpStream, task::spawn_local, time::timeout};
use tokio_rustls::server::TlsStream;
use tokio_tungstenite::tungstenite::handshake::server::create_response_with_body;
use tower::ServiceExt;

use super::{
    admission::{Admitted, Full},
    connection::{Arrival, Version, Viewer},
    join::{self, JOIN_DANMAKU_MAX, Wanted},
    metrics::UpgradeRefusal,
    problem::Problem,
    served::{Served, ServedRoom},
    shard::Shard,
    socket::Socket,
    stream::{Stream, Tls},
};
use barrage_core::token::{self, Identity, TokenError};

/// Danmaku at join when the client does not say how many.
const JOIN_DANMAKU: usize = 50;
/// Version 1's name among subprotocols, for clients that name it; without any it is the default.
const SUBPROTOCOL_V1: &str = "barrage.v1";
/// What a browser, which cannot set headers, hides its token in.
const BEARER_SUBPROTOCOL: &str = "bearer.";

#[derive(Default, Deserialize)]
struct Parameters {
    token: Option<String>,
    session: Option<u64>,
    resume: Option<String>,
    history: Option<usize>,
}

/// Answers a request: an upgrade here, anything else by the router.
pub(super) async fn route(
    shard: Rc<Shard>,
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
            let (response, refusal) = match upgrade(&shard, &admission, &room, request) {
                Ok(response) => (response, None),
                Err((refusal, problem)) => (problem.into_response(), Some(refusal)),
            };
            if let Some(refusal) = refusal {
                shard.served.metrics.upgrade_refused(refusal);
            }
            Ok(response)
        }
        None => match full(&admission) {
            Some((_, problem)) => Ok(problem.into_response()),
            None => plain(&shard, request).await,
        },
    }
}

/// A connection's place among those that there may be, until an upgrade takes it along.
type Admission = RefCell<Option<Result<Admitted, Full>>>;

/// Why somebody is not let in: for the metric, and for the client.
pub(super) type Refused = (UpgradeRefusal, Problem);

/// Anything but an upgrade; a body that does not come in time is not waited for.
async fn plain(shard: &Shard, request: Request<Incoming>) -> Result<Response, Infallible> {
    let answer = shard.router().oneshot(request.map(Body::new));
    match timeout(shard.served.config.handshake_timeout, answer).await {
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

/// Who wants to enter which room, and that they may.
pub(super) struct Checked {
    room: Arc<ServedRoom>,
    identity: Identity,
    session: Option<u64>,
    wanted: Wanted,
}

/// Everything that is looked at before a viewer is let in, whatever it is connected over.
pub(super) fn check(served: &Served, room: &str, uri: &Uri, headers: &HeaderMap) -> Result<Checked, Refused> {
    let room = served.room(room).ok_or_else(|| refused(UpgradeRefusal::Room, StatusCode::NOT_FOUND, "no such room"))?;
    check_origin(served, headers)?;
    let malformed = |why: &str| refused(UpgradeRefusal::Request, StatusCode::BAD_REQUEST, why);
    let Query(parameters) =
        Query::<Parameters>::try_from_uri(uri).map_err(|error| malformed(&format!("query: {}", error.body_text())))?;
    let identity = identify(served, &room, headers, &parameters, &offered(headers))?;
    let wanted = wanted(&parameters).map_err(|why| malformed(&why))?;
    Ok(Checked { room, identity, session: parameters.session, wanted })
}

fn upgrade(
    shard: &Rc<Shard>,
    admission: &Admission,
    room: &str,
    request: Request<Incoming>,
) -> Result<Response, Refused> {
    let checked = check(&shard.served, room, request.uri(), request.headers())?;
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
    let shard = Rc::clone(shard);
    spawn_local(async move {
        let Some((stream, first)) = stream(request).await else { return };
        let viewer = enter(shard, Entry { stream, checked, version, admitted }).await;
        // The viewer's task is its own, so that what the handshake needed is freed.
        spawn_local(viewer.run(&first));
    });
    Ok(response)
}

/// A connection that is to become a viewer.
pub(super) struct Entry {
    pub(super) stream: Stream,
    pub(super) checked: Checked,
    pub(super) version: Version,
    pub(super) admitted: Admitted,
}

/// Makes a viewer, which is to be run next; its history is on the way.
pub(super) async fn enter(shard: Rc<Shard>, entry: Entry) -> Rc<Viewer> {
    let Entry { stream, checked, version, admitted } = entry;
    let Checked { room, identity, session, wanted } = checked;
    let room = shard.room(&room);
    // Version 1 counts its danmaku anew on each connection: its sessions must never meet.
    let session = session.filter(|_| version == Version::V2).unwrap_or_else(rand::random);
    shard.served.want(room.served.id());
    room.served.moderated.know(&shard.served.store, room.served.id()).await;
    let socket = Socket::new(stream, shard.now_s.get());
    let arrival = Arrival { socket, room, identity, session, version, admitted };
    let viewer = Viewer::new(shard, arrival);
    if let Some(notice) = viewer.room.served.moderated.notice(viewer.identity.user) {
        viewer.notify(&notice);
    }
    if version == Version::V2 {
        spawn_local(join::join(Rc::clone(&viewer), wanted));
    }
    viewer
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

fn check_origin(served: &Served, headers: &HeaderMap) -> Result<(), Refused> {
    let Some(origin) = headers.get(ORIGIN) else { return Ok(()) };
    let origin = origin.to_str().unwrap_or_default();
    let host = headers.get(HOST).and_then(|host| host.to_str().ok());
    let same_host = origin.split_once("://").is_some_and(|(_, authority)| Some(authority) == host);
    if same_host || served.config.allowed_origins.iter().any(|allowed| allowed == origin) {
        return Ok(());
    }
    let why = "pages of this origin may not connect; the server's --allow-origin lists those that may";
    Err(refused(UpgradeRefusal::Origin, StatusCode::FORBIDDEN, why))
}

fn offered(headers: &HeaderMap) -> Vec<String> {
    let values = headers.get_all(SEC_WEBSOCKET_PROTOCOL).iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).map(|name| name.trim().to_owned()).collect()
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

fn identify(
    served: &Served,
    room: &ServedRoom,
    headers: &HeaderMap,
    parameters: &Parameters,
    offered: &[String],
) -> Result<Identity, Refused> {
    let hidden = offered.iter().find_map(|offer| offer.strip_prefix(BEARER_SUBPROTOCOL));
    let token = bearer(headers).or(parameters.token.as_deref()).or(hidden);
    authorize(served, room, token)
        .map_err(|error| refused(UpgradeRefusal::Token, StatusCode::UNAUTHORIZED, &error.to_string()))
}

/// The token in an `Authorization` header.
pub(super) fn bearer(headers: &HeaderMap) -> Option<&str> {
    headers.get(AUTHORIZATION)?.to_str().ok()?.strip_prefix("Bearer ")
}

/// Who somebody is in a room, by token or without one where the room allows it.
pub(super) fn authorize(served: &Served, room: &ServedRoom, token: Option<&str>) -> Result<Identity, TokenError> {
    match token {
        Some(token) => token::verify(&served.keys.current(), token, room.id().as_str()),
        None if room.room().anonymous_viewing => Ok(Identity::ANONYMOUS),
        None => Err(TokenError::Missing),
    }
}

fn wanted(parameters: &Parameters) -> Result<Wanted, String> {
    let Some(resume) = &parameters.resume else {
        return Ok(Wanted::Newest(parameters.history.unwrap_or(JOIN_DANMAKU).min(JOIN_DANMAKU_MAX)));
    };
    let bytes = URL_SAFE_NO_PAD.decode(resume).map_err(|_| "resume is not base64url without padding".to_owned())?;
    Cursor::decode(&bytes).map(Wanted::Since).map_err(|error| format!("resume: {error}"))
}

/// A refusal.
pub(super) fn refused(refusal: UpgradeRefusal, status: StatusCode, detail: &str) -> Refused {
    (refusal, Problem::new(status, detail))
}

#[cfg(feature = "conformance")]
mod conformance;
