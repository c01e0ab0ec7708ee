//! The one stream of a WebTransport session, polled as a socket is: once, and never waited for.

use std::{
    cell::{Cell, RefCell},
    io::{self, ErrorKind},
    pin::pin,
    task::{Context, Poll, Waker},
};

use bytes::Bytes;
use web_transport_quinn::{
    ReadError, RecvStream, SendStream, Session, SessionError,
    quinn::{ConnectionError, VarInt},
};

pub(crate) struct Quic {
    session: Session,
    /// `None` once it has ended.
    send: RefCell<Option<SendStream>>,
    receive: RefCell<RecvStream>,
    waker: RefCell<Waker>,
    /// The stream took nothing when it was asked last, and will wake.
    blocked: Cell<bool>,
}

impl Quic {
    pub(crate) fn new(session: Session, (send, receive): (SendStream, RecvStream)) -> Self {
        Self {
            session,
            send: RefCell::new(Some(send)),
            receive: RefCell::new(receive),
            waker: RefCell::new(Waker::noop().clone()),
            blocked: Cell::new(false),
        }
    }

    /// quinn holds what it takes until the peer has it, within the connection's window, and copies nothing.
    pub(super) fn write<'a>(&self, messages: impl IntoIterator<Item = &'a Bytes>) -> io::Result<usize> {
        let mut send = self.send.borrow_mut();
        let Some(send) = send.as_mut() else { return Err(ErrorKind::BrokenPipe.into()) };
        let mut chunks: smallvec::SmallVec<[Bytes; 4]> = messages.into_iter().cloned().collect();
        let waker = self.waker.borrow();
        let written = pin!(send.write_chunks(&mut chunks)).poll(&mut Context::from_waker(&waker));
        match written {
            Poll::Ready(Ok(written)) => Ok(written.bytes),
            Poll::Ready(Err(error)) => Err(io::Error::other(error)),
            Poll::Pending => {
                self.blocked.set(true);
                Err(ErrorKind::WouldBlock.into())
            }
        }
    }

    pub(super) fn poll_write_ready(&self, cx: &Context<'_>) -> Poll<()> {
        if !self.waker.borrow().will_wake(cx.waker()) {
            // Somebody else would be woken: it has to be asked again.
            self.waker.replace(cx.waker().clone());
            self.blocked.set(false);
        }
        if self.blocked.take() { Poll::Pending } else { Poll::Ready(()) }
    }

    pub(super) fn poll_read(&self, cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        let mut receive = self.receive.borrow_mut();
        let read = pin!(receive.read(buffer)).poll(cx);
        read.map(|read| match read {
            Ok(read) => Ok(read.unwrap_or(0)),
            Err(ReadError::SessionError(SessionError::ConnectionError(ConnectionError::TimedOut))) => {
                Err(ErrorKind::TimedOut.into())
            }
            // The peer has closed the session, with a code or without.
            Err(ReadError::SessionError(
                SessionError::WebTransportError(_)
                | SessionError::ConnectionError(ConnectionError::ApplicationClosed(_)),
            )) => Ok(0),
            Err(error) => Err(io::Error::other(error)),
        })
    }

    /// Ends the stream, and waits until the peer has all of it.
    pub(crate) async fn end_stream(&self) {
        let Some(mut send) = self.send.take() else { return };
        // One that was reset has nothing left to say.
        if send.finish().is_ok() {
            let _ = send.stopped().await;
        }
    }

    /// Closes the session with a code.
    pub(crate) fn close(&self, code: u16, reason: &str) {
        self.session.close(code.into(), reason.as_bytes());
    }

    /// Waits until the session is over.
    pub(crate) async fn closed(&self) {
        let _ = self.session.closed().await;
    }

    /// Ends the connection without a word.
    pub(crate) fn abandon(&self) {
        // The session's own close waits for an answer; its connection's does not.
        let connection: &web_transport_quinn::quinn::Connection = &self.session;
        connection.close(VarInt::from_u32(0), b"");
    }
}
