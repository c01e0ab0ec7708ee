//! Listening sockets: one per worker on the same address, the kernel spreads connections over them.

use std::{
    io,
    net::{SocketAddr, TcpListener, UdpSocket},
};

use socket2::{Domain, Protocol, Socket, Type};

use crate::gateway::error::GatewayError;

/// Connections that wait to be accepted, per worker: a room's viewers come back all at once.
const BACKLOG: i32 = 4_096;
/// Kernel buffer of a connection toward its viewer, bytes: a second or two of a full budget. The kernel's own limit of
/// megabytes would let a slow viewer fall minutes behind, and its memory with it.
const SEND_BUFFER_BYTES: usize = 128 * 1024;

/// Port 0 picks a port that is free for TCP; that it is for UDP, too, may take several tries.
const SAME_PORT_TRIES: usize = 16;

/// Bound sockets, one per worker.
pub struct Listeners {
    address: SocketAddr,
    sockets: Vec<TcpListener>,
    secure: Option<Secure>,
}

/// Where viewers connect over TLS, one socket per worker, and over QUIC.
struct Secure {
    address: SocketAddr,
    sockets: Vec<TcpListener>,
    quic: UdpSocket,
}

pub(crate) struct Doors {
    pub(crate) plain: TcpListener,
    pub(crate) tls: Option<TcpListener>,
}

impl Listeners {
    /// Binds `workers` sockets to an address; port 0 picks a free one. With an address for TLS so many to that, too, and
    /// one for QUIC on the same port.
    ///
    /// # Errors
    /// [`GatewayError::Listen`], also when another process of the same user shares the address willingly.
    pub fn bind(address: SocketAddr, tls: Option<SocketAddr>, workers: usize) -> Result<Self, GatewayError> {
        let failed = |source| GatewayError::Listen { address, source };
        let (address, sockets) = bind_workers(address, workers).map_err(failed)?;
        let failed = |source| GatewayError::ListenSecurely { address: tls.unwrap_or(address), source };
        let secure = tls.map(|address| Secure::bind(address, workers)).transpose().map_err(failed)?;
        Ok(Self { address, sockets, secure })
    }

    /// The address, with the port that was picked.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// The address for TLS and QUIC, with the port that was picked.
    #[must_use]
    pub fn tls_address(&self) -> Option<SocketAddr> {
        self.secure.as_ref().map(|secure| secure.address)
    }

    pub(crate) fn into_doors(self) -> (Vec<Doors>, Option<UdpSocket>) {
        let (tls, quic) = match self.secure {
            Some(Secure { sockets, quic, .. }) => (sockets, Some(quic)),
            None => (Vec::new(), None),
        };
        let mut tls = tls.into_iter();
        (self.sockets.into_iter().map(|plain| Doors { plain, tls: tls.next() }).collect(), quic)
    }
}

impl Secure {
    fn bind(wanted: SocketAddr, workers: usize) -> io::Result<Self> {
        for _ in 1..SAME_PORT_TRIES {
            let (address, sockets) = bind_workers(wanted, workers)?;
            match UdpSocket::bind(address) {
                Ok(quic) => return Ok(Self { address, sockets, quic }),
                Err(error) if wanted.port() != 0 => return Err(error),
                Err(_) => {}
            }
        }
        Err(io::ErrorKind::AddrInUse.into())
    }
}

fn bind_workers(address: SocketAddr, workers: usize) -> io::Result<(SocketAddr, Vec<TcpListener>)> {
    // SO_REUSEPORT would let two servers take turns on one port; a plain bind first finds out.
    let probe = bind(address, false)?;
    let address = probe.local_addr()?;
    drop(probe);
    let sockets = (0..workers.max(1)).map(|_| bind(address, true));
    Ok((address, sockets.collect::<io::Result<_>>()?))
}

fn bind(address: SocketAddr, shared: bool) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    if shared {
        socket.set_reuse_port(true)?;
        // Accepted connections inherit these: no call for each.
        socket.set_tcp_nodelay(true)?;
        socket.set_send_buffer_size(SEND_BUFFER_BYTES)?;
    }
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn workers_share_a_port_and_another_server_does_not() {
        let first = Listeners::bind(([127, 0, 0, 1], 0).into(), None, 2).ok().unwrap();
        assert_eq!(first.sockets.len(), 2);
        let error = Listeners::bind(first.address(), None, 2).err().unwrap().to_string();
        assert!(error.contains("--listen"), "{error}");
    }

    #[test]
    fn tls_and_quic_share_a_port() {
        let any = ([127, 0, 0, 1], 0).into();
        let first = Listeners::bind(any, Some(any), 2).ok().unwrap();
        let taken = first.tls_address().unwrap();
        let error = Listeners::bind(any, Some(taken), 2).err().unwrap().to_string();
        assert!(error.contains("--tls-listen") && error.contains(&taken.to_string()), "{error}");
        let (doors, quic) = first.into_doors();
        assert!(doors.len() == 2 && doors.iter().all(|door| door.tls.is_some()));
        assert_eq!(quic.unwrap().local_addr().unwrap(), taken);
    }
}
