//! Tokens: each algorithm opens its room, and each way to be wrong has its own answer.

use std::os::unix::fs::PermissionsExt;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use jsonwebtoken::EncodingKey;
use ring::{
    rand::SystemRandom,
    signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair},
};
use rustls::pki_types::{PrivatePkcs8KeyDer, pem::PemObject};
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

/// Public keys as JWKs, and another program that has the private ones; made for this test alone.
fn public_keys() -> (Keys, [Issuer; 2]) {
    let keys = Keys::parse("test keys", include_bytes!("testing/keys.json")).unwrap();
    let der = |pem: &[u8]| PrivatePkcs8KeyDer::from_pem_slice(pem).unwrap();
    let es256 = der(include_bytes!("testing/es256.pem"));
    let es256 =
        EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, es256.secret_pkcs8_der(), &SystemRandom::new());
    let eddsa = Ed25519KeyPair::from_pkcs8_maybe_unchecked(der(include_bytes!("testing/eddsa.pem")).secret_pkcs8_der());
    (keys, [Issuer::Es256(es256.unwrap()), Issuer::EdDsa(eddsa.unwrap())])
}

enum Issuer {
    Es256(EcdsaKeyPair),
    EdDsa(Ed25519KeyPair),
}

impl Issuer {
    fn token(&self, algorithm: &str) -> String {
        let parts = [json!({"alg": algorithm, "typ": "JWT"}), json!(claims())];
        let signed = parts.map(|part| URL_SAFE_NO_PAD.encode(part.to_string())).join(".");
        let signature = match self {
            Self::Es256(key) => key.sign(&SystemRandom::new(), signed.as_bytes()).unwrap().as_ref().to_vec(),
            Self::EdDsa(key) => key.sign(signed.as_bytes()).as_ref().to_vec(),
        };
        format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))
    }
}

#[test]
fn es256_and_eddsa_are_verified_with_public_keys() {
    let (keys, [es256, eddsa]) = public_keys();
    let identity = Identity { user: 123_456, role: Role::Viewer, send: true };
    assert_eq!(verify(&keys, &es256.token("ES256"), "demo"), Ok(identity));
    assert_eq!(verify(&keys, &eddsa.token("EdDSA"), "demo"), Ok(identity));
    for crossed in [es256.token("EdDSA"), eddsa.token("ES256"), es256.token("HS256"), es256.token("RS256")] {
        assert_eq!(verify(&keys, &crossed, "demo"), Err(TokenError::Invalid), "{crossed}");
    }
    assert!(matches!(mint(&keys, &claims()), Err(KeyError::NoSecret)));
}

#[test]
fn a_public_key_is_no_hs256_secret() {
    let (keys, _) = public_keys();
    let secret = EncodingKey::from_secret(include_bytes!("testing/keys.json")).unwrap();
    let token = jsonwebtoken::encode(&Header::new(Algorithm::HS256), &claims(), &secret).unwrap();
    assert_eq!(verify(&keys, &token, "demo"), Err(TokenError::Invalid));
}

#[test]
fn public_keys_that_are_none_are_refused_with_the_reason() {
    let set: Value = serde_json::from_slice(include_bytes!("testing/keys.json")).unwrap();
    let bytes = |count: usize| URL_SAFE_NO_PAD.encode(vec![1; count]);
    let x = set["keys"][0]["x"].as_str().unwrap().to_owned();
    let long = [URL_SAFE_NO_PAD.decode(&x).unwrap(), vec![1]].concat();
    for (key, field, value, reason) in [
        (0, "y", x, "no point of P-256"),
        (0, "x", bytes(32), "no point of P-256"),
        (0, "x", bytes(0), "32 bytes each"),
        (0, "x", bytes(31), "32 bytes each"),
        (0, "x", URL_SAFE_NO_PAD.encode(long), "32 bytes each"),
        (0, "x", "=".to_owned(), "ase64"),
        (1, "x", bytes(0), "x has 0 bytes"),
        (1, "x", bytes(31), "x has 31 bytes"),
        (1, "x", bytes(33), "x has 33 bytes"),
    ] {
        let mut set = set.clone();
        set["keys"][key][field] = json!(value);
        let refused = Keys::parse("f", set.to_string().as_bytes()).unwrap_err().to_string();
        assert!(refused.contains(&format!("key {key}: ")) && refused.contains(reason), "{value}: {refused}");
    }
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
