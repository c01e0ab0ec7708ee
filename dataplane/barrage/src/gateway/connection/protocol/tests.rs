//! Frames and what they come to, without sockets.
