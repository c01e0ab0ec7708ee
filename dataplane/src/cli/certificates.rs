//! `barrage certificates`: an authority of one's own for the links between a pool's processes.

use std::{
    fs::{self, OpenOptions},
    io::Write,
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use anyhow::{Context, bail};
use barrage::link::quic::LINK_NAME;
use clap::Args;
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose,
};

/// Years that an authority lasts; its certificates can be made anew at any time.
const AUTHORITY_YEARS: i64 = 10;
const DAY_SECONDS: i64 = 24 * 60 * 60;

#[derive(Debug, Args)]
#[command(after_help = "Examples:
  barrage certificates --out certificates          ca.pem, ca-key.pem, cert.pem and key.pem
  barrage certificates --out certificates          once more: a new cert.pem and key.pem of the same authority
Then: link.ca-file = certificates/ca.pem, link.cert-file = certificates/cert.pem, link.key-file = certificates/key.pem.
Keep ca-key.pem to yourself: whoever has it can join the pool.")]
pub(super) struct Certificates {
    /// Directory to write to; an authority that is there is used again
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Days that the certificate lasts; processes read a new one without a restart
    #[arg(long, value_name = "N", default_value_t = 365, value_parser = clap::value_parser!(u16).range(1..=3650))]
    days: u16,
}

impl Certificates {
    pub(super) fn run(self) -> anyhow::Result<()> {
        fs::create_dir_all(&self.out).with_context(|| format!("cannot make {}", self.out.display()))?;
        let (ca, ca_key) = (self.out.join("ca.pem"), self.out.join("ca-key.pem"));
        let issuer = match (ca.exists(), ca_key.exists()) {
            (false, false) => make_authority(&ca, &ca_key)?,
            (true, true) => read_authority(&ca, &ca_key)?,
            _ => {
                bail!("{} has only one of ca.pem and ca-key.pem; put the other back, or remove it", self.out.display())
            }
        };
        let mut params = params("a process of a Barrage pool", i64::from(self.days))?;
        params.subject_alt_names = CertificateParams::new(vec![LINK_NAME.to_owned()])?.subject_alt_names;
        params.use_authority_key_identifier_extension = true;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        let key = KeyPair::generate()?;
        let leaf = params.signed_by(&key, &issuer)?;
        write_private(&self.out.join("key.pem"), &key.serialize_pem())?;
        write(&self.out.join("cert.pem"), &leaf.pem())?;
        println!("{}: ca.pem, cert.pem and key.pem, for {} days", self.out.display(), self.days);
        Ok(())
    }
}

fn make_authority(ca: &Path, ca_key: &Path) -> anyhow::Result<Issuer<'static, KeyPair>> {
    let mut params = params("the authority of a Barrage pool", AUTHORITY_YEARS * 365)?;
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature, KeyUsagePurpose::KeyCertSign];
    let key = KeyPair::generate()?;
    write_private(ca_key, &key.serialize_pem())?;
    write(ca, &params.self_signed(&key)?.pem())?;
    Ok(Issuer::new(params, key))
}

fn read_authority(ca: &Path, ca_key: &Path) -> anyhow::Result<Issuer<'static, KeyPair>> {
    let read = |path: &Path| fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()));
    let key = KeyPair::from_pem(&read(ca_key)?).with_context(|| format!("{} is no key", ca_key.display()))?;
    Issuer::from_ca_cert_pem(&read(ca)?, key).with_context(|| format!("{} is no certificate", ca.display()))
}

fn params(name: &str, days: i64) -> anyhow::Result<CertificateParams> {
    let mut params = CertificateParams::new(Vec::new())?;
    params.distinguished_name.push(DnType::CommonName, name);
    // A day back: clocks of machines differ.
    let now = time::OffsetDateTime::now_utc();
    params.not_before = now - time::Duration::days(1);
    params.not_after = now + time::Duration::seconds(days * DAY_SECONDS);
    Ok(params)
}

fn write(path: &Path, text: &str) -> anyhow::Result<()> {
    fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))
}

/// For the owner's eyes.
fn write_private(path: &Path, text: &str) -> anyhow::Result<()> {
    let file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path);
    file.and_then(|mut file| file.write_all(text.as_bytes()))
        .with_context(|| format!("cannot write {}", path.display()))
}
