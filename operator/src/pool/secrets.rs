//! The Secrets that a pool refers to, and the token keys that are made where it refers to none.

use std::collections::HashMap;

use barrage_core::{link::quic::authority::not_after, token::Keys};
use barrage_crds::{RoomPool, SecretKeyRef};
use base64::{Engine, engine::general_purpose::STANDARD};
use k8s_openapi::api::core::v1::Secret;
use serde_json::json;

use super::{names::metadata, validate::Blueprint};
use crate::{
    apply::{self, Child},
    context::Context,
    problem::{Problem, Reason},
};

/// Secrets of one namespace, each read once.
pub(crate) struct Secrets<'c> {
    ctx: &'c Context,
    namespace: String,
    read: HashMap<String, Option<Secret>>,
}

impl<'c> Secrets<'c> {
    /// Of the pool's namespace.
    #[must_use]
    pub(crate) fn new(ctx: &'c Context, pool: &RoomPool) -> Self {
        let namespace = pool.metadata.namespace.clone().unwrap_or_default();
        Self { ctx, namespace, read: HashMap::new() }
    }

    /// What stands under a key.
    ///
    /// # Errors
    /// There is no such Secret or key.
    pub(crate) async fn content(&mut self, of: &SecretKeyRef) -> Result<Vec<u8>, Problem> {
        if !self.read.contains_key(&of.secret) {
            let secret = apply::secret(self.ctx, &self.namespace, &of.secret).await?;
            self.read.insert(of.secret.clone(), secret);
        }
        let (secret, key, namespace) = (&of.secret, &of.key, &self.namespace);
        let missing = |what: &str| {
            Problem::new(
                Reason::SecretMissing,
                format!(
                    "{what}: create it with `kubectl -n {namespace} create secret generic {secret} --from-file={key}=FILE`, \
                     or correct the name in the spec"
                ),
            )
        };
        let Some(found) = self.read.get(secret).and_then(Option::as_ref) else {
            return Err(missing(&format!("Secret {secret} does not exist in namespace {namespace}")));
        };
        let content = found.data.as_ref().and_then(|data| data.get(key));
        content.map(|content| content.0.clone()).ok_or_else(|| missing(&format!("Secret {secret} has no key {key}")))
    }

    /// A password: one line of text.
    ///
    /// # Errors
    /// It is not there, or no text.
    pub(crate) async fn password(&mut self, of: &SecretKeyRef) -> Result<String, Problem> {
        let content = self.content(of).await?;
        let text = String::from_utf8(content).ok();
        let text = text.map(|text| text.trim_end_matches(['\r', '\n']).to_owned());
        text.filter(|text| !text.is_empty() && !text.contains('\n')).ok_or_else(|| {
            let what = format!("Secret {}, key {}: a password is one line of text", of.secret, of.key);
            Problem::new(Reason::SecretInvalid, what)
        })
    }

    /// Certificate and key of a Secret of type `kubernetes.io/tls`.
    ///
    /// # Errors
    /// It is not there, holds something else, or has ended.
    pub(crate) async fn certificate(&mut self, name: &str) -> Result<(Vec<u8>, Vec<u8>), Problem> {
        let of = |key: &str| SecretKeyRef { secret: name.to_owned(), key: key.to_owned() };
        let (certificate, key) = (self.content(&of("tls.crt")).await?, self.content(&of("tls.key")).await?);
        let end = not_after(&String::from_utf8_lossy(&certificate));
        match end {
            None => {
                let what = format!("Secret {name}, key tls.crt: no certificate in PEM; put one there");
                Err(Problem::new(Reason::SecretInvalid, what))
            }
            Some(end) if end <= self.ctx.now().as_second() => {
                let what = format!("the certificate in Secret {name} has expired: put a new one there");
                Err(Problem::new(Reason::CertificateExpired, what))
            }
            Some(_) => Ok((certificate, key)),
        }
    }
}

/// Whether a key set is one.
///
/// # Errors
/// What is wrong, without a key's content.
pub(crate) fn check_keys(of: &SecretKeyRef, content: &[u8]) -> Result<(), Problem> {
    let source = format!("in Secret {}, key {},", of.secret, of.key);
    match Keys::parse(&source, content) {
        Ok(keys) if keys.is_empty() => {
            let what = format!("the token keys {source} are an empty set, so nobody gets in: add a key");
            Err(Problem::new(Reason::SecretInvalid, what))
        }
        Ok(_) => Ok(()),
        Err(error) => Err(Problem::new(Reason::SecretInvalid, error.to_string())),
    }
}

/// Makes token keys, if the pool refers to none and has none.
///
/// # Errors
/// The API server refuses.
pub(crate) async fn token_keys(ctx: &Context, blueprint: &Blueprint) -> Result<(), Problem> {
    if blueprint.spec.tokens.keys.is_some() {
        return Ok(());
    }
    let SecretKeyRef { secret, key } = &blueprint.keys;
    if apply::secret(ctx, &blueprint.namespace, secret).await?.is_some() {
        return Ok(());
    }
    let object = json!({
        "metadata": metadata(blueprint, secret, None),
        "type": "Opaque",
        "data": {key: STANDARD.encode(Keys::generate(&blueprint.name))},
    });
    apply::create(ctx, &Child::of::<Secret>(object)).await
}
