//! Frames out of a stream: they say their own length, and arrive in pieces. Pure.

use barrage_proto::v2::{self, FrameError, HEADER_BYTES};
use bytes::{Buf, Bytes, BytesMut};

/// Puts frames together again. Holds nothing between frames, and at most one frame that is not whole.
pub(super) struct Assembler {
    /// What has come of a frame; empty mostly, and then without memory.
    partial: BytesMut,
    bytes_max: usize,
}

/// The stream cannot be followed any further.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Broken {
    /// No frame begins here, and nothing says where the next one does.
    NoFrame,
    /// A frame is longer than any client's.
    TooLong,
}

impl Assembler {
    /// For frames of up to so many bytes, header included.
    pub(super) fn new(bytes_max: usize) -> Self {
        Self { partial: BytesMut::new(), bytes_max }
    }

    /// Takes what came; whole frames are handed to `take` as one message.
    ///
    /// # Errors
    /// [`Broken`]; what is no frame has been handed over, so that it is answered.
    pub(super) fn feed(&mut self, input: &[u8], mut take: impl FnMut(Bytes)) -> Result<(), Broken> {
        self.partial.extend_from_slice(input);
        let mut whole = 0;
        let outcome = loop {
            let rest = &self.partial[whole..];
            match v2::decode(rest) {
                Ok((_, bytes)) if bytes <= self.bytes_max => whole += bytes,
                Ok(_) => break Err(Broken::TooLong),
                Err(FrameError::ShortPayload { want, .. }) if is_longer(want, self.bytes_max) => {
                    break Err(Broken::TooLong);
                }
                Err(FrameError::ShortHeader { .. } | FrameError::ShortPayload { .. }) => break Ok(()),
                Err(FrameError::BadMagic { .. } | FrameError::BadVersion { .. }) => {
                    whole = self.partial.len();
                    break Err(Broken::NoFrame);
                }
            }
        };
        if whole > 0 {
            take(self.partial.copy_to_bytes(whole));
        }
        if self.partial.is_empty() {
            self.partial = BytesMut::new();
        }
        outcome
    }

    /// Nothing more will come; a frame that is not whole is handed over, so that it is counted.
    pub(super) fn end(&mut self, take: impl FnOnce(Bytes)) {
        if !self.partial.is_empty() {
            take(std::mem::take(&mut self.partial).freeze());
        }
    }
}

fn is_longer(payload_bytes: u32, bytes_max: usize) -> bool {
    usize::try_from(payload_bytes).map_or(true, |payload| payload > bytes_max - HEADER_BYTES)
}

#[cfg(test)]
mod tests {
    use barrage_proto::v2::{Encoder, pb};
    use proptest::prelude::*;

    use super::*;

    const MAX: usize = 1_024;

    fn frame(client_ms: i64) -> Vec<u8> {
        let mut bytes = Vec::new();
        Encoder::plain().encode(&pb::Heartbeat { client_ms, server_ms: 0 }, &mut bytes);
        bytes
    }

    /// All that a stream hands over when it comes in pieces of these lengths.
    fn fed(stream: &[u8], lengths: &[usize]) -> (Vec<u8>, Result<(), Broken>) {
        let mut assembler = Assembler::new(MAX);
        let (mut out, mut rest, mut lengths) = (Vec::new(), stream, lengths.iter().cycle());
        while !rest.is_empty() {
            let (piece, behind) = rest.split_at((*lengths.next().unwrap()).clamp(1, rest.len()));
            rest = behind;
            if let Err(broken) = assembler.feed(piece, |message| out.extend_from_slice(&message)) {
                return (out, Err(broken));
            }
            assert!(assembler.partial.len() <= MAX);
        }
        (out, Ok(()))
    }

    #[test]
    fn what_is_no_frame_is_handed_over_and_ends_the_stream() {
        let (out, outcome) = fed(&[&frame(1)[..], b"GET / HTTP/1.1"].concat(), &[1_000]);
        assert_eq!((out.len(), outcome), (frame(1).len() + 14, Err(Broken::NoFrame)));
    }

    #[test]
    fn a_frame_that_is_too_long_is_refused_by_its_header() {
        for announced in [u32::try_from(MAX).unwrap(), u32::MAX] {
            let mut header = Vec::new();
            v2::Header { code: 2, flags: 0, room: 0, payload_bytes: announced }.encode(&mut header);
            assert_eq!(fed(&header, &[5]).1, Err(Broken::TooLong));
        }
    }

    #[test]
    fn half_a_frame_is_handed_over_at_the_end() {
        let mut assembler = Assembler::new(MAX);
        assembler.feed(&frame(1)[..7], |_| panic!("it is not whole")).unwrap();
        let mut rest = Bytes::new();
        assembler.end(|bytes| rest = bytes);
        assert_eq!(rest, frame(1)[..7]);
        assembler.end(|_| panic!("nothing is left"));
    }

    proptest! {
        #[test]
        fn frames_arrive_whole_however_they_are_cut(
            times in prop::collection::vec(any::<i64>(), 1..20),
            lengths in prop::collection::vec(1_usize..40, 1..8),
        ) {
            let stream: Vec<u8> = times.iter().flat_map(|&ms| frame(ms)).collect();
            prop_assert_eq!(fed(&stream, &lengths), (stream, Ok(())));
        }

        #[test]
        fn any_bytes_are_survived(
            bytes in prop::collection::vec(any::<u8>(), 0..4_000),
            lengths in prop::collection::vec(1_usize..500, 1..8),
        ) {
            let _ = fed(&bytes, &lengths);
        }
    }
}
