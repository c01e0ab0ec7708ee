//! Tokens that the load generator and the tests mint for themselves from the dev key, so that a hundred thousand
//! users need no round trip to anybody.

use std::{
    fs, io,
    path::{Path, PathBuf},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use barrage::token::install_signatures;
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde::{Deserialize, Serialize};
use thiserror::Error;

/// How long a minted token is valid: longer than any load run.
const TTL: Duration = Duration::from_hours(24);

/// The key that dev mode's tokens are signed with.
#[derive(Clone)]
pub struct TokenKey {
    key: EncodingKey,
    kid: Option<String>,
}

/// What a token says. The fields are public so that a test can say something wrong with them.
#[derive(Debug, Clone, Serialize)]
pub struct Claims {
    /// User ID, a decimal number.
    pub sub: String,
    /// The room, or `*` for all.
    pub room: String,
    /// `viewer`, `moderator`, `host` or `service`.
    pub role: String,
    /// Whether the user may send.
    pub send: bool,
    /// Unix time of expiry, seconds.
    pub exp: u64,
    /// Always `barrage` in a good token.
    pub aud: String,
}

impl Claims {
    /// A viewer who may send, for a day.
    #[must_use]
    pub fn viewer(room: &str, user: u64) -> Self {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self {
            sub: user.to_string(),
            room: room.to_owned(),
            role: "viewer".to_owned(),
            send: true,
            exp: (now + TTL).as_secs(),
            aud: "barrage".to_owned(),
        }
    }
}

#[derive(Debug, Error)]
pub enum TokenError {
    /// The key file cannot be read.
    #[error(
        "reading the dev key {path}: {source}; start the server once (`make run`), \
         or name its data folder with --data"
    )]
    Read { path: PathBuf, source: io::Error },
    /// The key file is no JWK set with a symmetric key.
    #[error("the dev key {path} cannot be used: {problem}; is --data the data folder of a server?")]
    Key { path: PathBuf, problem: String },
    /// Signing failed.
    #[error("signing a token: {0}")]
    Sign(#[from] jsonwebtoken::errors::Error),
}

#[derive(Deserialize)]
struct KeySet {
    keys: Vec<Key>,
}

#[derive(Deserialize)]
struct Key {
    kty: String,
    kid: Option<String>,
    k: Option<String>,
}

impl TokenKey {
    /// Reads the first symmetric key of `<data>/keys.json`, a JWK set (RFC 7517).
    ///
    /// # Errors
    /// [`TokenError::Read`], [`TokenError::Key`].
    pub fn load(data: &Path) -> Result<Self, TokenError> {
        let path = data.join("keys.json");
        let text = match fs::read(&path) {
            Ok(text) => text,
            Err(source) => return Err(TokenError::Read { path, source }),
        };
        Self::parse(&text).map_err(|problem| TokenError::Key { path, problem })
    }

    /// A key of these bytes, without an ID; for forging.
    ///
    /// # Errors
    /// [`TokenError::Sign`], without any bytes.
    pub fn from_secret(secret: &[u8]) -> Result<Self, TokenError> {
        install_signatures();
        Ok(Self { key: EncodingKey::from_secret(secret)?, kid: None })
    }

    /// Signs `claims` with HS256.
    ///
    /// # Errors
    /// [`TokenError::Sign`].
    pub fn mint(&self, claims: &Claims) -> Result<String, TokenError> {
        let header = Header { kid: self.kid.clone(), ..Header::new(Algorithm::HS256) };
        Ok(jsonwebtoken::encode(&header, claims, &self.key)?)
    }

    fn parse(text: &[u8]) -> Result<Self, String> {
        let set: KeySet = serde_json::from_slice(text).map_err(|error| error.to_string())?;
        let symmetric = set.keys.into_iter().find(|key| key.kty == "oct");
        let key = symmetric.ok_or("it holds no key of type oct")?;
        let secret = URL_SAFE_NO_PAD.decode(key.k.unwrap_or_default()).map_err(|error| error.to_string())?;
        let own = Self::from_secret(&secret).map_err(|error| error.to_string())?;
        Ok(Self { kid: key.kid, ..own })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use jsonwebtoken::{DecodingKey, Validation, decode};
    use serde_json::Value;

    #[test]
    fn a_minted_token_carries_the_claims_and_the_key_id() {
        let data = tempfile::tempdir().unwrap();
        let set = r#"{"keys":[{"kty":"EC","kid":"other"},{"kty":"oct","kid":"dev","alg":"HS256","k":"c2VjcmV0"}]}"#;
        fs::write(data.path().join("keys.json"), set).unwrap();
        let token = TokenKey::load(data.path()).unwrap().mint(&Claims::viewer("demo", 123_456)).unwrap();
        let mut validation = Validation::new(Algorithm::HS256);
        validation.set_audience(&["barrage"]);
        let decoded = decode::<Value>(&token, &DecodingKey::from_secret(b"secret").unwrap(), &validation).unwrap();
        assert_eq!(decoded.header.kid.as_deref(), Some("dev"));
        assert_eq!(decoded.claims["sub"], "123456");
        assert_eq!(decoded.claims["room"], "demo");
        assert_eq!(decoded.claims["send"], true);
    }

    #[test]
    fn a_missing_key_names_the_file_and_the_option() {
        let error = TokenKey::load(Path::new("/nowhere")).err().unwrap().to_string();
        assert!(error.contains("/nowhere/keys.json") && error.contains("--data"), "{error}");
    }

    #[test]
    fn a_file_that_is_no_key_set_says_so() {
        let data = tempfile::tempdir().unwrap();
        fs::write(data.path().join("keys.json"), "{}").unwrap();
        let error = TokenKey::load(data.path()).err().unwrap().to_string();
        assert!(error.contains("missing field `keys`"), "{error}");
    }
}
