//! Who a process is to its peers, and whom it trusts: a certificate, its key and an authority, from files that are looked
//! at again while it runs.

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::{Arc, PoisonError, RwLock, Weak},
    time::Duration,
};

use quinn::{
    ClientConfig, ServerConfig,
    crypto::rustls::{NoInitialCipherSuite, QuicClientConfig, QuicServerConfig},
};
use rustls::{
    RootCertStore,
    client::Resumption,
    crypto::{CryptoProvider, ring},
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    server::{NoServerSessionStorage, VerifierBuilderError, WebPkiClientVerifier},
    version::TLS13,
};
use thiserror::Error;
use tracing::Instrument;

use super::{ALPN, Metrics, expiry, transport};

/// How often the files are looked at.
const CHECK_EVERY: Duration = Duration::from_secs(3);

/// Where the parts of an identity are, each PEM.
#[derive(Debug, Clone)]
pub struct IdentityFiles {
    /// Certificates of the authorities that sign peers'.
    pub authority: PathBuf,
    /// The own certificate, then those between it and the authority. It has to carry the DNS name `barrage-link`.
    pub certificate: PathBuf,
    /// Its key.
    pub key: PathBuf,
}

/// A handle; clones share one identity. Connections that are made later use what the files say by then.
#[derive(Clone)]
pub struct Identity(Arc<Inner>);

/// A process cannot prove who it is.
#[derive(Debug, Error)]
pub enum IdentityError {
    /// A file cannot be read.
    #[error("cannot read {path}: {source}. It is named by the settings of links and has to be there")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file does not hold what it should.
    #[error("{path} holds no usable {what} in PEM: {reason}")]
    Content {
        /// The file.
        path: PathBuf,
        /// What it should hold.
        what: &'static str,
        /// Why it does not.
        reason: String,
    },
    /// The parts do not fit each other.
    #[error("the certificate {path} cannot be used: {reason}. Certificate and key have to belong together")]
    Unusable {
        /// The file of the certificate.
        path: PathBuf,
        /// Why.
        reason: String,
    },
}

struct Inner {
    files: IdentityFiles,
    current: RwLock<Current>,
    metrics: Metrics,
}

#[derive(Clone)]
struct Current {
    server: Arc<ServerConfig>,
    client: ClientConfig,
    expiry: Option<i64>,
}

/// Authority, certificate and key as they stand in the files.
#[derive(Clone, PartialEq, Eq)]
struct Contents([Vec<u8>; 3]);

impl Identity {
    /// Reads the files, and looks at them again every few seconds for as long as somebody holds this.
    ///
    /// # Errors
    /// [`IdentityError`]. A file that is wrong *later* is logged and counted, and what was in force stays.
    pub async fn load(files: IdentityFiles, metrics: Metrics) -> Result<Self, IdentityError> {
        let contents = Contents::read(&files)?;
        let current = contents.verified(&files)?;
        metrics.expires(current.expiry);
        let inner = Arc::new(Inner { files, current: RwLock::new(current), metrics });
        let span = tracing::info_span!("certificates");
        tokio::spawn(keep_current(Arc::downgrade(&inner), contents).instrument(span));
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

async fn keep_current(identity: Weak<Inner>, mut seen: Contents) {
    loop {
        tokio::time::sleep(CHECK_EVERY).await;
        let Some(identity) = identity.upgrade() else { return };
        let files = identity.files.clone();
        let Ok(read) = tokio::task::spawn_blocking(move || Contents::read(&files)).await else { return };
        match read {
            Ok(contents) if contents == seen => {}
            // What was looked at once is not reported again. Files that are replaced one after the other may be a wrong
            // set in between, and are another one at the next look.
            Ok(contents) => {
                identity.take_up(&contents);
                seen = contents;
            }
            // It may be there at the next look.
            Err(error) => identity.failed(&error),
        }
    }
}

impl Inner {
    fn take_up(&self, contents: &Contents) {
        match contents.verified(&self.files) {
            Ok(current) => {
                tracing::info!(certificate = %self.files.certificate.display(), "certificates are read anew");
                self.metrics.reloaded(current.expiry);
                *self.current.write().unwrap_or_else(PoisonError::into_inner) = current;
            }
            Err(error) => self.failed(&error),
        }
    }

    fn failed(&self, error: &IdentityError) {
        self.metrics.reload_failed();
        tracing::warn!(%error, "new certificates are not used, the old ones stay in force");
    }
}

impl Contents {
    fn read(files: &IdentityFiles) -> Result<Self, IdentityError> {
        let read = |path: &Path| fs::read(path).map_err(|source| IdentityError::Read { path: path.into(), source });
        Ok(Self([read(&files.authority)?, read(&files.certificate)?, read(&files.key)?]))
    }

    fn verified(&self, files: &IdentityFiles) -> Result<Current, IdentityError> {
        let Self([authority, certificate, key]) = self;
        let mut roots = RootCertStore::empty();
        for authority in certificates(authority, &files.authority)? {
            roots.add(authority).map_err(|error| content(&files.authority, "certificate", &error))?;
        }
        let chain = certificates(certificate, &files.certificate)?;
        let key = PrivateKeyDer::from_pem_slice(key).map_err(|error| content(&files.key, "private key", &error))?;
        let expiry = chain.first().and_then(|leaf| expiry::not_after(leaf));
        let unusable =
            |error: Unusable| IdentityError::Unusable { path: files.certificate.clone(), reason: error.to_string() };
        let server = server(roots.clone(), chain.clone(), key.clone_key()).map_err(unusable)?;
        let client = client(roots, chain, key).map_err(unusable)?;
        Ok(Current { server: Arc::new(server), client, expiry })
    }
}

fn certificates(pem: &[u8], path: &Path) -> Result<Vec<CertificateDer<'static>>, IdentityError> {
    let all = CertificateDer::pem_slice_iter(pem).collect::<Result<Vec<_>, _>>();
    let all = all.map_err(|error| content(path, "certificate", &error))?;
    if all.is_empty() { Err(content(path, "certificate", &"there is none")) } else { Ok(all) }
}

fn content(path: &Path, what: &'static str, reason: &impl ToString) -> IdentityError {
    IdentityError::Content { path: path.into(), what, reason: reason.to_string() }
}

/// Why rustls or quinn do not take the parts.
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

fn provider() -> Arc<CryptoProvider> {
    Arc::new(ring::default_provider())
}
