//! What a request is and who makes it: checked before any handler sees it, and refused as a problem.

use std::{net::IpAddr, num::NonZeroU32, sync::Arc};

use axum::{
    Json,
    extract::{FromRequest, FromRequestParts, Path, Query, Request, State},
    http::request::Parts,
    middleware::Next,
    response::{IntoResponse, Response},
};
use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter, clock::Clock};
use http::{StatusCode, header::RETRY_AFTER};
use serde::{Deserialize, de::DeserializeOwned};

use crate::gateway::{
    connection::auth::{authorize, bearer},
    problem::Problem,
    state::{GatewayState, RoomState},
};
use barrage_core::{
    store::StoreError,
    token::{Identity, Role, TokenError},
};

/// Requests a second of one address, sustained and at once: a page asks for a few, a moderator's tool for dozens.
const REQUESTS_PER_SECOND: NonZeroU32 = NonZeroU32::MIN.saturating_add(200 - 1);
const REQUESTS_BURST: NonZeroU32 = NonZeroU32::MIN.saturating_add(1_000 - 1);

/// Rows of a page at the most.
const PAGE_MAX: usize = 1_000;

/// What handlers are given.
pub(super) type Api = State<Arc<GatewayState>>;

/// The address that a request came from.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Peer(pub(crate) IpAddr);

/// How much each address may ask.
pub(crate) struct RequestLimit(DefaultKeyedRateLimiter<IpAddr>);

impl Default for RequestLimit {
    fn default() -> Self {
        Self(RateLimiter::keyed(Quota::per_second(REQUESTS_PER_SECOND).allow_burst(REQUESTS_BURST)))
    }
}

/// Refuses what is over the limit.
pub(super) async fn limit(State(limit): State<Arc<RequestLimit>>, request: Request, next: Next) -> Response {
    let Some(&Peer(address)) = request.extensions().get() else { return next.run(request).await };
    let Err(not_until) = limit.0.check_key(&address) else {
        return next.run(request).await;
    };
    limit.0.retain_recent();
    let wait_s = not_until.wait_time_from(limit.0.clock().now()).as_secs() + 1;
    let problem = Problem::new(StatusCode::TOO_MANY_REQUESTS, "too many requests from this address; wait");
    ([(RETRY_AFTER, wait_s.to_string())], problem).into_response()
}

/// A room that the request may read.
pub(super) struct Readable(pub(super) Arc<RoomState>);

/// A room that the request may moderate, and who does it.
pub(super) struct Moderator(pub(super) Arc<RoomState>, pub(super) Identity);

impl FromRequestParts<Arc<GatewayState>> for Readable {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, gateway: &Arc<GatewayState>) -> Result<Self, Problem> {
        identify(parts, gateway).await.map(|(room, _)| Self(room))
    }
}

impl FromRequestParts<Arc<GatewayState>> for Moderator {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, gateway: &Arc<GatewayState>) -> Result<Self, Problem> {
        let (room, identity) = identify(parts, gateway).await?;
        match identity.role {
            Role::Moderator | Role::Host | Role::Service => Ok(Self(room, identity)),
            Role::Viewer if identity == Identity::ANONYMOUS => Err(unauthorized(&TokenError::Missing)),
            Role::Viewer => Err(Problem::new(StatusCode::FORBIDDEN, "the token's role is not moderator or host")),
        }
    }
}

async fn identify(parts: &mut Parts, gateway: &Arc<GatewayState>) -> Result<(Arc<RoomState>, Identity), Problem> {
    #[derive(Deserialize)]
    struct Named {
        room: String,
    }
    #[derive(Deserialize)]
    struct Token {
        token: Option<String>,
    }
    let not_found = || Problem::new(StatusCode::NOT_FOUND, "no such room");
    let Path(Named { room }) = Path::from_request_parts(parts, gateway).await.map_err(|_| not_found())?;
    let room = gateway.room(&room).ok_or_else(not_found)?;
    let query = Query::<Token>::try_from_uri(&parts.uri).ok();
    let in_query = query.as_ref().and_then(|query| query.token.as_deref());
    let identity =
        authorize(gateway, &room, bearer(&parts.headers).or(in_query)).map_err(|error| unauthorized(&error))?;
    Ok((room, identity))
}

fn unauthorized(error: &TokenError) -> Problem {
    Problem::new(StatusCode::UNAUTHORIZED, &error.to_string())
}

/// The query, as a handler wants it.
pub(super) struct Parameters<T>(pub(super) T);

impl<T: DeserializeOwned> FromRequestParts<Arc<GatewayState>> for Parameters<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &Arc<GatewayState>) -> Result<Self, Problem> {
        let query = Query::<T>::try_from_uri(&parts.uri);
        let bad =
            |error: axum::extract::rejection::QueryRejection| Problem::new(StatusCode::BAD_REQUEST, &error.body_text());
        query.map(|Query(parameters)| Self(parameters)).map_err(bad)
    }
}

/// The body, as a handler wants it.
pub(super) struct Body<T>(pub(super) T);

impl<T: DeserializeOwned> FromRequest<Arc<GatewayState>> for Body<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, gateway: &Arc<GatewayState>) -> Result<Self, Problem> {
        let body = Json::<T>::from_request(request, gateway).await;
        // Whether it is no JSON or JSON of something else: 400, with what is wrong.
        let bad = |error: axum::extract::rejection::JsonRejection| match error.status() {
            status @ (StatusCode::PAYLOAD_TOO_LARGE | StatusCode::UNSUPPORTED_MEDIA_TYPE) => {
                Problem::new(status, &error.body_text())
            }
            _ => Problem::new(StatusCode::BAD_REQUEST, &error.body_text()),
        };
        body.map(|Json(body)| Self(body)).map_err(bad)
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        Self::from(Arc::new(error))
    }
}

impl From<Arc<StoreError>> for Problem {
    fn from(error: Arc<StoreError>) -> Self {
        tracing::warn!(%error, "a read of the store failed");
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "the store cannot be read now; try again")
    }
}

pub(super) const fn hundred() -> usize {
    100
}

pub(super) fn check_limit(limit: usize) -> Result<(), Problem> {
    if (1..=PAGE_MAX).contains(&limit) {
        return Ok(());
    }
    Err(Problem::new(StatusCode::BAD_REQUEST, &format!("limit is {limit}; allowed: 1 to {PAGE_MAX}")))
}
