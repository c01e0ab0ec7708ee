//! The keys that tokens are verified with, as a JWK set in a file.

use std::{
    fs,
    io::{ErrorKind, Write},
    os::unix::fs::OpenOptionsExt,
    path::Path,
};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use jsonwebtoken::{
    Algorithm, DecodingKey, EncodingKey, Validation,
    errors::ErrorKind as JwtErrorKind,
    jwk::{AlgorithmParameters, EllipticCurve, Jwk, JwkSet},
};
use rand::Rng;
use serde_json::json;
use thiserror::Error;

use super::{AUDIENCE, Claims, TokenError, signatures};

/// The file in the data directory.
const FILE: &str = "keys.json";
/// Bytes of a new HS256 key: as many as its hash has (RFC 7518, section 3.2).
const SECRET_BYTES: usize = 256 / 8;
/// Clocks of those who mint and of this server may differ by this much, s.
const LEEWAY_S: u64 = 5;

/// Keys cannot be read, made or used.
#[derive(Debug, Error)]
pub enum KeyError {
    /// No file there.
    #[error("there is no token key in {0}: start `barrage dev` there first, or say where it runs with --data")]
    Absent(String),
    /// The file cannot be read or written.
    #[error("cannot use the token keys {path}: {source}")]
    Io { path: String, source: std::io::Error },
    /// The file is no JWK set, or holds a key that tokens cannot be verified with.
    #[error(
        "the token keys {path} are no JWK set of HS256 (oct), ES256 (EC P-256) and EdDSA (OKP Ed25519) keys: {reason}"
    )]
    Malformed {
        path: String,
        /// What is wrong, without a key's content.
        reason: String,
    },
    /// The set has no secret key to sign with.
    #[error("the key set has no secret (oct) key to sign a token with")]
    NoSecret,
    /// Signing failed.
    #[error("cannot sign a token: {0}")]
    Sign(jsonwebtoken::errors::Error),
}

struct Key {
    kid: Option<String>,
    validation: Validation,
    verify: DecodingKey,
    sign: Option<EncodingKey>,
}

/// A set of keys.
pub struct Keys(Vec<Key>);

impl std::fmt::Debug for Keys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Keys({})", self.0.len())
    }
}

impl Keys {
    /// Reads the keys in a data directory.
    ///
    /// # Errors
    /// [`KeyError::Absent`], [`KeyError::Io`], [`KeyError::Malformed`].
    pub fn load(data: &Path) -> Result<Self, KeyError> {
        let path = data.join(FILE);
        match fs::read(&path) {
            Ok(text) => Self::parse(&path.display().to_string(), &text),
            Err(error) if error.kind() == ErrorKind::NotFound => Err(KeyError::Absent(data.display().to_string())),
            Err(source) => Err(KeyError::Io { path: path.display().to_string(), source }),
        }
    }

    /// The text of a set with one new HS256 key.
    #[must_use]
    pub fn generate(kid: &str) -> String {
        let mut secret = [0; SECRET_BYTES];
        rand::rng().fill_bytes(&mut secret);
        let key = json!({"kty": "oct", "kid": kid, "alg": "HS256", "k": URL_SAFE_NO_PAD.encode(secret)});
        format!("{}\n", json!({ "keys": [key] }))
    }

    /// Reads the keys in a data directory, or makes one HS256 key there that only its owner can read.
    ///
    /// # Errors
    /// [`KeyError::Io`], [`KeyError::Malformed`].
    pub fn load_or_make(data: &Path) -> Result<Self, KeyError> {
        match Self::load(data) {
            Err(KeyError::Absent(_)) => {}
            found => return found,
        }
        let text = Self::generate("dev");
        let path = data.join(FILE);
        let file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path);
        file.and_then(|mut file| file.write_all(text.as_bytes()))
            .map_err(|source| KeyError::Io { path: path.display().to_string(), source })?;
        Self::load(data)
    }

    /// Reads a JWK set.
    ///
    /// # Errors
    /// [`KeyError::Malformed`], naming `source`.
    pub fn parse(source: &str, text: &[u8]) -> Result<Self, KeyError> {
        signatures::install();
        let malformed = |reason: String| KeyError::Malformed { path: source.to_owned(), reason };
        let set: JwkSet = serde_json::from_slice(text).map_err(|error| {
            // The position, not the text: it holds the secret.
            malformed(format!("line {}, column {}", error.line(), error.column()))
        })?;
        let keys =
            (0..).zip(&set.keys).map(|(index, jwk)| key(jwk).map_err(|why| malformed(format!("key {index}: {why}"))));
        keys.collect::<Result<_, _>>().map(Self)
    }

    /// Whether no token can be verified.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The claims of a token that one of the keys signed and that has not expired.
    pub(super) fn verify(&self, token: &str) -> Result<Claims, TokenError> {
        let header = jsonwebtoken::decode_header(token).map_err(|_| TokenError::Invalid)?;
        let fits = |key: &&Key| {
            key.validation.algorithms.contains(&header.alg)
                && (header.kid.is_none() || key.kid.is_none() || header.kid == key.kid)
        };
        let mut refused = TokenError::Invalid;
        for key in self.0.iter().filter(fits) {
            match jsonwebtoken::decode::<Claims>(token, &key.verify, &key.validation) {
                Ok(token) => return Ok(token.claims),
                Err(error) => refused = reason(error.kind()),
            }
        }
        Err(refused)
    }

    pub(super) fn signer(&self) -> Option<(&str, &EncodingKey)> {
        self.0.iter().find_map(|key| Some((key.kid.as_deref().unwrap_or_default(), key.sign.as_ref()?)))
    }
}

fn key(jwk: &Jwk) -> Result<Key, String> {
    let algorithm = match &jwk.algorithm {
        AlgorithmParameters::OctetKey(_) => Algorithm::HS256,
        AlgorithmParameters::EllipticCurve(ec) if ec.curve == EllipticCurve::P256 => Algorithm::ES256,
        AlgorithmParameters::OctetKeyPair(okp) if okp.curve == EllipticCurve::Ed25519 => Algorithm::EdDSA,
        _ => return Err("only oct, EC P-256 and OKP Ed25519 are taken".to_owned()),
    };
    let sign = match &jwk.algorithm {
        AlgorithmParameters::OctetKey(oct) => {
            let secret = URL_SAFE_NO_PAD.decode(&oct.value).map_err(|_| "k is not base64url".to_owned())?;
            if secret.len() < SECRET_BYTES {
                return Err(format!("k has {} bytes, HS256 needs {SECRET_BYTES}", secret.len()));
            }
            Some(EncodingKey::from_secret(&secret).map_err(|error| error.to_string())?)
        }
        _ => None,
    };
    let mut validation = Validation::new(algorithm);
    validation.set_audience(&[AUDIENCE]);
    validation.set_required_spec_claims(&["exp", "aud", "sub"]);
    validation.leeway = LEEWAY_S;
    let verify = DecodingKey::from_jwk(jwk).map_err(|error| error.to_string())?;
    signatures::check(algorithm, &verify)?;
    Ok(Key { kid: jwk.common.key_id.clone(), validation, verify, sign })
}

fn reason(kind: &JwtErrorKind) -> TokenError {
    match kind {
        JwtErrorKind::ExpiredSignature => TokenError::Expired,
        JwtErrorKind::InvalidAudience => TokenError::Audience,
        JwtErrorKind::MissingRequiredClaim(_) | JwtErrorKind::Json(_) => TokenError::Claims,
        _ => TokenError::Invalid,
    }
}
