//! The data directory: one process at a time.

use std::{
    fs::{self, File, TryLockError},
    path::Path,
};

use anyhow::{Context, bail};

/// Makes the directory if need be and locks it for this process; the lock ends with the file.
pub(super) fn lock(data: &Path) -> anyhow::Result<File> {
    let shown = data.display();
    fs::create_dir_all(data)
        .with_context(|| format!("cannot make the data directory {shown}; choose another with --data"))?;
    let path = data.join("lock");
    let file =
        File::create(&path).with_context(|| format!("cannot write {}; choose another with --data", path.display()))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => {
            bail!("another barrage runs on {shown}; stop it first, or choose another directory with --data")
        }
        Err(TryLockError::Error(error)) => Err(error).with_context(|| format!("cannot lock {}", path.display())),
    }
}
