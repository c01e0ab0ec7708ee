//! The images of the chart's pods, packed from what was built here and from this machine's Kafka and Redis.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::SystemTime,
};

use super::{SCRIPTS, Tools, error, error::KubernetesError};
use crate::{cluster::kafka_jars, server::binary};

/// In Barrage's image; the last one is for the tests' pods.
const PROGRAMS: [&str; 3] = ["barrage", "barrage-operator", "barrage-load"];

/// Packed images, each a file. Those of Kafka and Redis are kept from run to run.
#[derive(Debug, Clone)]
pub struct Images {
    /// In the order: Barrage, Kafka, Redis.
    pub files: Vec<PathBuf>,
}

/// What the chart calls its images when nobody says otherwise.
#[derive(Debug, Clone, Copy)]
pub struct Names<'a> {
    /// With both of Barrage's programs.
    pub barrage: &'a str,
    /// Of `dev.enabled`.
    pub kafka: &'a str,
    /// Of `dev.enabled`.
    pub redis: &'a str,
}

impl Images {
    /// Packs what is not packed yet.
    ///
    /// # Errors
    /// [`KubernetesError`], also where the programs are not built.
    pub async fn pack(names: Names<'_>) -> Result<Self, KubernetesError> {
        let folder = Tools::find()?.place().join("packed");
        fs::create_dir_all(&folder).map_err(KubernetesError::system(format!("making {}", folder.display())))?;
        let programs = binary()?.parent().map(Path::to_owned).unwrap_or_default();
        let barrage = folder.join("barrage.tar");
        if is_stale(&barrage, &PROGRAMS.map(|name| programs.join(name))) {
            pack("barrage", &barrage, names.barrage, Some(&programs))?;
        }
        let kafka = folder.join(file_name(names.kafka));
        if is_stale(&kafka, &[]) {
            pack("kafka", &kafka, names.kafka, Some(&kafka_jars().await?))?;
        }
        let redis = folder.join(file_name(names.redis));
        if is_stale(&redis, &[]) {
            pack("redis", &redis, names.redis, None)?;
        }
        Ok(Self { files: vec![barrage, kafka, redis] })
    }

    /// The same image of Barrage under another name, for an upgrade to something.
    ///
    /// # Errors
    /// [`KubernetesError`].
    pub fn again(name: &str) -> Result<PathBuf, KubernetesError> {
        let programs = binary()?.parent().map(Path::to_owned).unwrap_or_default();
        let file = Tools::find()?.place().join("packed").join(file_name(name));
        pack("barrage", &file, name, Some(&programs))?;
        Ok(file)
    }
}

fn pack(what: &str, file: &Path, name: &str, source: Option<&Path>) -> Result<(), KubernetesError> {
    let partial = file.with_extension("partial");
    let mut command = Command::new(format!("{SCRIPTS}/images.sh"));
    command.arg(what).arg(&partial).arg(name).args(source);
    error::finish(command)?;
    fs::rename(&partial, file).map_err(KubernetesError::system(format!("putting {} in place", file.display())))
}

/// The name and version of an image as a file's name.
fn file_name(image: &str) -> String {
    format!("{}.tar", image.replace(['/', ':'], "-"))
}

/// Whether an image is older than what it is made of and by.
fn is_stale(image: &Path, programs: &[PathBuf]) -> bool {
    let scripts = ["images.sh", "pack_image.py", "../../charts/image/lay-out.sh"];
    let scripts = scripts.iter().map(|name| Path::new(SCRIPTS).join(name));
    scripts.chain(programs.iter().cloned()).any(|source| modified(&source) > modified(image))
}

/// When a file was written; long ago for one that is not there.
fn modified(path: &Path) -> SystemTime {
    fs::metadata(path).and_then(|meta| meta.modified()).unwrap_or(SystemTime::UNIX_EPOCH)
}
