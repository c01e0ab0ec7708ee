//! An authority of one's own for the links of a pool: it signs what the pool's processes show each other.

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose,
};
use rustls::pki_types::{CertificateDer, pem::PemObject};
use time::{Duration, OffsetDateTime};

use super::LINK_NAME;
use crate::certificate;

/// Clocks of machines differ: a certificate is good from so long before it was made.
pub const BACKDATED: Duration = Duration::days(1);

/// Certificate and key, PEM.
#[derive(Clone)]
pub struct Pair {
    pub certificate: String,
    /// Its key, for its holder's eyes only.
    pub key: String,
}

pub struct Authority(Issuer<'static, KeyPair>);

impl Authority {
    /// A new one, good for `days` from `now`.
    ///
    /// # Errors
    /// The system has no randomness, or `now` is no date of a certificate.
    pub fn make(now: OffsetDateTime, days: i64) -> Result<(Self, Pair), rcgen::Error> {
        let mut params = params("the authority of a Barrage pool", now, days)?;
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature, KeyUsagePurpose::KeyCertSign];
        let key = KeyPair::generate()?;
        let pair = Pair { certificate: params.self_signed(&key)?.pem(), key: key.serialize_pem() };
        Ok((Self(Issuer::new(params, key)), pair))
    }

    /// One that was made before.
    ///
    /// # Errors
    /// What is wrong with certificate or key.
    pub fn read(pair: &Pair) -> Result<Self, rcgen::Error> {
        Issuer::from_ca_cert_pem(&pair.certificate, KeyPair::from_pem(&pair.key)?).map(Self)
    }

    /// A certificate for a process of the pool, with a key of its own, good for `days` from `now`.
    ///
    /// # Errors
    /// As for [`Self::make`].
    pub fn issue(&self, now: OffsetDateTime, days: i64) -> Result<Pair, rcgen::Error> {
        let mut params = params("a process of a Barrage pool", now, days)?;
        params.subject_alt_names = CertificateParams::new(vec![LINK_NAME.to_owned()])?.subject_alt_names;
        params.use_authority_key_identifier_extension = true;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        let key = KeyPair::generate()?;
        Ok(Pair { certificate: params.signed_by(&key, &self.0)?.pem(), key: key.serialize_pem() })
    }
}

/// When the first certificate of a PEM text ends, Unix seconds; `None` when there is none.
#[must_use]
pub fn not_after(pem: &str) -> Option<i64> {
    let leaf = CertificateDer::from_pem_slice(pem.as_bytes()).ok()?;
    certificate::not_after(&leaf)
}

fn params(name: &str, now: OffsetDateTime, days: i64) -> Result<CertificateParams, rcgen::Error> {
    let mut params = CertificateParams::new(Vec::new())?;
    params.distinguished_name.push(DnType::CommonName, name);
    params.not_before = now - BACKDATED;
    params.not_after = now + Duration::days(days);
    Ok(params)
}
