//! The certificate that viewers are shown, over TLS and over QUIC, from files that are looked at again.

use std::{
    path::PathBuf,
    sync::{Arc, PoisonError, RwLock},
};

use quinn::crypto::rustls::{NoInitialCipherSuite, QuicServerConfig};
use rustls::{
    ServerConfig,
    crypto::ring::Ticketer,
    pki_types::{CertificateDer, PrivateKeyDer},
    version::{TLS12, TLS13},
};
use thiserror::Error;
use tokio::sync::watch;
use tracing::Instrument;

use crate::gateway::{checks, metrics::Metrics};
use barrage_core::{
    certificate::{self, CertificateError, CertificateFiles, Holder, certificates, private_key, provider},
    clock::unix_ms,
    health::Health,
};

/// What HTTPS and `wss://` are spoken over.
const HTTP1: &[u8] = b"http/1.1";
const HTTP3: &[u8] = b"h3";

/// A handle; clones share one certificate. Connections that are made later use what the files say by then.
#[derive(Clone)]
pub struct ViewerCertificate(Arc<Inner>);

struct Inner {
    files: CertificateFiles,
    current: RwLock<Current>,
    /// Tells the QUIC endpoint.
    quic: watch::Sender<Arc<QuicServerConfig>>,
    metrics: Metrics,
    health: Health,
}

struct Current {
    tcp: Arc<ServerConfig>,
    quic: Arc<QuicServerConfig>,
    expiry: Option<i64>,
}

impl ViewerCertificate {
    /// Reads the files, and looks at them again every few seconds for as long as somebody holds this.
    ///
    /// # Errors
    /// [`CertificateError`]. A file that is wrong *later* is logged, counted and shown by `/readyz`, and what was in
    /// force stays. A certificate that has expired is shown all the same, and `/readyz` says so: to serve nobody would
    /// take those along who come in plain text.
    pub async fn load(files: CertificateFiles, metrics: Metrics, health: Health) -> Result<Self, CertificateError> {
        let contents = certificate::read(&files.paths())?;
        let current = verified(&contents, &files)?;
        metrics.certificate_expires(current.expiry);
        tell(&health, &current, &files);
        let (quic, _) = watch::channel(Arc::clone(&current.quic));
        let inner = Arc::new(Inner { files, current: RwLock::new(current), quic, metrics, health });
        let span = tracing::info_span!("viewers' certificate");
        tokio::spawn(certificate::keep_current(Arc::downgrade(&inner), contents).instrument(span));
        Ok(Self(inner))
    }

    /// For a connection over TLS.
    pub(crate) fn tcp(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.0.current.read().unwrap_or_else(PoisonError::into_inner).tcp)
    }

    /// For connections over QUIC, now and whenever it changes.
    pub(crate) fn quic(&self) -> watch::Receiver<Arc<QuicServerConfig>> {
        self.0.quic.subscribe()
    }
}

impl Holder<2> for Inner {
    fn files(&self) -> [PathBuf; 2] {
        self.files.paths()
    }

    fn take_up(&self, contents: &[Vec<u8>; 2]) {
        match verified(contents, &self.files) {
            // Somebody has put an old one there.
            Ok(current) if current.has_expired() && !self.has_expired() => self.failed(&expired(&self.files)),
            Ok(current) => {
                tracing::info!(certificate = %self.files.certificate.display(), "the certificate is read anew");
                self.metrics.certificate_reloaded(current.expiry);
                tell(&self.health, &current, &self.files);
                self.quic.send_replace(Arc::clone(&current.quic));
                *self.current.write().unwrap_or_else(PoisonError::into_inner) = current;
            }
            Err(error) => self.failed(&error),
        }
    }

    fn failed(&self, error: &CertificateError) {
        self.metrics.certificate_reload_failed();
        tracing::warn!(%error, "a new certificate is not used, the old one stays in force");
        self.health.degraded(checks::CERTIFICATE, format!("the old one stays in force: {error}"));
    }
}

impl Inner {
    fn has_expired(&self) -> bool {
        self.current.read().unwrap_or_else(PoisonError::into_inner).has_expired()
    }
}

impl Current {
    fn has_expired(&self) -> bool {
        self.expiry.is_some_and(|expiry_s| expiry_s <= unix_ms() / 1_000)
    }
}

fn tell(health: &Health, current: &Current, files: &CertificateFiles) {
    if current.has_expired() {
        let error = expired(files);
        tracing::error!(%error, "viewers refuse it");
        return health.degraded(checks::CERTIFICATE, format!("viewers refuse it: {error}"));
    }
    health.ok(checks::CERTIFICATE);
}

fn expired(files: &CertificateFiles) -> CertificateError {
    CertificateError::Expired { path: files.certificate.clone() }
}

/// Whether what stands in files can be shown to viewers.
///
/// # Errors
/// [`CertificateError`].
pub fn check_files(files: &CertificateFiles) -> Result<(), CertificateError> {
    verified(&certificate::read(&files.paths())?, files).map(drop)
}

fn verified([certificate, key]: &[Vec<u8>; 2], files: &CertificateFiles) -> Result<Current, CertificateError> {
    let chain = certificates(certificate, &files.certificate)?;
    let key = private_key(key, &files.key)?;
    let expiry = chain.first().and_then(|leaf| certificate::not_after(leaf));
    let unusable = |reason: String| CertificateError::Unusable { path: files.certificate.clone(), reason };
    let (tcp, quic) = configs(chain, key).map_err(|error| unusable(error.to_string()))?;
    Ok(Current { tcp: Arc::new(tcp), quic: Arc::new(quic), expiry })
}

#[derive(Debug, Error)]
#[error(transparent)]
enum Unusable {
    Tls(#[from] rustls::Error),
    Cipher(#[from] NoInitialCipherSuite),
}

fn configs(
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
) -> Result<(ServerConfig, QuicServerConfig), Unusable> {
    let mut tcp = ServerConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&TLS13, &TLS12])?
        .with_no_client_auth()
        .with_single_cert(chain.clone(), key.clone_key())?;
    tcp.alpn_protocols = vec![HTTP1.to_vec()];
    // Viewers who all come back at once resume; nothing is kept for that here.
    tcp.ticketer = Ticketer::new()?;
    let mut quic = ServerConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&TLS13])?
        .with_no_client_auth()
        .with_single_cert(chain, key)?;
    quic.alpn_protocols = vec![HTTP3.to_vec()];
    Ok((tcp, QuicServerConfig::try_from(quic)?))
}

#[cfg(test)]
mod tests {
    use prometheus_client::registry::Registry;

    use super::*;

    fn files() -> CertificateFiles {
        CertificateFiles { certificate: "cert.pem".into(), key: "key.pem".into() }
    }

    fn pair(year: i32) -> [Vec<u8>; 2] {
        let mut params = rcgen::CertificateParams::new(["localhost".to_owned()]).unwrap();
        params.not_after = rcgen::date_time_ymd(year, 1, 1);
        let key = rcgen::KeyPair::generate().unwrap();
        [params.self_signed(&key).unwrap().pem().into(), key.serialize_pem().into()]
    }

    #[test]
    fn a_pair_that_is_good_can_be_shown_and_others_say_why_not() {
        let [certificate, key] = pair(2200);
        assert!(verified(&[certificate.clone(), key.clone()], &files()).is_ok());
        let mismatch = verified(&[certificate.clone(), pair(2200)[1].clone()], &files()).err().unwrap().to_string();
        assert!(mismatch.contains("cert.pem") && mismatch.contains("belong together"), "{mismatch}");
        let swapped = verified(&[key, certificate], &files()).err().unwrap().to_string();
        assert!(swapped.contains("cert.pem holds no usable certificate"), "{swapped}");
    }

    #[tokio::test]
    async fn an_expired_certificate_is_shown_and_said_and_takes_no_good_ones_place() {
        let folder = tempfile::tempdir().unwrap();
        let files =
            CertificateFiles { certificate: folder.path().join("cert.pem"), key: folder.path().join("key.pem") };
        let put = |[certificate, key]: &[Vec<u8>; 2]| {
            std::fs::write(&files.certificate, certificate).unwrap();
            std::fs::write(&files.key, key).unwrap();
        };
        let (old, good) = (pair(2020), pair(2200));
        put(&old);
        let (metrics, health) = (Metrics::register(&mut Registry::default()), Health::default());
        let certificate = ViewerCertificate::load(files.clone(), metrics, health.clone()).await.unwrap();
        assert!(certificate.0.has_expired());
        let said = |health: &Health| serde_json::to_string(&health.report()).unwrap();
        assert!(said(&health).contains("has expired"), "{}", said(&health));
        certificate.0.take_up(&good);
        assert!(!certificate.0.has_expired() && !said(&health).contains("has expired"), "{}", said(&health));
        certificate.0.take_up(&old);
        assert!(!certificate.0.has_expired() && said(&health).contains("has expired"), "{}", said(&health));
    }
}
