//! The relay of TCP connections.

use std::{
    io,
    net::{Ipv4Addr, SocketAddr},
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{
        TcpListener, TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::{mpsc, watch},
    time::Instant,
};

use super::{Condition, dawdle, gone, whole};

const CHUNK_BYTES: usize = 64 * 1024;
/// Chunks on the way in one direction: 4 MiB, the window of a connection; the sender waits when they are full.
const CHUNKS: usize = 64;

/// Listens, and relays each connection until the wire is gone.
pub(super) fn lay(to: SocketAddr, condition: watch::Receiver<Condition>) -> io::Result<SocketAddr> {
    let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    listener.set_nonblocking(true)?;
    let listener = TcpListener::from_std(listener)?;
    let address = listener.local_addr()?;
    tokio::spawn(async move {
        tokio::select! {
            () = accept(&listener, to, &condition) => (),
            () = gone(condition.clone()) => (),
        }
    });
    Ok(address)
}

async fn accept(listener: &TcpListener, to: SocketAddr, condition: &watch::Receiver<Condition>) {
    loop {
        let mut watched = condition.clone();
        if !whole(&mut watched).await {
            return;
        }
        if let Ok((client, _)) = listener.accept().await {
            tokio::spawn(async move {
                tokio::select! {
                    () = relay(client, to, &watched) => (),
                    () = gone(watched.clone()) => (),
                }
            });
        }
    }
}

/// Both directions; one that nobody listens for at the other end is closed.
async fn relay(client: TcpStream, to: SocketAddr, condition: &watch::Receiver<Condition>) {
    // It may have been accepted in the moment of the cut.
    if !whole(&mut condition.clone()).await {
        return;
    }
    let Ok(server) = TcpStream::connect(to).await else {
        return;
    };
    for stream in [&client, &server] {
        // A relay that collects small writes would be a slow wire.
        let _kept = stream.set_nodelay(true);
    }
    let (from_client, to_client) = client.into_split();
    let (from_server, to_server) = server.into_split();
    tokio::join!(pump(from_client, to_server, condition), pump(from_server, to_client, condition));
}

/// One direction, until either side ends it; then the other side hears of that end, too.
async fn pump(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, condition: &watch::Receiver<Condition>) {
    let (sender, mut chunks) = mpsc::channel::<(Instant, Vec<u8>)>(CHUNKS);
    let read = async move {
        let mut condition = condition.clone();
        let mut buffer = vec![0; CHUNK_BYTES];
        while whole(&mut condition).await {
            let Ok(length @ 1..) = from.read(&mut buffer).await else {
                break;
            };
            if sender.send((Instant::now(), buffer[..length].to_vec())).await.is_err() {
                break;
            }
        }
    };
    let write = async move {
        let mut watched = condition.clone();
        while let Some((came, chunk)) = chunks.recv().await {
            dawdle(condition, came, chunk.len()).await;
            if !whole(&mut watched).await || to.write_all(&chunk).await.is_err() {
                return;
            }
        }
        if whole(&mut watched).await {
            // Fails only when the other side has ended it, too.
            let _ended = to.shutdown().await;
        }
    };
    tokio::join!(read, write);
}
