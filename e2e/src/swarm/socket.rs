//! One non-blocking WebSocket of the swarm. It owns no read buffer: bytes are read into one that all sockets of a
//! thread share, and only what is left of a partial frame is kept.

use std::{
    fmt,
    io::{self, ErrorKind, Read, Write},
    net::SocketAddr,
};

use mio::{Interest, Registry, Token, event::Event, net::TcpStream};

use crate::websocket::{FrameError, HandshakeError, Opcode, close_reason, read_frame, read_response, write_frame};

/// A connection from its dialing to its end.
pub(super) struct Socket {
    stream: TcpStream,
    phase: Phase,
    protocol: Option<&'static str>,
    inbox: Vec<u8>,
    outbox: Vec<u8>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Connecting,
    Handshaking,
    Open,
}

#[derive(Debug)]
pub(super) enum Ended {
    /// The server said no.
    Handshake(HandshakeError),
    /// The server closed, with this code and reason.
    Closed(u16, String),
    /// The network did.
    Failed(io::Error),
    /// The server sent what cannot be read.
    Broken(FrameError),
}

impl fmt::Display for Ended {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Handshake(error) => write!(f, "{error}"),
            Self::Closed(code, reason) => write!(f, "closed by the server: {code} {reason}"),
            Self::Failed(error) => write!(f, "connection lost: {}", error.kind()),
            Self::Broken(error) => write!(f, "{error}"),
        }
    }
}

impl From<io::Error> for Ended {
    fn from(error: io::Error) -> Self {
        Self::Failed(error)
    }
}

impl Socket {
    /// Starts connecting; `request` is the handshake, sent as soon as the connection stands.
    pub(super) fn dial(
        address: SocketAddr,
        request: String,
        protocol: Option<&'static str>,
        registry: &Registry,
        token: Token,
    ) -> io::Result<Self> {
        let mut stream = TcpStream::connect(address)?;
        registry.register(&mut stream, token, Interest::READABLE | Interest::WRITABLE)?;
        let outbox = request.into_bytes();
        Ok(Self { stream, phase: Phase::Connecting, protocol, inbox: Vec::new(), outbox })
    }

    /// Whether the handshake is done.
    pub(super) fn is_open(&self) -> bool {
        self.phase == Phase::Open
    }

    /// Does what an event allows; calls `take` with each binary message; returns the bytes read.
    pub(super) fn advance(
        &mut self,
        event: &Event,
        buffer: &mut [u8],
        take: &mut impl FnMut(&[u8]),
    ) -> Result<usize, Ended> {
        if self.phase == Phase::Connecting && !self.connect()? {
            return Ok(0);
        }
        self.flush()?;
        // Events come at edges: all there is must be read, and the end of the stream too if it is there.
        let mut bytes = 0;
        loop {
            let read = match self.stream.read(buffer) {
                Ok(0) => return Err(Ended::Closed(1006, "without a close frame".to_owned())),
                Ok(read) => read,
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) => return Err(error.into()),
            };
            bytes += read;
            self.received(&buffer[..read], take)?;
            if read < buffer.len() && !event.is_read_closed() {
                break;
            }
        }
        self.flush()?;
        Ok(bytes)
    }

    /// Puts a binary message behind what is to be sent; [`Socket::flush`] sends it.
    pub(super) fn queue(&mut self, payload: &[u8]) {
        write_frame(Opcode::Binary, payload, rand::random(), &mut self.outbox);
    }

    /// Says goodbye, as far as the socket takes it at once.
    pub(super) fn close(&mut self) {
        write_frame(Opcode::Close, &1000_u16.to_be_bytes(), rand::random(), &mut self.outbox);
        // The connection is dropped next; a peer that does not take the goodbye sees the end of the stream.
        let _farewell = self.flush();
    }

    /// Sends what the socket takes; the rest goes when it is writable again.
    pub(super) fn flush(&mut self) -> Result<(), Ended> {
        while !self.outbox.is_empty() {
            match self.stream.write(&self.outbox) {
                Ok(0) => return Err(io::Error::from(ErrorKind::WriteZero).into()),
                Ok(written) if written == self.outbox.len() => self.outbox = Vec::new(),
                Ok(written) => drop(self.outbox.drain(..written)),
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    /// Whether the connection stands; an error says that it will not.
    fn connect(&mut self) -> Result<bool, Ended> {
        if let Some(error) = self.stream.take_error()? {
            return Err(error.into());
        }
        match self.stream.peer_addr() {
            Ok(_) => {
                // Danmaku are small and must not wait for each other.
                self.stream.set_nodelay(true)?;
                self.phase = Phase::Handshaking;
                Ok(true)
            }
            Err(error) if error.kind() == ErrorKind::NotConnected => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    fn received(&mut self, bytes: &[u8], take: &mut impl FnMut(&[u8])) -> Result<(), Ended> {
        if self.inbox.is_empty() {
            let used = self.consume(bytes, take)?;
            self.inbox = bytes[used..].to_vec();
            return Ok(());
        }
        let mut inbox = std::mem::take(&mut self.inbox);
        inbox.extend_from_slice(bytes);
        let used = self.consume(&inbox, take)?;
        if used < inbox.len() {
            inbox.drain(..used);
            self.inbox = inbox;
        }
        Ok(())
    }

    /// Takes what is whole; returns the bytes that it was.
    fn consume(&mut self, bytes: &[u8], take: &mut impl FnMut(&[u8])) -> Result<usize, Ended> {
        let mut used = 0;
        if self.phase == Phase::Handshaking {
            match read_response(bytes, self.protocol).map_err(Ended::Handshake)? {
                Some(handshaken) => used = handshaken.bytes,
                None => return Ok(0),
            }
            self.phase = Phase::Open;
        }
        while let Some((frame, frame_bytes)) = read_frame(&bytes[used..]).map_err(Ended::Broken)? {
            used += frame_bytes;
            match frame.opcode {
                Opcode::Binary => take(frame.payload),
                Opcode::Ping => write_frame(Opcode::Pong, frame.payload, rand::random(), &mut self.outbox),
                Opcode::Pong => {}
                Opcode::Close => {
                    let (code, reason) = close_reason(frame.payload);
                    return Err(Ended::Closed(code, reason));
                }
            }
        }
        Ok(used)
    }
}
