//! The examples of the standards are verified; what differs from them in one place is not.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use jsonwebtoken::{crypto::verify, jwk::Jwk};
use serde_json::{Value, json};

use super::*;

/// A signed text as a standard shows it.
struct Example {
    algorithm: Algorithm,
    key: Value,
    signed: &'static str,
    signature: &'static str,
}

/// The payload of the examples in RFC 7515, which stands behind each header.
macro_rules! claims_of_joe {
    ($header:literal) => {
        concat!(
            $header,
            ".eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ"
        )
    };
}

fn examples() -> [Example; 3] {
    [
        // RFC 7515, A.1.
        Example {
            algorithm: Algorithm::HS256,
            key: json!({"kty": "oct",
                "k": "AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow"}),
            signed: claims_of_joe!("eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9"),
            signature: "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk",
        },
        // RFC 7515, A.3.
        Example {
            algorithm: Algorithm::ES256,
            key: json!({"kty": "EC", "crv": "P-256", "x": "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",
                "y": "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"}),
            signed: claims_of_joe!("eyJhbGciOiJFUzI1NiJ9"),
            signature: "DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q",
        },
        // RFC 8037, A.4.
        Example {
            algorithm: Algorithm::EdDSA,
            key: json!({"kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}),
            signed: "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc",
            signature: "hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg",
        },
    ]
}

impl Example {
    fn key(&self) -> DecodingKey {
        install();
        let jwk: Jwk = serde_json::from_value(self.key.clone()).unwrap();
        let key = DecodingKey::from_jwk(&jwk).unwrap();
        check(self.algorithm, &key).unwrap();
        key
    }

    /// Whether some other signature is taken for this text.
    fn takes(&self, signature: &[u8]) -> bool {
        let signature = URL_SAFE_NO_PAD.encode(signature);
        verify(&signature, self.signed.as_bytes(), &self.key(), self.algorithm).unwrap()
    }
}

#[test]
fn the_standards_examples_are_verified() {
    for example in examples() {
        let key = example.key();
        let verified = |signed: &str| verify(example.signature, signed.as_bytes(), &key, example.algorithm).unwrap();
        assert!(verified(example.signed), "{:?}", example.algorithm);
        assert!(!verified(&example.signed[1..]), "{:?}", example.algorithm);
    }
}

#[test]
fn what_hs256_signs_is_what_the_standard_shows() {
    let [example, ..] = examples();
    let secret = URL_SAFE_NO_PAD.decode(example.key["k"].as_str().unwrap()).unwrap();
    install();
    let key = EncodingKey::from_secret(&secret).unwrap();
    let signature = jsonwebtoken::crypto::sign(example.signed.as_bytes(), &key, Algorithm::HS256).unwrap();
    assert_eq!(signature, example.signature);
}

#[test]
fn a_signature_that_differs_in_one_bit_or_its_length_is_refused() {
    for example in examples() {
        let right = URL_SAFE_NO_PAD.decode(example.signature).unwrap();
        assert!(example.takes(&right));
        for at in 0..right.len() {
            let mut wrong = right.clone();
            wrong[at] ^= 0x40;
            assert!(!example.takes(&wrong), "{:?}, byte {at}", example.algorithm);
        }
        let longer = [right.as_slice(), &[0]].concat();
        for wrong in [&right[..right.len() - 1], &longer, &[]] {
            assert!(!example.takes(wrong), "{:?}, {} bytes", example.algorithm, wrong.len());
        }
    }
}

#[test]
fn es256_is_r_and_s_and_not_der() {
    let [_, example, _] = examples();
    let fixed = URL_SAFE_NO_PAD.decode(example.signature).unwrap();
    // The same two numbers as ASN.1 has them; the upper one would be negative without a zero before it.
    let (r, s) = fixed.split_at(32);
    let der = [&[0x30, 69, 2, 32][..], r, &[2, 33, 0], s].concat();
    let key = example.key();
    let ring_takes_der =
        UnparsedPublicKey::new(&ring::signature::ECDSA_P256_SHA256_ASN1, key.try_get_as_bytes().unwrap());
    assert!(ring_takes_der.verify(example.signed.as_bytes(), &der).is_ok());
    assert!(!example.takes(&der));
}

#[test]
fn a_key_is_for_its_own_algorithm() {
    let all =
        [Algorithm::HS256, Algorithm::HS384, Algorithm::ES256, Algorithm::ES384, Algorithm::EdDSA, Algorithm::RS256];
    for example in examples() {
        let key = example.key();
        for algorithm in all.into_iter().filter(|&other| other != example.algorithm) {
            let refused = verify(example.signature, example.signed.as_bytes(), &key, algorithm).unwrap_err();
            assert_eq!(refused.kind(), &ErrorKind::UnsupportedAlgorithm, "{algorithm:?} with {:?}", example.algorithm);
        }
    }
}
