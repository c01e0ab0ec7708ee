//! The way to the screens: the hub follows rankers and makes flushes, a room at a worker writes them to its viewers.

mod echo;
mod hub;
mod local_room;
mod local_rooms;
mod pages;
mod subscriber;

pub(crate) use hub::{Hub, Inputs, Mailbox, Rounds, mailbox};
pub(crate) use local_room::LocalRoom;
pub(crate) use local_rooms::LocalRooms;
pub(crate) use pages::{JOIN_DANMAKU_MAX, Wanted};
pub(crate) use subscriber::{Seat, Subscriber};
