//! The wall clock, read in one place; what is pure takes the time as an argument.

use std::time::{SystemTime, UNIX_EPOCH};

/// Unix time, ms; 0 before 1970.
#[must_use]
pub fn unix_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}
