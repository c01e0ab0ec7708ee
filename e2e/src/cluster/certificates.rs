//! An authority of a run's own, and the certificate that all its servers and clients show.

use std::{
    fs,
    path::{Path, PathBuf},
};

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose,
};

use super::error::ClusterError;

const LINK_NAME: &str = "barrage-link";

/// Where the files of a run's authority are, all PEM.
#[derive(Debug, Clone)]
pub struct Certificates {
    /// The authority's certificate.
    pub ca: PathBuf,
    /// A certificate for 127.0.0.1 and localhost, for servers and for clients.
    pub cert: PathBuf,
    /// Its key, PKCS 8.
    pub key: PathBuf,
    /// Key and certificate in one file, as Kafka wants them.
    pub keystore: PathBuf,
}

impl Certificates {
    /// Makes an authority and a certificate of it in `folder`.
    ///
    /// # Errors
    /// [`ClusterError::Refused`], [`ClusterError::System`].
    pub fn make(folder: &Path) -> Result<Self, ClusterError> {
        let (ca, cert, key) = sign().map_err(ClusterError::refused("making certificates for a run"))?;
        let write = |name: &str, text: &str| {
            let path = folder.join(name);
            fs::write(&path, text).map_err(ClusterError::system(format!("writing {}", path.display())))?;
            Ok::<_, ClusterError>(path)
        };
        Ok(Self {
            ca: write("ca.pem", &ca)?,
            cert: write("cert.pem", &cert)?,
            key: write("key.pem", &key)?,
            keystore: write("keystore.pem", &format!("{key}{cert}"))?,
        })
    }
}

/// The authority's certificate, the leaf's and the leaf's key.
fn sign() -> Result<(String, String, String), rcgen::Error> {
    let mut params = CertificateParams::new(Vec::new())?;
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature, KeyUsagePurpose::KeyCertSign];
    params.distinguished_name.push(DnType::CommonName, "the authority of a test");
    let key = KeyPair::generate()?;
    let ca = params.self_signed(&key)?;
    let issuer = Issuer::new(params, key);

    let mut params = CertificateParams::new(["localhost", "127.0.0.1", LINK_NAME].map(ToOwned::to_owned))?;
    params.distinguished_name.push(DnType::CommonName, "a server of a test");
    params.use_authority_key_identifier_extension = true;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
    let key = KeyPair::generate()?;
    let leaf = params.signed_by(&key, &issuer)?;
    Ok((ca.pem(), leaf.pem(), key.serialize_pem()))
}
