//! The wall clock of one process, which a test can make jump: libfaketime, preloaded, follows what stands in a file.
//! Clocks that only measure are left alone, as they are when somebody sets a machine's time.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use super::error::ClusterError;

const INSTALL: &str = "sudo apt-get install libfaketime";
/// The variant for programs of many threads.
const LIBRARY: &str = "faketime/libfaketimeMT.so.1";

/// A clock that is right until it is set.
pub struct Clock {
    offset: PathBuf,
}

impl Clock {
    /// Gives a process that is started by `command` a clock of its own, kept in `folder`.
    ///
    /// # Errors
    /// [`ClusterError::Missing`] without libfaketime, [`ClusterError::System`].
    pub fn give(command: &mut Command, folder: &Path) -> Result<Self, ClusterError> {
        let library = library().ok_or(ClusterError::Missing { program: "libfaketime", remedy: INSTALL })?;
        let clock = Self { offset: folder.join("clock") };
        clock.set(0)?;
        command.env("LD_PRELOAD", library).env("FAKETIME_TIMESTAMP_FILE", &clock.offset);
        // It looks into the file once a second.
        command.env("FAKETIME_DONT_FAKE_MONOTONIC", "1").env("FAKETIME_CACHE_DURATION", "1");
        Ok(clock)
    }

    /// Makes it wrong by this many seconds, within a second; 0 makes it right.
    ///
    /// # Errors
    /// [`ClusterError::System`].
    pub fn set(&self, seconds: i64) -> Result<(), ClusterError> {
        // Renamed into place: half a number would be another jump.
        let partial = self.offset.with_extension("partial");
        let doing = || ClusterError::system(format!("setting the clock {}", self.offset.display()));
        fs::write(&partial, format!("{seconds:+}\n")).map_err(doing())?;
        fs::rename(&partial, &self.offset).map_err(doing())
    }
}

/// Debian keeps it in a folder for each architecture, others do not.
fn library() -> Option<PathBuf> {
    let mut folders = vec![PathBuf::from("/usr/lib"), PathBuf::from("/usr/lib64")];
    folders.extend(fs::read_dir("/usr/lib").into_iter().flatten().flatten().map(|entry| entry.path()));
    folders.into_iter().map(|folder| folder.join(LIBRARY)).find(|path| path.is_file())
}
