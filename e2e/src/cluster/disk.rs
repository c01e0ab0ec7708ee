//! A disk that is small enough to be filled: a file system in memory, mounted in the run's folder.

use std::{
    fs::{self, File},
    io::{self, Write},
    path::{Path, PathBuf},
    process::Command,
    sync::Arc,
};

use super::{error::ClusterError, run::Run};

const BALLAST: &str = "ballast";

/// A mounted disk; unmounted when dropped.
pub struct SmallDisk {
    path: PathBuf,
    _run: Arc<Run>,
}

impl SmallDisk {
    /// Mounts a disk of this size as a folder of the run. Only root may mount: others get an error to skip with.
    ///
    /// # Errors
    /// [`ClusterError::Refused`] with what `mount` said.
    pub fn mount(run: &Arc<Run>, name: &str, mebibytes: u32) -> Result<Self, ClusterError> {
        let path = run.subfolder(name)?;
        let doing = format!("mounting a small disk at {}", path.display());
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", &format!("size={mebibytes}m"), "barrage-e2e"]).arg(&path);
        let output = mount.output().map_err(ClusterError::system(doing.clone()))?;
        if output.status.success() {
            return Ok(Self { path, _run: Arc::clone(run) });
        }
        let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        Err(ClusterError::Refused { doing, problem: format!("{said}; only root may") })
    }

    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Fills it to the last byte.
    ///
    /// # Errors
    /// [`ClusterError::System`] of anything but the end of the space.
    pub fn fill(&self) -> Result<(), ClusterError> {
        let doing = || ClusterError::system(format!("filling {}", self.path.display()));
        let mut file = File::create(self.path.join(BALLAST)).map_err(doing())?;
        // Large steps, and then what is left of the last page.
        for step in [&[0; 64 * 1024][..], &[0]] {
            loop {
                match file.write_all(step) {
                    Ok(()) => (),
                    Err(error) if error.kind() == io::ErrorKind::StorageFull => break,
                    Err(error) => return Err(doing()(error)),
                }
            }
        }
        Ok(())
    }

    /// Makes room again.
    ///
    /// # Errors
    /// [`ClusterError::System`].
    pub fn free(&self) -> Result<(), ClusterError> {
        let ballast = self.path.join(BALLAST);
        fs::remove_file(&ballast).map_err(ClusterError::system(format!("removing {}", ballast.display())))
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // Lazily: a server that still runs in it holds it until it ends. What fails here the watchdog does.
        let _later = Command::new("umount").arg("-l").arg(&self.path).status();
    }
}
