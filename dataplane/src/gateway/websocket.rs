//! One WebSocket: its socket with a single writer, and the loop that reads it.
//!
//! The protocol is tungstenite's; it sees the socket through a [`Pipe`] that hands it bytes already read and takes
//! whatever it writes. All output, broadcasts and private messages and control frames alike, goes through
//! [`Socket::send`]: whole frames, in order, behind a partly written one.

use std::{
    cell::{Cell, RefCell},
    collections::VecDeque,
    future::poll_fn,
    io::{self, ErrorKind, IoSlice, Read, Write},
    pin::pin,
    task::{Context, Poll, Waker},
    time::Duration,
};

use bytes::{Buf, Bytes};
use socket2::SockRef;
use tokio::{net::TcpStream, task::yield_now, time::timeout};
use tokio_tungstenite::tungstenite::{
    Error, Message,
    error::CapacityError,
    protocol::{CloseFrame, Role, WebSocketConfig, WebSocketContext, frame::coding::CloseCode},
};

use super::metrics::Disconnect;

/// Close code for who is banned: like HTTP's 403, in the range for applications (RFC 6455, section 7.4.2).
const BANNED: u16 = 4403;

/// A connection's own read buffer: bytes arrive in a buffer that all share, this one holds half a message at most.
const READ_BUFFER_BYTES: usize = 64;
/// The shared read buffer of a shard: what one connection may say before it is another's turn.
const SCRATCH_BYTES: usize = 8 * 1024;
/// Frames that one call writes at the most.
const GATHERED_MAX: usize = 64;
/// With this much to write, nothing more is read: who does not take answers gets no further questions in.
const OUTPUT_BYTES_MAX: usize = 256 * 1024;
/// A goodbye may take this long to be written and answered.
const GOODBYE: Duration = Duration::from_secs(2);

thread_local! {
    static SCRATCH: RefCell<Box<[u8]>> = RefCell::new(vec![0; SCRATCH_BYTES].into());
}

/// What waits to be written: whole frames, but for the first, which may be partly out.
#[derive(Default)]
struct Output {
    frames: VecDeque<Bytes>,
    bytes: usize,
}

impl Output {
    /// So many bytes are out.
    fn advance(&mut self, mut written: usize) {
        self.bytes -= written;
        while let Some(frame) = self.frames.front_mut() {
            if frame.len() > written {
                frame.advance(written);
                return;
            }
            written -= frame.len();
            self.frames.pop_front();
        }
    }
}

/// A socket and its one writer.
pub(super) struct Socket {
    stream: TcpStream,
    output: RefCell<Option<Box<Output>>>,
    waker: RefCell<Option<Waker>>,
    ended: Cell<Option<Disconnect>>,
    /// While a read is taken apart its answers gather here.
    gathering: Cell<bool>,
    /// Clock of the shard, s: when the peer last gave a sign of life, and since when output waits.
    pub(super) heard_s: Cell<u32>,
    pub(super) waiting_since_s: Cell<Option<u32>>,
}

impl Socket {
    pub(super) const fn new(stream: TcpStream, now_s: u32) -> Self {
        Self {
            stream,
            output: RefCell::new(None),
            waker: RefCell::new(None),
            ended: Cell::new(None),
            gathering: Cell::new(false),
            heard_s: Cell::new(now_s),
            waiting_since_s: Cell::new(None),
        }
    }

    /// Whether everything is written.
    pub(super) fn is_drained(&self) -> bool {
        self.output.borrow().is_none()
    }

    /// Writes a message, or queues what the socket does not take now. True if it is out whole.
    pub(super) fn send(&self, message: &Bytes) -> bool {
        let mut output = self.output.borrow_mut();
        let written = match &*output {
            Some(_) => 0,
            None if self.gathering.get() => 0,
            // Past the runtime: its readiness flag would be one more cache line for each viewer. What the socket does
            // not take is left to the connection's own task, which asks the runtime.
            None => match SockRef::from(&self.stream).send(message) {
                Ok(written) if written == message.len() => return true,
                Ok(written) => written,
                Err(error) if error.kind() == ErrorKind::WouldBlock => 0,
                Err(_) => {
                    drop(output);
                    self.end(Disconnect::Lost);
                    return false;
                }
            },
        };
        let output = output.get_or_insert_default();
        output.bytes += message.len() - written;
        output.frames.push_back(message.slice(written..));
        self.wake();
        false
    }

    /// Ends the connection, with a goodbye where the peer still listens.
    pub(super) fn end(&self, reason: Disconnect) {
        if self.ended.get().is_none() {
            self.ended.set(Some(reason));
            self.wake();
        }
    }

    /// Why the connection ends, once it does.
    pub(super) const fn ended(&self) -> Option<Disconnect> {
        self.ended.get()
    }

    fn wake(&self) {
        if let Some(waker) = &*self.waker.borrow() {
            waker.wake_by_ref();
        }
    }

    fn set_waker(&self, waker: &Waker) {
        let mut current = self.waker.borrow_mut();
        if !current.as_ref().is_some_and(|current| current.will_wake(waker)) {
            *current = Some(waker.clone());
        }
    }

    fn output_bytes(&self) -> usize {
        self.output.borrow().as_ref().map_or(0, |output| output.bytes)
    }

    /// Writes what waits, as far as the socket takes it.
    fn flush(&self) -> io::Result<()> {
        let mut output = self.output.borrow_mut();
        let Some(waiting) = output.as_mut() else { return Ok(()) };
        while !waiting.frames.is_empty() {
            let frames: Vec<_> = waiting.frames.iter().take(GATHERED_MAX).map(|frame| IoSlice::new(frame)).collect();
            match self.stream.try_write_vectored(&frames) {
                Ok(written) => {
                    self.waiting_since_s.set(None);
                    waiting.advance(written);
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error),
            }
        }
        *output = None;
        Ok(())
    }
}

/// What a connection is told.
pub(super) trait Handler: Clone {
    /// A text, binary or control message.
    fn message(&self, message: Message);
    /// Everything is written; true if that gave more to write.
    fn drained(&self) -> bool;
    /// The socket.
    fn socket(&self) -> &Socket;
    /// Bytes came.
    fn heard(&self);
    /// The connection is over.
    fn ended(&self, reason: Disconnect);
}

/// Serves a connection until it ends; then tells the handler why it did.
///
/// `first` are bytes that came behind the handshake; `message_bytes_max` bounds a message of the peer. What is used
/// only at the beginning or the end stays out of the future: it lives as long as an idle connection does.
pub(super) fn serve<H: Handler>(
    handler: H,
    first: &[u8],
    message_bytes_max: usize,
) -> impl Future<Output = ()> + use<H> {
    let config = WebSocketConfig::default()
        .read_buffer_size(READ_BUFFER_BYTES)
        .write_buffer_size(0)
        .max_message_size(Some(message_bytes_max))
        .max_frame_size(Some(message_bytes_max));
    let mut connection = Connection { context: WebSocketContext::new(Role::Server, Some(config)), handler };
    let at_once = connection.feed(first);
    async move {
        let reason = match at_once {
            Some(reason) => reason,
            None => poll_fn(|cx| connection.poll(cx)).await,
        };
        if reason != Disconnect::Lost {
            connection.say_goodbye(reason);
            // A peer that does not take its goodbye in time goes without.
            let _ = Box::pin(timeout(GOODBYE, linger(connection.handler.socket()))).await;
        }
        connection.handler.ended(reason);
    }
}

struct Connection<H> {
    context: WebSocketContext,
    handler: H,
}

impl<H: Handler> Connection<H> {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Disconnect> {
        let handler = self.handler.clone();
        let socket = handler.socket();
        socket.set_waker(cx.waker());
        loop {
            if let Some(reason) = socket.ended() {
                return Poll::Ready(reason);
            }
            let read = socket.output_bytes() < OUTPUT_BYTES_MAX && socket.stream.poll_read_ready(cx).is_ready();
            if read && let Some(reason) = self.read() {
                return Poll::Ready(reason);
            }
            let mut progress = false;
            if !socket.is_drained() && socket.stream.poll_write_ready(cx).is_ready() {
                if socket.flush().is_err() {
                    return Poll::Ready(Disconnect::Lost);
                }
                progress = !socket.is_drained() || self.handler.drained();
            }
            if read {
                // One read a turn: who talks without a pause must not keep the others, or the clock, from theirs.
                return pin!(yield_now()).poll(cx).map(|()| Disconnect::Lost);
            }
            if !progress {
                return Poll::Pending;
            }
        }
    }

    /// Reads once; says why the connection ends, if it does.
    fn read(&mut self) -> Option<Disconnect> {
        SCRATCH.with_borrow_mut(|scratch| {
            let handler = self.handler.clone();
            match handler.socket().stream.try_read(scratch) {
                Ok(0) => Some(Disconnect::Lost),
                Ok(read) => {
                    handler.heard();
                    self.feed(&scratch[..read])
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => None,
                Err(_) => Some(Disconnect::Lost),
            }
        })
    }

    /// Hands bytes to the protocol and its messages to the handler.
    fn feed(&mut self, input: &[u8]) -> Option<Disconnect> {
        let handler = self.handler.clone();
        let socket = handler.socket();
        socket.gathering.set(true);
        let mut pipe = Pipe { input, socket };
        let ended = loop {
            match self.context.read(&mut pipe) {
                // The protocol answers pings and goodbyes by itself.
                Ok(message) => handler.message(message),
                Err(Error::Io(error)) if error.kind() == ErrorKind::WouldBlock => break None,
                Err(error) => break Some(self.fail(&error)),
            }
        };
        socket.gathering.set(false);
        ended
    }

    /// What an error of the protocol means; the peer is told the code that RFC 6455, section 7.4.1, has for it.
    fn fail(&mut self, error: &Error) -> Disconnect {
        let (reason, code) = match error {
            Error::ConnectionClosed | Error::AlreadyClosed => return Disconnect::ClosedByPeer,
            Error::Io(_) => return Disconnect::Lost,
            Error::Capacity(CapacityError::MessageTooLong { .. }) => (Disconnect::MessageTooLarge, CloseCode::Size),
            Error::Utf8(_) => (Disconnect::ProtocolError, CloseCode::Invalid),
            _ => (Disconnect::ProtocolError, CloseCode::Protocol),
        };
        self.close(code);
        reason
    }

    fn say_goodbye(&mut self, reason: Disconnect) {
        match reason {
            Disconnect::Idle | Disconnect::Shutdown => self.close(CloseCode::Away),
            Disconnect::Slow => self.close(CloseCode::Again),
            Disconnect::Flood => self.close(CloseCode::Policy),
            // Coming back makes no sense: the upgrade is answered by 404 then.
            Disconnect::RoomClosed => self.close_because(CloseCode::Normal, "room closed"),
            Disconnect::Banned => self.close(CloseCode::Library(BANNED)),
            Disconnect::ProtocolError | Disconnect::MessageTooLarge | Disconnect::ClosedByPeer | Disconnect::Lost => {}
        }
    }

    fn close(&mut self, code: CloseCode) {
        self.close_because(code, "");
    }

    fn close_because(&mut self, code: CloseCode, reason: &'static str) {
        let handler = self.handler.clone();
        let mut pipe = Pipe { input: &[], socket: handler.socket() };
        let frame = CloseFrame { code, reason: reason.into() };
        // The pipe takes everything; a connection that is closed already has said its goodbye.
        let _ = self.context.close(&mut pipe, Some(frame));
    }
}

/// Writes what is left, says that nothing follows, and reads until the peer says so too: closing with unread bytes
/// would reset the connection and could take the goodbye with it.
async fn linger(socket: &Socket) -> io::Result<()> {
    while !socket.is_drained() {
        socket.stream.writable().await?;
        socket.flush()?;
    }
    SockRef::from(&socket.stream).shutdown(std::net::Shutdown::Write)?;
    loop {
        socket.stream.readable().await?;
        match socket.stream.try_read(&mut [0; 512]) {
            Ok(0) => return Ok(()),
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
    }
}

/// A socket as the protocol sees it: bytes already read, and a writer that takes everything.
struct Pipe<'a> {
    input: &'a [u8],
    socket: &'a Socket,
}

impl Read for Pipe<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.input.is_empty() {
            return Err(ErrorKind::WouldBlock.into());
        }
        self.input.read(buffer)
    }
}

impl Write for Pipe<'_> {
    fn write(&mut self, frame: &[u8]) -> io::Result<usize> {
        self.socket.send(&Bytes::copy_from_slice(frame));
        Ok(frame.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
