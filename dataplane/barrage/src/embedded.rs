//! Log and store in files of one machine: what dev mode runs on.

pub mod log;
pub mod store;
