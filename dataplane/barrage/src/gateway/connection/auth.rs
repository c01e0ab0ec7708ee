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

/// The token in an `Authorization` header. The scheme may be written in any case (RFC 9110, section 11.1).
pub(crate) fn bearer(headers: &HeaderMap) -> Option<&str> {
    let (scheme, token) = headers.get(AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("Bearer").then(|| token.trim_start())
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

#[cfg(test)]
mod tests {
    use barrage_proto::Position;
    use http::HeaderValue;

    use super::*;
    use crate::gateway::{config::Config, testing::TestGateway};
    use barrage_core::{
        clock::unix_ms,
        token::{AUDIENCE, Claims, Role, RoomClaim, mint},
    };

    fn gateway() -> TestGateway {
        let config = Config { allowed_origins: vec!["https://page.example".to_owned()], ..Config::default() };
        TestGateway::new(config, |_| {})
    }

    fn token(gateway: &TestGateway, room: &str) -> String {
        let exp = u64::try_from(unix_ms() / 1_000).unwrap() + 60;
        let room = RoomClaim::One(room.to_owned());
        let claims =
            Claims { sub: "7".to_owned(), room, role: Role::Moderator, send: true, exp, aud: AUDIENCE.to_owned() };
        mint(&gateway.keys, &claims).unwrap()
    }

    fn headers(pairs: &[(http::header::HeaderName, &str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (name.clone(), HeaderValue::from_str(value).unwrap())).collect()
    }

    fn enters(gateway: &TestGateway, room: &str, query: &str, headers: &HeaderMap) -> Result<Checked, UpgradeRefusal> {
        let uri: Uri = format!("/v1/rooms/{room}/ws{query}").parse().unwrap();
        check(&gateway.state, room, &uri, headers).map_err(|(refusal, _)| refusal)
    }

    #[tokio::test]
    async fn a_token_is_taken_from_wherever_a_client_can_put_it() {
        let gateway = gateway();
        let token = token(&gateway, "demo");
        let [bearer, small] = ["Bearer", "bearer"].map(|scheme| format!("{scheme} {token}"));
        let hidden = format!("barrage.v2, bearer.{token}");
        let moderator = Identity { user: 7, role: Role::Moderator, send: true };
        for (query, headers) in [
            (format!("?token={token}"), HeaderMap::new()),
            (String::new(), headers(&[(AUTHORIZATION, &bearer)])),
            (String::new(), headers(&[(AUTHORIZATION, &small)])),
            (String::new(), headers(&[(SEC_WEBSOCKET_PROTOCOL, &hidden)])),
        ] {
            let checked = enters(&gateway, "demo", &query, &headers).ok().unwrap();
            assert_eq!(checked.identity, moderator, "{query} {headers:?}");
        }
        let anonymous = enters(&gateway, "demo", "", &HeaderMap::new()).ok().unwrap();
        assert_eq!(anonymous.identity, Identity::ANONYMOUS);
    }

    #[tokio::test]
    async fn who_may_not_come_in_is_told_why() {
        let gateway = gateway();
        let refusal = |room: &str, query: &str, headers: &HeaderMap| enters(&gateway, room, query, headers).err();
        let none = HeaderMap::new();
        assert_eq!(refusal("other", "", &none), Some(UpgradeRefusal::Room));
        assert_eq!(refusal("demo", "?token=no", &none), Some(UpgradeRefusal::Token));
        let elsewhere = token(&gateway, "other");
        assert_eq!(refusal("demo", &format!("?token={elsewhere}"), &none), Some(UpgradeRefusal::Token));
        for query in ["?history=many", "?session=-1", "?resume=*", "?resume=AAAA"] {
            assert_eq!(refusal("demo", query, &none), Some(UpgradeRefusal::Request), "{query}");
        }
        let closed = TestGateway::new(Config::default(), |manifest| manifest.spec.anonymous_viewing = false);
        assert_eq!(enters(&closed, "demo", "", &none).err(), Some(UpgradeRefusal::Token));
    }

    #[tokio::test]
    async fn pages_of_other_origins_stay_out() {
        let gateway = gateway();
        let from = |origin: &str| {
            let headers = headers(&[(HOST, "live.example:8080"), (ORIGIN, origin)]);
            enters(&gateway, "demo", "", &headers).err()
        };
        for origin in ["http://live.example:8080", "https://live.example:8080", "https://page.example"] {
            assert_eq!(from(origin), None, "{origin}");
        }
        for origin in ["http://live.example", "https://evil.example", "https://page.example.evil", "null"] {
            assert_eq!(from(origin), Some(UpgradeRefusal::Origin), "{origin}");
        }
    }

    #[tokio::test]
    async fn a_viewer_says_what_it_begins_with() {
        let gateway = gateway();
        let wanted = |query: &str| enters(&gateway, "demo", query, &HeaderMap::new()).ok().unwrap().wanted;
        for (query, newest) in
            [("", JOIN_DANMAKU), ("?history=3", 3), ("?history=0", 0), ("?history=9999", JOIN_DANMAKU_MAX)]
        {
            assert!(matches!(wanted(query), Wanted::Newest(count) if count == newest), "{query}");
        }
        let mut cursor = Cursor::default();
        cursor.advance(3, Position { offset: 9, ..Position::default() });
        let resume = format!("?history=3&resume={}", URL_SAFE_NO_PAD.encode(cursor.encode()));
        assert!(matches!(wanted(&resume), Wanted::Since(since) if since == cursor), "a cursor says more");
        let session = enters(&gateway, "demo", "?session=42", &HeaderMap::new()).ok().unwrap().session;
        assert_eq!(session, Some(42));
    }
}
