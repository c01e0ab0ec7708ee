//! A version 1 client: frames out, frames in, nothing acknowledged.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

use barrage_proto::v1;

use super::{ClientError, Connection, Join};
use crate::swarm::now_ms;

/// A version 1 client.
pub struct ClientV1 {
    connection: Connection,
    user: u64,
    frames: VecDeque<Shown>,
}

/// A frame as it came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shown {
    /// Danmaku or heartbeat.
    pub frame_type: v1::FrameType,
    /// Unix time of sending, ms.
    pub timestamp_ms: i64,
    /// Who sent it.
    pub user_id: u64,
    /// The text.
    pub content: String,
}

impl ClientV1 {
    /// Joins a room; `user` is the token's, and stands in every frame.
    ///
    /// # Errors
    /// As [`Connection::open`].
    pub fn join(join: &Join, user: u64) -> Result<Self, ClientError> {
        Ok(Self { connection: Connection::open(join)?, user, frames: VecDeque::new() })
    }

    /// Sends a danmaku of now.
    ///
    /// # Errors
    /// As [`Connection::send`]; [`ClientError::Protocol`] for a text that fits no frame.
    pub fn say(&mut self, content: &str) -> Result<(), ClientError> {
        self.send(v1::FrameType::Danmaku, content)
    }

    /// Sends a heartbeat.
    ///
    /// # Errors
    /// As [`Connection::send`].
    pub fn heartbeat(&mut self) -> Result<(), ClientError> {
        self.send(v1::FrameType::Heartbeat, "")
    }

    /// The next frame of any type.
    ///
    /// # Errors
    /// [`ClientError::Timeout`], and as [`Connection::receive`].
    pub fn next(&mut self, timeout: Duration) -> Result<Shown, ClientError> {
        while self.frames.is_empty() {
            let message = self.connection.receive(timeout)?;
            let message = message.ok_or(ClientError::Timeout { what: "v1 frame".to_owned(), timeout })?;
            for frame in v1::frames(&message) {
                let frame = frame.map_err(|error| ClientError::Protocol(error.to_string()))?;
                self.frames.push_back(shown(&frame));
            }
        }
        let next = self.frames.pop_front();
        next.ok_or(ClientError::Timeout { what: "v1 frame".to_owned(), timeout })
    }

    /// All frames that come within a time.
    ///
    /// # Errors
    /// As [`Connection::receive`].
    pub fn collect(&mut self, time: Duration) -> Result<Vec<Shown>, ClientError> {
        let deadline = Instant::now() + time;
        let mut all = Vec::new();
        loop {
            match self.next(deadline.saturating_duration_since(Instant::now())) {
                Ok(frame) => all.push(frame),
                Err(ClientError::Timeout { .. }) => return Ok(all),
                Err(error) => return Err(error),
            }
        }
    }

    /// The connection beneath.
    pub fn connection(&mut self) -> &mut Connection {
        &mut self.connection
    }

    fn send(&mut self, frame_type: v1::FrameType, content: &str) -> Result<(), ClientError> {
        let frame = v1::Frame { frame_type, timestamp_ms: now_ms(), user_id: self.user, content };
        let mut bytes = Vec::with_capacity(frame.wire_bytes());
        frame.encode(&mut bytes).map_err(|error| ClientError::Protocol(error.to_string()))?;
        self.connection.send_bytes(&bytes)
    }
}

fn shown(frame: &v1::Frame<'_>) -> Shown {
    Shown {
        frame_type: frame.frame_type,
        timestamp_ms: frame.timestamp_ms,
        user_id: frame.user_id,
        content: frame.content.to_owned(),
    }
}
