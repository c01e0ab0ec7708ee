//! Certificates and keys in PEM files that are looked at again while a process runs: those of links and the one that
//! viewers are shown.

mod expiry;

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::{Arc, Weak},
    time::Duration,
};

use rustls::{
    ServerConfig,
    crypto::{CryptoProvider, ring},
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    version::TLS13,
};
use thiserror::Error;

pub use expiry::not_after;

const CHECK_EVERY: Duration = Duration::from_secs(3);

/// Where a certificate and its key are, each PEM.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CertificateFiles {
    /// The certificate, then those between it and its authority.
    pub certificate: PathBuf,
    /// Its private key.
    pub key: PathBuf,
}

impl CertificateFiles {
    /// Both, in the order in which [`read`] gives their contents.
    #[must_use]
    pub fn paths(&self) -> [PathBuf; 2] {
        [self.certificate.clone(), self.key.clone()]
    }
}

/// A process cannot prove who it is.
#[derive(Debug, Error)]
pub enum CertificateError {
    /// A file cannot be read.
    #[error("cannot read {path}: {source}. It is named by a setting and has to be there")]
    Read { path: PathBuf, source: io::Error },
    /// A file does not hold what it should.
    #[error("{path} holds no usable {what} in PEM: {reason}")]
    Content { path: PathBuf, what: &'static str, reason: String },
    /// Its time is over.
    #[error("the certificate {path} has expired: put a new one there")]
    Expired {
        /// The file of the certificate.
        path: PathBuf,
    },
    /// The parts do not fit each other.
    #[error("the certificate {path} cannot be used: {reason}. Certificate and key have to belong together")]
    Unusable {
        /// The file of the certificate.
        path: PathBuf,
        reason: String,
    },
}

/// Who holds what `N` files say, and takes up what they say later.
pub trait Holder<const N: usize>: Send + Sync + 'static {
    fn files(&self) -> [PathBuf; N];
    /// They have changed.
    fn take_up(&self, contents: &[Vec<u8>; N]);
    /// They cannot be read.
    fn failed(&self, error: &CertificateError);
}

/// What stands in files.
///
/// # Errors
/// [`CertificateError::Read`].
pub fn read<const N: usize>(files: &[PathBuf; N]) -> Result<[Vec<u8>; N], CertificateError> {
    let mut contents = [const { Vec::new() }; N];
    for (content, path) in contents.iter_mut().zip(files) {
        *content = fs::read(path).map_err(|source| CertificateError::Read { path: path.clone(), source })?;
    }
    Ok(contents)
}

/// Looks at the files again for as long as somebody holds the holder.
pub async fn keep_current<const N: usize>(holder: Weak<impl Holder<N>>, mut seen: [Vec<u8>; N]) {
    loop {
        tokio::time::sleep(CHECK_EVERY).await;
        let Some(holder) = holder.upgrade() else { return };
        let files = holder.files();
        let Ok(read) = tokio::task::spawn_blocking(move || read(&files)).await else { return };
        match read {
            Ok(contents) if contents == seen => {}
            // What was looked at once is not reported again. Files that are replaced one after the other may be a wrong
            // set in between, and are another one at the next look.
            Ok(contents) => {
                holder.take_up(&contents);
                seen = contents;
            }
            // It may be there at the next look.
            Err(error) => holder.failed(&error),
        }
    }
}

/// The certificates of a PEM file, one or more.
///
/// # Errors
/// [`CertificateError::Content`].
pub fn certificates(pem: &[u8], path: &Path) -> Result<Vec<CertificateDer<'static>>, CertificateError> {
    let all = CertificateDer::pem_slice_iter(pem).collect::<Result<Vec<_>, _>>();
    let all = all.map_err(|error| content(path, "certificate", &error))?;
    if all.is_empty() { Err(content(path, "certificate", &"there is none")) } else { Ok(all) }
}

/// The private key of a PEM file.
///
/// # Errors
/// [`CertificateError::Content`].
pub fn private_key(pem: &[u8], path: &Path) -> Result<PrivateKeyDer<'static>, CertificateError> {
    PrivateKeyDer::from_pem_slice(pem).map_err(|error| content(path, "private key", &error))
}

/// Whether a certificate and a key, each PEM, belong together and can be shown.
///
/// # Errors
/// [`CertificateError`].
pub fn fit([certificate, key]: &[Vec<u8>; 2], files: &CertificateFiles) -> Result<(), CertificateError> {
    let path = &files.certificate;
    let (chain, key) = (certificates(certificate, path)?, private_key(key, &files.key)?);
    let built = ServerConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&TLS13])
        .and_then(|config| config.with_no_client_auth().with_single_cert(chain, key));
    built.map(drop).map_err(|error| CertificateError::Unusable { path: path.clone(), reason: error.to_string() })
}

/// A file does not hold what it should.
pub fn content(path: &Path, what: &'static str, reason: &impl ToString) -> CertificateError {
    CertificateError::Content { path: path.into(), what, reason: reason.to_string() }
}

/// The one provider of cryptography.
pub fn provider() -> Arc<CryptoProvider> {
    Arc::new(ring::default_provider())
}
