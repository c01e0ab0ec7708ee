//! What a server's message says, decoded once for all viewers that get the same bytes.

use std::sync::Arc;

use barrage_proto::{
    batch, v1,
    v2::{self, FrameType, RawFrame, pb},
};

/// Which format a viewer speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// Concatenated v1 frames, no acknowledgements.
    V1,
    /// `barrage.v2`.
    V2,
}

impl Format {
    /// The WebSocket subprotocol to offer.
    #[must_use]
    pub const fn protocol(self) -> Option<&'static str> {
        match self {
            Self::V1 => None,
            Self::V2 => Some(v2::SUBPROTOCOL),
        }
    }
}

/// What tells a danmaku from all others: its ID, or with v1, which has none, its sender and time.
pub(super) type Id = (u64, u64);

/// A danmaku as far as it is accounted for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Row {
    pub(super) id: Id,
    pub(super) user: u64,
    pub(super) sent_ms: i64,
}

/// What is for one receiver alone.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Reply {
    Ack(pb::Ack),
    Error(pb::Error),
    /// The server stops; connect again after so many ms.
    GoAway(u32),
    /// The receiver was shown its own danmaku of that time.
    Own(i64),
}

/// A decoded message.
#[derive(Debug, Default)]
pub(super) struct Content {
    /// Shown live, echoes too.
    pub(super) rows: Vec<Row>,
    /// Shown from before.
    pub(super) history: Vec<Row>,
    /// Danmaku that the batches answer for without showing them.
    pub(super) left_out: u64,
    /// Where to resume.
    pub(super) cursor: Option<Arc<[u8]>>,
    /// For the receiver alone.
    pub(super) replies: Vec<Reply>,
    /// Whether a batch was the receiver's own echo.
    pub(super) echo: bool,
    /// Frames that could not be read.
    pub(super) unreadable: u64,
}

/// Decodes a message; holds what decoding needs.
pub(super) struct Reader {
    decoder: v2::Decoder,
}

impl Reader {
    pub(super) const fn new() -> Self {
        Self { decoder: v2::Decoder::new(v2::SERVER_PAYLOAD_BYTES_MAX) }
    }

    pub(super) fn read(&mut self, format: Format, message: &[u8]) -> Content {
        let mut content = Content::default();
        match format {
            Format::V1 => read_v1(message, &mut content),
            Format::V2 => {
                for frame in v2::frames(message) {
                    let read = frame.ok().and_then(|frame| self.frame(&frame, &mut content));
                    content.unreadable += u64::from(read.is_none());
                }
            }
        }
        content
    }

    /// Nothing when the frame cannot be read; types that are of no interest here count as read.
    fn frame(&mut self, frame: &RawFrame<'_>, content: &mut Content) -> Option<()> {
        match FrameType::from_code(frame.header.code) {
            Some(FrameType::Batch) => {
                let batch: pb::Batch = self.decoder.decode(frame).ok()?;
                content.rows.extend(rows(&batch)?);
                content.left_out += u64::from(batch.merged) + u64::from(batch.sampled_out) + u64::from(batch.expired);
                content.echo |= batch.echo;
                content.take_cursor(&batch.cursor);
            }
            Some(FrameType::History) => {
                let history: pb::History = self.decoder.decode(frame).ok()?;
                let batch = history.batch.unwrap_or_default();
                content.history.extend(rows(&batch)?);
                content.take_cursor(&batch.cursor);
            }
            Some(FrameType::Ack) => content.replies.push(Reply::Ack(self.decoder.decode(frame).ok()?)),
            Some(FrameType::Error) => content.replies.push(Reply::Error(self.decoder.decode(frame).ok()?)),
            Some(FrameType::GoAway) => {
                let go_away: pb::GoAway = self.decoder.decode(frame).ok()?;
                content.replies.push(Reply::GoAway(go_away.reconnect_after_ms));
            }
            _ => {}
        }
        Some(())
    }
}

impl Content {
    fn take_cursor(&mut self, cursor: &[u8]) {
        if !cursor.is_empty() {
            self.cursor = Some(cursor.into());
        }
    }
}

/// Whether a message starts with a frame for its receiver alone, so that no other viewer gets the same bytes.
pub(super) fn is_personal(format: Format, message: &[u8]) -> bool {
    let code = message.get(3).copied().and_then(FrameType::from_code);
    format == Format::V2 && matches!(code, Some(FrameType::Ack | FrameType::Error | FrameType::Heartbeat))
}

fn read_v1(message: &[u8], content: &mut Content) {
    for frame in v1::frames(message) {
        match frame {
            Ok(v1::Frame { frame_type: v1::FrameType::Danmaku, timestamp_ms, user_id, .. }) => {
                let id = (user_id, timestamp_ms.cast_unsigned());
                content.rows.push(Row { id, user: user_id, sent_ms: timestamp_ms });
            }
            Ok(_) => {}
            Err(_) => content.unreadable += 1,
        }
    }
}

fn rows(batch: &pb::Batch) -> Option<impl Iterator<Item = Row>> {
    let rows = batch::rows(batch).ok()?;
    Some(rows.map(|row| {
        let id = (u64::from(row.position.partition) << 32 | u64::from(row.position.index), row.position.offset);
        Row { id, user: row.user, sent_ms: row.sent_ms }
    }))
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use barrage_proto::{
        Position,
        v2::{Encoder, Payload},
    };

    /// A batch of danmaku of user 5, sent at 1000, at these offsets.
    pub(in crate::swarm) fn batch(offsets: &[u64]) -> pb::Batch {
        let mut builder = batch::BatchBuilder::default();
        for &offset in offsets {
            let position = Position { partition: 1, offset, index: 0 };
            let row = batch::Row { position, user: 5, sent_ms: 1000, content: "x", ..batch::Row::default() };
            builder.push(&row).unwrap();
        }
        builder.build()
    }

    pub(in crate::swarm) fn encoded(payload: &impl Payload) -> Vec<u8> {
        let mut out = Vec::new();
        Encoder::new().encode(payload, &mut out);
        out
    }

    #[test]
    fn a_v2_message_of_several_frames_is_read_whole() {
        let live = pb::Batch { merged: 2, sampled_out: 3, expired: 4, cursor: vec![7], ..batch(&[8, 9]) };
        let history = pb::History { batch: Some(batch(&[6])), truncated: false };
        let ack = pb::Ack { seq: vec![1], ..pb::Ack::default() };
        let mut message = [encoded(&live), encoded(&history), encoded(&ack)].concat();
        message.extend(encoded(&pb::GoAway { reconnect_after_ms: 50 }));
        let content = Reader::new().read(Format::V2, &message);
        assert_eq!((content.rows.len(), content.history.len(), content.left_out), (2, 1, 9));
        assert_eq!(content.rows[1], Row { id: (1 << 32, 9), user: 5, sent_ms: 1000 });
        assert_eq!(content.cursor.as_deref(), Some(&[7][..]));
        assert_eq!(content.replies, [Reply::Ack(ack), Reply::GoAway(50)]);
        assert_eq!(content.unreadable, 0);
    }

    #[test]
    fn a_v1_message_counts_danmaku_and_not_heartbeats() {
        let mut message = Vec::new();
        for frame_type in [v1::FrameType::Danmaku, v1::FrameType::Heartbeat] {
            let frame = v1::Frame { frame_type, timestamp_ms: 1000, user_id: 5, content: "x" };
            frame.encode(&mut message).unwrap();
        }
        let content = Reader::new().read(Format::V1, &message);
        assert_eq!(content.rows, [Row { id: (5, 1000), user: 5, sent_ms: 1000 }]);
    }

    #[test]
    fn what_cannot_be_read_is_counted() {
        let mut bad = encoded(&batch(&[1]));
        bad[4] = 0b0000_0100;
        assert_eq!(Reader::new().read(Format::V2, &bad).unreadable, 1);
        assert_eq!(Reader::new().read(Format::V2, b"nonsense").unreadable, 1);
        assert_eq!(Reader::new().read(Format::V1, b"nonsense").unreadable, 1);
    }

    #[test]
    fn acks_are_personal_and_batches_are_not() {
        assert!(is_personal(Format::V2, &encoded(&pb::Ack::default())));
        assert!(!is_personal(Format::V2, &encoded(&batch(&[1]))));
        assert!(!is_personal(Format::V1, &encoded(&pb::Ack::default())));
    }
}
