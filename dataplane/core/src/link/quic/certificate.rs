//! Who a process is to its peers, and whom it trusts: a certificate, its key and an authority, from files that are looked
//! at again while it runs.

use std::{
    path::PathBuf,
    sync::{Arc, PoisonError, RwLock},
};

use quinn::{
    ClientConfig, ServerConfig,
    crypto::rustls::{NoInitialCipherSuite, QuicClientConfig, QuicServerConfig},
};
use rustls::{
    RootCertStore,
    client::Resumption,
    pki_types::{CertificateDer, PrivateKeyDer},
    server::{NoServerSessionStorage, VerifierBuilderError, WebPkiClientVerifier},
    version::TLS13,
};
use thiserror::Error;
use tracing::Instrument;

use super::{ALPN, Metrics, transport};
use crate::certificate::{self, CertificateError, Holder, certificates, private_key, provider};

/// Where the parts of a certificate are, each PEM.
#[derive(Debug, Clone)]
pub struct LinkCertificateFiles {
    /// Certificates of the authorities that sign peers'.
    pub authority: PathBuf,
    /// The own certificate, then those between it and the authority. It has to carry the DNS name `barrage-link`.
    pub certificate: PathBuf,
    pub key: PathBuf,
}

/// A handle; clones share one certificate. Connections that are made later use what the files say by then.
#[derive(Clone)]
pub struct LinkCertificate(Arc<Inner>);

struct Inner {
    files: LinkCertificateFiles,
    current: RwLock<Current>,
    metrics: Metrics,
}

#[derive(Clone)]
struct Current {
    server: Arc<ServerConfig>,
    client: ClientConfig,
    expiry: Option<i64>,
}

impl LinkCertificate {
    /// Reads the files, and looks at them again every few seconds for as long as somebody holds this.
    ///
    /// # Errors
    /// [`CertificateError`]. A file that is wrong *later* is logged and counted, and what was in force stays.
    pub async fn load(files: LinkCertificateFiles, metrics: Metrics) -> Result<Self, CertificateError> {
        let contents = certificate::read(&files.all())?;
        let current = verified(&contents, &files)?;
        metrics.expires(current.expiry);
        let inner = Arc::new(Inner { files, current: RwLock::new(current), metrics });
        let span = tracing::info_span!("certificates");
        tokio::spawn(certificate::keep_current(Arc::downgrade(&inner), contents).instrument(span));
        Ok(Self(inner))
    }

    pub(super) fn server(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.0.current.read().unwrap_or_else(PoisonError::into_inner).server)
    }

    /// For a connection on which the peer may open `streams` at once.
    pub(super) fn client(&self, streams: u32) -> ClientConfig {
        let mut config = self.0.current.read().unwrap_or_else(PoisonError::into_inner).client.clone();
        config.transport_config(transport(0, streams));
        config
    }
}

impl Holder<3> for Inner {
    fn files(&self) -> [PathBuf; 3] {
        self.files.all()
    }

    fn take_up(&self, contents: &[Vec<u8>; 3]) {
        match verified(contents, &self.files) {
            Ok(current) => {
                tracing::info!(certificate = %self.files.certificate.display(), "certificates are read anew");
                self.metrics.reloaded(current.expiry);
                *self.current.write().unwrap_or_else(PoisonError::into_inner) = current;
            }
            Err(error) => self.failed(&error),
        }
    }

    fn failed(&self, error: &CertificateError) {
        self.metrics.reload_failed();
        tracing::warn!(%error, "new certificates are not used, the old ones stay in force");
    }
}

impl LinkCertificateFiles {
    fn all(&self) -> [PathBuf; 3] {
        [self.authority.clone(), self.certificate.clone(), self.key.clone()]
    }
}

/// What authority, certificate and key come to, as they stand in the files.
fn verified(contents: &[Vec<u8>; 3], files: &LinkCertificateFiles) -> Result<Current, CertificateError> {
    let [authority, certificate, key] = contents;
    let mut roots = RootCertStore::empty();
    for authority in certificates(authority, &files.authority)? {
        roots.add(authority).map_err(|error| certificate::content(&files.authority, "certificate", &error))?;
    }
    let chain = certificates(certificate, &files.certificate)?;
    let key = private_key(key, &files.key)?;
    let expiry = chain.first().and_then(|leaf| certificate::not_after(leaf));
    let unusable =
        |error: Unusable| CertificateError::Unusable { path: files.certificate.clone(), reason: error.to_string() };
    let server = server(roots.clone(), chain.clone(), key.clone_key()).map_err(unusable)?;
    let client = client(roots, chain, key).map_err(unusable)?;
    Ok(Current { server: Arc::new(server), client, expiry })
}

#[derive(Debug, Error)]
#[error(transparent)]
enum Unusable {
    Tls(#[from] rustls::Error),
    Verifier(#[from] VerifierBuilderError),
    Cipher(#[from] NoInitialCipherSuite),
}

/// No session is resumed on either side: every connection shows a certificate that is good at that moment.
fn server(
    roots: RootCertStore,
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
) -> Result<ServerConfig, Unusable> {
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider()).build()?;
    let mut tls = rustls::ServerConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&TLS13])?
        .with_client_cert_verifier(verifier)
        .with_single_cert(chain, key)?;
    tls.alpn_protocols = vec![ALPN.to_vec()];
    tls.session_storage = Arc::new(NoServerSessionStorage {});
    tls.send_tls13_tickets = 0;
    let mut config = ServerConfig::with_crypto(Arc::new(QuicServerConfig::try_from(tls)?));
    config.transport_config(transport(1, 0));
    Ok(config)
}

fn client(
    roots: RootCertStore,
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
) -> Result<ClientConfig, Unusable> {
    let mut tls = rustls::ClientConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&TLS13])?
        .with_root_certificates(roots)
        .with_client_auth_cert(chain, key)?;
    tls.alpn_protocols = vec![ALPN.to_vec()];
    tls.resumption = Resumption::disabled();
    Ok(ClientConfig::new(Arc::new(QuicClientConfig::try_from(tls)?)))
}
