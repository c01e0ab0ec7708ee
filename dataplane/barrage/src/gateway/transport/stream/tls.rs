//! TLS over TCP after the handshake. rustls does the records; it holds no more than one write that TCP did not take.

use std::{
    cell::RefCell,
    io::{self, ErrorKind, IoSlice, Read, Write},
    task::{Context, Poll, ready},
};

use rustls::ServerConnection;
use socket2::SockRef;
use tokio::net::TcpStream;

/// Bytes that one call encrypts at the most; with them rustls holds as much for a socket that is full.
const ENCRYPTED_MAX: usize = 64 * 1024;

pub(crate) struct Tls {
    tcp: TcpStream,
    session: RefCell<ServerConnection>,
}

impl Tls {
    pub(crate) fn new(tcp: TcpStream, mut session: ServerConnection) -> Self {
        session.set_buffer_limit(Some(ENCRYPTED_MAX));
        Self { tcp, session: RefCell::new(session) }
    }

    /// Whether there are records that TCP has not taken.
    pub(super) fn is_behind(&self) -> bool {
        self.session.borrow().wants_write()
    }

    /// Encrypts nothing while there is something to be written.
    pub(super) fn write(&self, messages: &[IoSlice<'_>]) -> io::Result<usize> {
        let session = &mut *self.session.borrow_mut();
        let before = self.push(session)?;
        if session.wants_write() {
            return if before > 0 { Ok(0) } else { Err(ErrorKind::WouldBlock.into()) };
        }
        let taken = session.writer().write_vectored(messages)?;
        self.push(session)?;
        Ok(taken)
    }

    /// Writes records until TCP takes no more; says how many bytes it took.
    fn push(&self, session: &mut ServerConnection) -> io::Result<usize> {
        let mut written = 0;
        while session.wants_write() {
            match session.write_tls(&mut Raw(&self.tcp)) {
                Ok(bytes) => written += bytes,
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) => return Err(error),
            }
        }
        Ok(written)
    }

    /// What rustls has decrypted already comes first: the socket says nothing of that.
    pub(super) fn poll_read(&self, cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        let session = &mut *self.session.borrow_mut();
        loop {
            match session.reader().read(buffer) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                read => return Poll::Ready(read),
            }
            ready!(self.tcp.poll_read_ready(cx))?;
            match session.read_tls(&mut Raw(&self.tcp)) {
                // The end of the connection; the reader says whether it was announced.
                Ok(0) => return Poll::Ready(Ok(0)),
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => continue,
                Err(error) => return Poll::Ready(Err(error)),
            }
            let processed = session.process_new_packets();
            // An alert about what is wrong, or an answer that TLS itself gives.
            let pushed = self.push(session);
            processed.map_err(io::Error::other)?;
            pushed?;
        }
    }

    pub(super) fn poll_write_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.tcp.poll_write_ready(cx)
    }

    pub(super) fn finish(&self) -> io::Result<()> {
        let session = &mut *self.session.borrow_mut();
        session.send_close_notify();
        self.push(session)?;
        SockRef::from(&self.tcp).shutdown(std::net::Shutdown::Write)
    }
}

/// A socket as rustls sees it.
struct Raw<'a>(&'a TcpStream);

impl Read for Raw<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.try_read(buffer)
    }
}

impl Write for Raw<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.try_write(bytes)
    }

    fn write_vectored(&mut self, bytes: &[IoSlice<'_>]) -> io::Result<usize> {
        self.0.try_write_vectored(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
