//! The signatures of tokens, by ring, which does all other cryptography here as well: HS256 and ES256 (RFC 7518), EdDSA
//! (RFC 8037). The JWT library leaves them to a provider that the process installs. Public keys only verify: who has the
//! private ones is another program.

use jsonwebtoken::{
    Algorithm, AlgorithmFamily, DecodingKey, EncodingKey,
    crypto::{CryptoProvider, JwtSigner, JwtVerifier, KeyUtils},
    errors::{ErrorKind, Result},
    signature::{Error as SignatureError, Signer, Verifier},
};
use ring::{
    agreement, hmac,
    rand::SystemRandom,
    signature::{ECDSA_P256_SHA256_FIXED, ED25519, UnparsedPublicKey, VerificationAlgorithm},
};

static PROVIDER: CryptoProvider = CryptoProvider {
    signer_factory: signer,
    verifier_factory: verifier,
    // For JWKs that are made from keys, which nobody does here.
    key_utils: KeyUtils::new_unimplemented(),
};

/// An uncompressed point of P-256: a mark, x and y.
const P256_POINT_BYTES: usize = 1 + 32 + 32;
const ED25519_KEY_BYTES: usize = 32;

/// Lets this process sign and verify tokens. Whoever makes a key calls it first; to call it again changes nothing.
pub fn install() {
    // An error says that there is a provider, which is this one.
    let _ = PROVIDER.install_default();
}

/// Whether tokens could be verified with a key; says why not. Of an Ed25519 key only the length can be seen: one that is
/// no point verifies nothing.
pub(super) fn check(algorithm: Algorithm, key: &DecodingKey) -> std::result::Result<(), String> {
    let bytes = key.try_get_as_bytes().map_err(|error| error.to_string())?;
    match algorithm {
        Algorithm::ES256 if bytes.len() != P256_POINT_BYTES => Err("x and y of P-256 have 32 bytes each".to_owned()),
        Algorithm::ES256 if !is_on_p256(bytes) => Err("x and y are no point of P-256".to_owned()),
        Algorithm::EdDSA if bytes.len() != ED25519_KEY_BYTES => {
            Err(format!("x has {} bytes, Ed25519 needs {ED25519_KEY_BYTES}", bytes.len()))
        }
        _ => Ok(()),
    }
}

/// Asked by way of a key agreement, because a public key for signatures is first looked at beside a signature.
fn is_on_p256(point: &[u8]) -> bool {
    let peer = agreement::UnparsedPublicKey::new(&agreement::ECDH_P256, point);
    agreement::EphemeralPrivateKey::generate(&agreement::ECDH_P256, &SystemRandom::new())
        .and_then(|own| agreement::agree_ephemeral(own, &peer, |_| ()))
        .is_ok()
}

fn signer(algorithm: &Algorithm, key: &EncodingKey) -> Result<Box<dyn JwtSigner>> {
    match (algorithm, key.family()) {
        (Algorithm::HS256, AlgorithmFamily::Hmac) => Ok(Box::new(Hs256::new(key.as_bytes()))),
        _ => Err(ErrorKind::UnsupportedAlgorithm.into()),
    }
}

fn verifier(algorithm: &Algorithm, key: &DecodingKey) -> Result<Box<dyn JwtVerifier>> {
    let public = |with: &'static dyn VerificationAlgorithm| -> Result<Box<dyn JwtVerifier>> {
        let key = UnparsedPublicKey::new(with, key.try_get_as_bytes()?.to_vec());
        Ok(Box::new(Public { algorithm: *algorithm, key }))
    };
    match (algorithm, key.family()) {
        (Algorithm::HS256, AlgorithmFamily::Hmac) => Ok(Box::new(Hs256::new(key.try_get_as_bytes()?))),
        (Algorithm::ES256, AlgorithmFamily::Ec) => public(&ECDSA_P256_SHA256_FIXED),
        (Algorithm::EdDSA, AlgorithmFamily::Ed) => public(&ED25519),
        _ => Err(ErrorKind::UnsupportedAlgorithm.into()),
    }
}

struct Hs256(hmac::Key);

impl Hs256 {
    fn new(secret: &[u8]) -> Self {
        Self(hmac::Key::new(hmac::HMAC_SHA256, secret))
    }
}

impl Signer<Vec<u8>> for Hs256 {
    fn try_sign(&self, message: &[u8]) -> std::result::Result<Vec<u8>, SignatureError> {
        Ok(hmac::sign(&self.0, message).as_ref().to_vec())
    }
}

impl Verifier<Vec<u8>> for Hs256 {
    fn verify(&self, message: &[u8], signature: &Vec<u8>) -> std::result::Result<(), SignatureError> {
        hmac::verify(&self.0, message, signature).map_err(|_| SignatureError::new())
    }
}

impl JwtSigner for Hs256 {
    fn algorithm(&self) -> Algorithm {
        Algorithm::HS256
    }
}

impl JwtVerifier for Hs256 {
    fn algorithm(&self) -> Algorithm {
        Algorithm::HS256
    }
}

/// A public key, for ES256 or EdDSA.
struct Public {
    algorithm: Algorithm,
    key: UnparsedPublicKey<Vec<u8>>,
}

impl Verifier<Vec<u8>> for Public {
    fn verify(&self, message: &[u8], signature: &Vec<u8>) -> std::result::Result<(), SignatureError> {
        self.key.verify(message, signature).map_err(|_| SignatureError::new())
    }
}

impl JwtVerifier for Public {
    fn algorithm(&self) -> Algorithm {
        self.algorithm
    }
}

#[cfg(test)]
mod tests;
