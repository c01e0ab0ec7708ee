//! A viewer's socket with its single writer, and the loop that reads it, whatever it speaks.
//!
//! All output, broadcasts and private messages and control frames alike, goes through [`Socket::send`]: whole frames,
//! in order, behind a partly written one.

use std::{
    cell::{Cell, RefCell},
    collections::VecDeque,
    future::poll_fn,
    io::{self, ErrorKind},
    pin::pin,
    task::{Context, Poll, Waker, ready},
};

use bytes::{Buf, Bytes};
use tokio::task::yield_now;
use tokio_tungstenite::tungstenite::Message;

use super::stream::Stream;
use crate::gateway::metrics::Disconnect;

/// The shared read buffer of a worker: what one connection may say before it is another's turn.
const SCRATCH_BYTES: usize = 8 * 1024;
/// Frames that one call writes at the most.
const GATHERED_MAX: usize = 64;
/// With this much to write, nothing more is read: who does not take answers gets no further questions in.
const OUTPUT_BYTES_MAX: usize = 256 * 1024;

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
pub(crate) struct Socket {
    pub(crate) stream: Stream,
    output: RefCell<Option<Box<Output>>>,
    waker: RefCell<Option<Waker>>,
    ended: Cell<Option<Disconnect>>,
    /// While a read is taken apart its answers gather here.
    gathering: Cell<bool>,
    /// Something that waited was written, since it was last asked.
    progressed: Cell<bool>,
}

impl Socket {
    pub(crate) const fn new(stream: Stream) -> Self {
        Self {
            stream,
            output: RefCell::new(None),
            waker: RefCell::new(None),
            ended: Cell::new(None),
            gathering: Cell::new(false),
            progressed: Cell::new(false),
        }
    }

    /// Whether everything is written.
    pub(crate) fn is_drained(&self) -> bool {
        self.output.borrow().is_none()
    }

    /// Whether something that waited was written since this was last asked.
    pub(crate) const fn take_progress(&self) -> bool {
        self.progressed.replace(false)
    }

    /// Writes a message, or queues what the socket does not take now. True if it is out whole.
    pub(crate) fn send(&self, message: &Bytes) -> bool {
        match &self.stream {
            // Frames say their own length there: the header for WebSocket is cut off, and nothing copied.
            Stream::Quic(_) => payload(message).is_none_or(|frames| self.send_bytes(&frames)),
            Stream::Plain(_) | Stream::Tls(_) => self.send_bytes(message),
        }
    }

    fn send_bytes(&self, message: &Bytes) -> bool {
        let mut output = self.output.borrow_mut();
        let written = match &*output {
            Some(_) => 0,
            None if self.gathering.get() => 0,
            None => match self.stream.send(message) {
                Ok(written) if written == message.len() && !self.stream.is_behind() => return true,
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
        if written < message.len() {
            output.bytes += message.len() - written;
            output.frames.push_back(message.slice(written..));
        }
        self.wake();
        false
    }

    /// Ends the connection, with a goodbye where the peer still listens.
    pub(crate) fn end(&self, reason: Disconnect) {
        if self.ended.get().is_none() {
            self.ended.set(Some(reason));
            self.wake();
        }
    }

    /// Why the connection ends, once it does.
    pub(crate) const fn ended(&self) -> Option<Disconnect> {
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
        while !waiting.frames.is_empty() || self.stream.is_behind() {
            match self.stream.write(waiting.frames.iter().take(GATHERED_MAX)) {
                Ok(written) => {
                    self.progressed.set(true);
                    waiting.advance(written);
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error),
            }
        }
        *output = None;
        Ok(())
    }

    /// Waits until everything is written.
    pub(crate) async fn drained(&self) -> io::Result<()> {
        poll_fn(|cx| {
            while !self.is_drained() {
                ready!(self.stream.poll_write_ready(cx))?;
                self.flush()?;
            }
            Poll::Ready(Ok(()))
        })
        .await
    }
}

/// The frames in a binary WebSocket message of a server; control messages have none.
fn payload(message: &Bytes) -> Option<Bytes> {
    let &[0x82, length, ..] = &message[..] else { return None };
    // RFC 6455, section 5.2: two bytes, then perhaps a longer length.
    let header = match length {
        126 => 4,
        127 => 10,
        _ => 2,
    };
    (message.len() > header).then(|| message.slice(header..))
}

pub(crate) trait Handler: Clone {
    /// A text, binary or control message.
    fn message(&self, message: Message);
    /// Everything is written; true if that gave more to write.
    fn drained(&self) -> bool;
    fn socket(&self) -> &Socket;
    /// Bytes came.
    fn heard(&self);
    /// The connection is over.
    fn ended(&self, reason: Disconnect);
}

/// What a connection speaks: takes bytes apart and hands messages to the handler.
pub(crate) trait Protocol<H> {
    /// Bytes came; says why the connection ends, if it does.
    fn feed(&mut self, handler: &H, input: &[u8]) -> Option<Disconnect>;
    /// No more will come.
    fn end_of_input(&mut self, handler: &H) -> Disconnect;
}

/// A connection as its task drives it.
pub(crate) struct Connection<P, H> {
    pub(crate) protocol: P,
    pub(crate) handler: H,
}

impl<P: Protocol<H>, H: Handler> Connection<P, H> {
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Disconnect> {
        let handler = self.handler.clone();
        let socket = handler.socket();
        socket.set_waker(cx.waker());
        loop {
            if let Some(reason) = socket.ended() {
                return Poll::Ready(reason);
            }
            let read = if socket.output_bytes() < OUTPUT_BYTES_MAX { self.poll_read(cx) } else { Poll::Pending };
            if let Poll::Ready(Some(reason)) = read {
                return Poll::Ready(reason);
            }
            let mut progress = false;
            if !socket.is_drained() && socket.stream.poll_write_ready(cx).is_ready() {
                if socket.flush().is_err() {
                    return Poll::Ready(Disconnect::Lost);
                }
                progress = !socket.is_drained() || self.handler.drained();
            }
            if read.is_ready() {
                // One read a turn: who talks without a pause must not keep the others, or the clock, from theirs.
                return pin!(yield_now()).poll(cx).map(|()| Disconnect::Lost);
            }
            if !progress {
                return Poll::Pending;
            }
        }
    }

    /// Reads once, if there is something; says why the connection ends, if it does.
    fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<Option<Disconnect>> {
        SCRATCH.with_borrow_mut(|scratch| {
            let handler = self.handler.clone();
            let ended = match ready!(handler.socket().stream.poll_read(cx, scratch)) {
                Ok(0) => Some(self.protocol.end_of_input(&handler)),
                Ok(read) => {
                    handler.heard();
                    self.feed(&scratch[..read])
                }
                Err(error) if error.kind() == ErrorKind::TimedOut => Some(Disconnect::Idle),
                Err(_) => Some(Disconnect::Lost),
            };
            Poll::Ready(ended)
        })
    }

    /// Hands bytes to the protocol; what that has to say goes out together.
    pub(crate) fn feed(&mut self, input: &[u8]) -> Option<Disconnect> {
        let handler = self.handler.clone();
        handler.socket().gathering.set(true);
        let ended = self.protocol.feed(&handler, input);
        handler.socket().gathering.set(false);
        ended
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gateway::encode::message;

    #[test]
    fn the_header_for_websocket_is_cut_off_whatever_its_length() {
        for bytes in [1, 125, 126, 65_535, 65_536] {
            let frames = vec![7; bytes];
            assert_eq!(payload(&message(&frames)).as_deref(), Some(&frames[..]));
        }
        assert_eq!(payload(&Bytes::from_static(&[0x89, 0])), None);
        assert_eq!(payload(&Bytes::new()), None);
    }
}
