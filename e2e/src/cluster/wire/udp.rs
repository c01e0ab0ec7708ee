//! The relay of UDP datagrams: a socket towards the server for each client, as a router with address translation has.

use std::{
    collections::HashMap,
    io,
    net::{Ipv4Addr, SocketAddr},
    sync::Arc,
};

use tokio::{
    net::UdpSocket,
    sync::{mpsc, watch},
    time::Instant,
};

use super::{Condition, dawdle, gone};

/// No datagram is longer.
const DATAGRAM_BYTES: usize = 65_535;
/// Datagrams on the way in one direction; more are dropped, as a router does.
const QUEUE: usize = 1024;
/// Clients at a time; one more, and all are forgotten, which QUIC takes for a change of address.
const CLIENTS_MAX: usize = 1024;

type Datagram = (Instant, Vec<u8>);

/// Receives, and relays each datagram until the wire is gone.
pub(super) fn lay(to: SocketAddr, condition: watch::Receiver<Condition>) -> io::Result<SocketAddr> {
    let front = std::net::UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
    front.set_nonblocking(true)?;
    let front = Arc::new(UdpSocket::from_std(front)?);
    let address = front.local_addr()?;
    tokio::spawn(async move {
        tokio::select! {
            () = receive(front, to, &condition) => (),
            () = gone(condition.clone()) => (),
        }
    });
    Ok(address)
}

async fn receive(front: Arc<UdpSocket>, to: SocketAddr, condition: &watch::Receiver<Condition>) {
    let mut clients: HashMap<SocketAddr, mpsc::Sender<Datagram>> = HashMap::new();
    let mut buffer = vec![0; DATAGRAM_BYTES];
    loop {
        // An error is the news that an earlier datagram found nobody.
        let Ok((length, client)) = front.recv_from(&mut buffer).await else {
            continue;
        };
        if clients.len() >= CLIENTS_MAX {
            clients.clear();
        }
        let queue = clients.entry(client).or_insert_with(|| {
            let (queue, datagrams) = mpsc::channel(QUEUE);
            tokio::spawn(serve(Arc::clone(&front), client, to, datagrams, condition.clone()));
            queue
        });
        // Full or ended: dropped, as on any network.
        let _dropped = queue.try_send((Instant::now(), buffer[..length].to_vec()));
    }
}

/// Both directions for one client, until it is forgotten.
async fn serve(
    front: Arc<UdpSocket>,
    client: SocketAddr,
    to: SocketAddr,
    datagrams: mpsc::Receiver<Datagram>,
    condition: watch::Receiver<Condition>,
) {
    let Ok(back) = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await else {
        return;
    };
    if back.connect(to).await.is_err() {
        return;
    }
    let (queue, answers) = mpsc::channel(QUEUE);
    tokio::select! {
        () = pass(datagrams, &condition, &back, to) => (),
        () = pass(answers, &condition, &front, client) => (),
        () = collect(&back, &queue) => (),
        () = gone(condition.clone()) => (),
    }
}

async fn collect(back: &UdpSocket, queue: &mpsc::Sender<Datagram>) {
    let mut buffer = vec![0; DATAGRAM_BYTES];
    loop {
        if let Ok(length) = back.recv(&mut buffer).await {
            let _dropped = queue.try_send((Instant::now(), buffer[..length].to_vec()));
        }
    }
}

/// Sends what comes, unless the wire is cut by then; a datagram that the system does not take is lost.
async fn pass(
    mut datagrams: mpsc::Receiver<Datagram>,
    condition: &watch::Receiver<Condition>,
    socket: &UdpSocket,
    to: SocketAddr,
) {
    while let Some((came, datagram)) = datagrams.recv().await {
        dawdle(condition, came, datagram.len()).await;
        if *condition.borrow() != Condition::Cut {
            let _lost = socket.send_to(&datagram, to).await;
        }
    }
}
