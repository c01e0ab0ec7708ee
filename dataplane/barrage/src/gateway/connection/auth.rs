//! Who wants in, and whether they may: looked at before a viewer is let in, whatever it is connected over, and for every
//! request of the HTTP API.

use std::sync::Arc;

use axum::extract::Query;
use barrage_proto::Cursor;
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use http::{
    HeaderMap, StatusCode, Uri,
    header::{AUTHORIZATION, HOST, ORIGIN, SEC_WEBSOCKET_PROTOCOL},
};
use serde::Deserialize;

use crate::gateway::{
    delivery::{JOIN_DANMAKU_MAX, Wanted},
    metrics::UpgradeRefusal,
    problem::Problem,
    state::{GatewayState, RoomState},
};
use barrage_core::token::{self, Identity, TokenError};

/// Danmaku at join when the client does not say how many.
const JOIN_DANMAKU: usize = 50;
/// What a browser, which cannot set headers, hides its token in.
const BEARER_SUBPROTOCOL: &str = "bearer.";

#[derive(Default, Deserialize)]
struct Parameters {
    token: Option<String>,
    session: Option<u64>,
    resume: Option<String>,
    history: Option<usize>,
}

/// Why somebody is not let in: for the metric, and for the client.
pub(super) type Refused = (UpgradeRefusal, Problem);

pub(super) fn refused(refusal: UpgradeRefusal, status: StatusCode, detail: &str) -> Refused {
    (refusal, Problem::new(status, detail))
}

/// Who wants to enter which room, and that they may.
pub(super) struct Checked {
    pub(super) room: Arc<RoomState>,
    pub(super) identity: Identity,
    pub(super) session: Option<u64>,
    pub(super) wanted: Wanted,
}

/// Everything that is looked at before a viewer is let in, whatever it is connected over.
pub(super) fn check(gateway: &GatewayState, room: &str, uri: &Uri, headers: &HeaderMap) -> Result<Checked, Refused> {
    let room =
        gateway.room(room).ok_or_else(|| refused(UpgradeRefusal::Room, StatusCode::NOT_FOUND, "no such room"))?;
    check_origin(gateway, headers)?;
    let malformed = |why: &str| refused(UpgradeRefusal::Request, StatusCode::BAD_REQUEST, why);
    let Query(parameters) =
        Query::<Parameters>::try_from_uri(uri).map_err(|error| malformed(&format!("query: {}", error.body_text())))?;
    let identity = identify(gateway, &room, headers, &parameters, &offered(headers))?;
    let wanted = wanted(&parameters).map_err(|why| malformed(&why))?;
    Ok(Checked { room, identity, session: parameters.session, wanted })
}

fn check_origin(gateway: &GatewayState, headers: &HeaderMap) -> Result<(), Refused> {
    let Some(origin) = headers.get(ORIGIN) else { return Ok(()) };
    let origin = origin.to_str().unwrap_or_default();
    let host = headers.get(HOST).and_then(|host| host.to_str().ok());
    let same_host = origin.split_once("://").is_some_and(|(_, authority)| Some(authority) == host);
    if same_host || gateway.config.allowed_origins.iter().any(|allowed| allowed == origin) {
        return Ok(());
    }
    let why = "pages of this origin may not connect; the server's --allow-origin lists those that may";
    Err(refused(UpgradeRefusal::Origin, StatusCode::FORBIDDEN, why))
}

/// Subprotocols that a client offers.
pub(super) fn offered(headers: &HeaderMap) -> Vec<String> {
    let values = headers.get_all(SEC_WEBSOCKET_PROTOCOL).iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).map(|name| name.trim().to_owned()).collect()
}

fn identify(
    gateway: &GatewayState,
    room: &RoomState,
    headers: &HeaderMap,
    parameters: &Parameters,
    offered: &[String],
) -> Result<Identity, Refused> {
    let hidden = offered.iter().find_map(|offer| offer.strip_prefix(BEARER_SUBPROTOCOL));
    let token = bearer(headers).or(parameters.token.as_deref()).or(hidden);
    authorize(gateway, room, token)
        .map_err(|error| refused(UpgradeRefusal::Token, StatusCode::UNAUTHORIZED, &error.to_string()))
}

/// The token in an `Authorization` header.
pub(crate) fn bearer(headers: &HeaderMap) -> Option<&str> {
    headers.get(AUTHORIZATION)?.to_str().ok()?.strip_prefix("Bearer ")
}

/// Who somebody is in a room, by token or without one where the room allows it.
pub(crate) fn authorize(gateway: &GatewayState, room: &RoomState, token: Option<&str>) -> Result<Identity, TokenError> {
    match token {
        Some(token) => token::verify(&gateway.keys.current(), token, room.id().as_str()),
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
