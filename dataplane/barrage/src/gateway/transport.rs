//! Bytes of viewers: sockets, TLS and QUIC, and the protocols that cut messages out of them. What a message means is
//! known to its [`socket::Handler`] alone.

mod certificate;
mod listen;
pub(crate) mod socket;
pub(crate) mod stream;
pub(crate) mod websocket;
pub(crate) mod webtransport;

pub use certificate::{ViewerCertificate, check_files};
pub(crate) use listen::Doors;
pub use listen::Listeners;
