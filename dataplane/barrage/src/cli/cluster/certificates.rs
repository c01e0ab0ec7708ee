//! `barrage certificates`: an authority of one's own for the links between a pool's processes.

use std::{
    fs::{self, OpenOptions},
    io::Write,
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use anyhow::{Context, bail};
use barrage_core::link::quic::authority::{Authority, Pair};
use clap::Args;

/// Years that an authority lasts; its certificates can be made anew at any time.
const AUTHORITY_YEARS: i64 = 10;

#[derive(Debug, Args)]
#[command(after_help = "Examples:
  barrage certificates --out certificates          ca.pem, ca-key.pem, cert.pem and key.pem
  barrage certificates --out certificates          once more: a new cert.pem and key.pem of the same authority
Then: link.ca-file = certificates/ca.pem, link.cert-file = certificates/cert.pem, link.key-file = certificates/key.pem.
Keep ca-key.pem to yourself: whoever has it can join the pool.")]
pub(crate) struct Certificates {
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
        let now = time::OffsetDateTime::now_utc();
        let authority = match (ca.exists(), ca_key.exists()) {
            (false, false) => {
                let (authority, pair) = Authority::make(now, AUTHORITY_YEARS * 365)?;
                write_private(&ca_key, &pair.key)?;
                write(&ca, &pair.certificate)?;
                authority
            }
            (true, true) => read_authority(&ca, &ca_key)?,
            _ => {
                bail!("{} has only one of ca.pem and ca-key.pem; put the other back, or remove it", self.out.display())
            }
        };
        let leaf = authority.issue(now, i64::from(self.days))?;
        write_private(&self.out.join("key.pem"), &leaf.key)?;
        write(&self.out.join("cert.pem"), &leaf.certificate)?;
        println!("{}: ca.pem, cert.pem and key.pem, for {} days", self.out.display(), self.days);
        Ok(())
    }
}

fn read_authority(ca: &Path, ca_key: &Path) -> anyhow::Result<Authority> {
    let read = |path: &Path| fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()));
    let pair = Pair { certificate: read(ca)?, key: read(ca_key)? };
    let both = || format!("{} and {} are no authority", ca.display(), ca_key.display());
    Authority::read(&pair).with_context(both)
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
