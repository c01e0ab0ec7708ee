//! Names of the gateway's checks in [`barrage_core::health::Health`].

/// The log takes what viewers send.
pub(crate) const LOG: &str = "log";
/// History and rankings can be read.
pub(crate) const STORE: &str = "store";
/// Every ranker of the route table is linked.
pub(crate) const RANKERS: &str = "rankers";
/// The certificate that viewers are shown is what its files say.
pub(crate) const CERTIFICATE: &str = "certificate";
