//! Tokens: each algorithm opens its room, and each way to be wrong has its own answer.

use std::os::unix::fs::PermissionsExt;

use jsonwebtoken::EncodingKey;
use serde_json::{Value, json};

use super::*;
use crate::clock::unix_ms;

fn claims() -> Claims {
    Claims {
        sub: "123456".into(),
        room: RoomClaim::One("demo".into()),
        role: Role::Viewer,
        send: true,
        exp: u64::try_from(unix_ms() / 1_000).unwrap() + 60,
        aud: AUDIENCE.into(),
    }
}

fn dev_keys() -> Keys {
    let dir = tempfile::tempdir().unwrap();
    Keys::load_or_make(dir.path()).unwrap()
}

fn refusal(change: impl FnOnce(&mut Claims)) -> TokenError {
    let keys = dev_keys();
    let mut claims = claims();
    change(&mut claims);
    verify(&keys, &mint(&keys, &claims).unwrap(), "demo").unwrap_err()
}

#[test]
fn a_minted_token_opens_its_room() {
    let keys = dev_keys();
    let token = mint(&keys, &claims()).unwrap();
    let identity = Identity { user: 123_456, role: Role::Viewer, send: true };
    assert_eq!(verify(&keys, &token, "demo"), Ok(identity));
}

#[test]
fn each_wrong_token_says_what_is_wrong() {
    assert_eq!(refusal(|claims| claims.exp = 1), TokenError::Expired);
    assert_eq!(refusal(|claims| claims.aud = "other".into()), TokenError::Audience);
    assert_eq!(refusal(|claims| claims.room = RoomClaim::One("other".into())), TokenError::OtherRoom);
    assert_eq!(refusal(|claims| claims.sub = "0".into()), TokenError::Claims);
    assert_eq!(refusal(|claims| claims.sub = "root".into()), TokenError::Claims);
    let forged = mint(&dev_keys(), &claims()).unwrap();
    assert_eq!(verify(&dev_keys(), &forged, "demo"), Err(TokenError::Invalid));
    assert_eq!(verify(&dev_keys(), "not.a.token", "demo"), Err(TokenError::Invalid));
}

#[test]
fn lists_and_the_star_open_rooms() {
    let keys = dev_keys();
    for (room, opens) in [(json!("*"), true), (json!(["a", "demo"]), true), (json!(["a", "b"]), false)] {
        let claims = Claims { room: serde_json::from_value(room).unwrap(), ..claims() };
        assert_eq!(verify(&keys, &mint(&keys, &claims).unwrap(), "demo").is_ok(), opens);
    }
}

#[test]
fn an_unsigned_token_is_refused() {
    // {"alg":"none"} and the claims, without a signature (RFC 7519, section 6.1).
    let none = "eyJhbGciOiJub25lIn0.eyJzdWIiOiIxIiwicm9vbSI6IioiLCJleHAiOjk5OTk5OTk5OTksImF1ZCI6ImJhcnJhZ2UifQ.";
    assert_eq!(verify(&dev_keys(), none, "demo"), Err(TokenError::Invalid));
}

/// A key pair as its public JWK and its private PEM; made for this test alone.
fn public_keys() -> (Keys, [(Algorithm, EncodingKey); 2]) {
    let jwks: Value = serde_json::from_str(include_str!("testing/keys.json")).unwrap();
    let keys = Keys::parse("test keys", jwks.to_string().as_bytes()).unwrap();
    let es256 = EncodingKey::from_ec_pem(include_bytes!("testing/es256.pem")).unwrap();
    let eddsa = EncodingKey::from_ed_pem(include_bytes!("testing/eddsa.pem")).unwrap();
    (keys, [(Algorithm::ES256, es256), (Algorithm::EdDSA, eddsa)])
}

#[test]
fn es256_and_eddsa_are_verified_with_public_keys() {
    let (keys, private) = public_keys();
    for (algorithm, key) in private {
        let token = jsonwebtoken::encode(&Header::new(algorithm), &claims(), &key).unwrap();
        assert!(verify(&keys, &token, "demo").is_ok(), "{algorithm:?}");
    }
    assert!(matches!(mint(&keys, &claims()), Err(KeyError::NoSecret)));
}

#[test]
fn a_public_key_is_no_hs256_secret() {
    let (keys, _) = public_keys();
    let secret = EncodingKey::from_secret(include_bytes!("testing/keys.json"));
    let token = jsonwebtoken::encode(&Header::new(Algorithm::HS256), &claims(), &secret).unwrap();
    assert_eq!(verify(&keys, &token, "demo"), Err(TokenError::Invalid));
}

#[test]
fn key_files_are_private_kept_and_checked() {
    let dir = tempfile::tempdir().unwrap();
    assert!(matches!(Keys::load(dir.path()), Err(KeyError::Absent(_))));
    let token = mint(&Keys::load_or_make(dir.path()).unwrap(), &claims()).unwrap();
    assert!(verify(&Keys::load_or_make(dir.path()).unwrap(), &token, "demo").is_ok());
    let mode = std::fs::metadata(dir.path().join("keys.json")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    for bad in
        ["", "{}", r#"{"keys":[{"kty":"RSA","n":"AQAB","e":"AQAB"}]}"#, r#"{"keys":[{"kty":"oct","k":"c2hvcnQ"}]}"#]
    {
        assert!(matches!(Keys::parse("f", bad.as_bytes()), Err(KeyError::Malformed { .. })), "{bad}");
    }
}
