//! Wires: what passes, what is held and what is lost.

use std::time::{Duration, Instant};

use barrage_e2e::cluster::{Condition, Run, Slowness, Wire};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream, UdpSocket},
    time::timeout,
};

use crate::until;

/// Long enough for what passes, short enough to wait for what must not.
const MOMENT: Duration = Duration::from_millis(300);
const SLOW: Condition = Condition::Slow(Slowness { delay: Duration::from_millis(200), bytes_per_s: 1_000_000 });

#[tokio::test]
async fn a_cut_connection_is_silent_and_goes_on_when_it_is_mended() {
    let run = Run::start().unwrap();
    let server = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let wire = Wire::tcp(&run, server.local_addr().unwrap()).unwrap();
    let mut near = TcpStream::connect(wire.address()).await.unwrap();
    let (mut far, _) = server.accept().await.unwrap();
    let mut got = [0; 5];
    near.write_all(b"hello").await.unwrap();
    far.read_exact(&mut got).await.unwrap();
    assert_eq!(&got, b"hello");

    wire.set(Condition::Cut);
    far.write_all(b"there").await.unwrap();
    drop(far);
    assert!(timeout(MOMENT, near.read_exact(&mut got)).await.is_err(), "a cut wire lets nothing through");
    let mut late = TcpStream::connect(wire.address()).await.unwrap();
    assert!(timeout(MOMENT, server.accept()).await.is_err(), "nor a new connection");

    wire.set(Condition::Whole);
    near.read_exact(&mut got).await.unwrap();
    assert_eq!((&got, near.read(&mut [0]).await.unwrap()), (b"there", 0), "what was said, and then the end");
    let (mut far, _) = server.accept().await.unwrap();
    late.write_all(b"again").await.unwrap();
    far.read_exact(&mut got).await.unwrap();
    assert_eq!(&got, b"again");
}

#[tokio::test]
async fn a_slow_connection_delays_both_directions_and_keeps_their_order() {
    let run = Run::start().unwrap();
    let server = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let wire = Wire::tcp(&run, server.local_addr().unwrap()).unwrap();
    let mut near = TcpStream::connect(wire.address()).await.unwrap();
    let (mut far, _) = server.accept().await.unwrap();
    wire.set(SLOW);
    let start = Instant::now();
    near.write_all(&[7; 100_000]).await.unwrap();
    let mut got = vec![0; 100_000];
    far.read_exact(&mut got).await.unwrap();
    far.write_all(b"!").await.unwrap();
    near.read_exact(&mut got[..1]).await.unwrap();
    // Never sooner; how much later is the machine's affair.
    assert!(start.elapsed() >= Duration::from_millis(500), "two delays and 100 kB: {:?}", start.elapsed());
    assert_eq!((got[0], &got[1..]), (b'!', &[7; 99_999][..]));
}

#[tokio::test]
async fn a_server_that_is_not_there_ends_the_connection() {
    let run = Run::start().unwrap();
    let free = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let wire = Wire::tcp(&run, free).unwrap();
    let mut near = TcpStream::connect(wire.address()).await.unwrap();
    assert_eq!(near.read(&mut [0]).await.unwrap_or(0), 0);
}

#[tokio::test]
async fn datagrams_find_their_way_back_and_are_lost_on_a_cut_wire() {
    let run = Run::start().unwrap();
    let server = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let wire = Wire::udp(&run, server.local_addr().unwrap()).unwrap();
    let clients = [UdpSocket::bind("127.0.0.1:0").await.unwrap(), UdpSocket::bind("127.0.0.1:0").await.unwrap()];
    let mut got = [0; 16];
    for (number, client) in (0_u8..).zip(&clients) {
        client.connect(wire.address()).await.unwrap();
        client.send(&[number]).await.unwrap();
        let (_, from) = server.recv_from(&mut got).await.unwrap();
        assert_eq!(got[0], number);
        server.send_to(&[number + 10], from).await.unwrap();
        client.recv(&mut got).await.unwrap();
        assert_eq!(got[0], number + 10);
    }
    wire.set(Condition::Cut);
    clients[0].send(&[66]).await.unwrap();
    assert!(timeout(MOMENT, server.recv_from(&mut got)).await.is_err());
    wire.set(SLOW);
    let start = Instant::now();
    clients[0].send(&[67]).await.unwrap();
    server.recv_from(&mut got).await.unwrap();
    assert_eq!(got[0], 67, "what was sent while it was cut is lost");
    assert!(start.elapsed() >= Duration::from_millis(200));
}

#[tokio::test]
async fn a_wire_ends_with_its_value() {
    let run = Run::start().unwrap();
    let wire = Wire::tcp(&run, "127.0.0.1:9".parse().unwrap()).unwrap();
    let address = wire.address();
    drop(wire);
    until("the port is free", async || TcpStream::connect(address).await.is_err()).await;
}
