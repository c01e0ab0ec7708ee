//! Open files: every connection is one, and the usual limit is 1,024.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use thiserror::Error;

/// Files that a process has open beside its connections.
const OTHERS: u64 = 64;

/// A process may not open as many files as it needs.
#[derive(Debug, Error)]
#[error("{needed} open files are needed, {allowed} are the hard limit here (ulimit -Hn); ask for fewer connections")]
pub struct TooManyFiles {
    needed: u64,
    allowed: u64,
}

/// Raises this process's limit as far as `connections` need.
///
/// # Errors
/// [`TooManyFiles`] where the hard limit is lower.
pub fn allow(connections: u64) -> Result<(), TooManyFiles> {
    let needed = connections + OTHERS;
    let limit = getrlimit(Resource::Nofile);
    let allowed = limit.maximum.unwrap_or(u64::MAX);
    if needed > allowed {
        return Err(TooManyFiles { needed, allowed });
    }
    if limit.current.is_some_and(|current| current < needed) {
        // Lowering nothing and within the hard limit, so the system has no reason to refuse; if it does, the first
        // connection too many says so.
        let _refused = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_are_allowed_and_absurdly_many_are_told_apart() {
        assert!(allow(10).is_ok());
        if getrlimit(Resource::Nofile).maximum.is_some() {
            let error = allow(1 << 60).unwrap_err().to_string();
            assert!(error.contains("ulimit -Hn"), "{error}");
        }
    }
}
