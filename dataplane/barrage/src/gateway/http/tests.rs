//! The API without sockets: what it answers, and how it refuses.

use axum::body::{Body, to_bytes};
use http::{Method, Request, StatusCode, header::AUTHORIZATION};
use serde_json::Value;
use tower::ServiceExt;

use super::*;
use crate::gateway::{config::Config, testing::TestGateway};
use barrage_core::{
    clock::unix_ms,
    token::{AUDIENCE, Claims, Role, RoomClaim, mint},
};

struct Api {
    gateway: TestGateway,
    router: Router,
}

impl Api {
    fn new() -> Self {
        let gateway = TestGateway::new(Config { dev_tokens: true, ..Config::default() }, |_| {});
        let router = router(Arc::clone(&gateway.state), SharedRegistry::default());
        Self { gateway, router }
    }

    fn token(&self, role: Role) -> String {
        let exp = u64::try_from(unix_ms() / 1_000).unwrap() + 60;
        let room = RoomClaim::One("demo".to_owned());
        let claims = Claims { sub: "7".to_owned(), room, role, send: true, exp, aud: AUDIENCE.to_owned() };
        mint(&self.gateway.keys, &claims).unwrap()
    }

    /// The status and the body, which is JSON or `null`.
    async fn call(&self, method: Method, path: &str, token: Option<&str>, body: &str) -> (StatusCode, Value) {
        let mut request = Request::builder().method(method).uri(path).header("content-type", "application/json");
        if let Some(token) = token {
            request = request.header(AUTHORIZATION, format!("Bearer {token}"));
        }
        let request = request.body(Body::from(body.to_owned())).unwrap();
        let answer = self.router.clone().oneshot(request).await.unwrap();
        let status = answer.status();
        let bytes = to_bytes(answer.into_body(), 1 << 20).await.unwrap();
        (status, serde_json::from_slice(&bytes).unwrap_or_default())
    }

    async fn get(&self, path: &str) -> (StatusCode, Value) {
        self.call(Method::GET, path, None, "").await
    }
}

#[tokio::test]
async fn a_room_says_how_it_is() {
    let api = Api::new();
    let (status, rooms) = api.get("/v1/rooms").await;
    assert_eq!((status, rooms["rooms"][0]["room"].as_str()), (StatusCode::OK, Some("demo")));
    let (status, room) = api.get("/v1/rooms/demo").await;
    assert_eq!(
        (status, room["viewers"].as_u64(), room["ledger"]["logged"].as_str()),
        (StatusCode::OK, Some(0), Some("0"))
    );
    for path in ["history", "ranking", "heat"] {
        assert_eq!(api.get(&format!("/v1/rooms/demo/{path}")).await.0, StatusCode::OK, "{path}");
    }
}

#[tokio::test]
async fn what_is_not_there_is_a_problem_with_a_reason() {
    let api = Api::new();
    for (path, status) in [
        ("/v1/rooms/other", StatusCode::NOT_FOUND),
        ("/v1/rooms/other/history", StatusCode::NOT_FOUND),
        ("/v1/rooms/demo/history?limit=0", StatusCode::BAD_REQUEST),
        ("/v1/rooms/demo/history?limit=1001", StatusCode::BAD_REQUEST),
        ("/v1/rooms/demo/history?limit=many", StatusCode::BAD_REQUEST),
        ("/v1/rooms/demo/ranking?limit=0", StatusCode::BAD_REQUEST),
        ("/v1/rooms/demo/history?token=no", StatusCode::UNAUTHORIZED),
        ("/nothing", StatusCode::NOT_FOUND),
    ] {
        let (found, problem) = api.get(path).await;
        assert_eq!((found, problem["status"].as_u64()), (status, Some(status.as_u16().into())), "{path}: {problem}");
        assert!(problem["detail"].as_str().is_some_and(|detail| !detail.is_empty()), "{path}");
    }
    let (status, problem) = api.call(Method::DELETE, "/v1/rooms", None, "").await;
    assert_eq!((status, problem["title"].as_str()), (StatusCode::METHOD_NOT_ALLOWED, Some("Method Not Allowed")));
}

#[tokio::test]
async fn only_moderators_moderate() {
    let api = Api::new();
    let path = "/v1/rooms/demo/moderation/mutes";
    let body = r#"{"userId": "5"}"#;
    assert_eq!(api.call(Method::POST, path, None, body).await.0, StatusCode::UNAUTHORIZED);
    let viewer = api.token(Role::Viewer);
    assert_eq!(api.call(Method::POST, path, Some(&viewer), body).await.0, StatusCode::FORBIDDEN);
    let settings = api.call(Method::GET, "/v1/rooms/demo/settings", Some(&viewer), "").await;
    assert_eq!(settings.0, StatusCode::FORBIDDEN);
    let host = api.token(Role::Host);
    let (status, settings) = api.call(Method::GET, "/v1/rooms/demo/settings", Some(&host), "").await;
    assert_eq!((status, settings["moderatorsOnly"].as_bool()), (StatusCode::OK, Some(false)));
}

#[tokio::test]
async fn an_act_that_makes_no_sense_is_refused_before_the_log() {
    let api = Api::new();
    let token = api.token(Role::Moderator);
    let long = "x".repeat(257);
    let pin = "x".repeat(1_025);
    for (method, path, body) in [
        (Method::POST, "mutes", "no JSON".to_owned()),
        (Method::POST, "mutes", "{}".to_owned()),
        (Method::POST, "mutes", r#"{"userId": "0"}"#.to_owned()),
        (Method::POST, "mutes", r#"{"userId": "+5"}"#.to_owned()),
        (Method::POST, "mutes", r#"{"userId": "5", "seconds": 0}"#.to_owned()),
        (Method::POST, "bans", r#"{"userId": "5", "seconds": 31536001}"#.to_owned()),
        (Method::POST, "bans", format!(r#"{{"userId": "5", "reason": "{long}"}}"#)),
        (Method::POST, "removals", r#"{"userId": "5", "danmaku": "no ID"}"#.to_owned()),
        (Method::PUT, "pin", "{}".to_owned()),
        (Method::PUT, "pin", r#"{"content": "a", "danmaku": "0-0-0", "userId": "5"}"#.to_owned()),
        (Method::PUT, "pin", format!(r#"{{"content": "{pin}"}}"#)),
    ] {
        let path = format!("/v1/rooms/demo/moderation/{path}");
        let (status, problem) = api.call(method, &path, Some(&token), &body).await;
        assert_eq!(status, StatusCode::BAD_REQUEST, "{path} {body}: {problem}");
    }
    let unknown = r#"{"userId": "5", "danmaku": "0-9-0"}"#;
    let found = api.call(Method::POST, "/v1/rooms/demo/moderation/removals", Some(&token), unknown).await;
    assert_eq!(found.0, StatusCode::NOT_FOUND);
    for body in [r#"{"slowModeSeconds": 3601}"#, r#"{"blockWords": [""]}"#, r#"{"what": 1}"#] {
        let found = api.call(Method::PATCH, "/v1/rooms/demo/settings", Some(&token), body).await;
        assert_eq!(found.0, StatusCode::BAD_REQUEST, "{body}");
    }
    assert_eq!(api.gateway.state.metrics.acts.get(), 0);
}

#[tokio::test]
async fn an_act_is_answered_when_it_holds_everywhere() {
    let mut api = Api::new();
    let token = api.token(Role::Moderator);
    let mut acts = std::mem::replace(&mut api.gateway.acts, tokio::sync::mpsc::channel(1).1);
    let call = api.call(Method::POST, "/v1/rooms/demo/moderation/mutes", Some(&token), r#"{"userId": "5"}"#);
    let hub = async {
        let act = acts.recv().await.unwrap();
        assert_eq!(act.room.as_str(), "demo");
        // A gateway is gone: nobody will say that the act has arrived.
        drop(act.arrived);
    };
    let ((status, problem), ()) = tokio::join!(call, hub);
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(problem["detail"].as_str().is_some_and(|detail| detail.contains("it is kept")), "{problem}");
    assert_eq!(api.gateway.state.metrics.acts.get(), 1);
}

#[tokio::test]
async fn a_guest_gets_a_token_that_opens_the_room() {
    let api = Api::new();
    let (status, guest) = api.call(Method::POST, "/dev/token", None, r#"{"room": "demo", "role": "host"}"#).await;
    assert_eq!((status, guest["role"].as_str()), (StatusCode::OK, Some("host")));
    let settings = api.call(Method::GET, "/v1/rooms/demo/settings", guest["token"].as_str(), "").await;
    assert_eq!(settings.0, StatusCode::OK);
    let other = api.call(Method::POST, "/dev/token", None, r#"{"room": "other"}"#).await;
    assert_eq!(other.0, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn the_description_has_every_path_and_the_rest_is_the_page() {
    let api = Api::new();
    let (status, description) = api.get("/v1/openapi.json").await;
    assert_eq!(status, StatusCode::OK);
    let paths = description["paths"].as_object().unwrap();
    for path in ["/v1/rooms/{room}/history", "/v1/rooms/{room}/moderation/mutes", "/dev/token"] {
        assert!(paths.contains_key(path), "{path}");
    }
    for path in ["/livez", "/readyz", "/metrics", "/"] {
        assert_eq!(api.get(path).await.0, StatusCode::OK, "{path}");
    }
}
