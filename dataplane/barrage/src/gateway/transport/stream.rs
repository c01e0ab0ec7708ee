//! What a viewer's bytes go over: TCP, TLS over TCP, or one stream of a QUIC connection. All of it without blocking.

mod quic;
mod tls;

use std::{
    io::{self, ErrorKind, IoSlice},
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use socket2::SockRef;
use tokio::net::TcpStream;

use crate::gateway::metrics::Transport;

pub(crate) use quic::Quic;
pub(crate) use tls::Tls;

/// A way to a viewer. Most viewers are on plain TCP behind an edge: what the others need stands apart.
pub(crate) enum Stream {
    Plain(TcpStream),
    Tls(Box<Tls>),
    Quic(Box<Quic>),
}

impl Stream {
    pub(crate) const fn transport(&self) -> Transport {
        match self {
            Self::Plain(_) => Transport::Plain,
            Self::Tls(_) => Transport::Tls,
            Self::Quic(_) => Transport::Quic,
        }
    }

    /// Writes as much of a message as is taken now.
    ///
    /// # Errors
    /// [`ErrorKind::WouldBlock`], and that the connection is lost.
    pub(crate) fn send(&self, message: &Bytes) -> io::Result<usize> {
        match self {
            // Past the runtime: its readiness flag would be one more cache line for each viewer. What the socket does
            // not take is left to the connection's own task, which asks the runtime.
            Self::Plain(tcp) => SockRef::from(tcp).send(message),
            Self::Tls(tls) => tls.write(&[IoSlice::new(message)]),
            Self::Quic(quic) => quic.write([message]),
        }
    }

    /// Writes as much of several messages as is taken now; 0 is progress with what was taken before.
    ///
    /// # Errors
    /// As [`Self::send`].
    pub(crate) fn write<'a>(&self, messages: impl Iterator<Item = &'a Bytes>) -> io::Result<usize> {
        match self {
            Self::Quic(quic) => quic.write(messages),
            Self::Plain(tcp) => tcp.try_write_vectored(&slices(messages)),
            Self::Tls(tls) => tls.write(&slices(messages)),
        }
    }

    /// Whether what was taken is not yet on its way.
    pub(crate) fn is_behind(&self) -> bool {
        match self {
            Self::Plain(_) | Self::Quic(_) => false,
            Self::Tls(tls) => tls.is_behind(),
        }
    }

    /// Reads what is there; 0 is the end.
    pub(crate) fn poll_read(&self, cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        match self {
            Self::Plain(tcp) => loop {
                ready!(tcp.poll_read_ready(cx))?;
                match tcp.try_read(buffer) {
                    Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                    read => return Poll::Ready(read),
                }
            },
            Self::Tls(tls) => tls.poll_read(cx, buffer),
            Self::Quic(quic) => quic.poll_read(cx, buffer),
        }
    }

    /// Whether the transport itself asks who is silent for a sign of life, and ends who gives none.
    pub(crate) const fn keeps_alive(&self) -> bool {
        matches!(self, Self::Quic(_))
    }

    /// Whether writing is worth a try.
    pub(crate) fn poll_write_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Self::Plain(tcp) => tcp.poll_write_ready(cx),
            Self::Tls(tls) => tls.poll_write_ready(cx),
            Self::Quic(quic) => quic.poll_write_ready(cx).map(Ok),
        }
    }

    /// Says that nothing follows.
    pub(crate) fn finish(&self) -> io::Result<()> {
        match self {
            Self::Plain(tcp) => SockRef::from(tcp).shutdown(std::net::Shutdown::Write),
            Self::Tls(tls) => tls.finish(),
            // Ended with its session.
            Self::Quic(_) => Ok(()),
        }
    }
}

fn slices<'a>(messages: impl Iterator<Item = &'a Bytes>) -> Vec<IoSlice<'a>> {
    messages.map(|message| IoSlice::new(message)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plain_viewer_hardly_pays_for_the_others() {
        assert!(size_of::<Stream>() <= size_of::<TcpStream>() + size_of::<usize>());
    }
}
