//! Listening sockets: one per shard on the same address, the kernel spreads connections over them.

use std::{
    io,
    net::{SocketAddr, TcpListener},
};

use socket2::{Domain, Protocol, Socket, Type};

use super::GatewayError;

/// Connections that wait to be accepted, per shard: a room's viewers come back all at once.
const BACKLOG: i32 = 4_096;
/// Kernel buffer of a connection toward its viewer, bytes: a second or two of a full budget. The kernel's own limit of
/// megabytes would let a slow viewer fall minutes behind, and its memory with it.
const SEND_BUFFER_BYTES: usize = 128 * 1024;

/// Bound sockets, one per shard.
pub struct Listeners {
    address: SocketAddr,
    sockets: Vec<TcpListener>,
}

impl Listeners {
    /// Binds `shards` sockets to an address; port 0 picks a free one.
    ///
    /// # Errors
    /// [`GatewayError::Listen`], also when another process of the same user shares the address willingly.
    pub fn bind(address: SocketAddr, shards: usize) -> Result<Self, GatewayError> {
        let failed = |source| GatewayError::Listen { address, source };
        // SO_REUSEPORT would let two servers take turns on one port; a plain bind first finds out.
        let probe = bind(address, false).map_err(failed)?;
        let address = probe.local_addr().map_err(failed)?;
        drop(probe);
        let sockets = (0..shards.max(1)).map(|_| bind(address, true));
        let sockets = sockets.collect::<io::Result<_>>().map_err(failed)?;
        Ok(Self { address, sockets })
    }

    /// The address, with the port that was picked.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    pub(super) fn into_shards(self) -> Vec<TcpListener> {
        self.sockets
    }
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
    fn shards_share_a_port_and_another_server_does_not() {
        let first = Listeners::bind(([127, 0, 0, 1], 0).into(), 2).ok().unwrap();
        assert_eq!(first.sockets.len(), 2);
        let error = Listeners::bind(first.address(), 2).err().unwrap().to_string();
        assert!(error.contains("--listen"), "{error}");
    }
}
