//! What all threads of a gateway share: its settings, the log and the store, and the state of each room.

pub(crate) mod admission;
pub(crate) mod gateway_state;
pub(crate) mod hub_handle;
pub(crate) mod missed_acts;
pub(crate) mod moderation_hook;
pub(crate) mod moderation_state;
mod rankings;
mod rate_limit;
pub(crate) mod room_state;
mod throttled;

pub(crate) use gateway_state::{Backing, GatewayState};
pub(crate) use hub_handle::{AwaitedAct, HubHandle};
pub(crate) use room_state::RoomState;
