//! The client's side of WebSocket (RFC 6455) on byte slices: as much of it as fifteen thousand viewers in one
//! process need, without a buffer for each. Pure; [`crate::swarm`] does the sockets.

mod handshake;

pub use handshake::{HandshakeError, Handshaken, Request, read_response};

use std::io::Cursor;

use bytes::Buf;
use thiserror::Error;
use tokio_tungstenite::tungstenite::protocol::frame::{
    FrameHeader,
    coding::{Control, Data, OpCode},
};

/// A server's frame is never longer: the longest payload of the protocol and its headers.
const PAYLOAD_BYTES_MAX: usize = 4 * 1024 * 1024 + 1024;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Opcode {
    /// A whole binary message.
    Binary,
    /// Connection close.
    Close,
    /// To be answered with a pong of the same payload.
    Ping,
    /// An answer to a ping.
    Pong,
}

impl From<Opcode> for OpCode {
    fn from(opcode: Opcode) -> Self {
        match opcode {
            Opcode::Binary => Self::Data(Data::Binary),
            Opcode::Close => Self::Control(Control::Close),
            Opcode::Ping => Self::Control(Control::Ping),
            Opcode::Pong => Self::Control(Control::Pong),
        }
    }
}

/// A frame from a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Frame<'a> {
    pub opcode: Opcode,
    pub payload: &'a [u8],
}

/// What a server must not send, or what this client does not take.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum FrameError {
    /// Reserved bits without an extension that was agreed on.
    #[error("the server set reserved bits, and no extension was agreed on")]
    ReservedBits,
    /// A masked frame from a server.
    #[error("the server masked a frame; only clients do")]
    Masked,
    /// A text message or a fragment: Barrage sends whole binary messages.
    #[error("the server sent opcode {opcode:#x}, final: {last}; whole binary messages were expected")]
    Unexpected {
        opcode: u8,
        /// Whether it was the last of its message.
        last: bool,
    },
    /// An opcode that stands for nothing yet.
    #[error("the server sent an opcode that the RFC reserves")]
    Reserved,
    /// Longer than any frame of the protocol.
    #[error("the server announced a frame of {bytes} bytes; the longest is {PAYLOAD_BYTES_MAX}")]
    TooLong {
        /// Bytes announced.
        bytes: u64,
    },
}

/// Splits the frame at the start of `bytes` off; returns it with the number of bytes that it took, or nothing when
/// it is not all there yet.
///
/// # Errors
/// [`FrameError`]; the connection is of no use then.
pub fn read_frame(bytes: &[u8]) -> Result<Option<(Frame<'_>, usize)>, FrameError> {
    let mut cursor = Cursor::new(bytes);
    let (header, length) = match FrameHeader::parse(&mut cursor) {
        Ok(Some(parsed)) => parsed,
        Ok(None) => return Ok(None),
        Err(_) => return Err(FrameError::Reserved),
    };
    if header.rsv1 || header.rsv2 || header.rsv3 {
        return Err(FrameError::ReservedBits);
    }
    if header.mask.is_some() {
        return Err(FrameError::Masked);
    }
    let opcode = opcode(&header)?;
    let bytes_max = |length: &usize| *length <= PAYLOAD_BYTES_MAX;
    let Some(payload_bytes) = usize::try_from(length).ok().filter(bytes_max) else {
        return Err(FrameError::TooLong { bytes: length });
    };
    let header_bytes = bytes.len() - cursor.remaining();
    let bytes_used = header_bytes + payload_bytes;
    Ok(bytes.get(header_bytes..bytes_used).map(|payload| (Frame { opcode, payload }, bytes_used)))
}

fn opcode(header: &FrameHeader) -> Result<Opcode, FrameError> {
    let known = [Opcode::Binary, Opcode::Close, Opcode::Ping, Opcode::Pong];
    let opcode = known.into_iter().find(|&opcode| header.is_final && header.opcode == opcode.into());
    opcode.ok_or(FrameError::Unexpected { opcode: header.opcode.into(), last: header.is_final })
}

/// Appends a client's frame, masked as the RFC asks of clients.
pub fn write_frame(opcode: Opcode, payload: &[u8], mask: [u8; 4], out: &mut Vec<u8>) {
    let header = FrameHeader { opcode: opcode.into(), mask: Some(mask), ..FrameHeader::default() };
    // Writing to a Vec does not fail.
    let _ = header.format(payload.len() as u64, out);
    out.extend(payload.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask));
}

/// The code and reason of a close frame; 1005 stands for none.
#[must_use]
pub fn close_reason(payload: &[u8]) -> (u16, String) {
    match payload {
        [high, low, reason @ ..] => (u16::from_be_bytes([*high, *low]), String::from_utf8_lossy(reason).into_owned()),
        _ => (1005, String::new()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_of_all_three_forms_are_read_and_stumps_wait() {
        for (header, length) in
            [(&[0x82, 3][..], 3), (&[0x82, 126, 1, 0], 256), (&[0x82, 127, 0, 0, 0, 0, 0, 1, 0, 0], 65536)]
        {
            let mut bytes = header.to_vec();
            bytes.resize(header.len() + length, 7);
            bytes.push(0xff);
            let (frame, used) = read_frame(&bytes).unwrap().unwrap();
            assert_eq!((frame.opcode, frame.payload.len(), used), (Opcode::Binary, length, header.len() + length));
            for stump in [0, 1, header.len() - 1, header.len() + length - 1] {
                assert_eq!(read_frame(&bytes[..stump]), Ok(None), "{stump} bytes of {length}");
            }
        }
    }

    #[test]
    fn what_a_server_must_not_send_is_refused() {
        assert_eq!(read_frame(&[0xc2, 0]), Err(FrameError::ReservedBits));
        assert_eq!(read_frame(&[0x82, 0x80, 0, 0, 0, 0]), Err(FrameError::Masked));
        assert_eq!(read_frame(&[0x81, 0]), Err(FrameError::Unexpected { opcode: 1, last: true }));
        assert_eq!(read_frame(&[0x02, 0]), Err(FrameError::Unexpected { opcode: 2, last: false }));
        assert_eq!(read_frame(&[0x83, 0]), Err(FrameError::Reserved));
        let endless = [0x82, 127, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff];
        assert_eq!(read_frame(&endless), Err(FrameError::TooLong { bytes: u64::MAX }));
    }

    #[test]
    fn a_written_frame_is_masked_as_the_rfc_shows() {
        // RFC 6455, section 5.7: a masked "Hello", here as binary.
        let mut out = Vec::new();
        write_frame(Opcode::Binary, b"Hello", [0x37, 0xfa, 0x21, 0x3d], &mut out);
        assert_eq!(out, [0x82, 0x85, 0x37, 0xfa, 0x21, 0x3d, 0x7f, 0x9f, 0x4d, 0x51, 0x58]);
        out.clear();
        write_frame(Opcode::Binary, &[0; 300], [0; 4], &mut out);
        assert_eq!((&out[..4], out.len()), (&[0x82, 0xfe, 1, 44][..], 308));
        out.clear();
        write_frame(Opcode::Binary, &[0; 70_000], [0; 4], &mut out);
        assert_eq!((&out[..2], out.len()), (&[0x82, 0xff][..], 70_014));
    }

    #[test]
    fn a_close_frame_has_a_code_and_a_reason_or_none() {
        assert_eq!(close_reason(b"\x03\xe9bye"), (1001, "bye".to_owned()));
        assert_eq!(close_reason(b""), (1005, String::new()));
    }
}
