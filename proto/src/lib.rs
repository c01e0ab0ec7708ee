//! Barrage's wire formats: what viewers and servers say to each other, and what a record of the log holds.
//!
//! Pure: no clock, no socket, no allocation where version 1 is concerned. `PROTOCOL.md` beside this crate is the
//! specification that a client in another language is written from; `vectors/` holds test vectors as JSON.

pub mod batch;
mod cursor;
mod generated;
mod position;
mod record;
pub mod v1;
pub mod v2;

pub use cursor::{Cursor, CursorError};
pub use generated::{heat::v1 as heat, link::v1 as link, log::v1 as log, routes::v1 as routes};
pub use position::{ParsePositionError, Position};

/// The first two bytes of every frame, big-endian.
pub const MAGIC: u16 = 0xabcd;
