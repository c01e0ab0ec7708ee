//! A ranker's side: takes calls, and makes a session of each.

use std::{io, net::SocketAddr, sync::Arc};

use quinn::{Endpoint, EndpointConfig, Incoming, TokioRuntime};
use socket2::{Domain, Protocol, Socket, Type};
use tokio::{
    select,
    sync::mpsc,
    task::{JoinHandle, JoinSet},
    time::timeout,
};
use tokio_util::sync::CancellationToken;
use tracing::Instrument;

use super::{
    Code, Local, PATIENCE, QuicStreams, end,
    hello::{HelloError, Link, welcome},
    metrics, pump,
};
use crate::link::{
    ACCOUNTED_QUEUE, CANDIDATES_QUEUE, Caller, FromConsumer, FromGateway, Peer, REQUESTS_QUEUE, Streams,
    codec::Malformed,
};

/// Sessions that wait for the stage.
const CALLERS_QUEUE: usize = 16;
/// Connections at once, those in the handshake included: many times a pool's consumers and gateways.
const CONNECTIONS_MAX: usize = 4_096;
/// Bytes that the kernel keeps for a socket that is not read at once, if it may: 3,000 packets.
const SOCKET_BUFFER_BYTES: usize = 4 << 20;

/// Listens for consumers and gateways. Gives the address, with the port that the system chose for 0, and the sessions
/// that begin.
///
/// Ends when `shutdown` is cancelled or the receiver dropped: takes no more calls, gives sessions a few seconds to end
/// (a session ends when its stage drops it), and closes what is left. Await the task to let peers know.
///
/// # Errors
/// The address cannot be bound.
pub fn listen(
    address: SocketAddr,
    local: Local,
    shutdown: CancellationToken,
) -> io::Result<(SocketAddr, mpsc::Receiver<Caller>, JoinHandle<()>)> {
    let server = local.certificate.server().as_ref().clone();
    let runtime = Arc::new(TokioRuntime);
    let endpoint = Endpoint::new(EndpointConfig::default(), Some(server), bind(address)?, runtime)?;
    let bound = endpoint.local_addr()?;
    let (callers, sessions) = mpsc::channel(CALLERS_QUEUE);
    let span = tracing::info_span!("links", address = %bound);
    let task = tokio::spawn(accept(endpoint, local, callers, shutdown).instrument(span));
    Ok((bound, sessions, task))
}

/// A socket for QUIC, with room for bursts.
pub(super) fn bind(address: SocketAddr) -> io::Result<std::net::UdpSocket> {
    let socket = Socket::new(Domain::for_address(address), Type::DGRAM, Some(Protocol::UDP))?;
    if address.is_ipv6() {
        socket.set_only_v6(false)?;
    }
    // The kernel gives what it may; with less, bursts are lost and sent again.
    socket.set_recv_buffer_size(SOCKET_BUFFER_BYTES).ok();
    socket.set_send_buffer_size(SOCKET_BUFFER_BYTES).ok();
    socket.bind(&address.into())?;
    Ok(socket.into())
}

async fn accept(endpoint: Endpoint, local: Local, callers: mpsc::Sender<Caller>, shutdown: CancellationToken) {
    let mut sessions = JoinSet::new();
    loop {
        select! {
            Some(incoming) = endpoint.accept() => {
                if endpoint.open_connections() >= CONNECTIONS_MAX {
                    local.metrics.refused();
                    incoming.refuse();
                    continue;
                }
                let span = tracing::info_span!("link", from = %incoming.remote_address());
                sessions.spawn(serve(incoming, local.clone(), callers.clone()).instrument(span));
            }
            Some(_) = sessions.join_next() => {}
            () = shutdown.cancelled() => break,
            () = callers.closed() => break,
        }
    }
    endpoint.set_server_config(None);
    timeout(PATIENCE, async { while sessions.join_next().await.is_some() {} }).await.ok();
    close_endpoint(&endpoint).await;
}

/// Closes all connections of an endpoint, and waits until their peers could know.
pub(super) async fn close_endpoint(endpoint: &Endpoint) {
    endpoint.close((Code::Gone as u32).into(), b"it stops");
    timeout(PATIENCE, endpoint.wait_idle()).await.ok();
}

async fn serve(incoming: Incoming, local: Local, callers: mpsc::Sender<Caller>) {
    let welcomed = timeout(PATIENCE, handshake(incoming, &local)).await;
    let refused = match welcomed {
        Ok(Ok((link, caller, peer))) => return session(link, caller, peer, &local, callers).await,
        Ok(Err(error)) => error.to_string(),
        Err(_) => format!("it has not said who it is within {} s", PATIENCE.as_secs()),
    };
    local.metrics.refused();
    tracing::warn!(reason = refused, "a caller is refused");
}

async fn handshake(incoming: Incoming, local: &Local) -> Result<(Link, metrics::Caller, Peer), HelloError> {
    let connection = incoming.accept_with(local.certificate.server())?.await?;
    let welcomed = welcome(connection.clone(), local).await;
    welcomed.inspect_err(|error| error.tell(&connection))
}

async fn session(link: Link, caller: metrics::Caller, peer: Peer, local: &Local, callers: mpsc::Sender<Caller>) {
    let _connected = local.metrics.connected(caller);
    let connection = link.connection.clone();
    tracing::info!(?caller, %peer, "session begins");
    let outcome = match caller {
        metrics::Caller::Consumer => consumer(link, peer, local, callers).await,
        metrics::Caller::Gateway => gateway(link, peer, local, callers).await,
    };
    end(&connection, outcome);
}

async fn consumer(link: Link, consumer: Peer, local: &Local, callers: mpsc::Sender<Caller>) -> Result<(), Malformed> {
    let (received, candidates) = mpsc::channel(CANDIDATES_QUEUE);
    let (accounted, to_send) = mpsc::channel(ACCOUNTED_QUEUE);
    // Where the stage has gone, its ends of the queues go with the session that it did not take.
    callers.send(Caller::Consumer(FromConsumer { consumer, candidates, accounted })).await.ok();
    drop(callers);
    let Link { connection, stream, messages } = link;
    let send = pump::send(&connection, stream, to_send, &local.metrics.sent);
    pump::both(send, pump::receive(messages, received)).await
}

async fn gateway(link: Link, gateway: Peer, local: &Local, callers: mpsc::Sender<Caller>) -> Result<(), Malformed> {
    let (received, requests) = mpsc::channel(REQUESTS_QUEUE);
    let streams = QuicStreams::new(link.connection.clone(), local.metrics.sent.clone());
    let caller = FromGateway { gateway, requests, streams: Streams::Quic(streams.clone()) };
    callers.send(Caller::Gateway(caller)).await.ok();
    drop(callers);
    pump::receive(link.messages, received).await?;
    // Whatever ended it, the last updates get their chance to arrive.
    select! {
        () = streams.ended() => {}
        _ = link.connection.closed() => {}
        () = tokio::time::sleep(PATIENCE) => {}
    }
    Ok(())
}
