//! What the settings are judged against: facts of the machine, and its files.

use std::{fs, io, path::Path, thread};

/// Descriptors that are not viewers': logs, stores, listeners, links, plain HTTP requests.
const DESCRIPTORS_RESERVED: u64 = 1_000;
/// Viewers that are tried where the limit of open files leaves no room for any.
const CONNECTIONS_MIN: usize = 100;

#[derive(Debug, Clone)]
pub struct Host {
    /// Its name, where there is one.
    pub name: Option<String>,
    /// Threads that run at once.
    pub cores: usize,
    /// Viewers that the limit of open files has room for.
    pub connections_max: usize,
    /// Reads a file.
    pub read: fn(&Path) -> io::Result<Vec<u8>>,
}

impl Host {
    /// This one; raises the limit of open files as far as it goes.
    #[must_use]
    pub fn here() -> Self {
        // Where the limit cannot be raised, what there is serves fewer viewers.
        let descriptors = rlimit::increase_nofile_limit(u64::MAX).unwrap_or(DESCRIPTORS_RESERVED);
        let viewers = usize::try_from(descriptors.saturating_sub(DESCRIPTORS_RESERVED)).unwrap_or(usize::MAX);
        let name = fs::read_to_string("/proc/sys/kernel/hostname").ok();
        Self {
            name: name.map(|name| name.trim().to_owned()).filter(|name| !name.is_empty()),
            cores: thread::available_parallelism().map_or(1, usize::from),
            connections_max: viewers.max(CONNECTIONS_MIN),
            read: |path| fs::read(path),
        }
    }
}
