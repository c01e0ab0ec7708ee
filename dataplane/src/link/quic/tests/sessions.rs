//! What goes over a link arrives, and both sides see its end.

use std::sync::atomic::{AtomicUsize, Ordering};

use barrage_proto::{
    Position,
    log::{Entry, Record},
};
use bytes::Bytes;
use tokio::net::UdpSocket;

use super::*;
use crate::{
    link::{
        Accounted, CANDIDATES_QUEUE, Candidates, Danmaku, Emitted, Request, RoomFrame, Snapshot, Streams, Update, codec,
    },
    room::RoomId,
};

fn candidates(offset: u64, content: &Bytes) -> Candidates {
    let record = Position { partition: 1, offset, index: 0 };
    let entry = Entry { user: 1, session: 2, seq: offset, content: content.clone(), ..Entry::default() };
    let said = Record { entries: vec![entry], ..Record::default() };
    let said = said.into();
    Candidates { room: demo(), shard: 1, record, owner_epoch: 1, said, payload: None, trace: None }
}

/// The same as a frame has it.
fn danmaku(offset: u64, content: &Bytes) -> Vec<Danmaku> {
    let candidates = candidates(offset, content);
    candidates.danmaku().map(|(position, entry)| Danmaku::of(position, entry, candidates.received_ms(entry))).collect()
}

fn demo() -> RoomId {
    RoomId::from("demo")
}

fn frame(number: u64) -> Arc<Emitted> {
    Arc::new(Emitted::from(RoomFrame { epoch: 1, number, ..RoomFrame::default() }))
}

async fn number(updates: &mut mpsc::Receiver<Update>) -> Option<u64> {
    match soon(updates.recv()).await {
        Some(Update::Frame(_, emitted)) => Some(emitted.frame.number),
        Some(Update::Snapshot(_, snapshot)) => Some(snapshot.number),
        Some(Update::Viewers(..) | Update::Settled(..)) | None => None,
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_ranker_holds_its_consumer_and_loses_nothing() {
    const CONTENT_BYTES: usize = 4 << 10;
    const RECORDS: u32 = 24_000;
    let authority = Authority::new();
    let mut ranker = Ranker::start(authority.local("ranker-0").await, 0).unwrap();
    let mut dialler = consumer(authority.local("consumer-0").await, ranker.address);
    let ToRanker { ranker: name, candidates: to_ranker, mut accounted } = dialler.session().await;
    let mut session = ranker.consumer().await;
    assert_eq!((&*name, &*session.consumer), ("ranker-0", "consumer-0"));

    let content = Bytes::from("x".repeat(CONTENT_BYTES));
    let taken = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&taken);
    let sending = tokio::spawn(async move {
        for offset in 0..RECORDS {
            to_ranker.send(candidates(offset.into(), &content)).await.unwrap();
            counter.fetch_add(1, Ordering::Relaxed);
        }
        to_ranker
    });
    // Nobody reads, so at some point nothing more is taken: what is on its way is in queues and windows.
    let mut before = 0;
    eventually(|| {
        std::thread::sleep(Duration::from_millis(500));
        let now = taken.load(Ordering::Relaxed);
        std::mem::replace(&mut before, now) == now && now > 0
    })
    .await;
    let windows = (STREAM_WINDOW_BYTES + CONNECTION_WINDOW_BYTES) as usize / CONTENT_BYTES;
    let bound = 2 * CANDIDATES_QUEUE + windows + 1_000;
    assert!(before < bound, "{before} records are on their way, of which {bound} could be");
    assert!(bound < RECORDS as usize);

    for offset in 0..RECORDS {
        let candidates = soon(session.candidates.recv()).await.unwrap();
        assert_eq!(
            (candidates.record.offset, candidates.said.entries[0].content.len()),
            (offset.into(), CONTENT_BYTES)
        );
    }
    let note = Accounted { room: demo(), shard: 1, record: Position { partition: 1, offset: 9, index: u32::MAX } };
    session.accounted.send(note.clone()).await.unwrap();
    assert_eq!(soon(accounted.recv()).await, Some(note));
    drop(sending.await);
}

#[tokio::test]
async fn a_frame_is_encoded_once_for_all_gateways() {
    let authority = Authority::new();
    let mut ranker = Ranker::start(authority.local("ranker-0").await, 0).unwrap();
    let mut sessions = Vec::new();
    for name in ["gateway-0", "gateway-1"] {
        let mut dialler = gateway(authority.local(name).await, ranker.address);
        let (following, from_gateway) = (dialler.session().await, ranker.gateway().await);
        assert_eq!(&*from_gateway.gateway, name);
        let stream = from_gateway.streams.open().await.unwrap();
        sessions.push((dialler, following, from_gateway, stream));
    }
    // Bytes that say another number than the frame: who gets that number got these bytes.
    let emitted = frame(1);
    emitted.encoded.set(codec::encoded(&Update::Frame(demo(), frame(2)))).unwrap();
    for (_, _, _, stream) in &mut sessions {
        stream.send(Update::Frame(demo(), Arc::clone(&emitted))).await.unwrap();
    }
    for (_, following, _, _) in &mut sessions {
        assert_eq!(number(&mut following.updates).await, Some(2));
    }
    let emitted = frame(3);
    sessions[0].3.send(Update::Frame(demo(), Arc::clone(&emitted))).await.unwrap();
    assert!(emitted.encoded.get().is_some());
}

#[tokio::test]
async fn requests_and_updates_of_several_streams_pass() {
    let authority = Authority::new();
    let mut ranker = Ranker::start(authority.local("ranker-0").await, 0).unwrap();
    let mut dialler = gateway(authority.local("gateway-0").await, ranker.address);
    let (mut following, mut session) = (dialler.session().await, ranker.gateway().await);
    let follow = Request::Follow { room: demo(), epoch: 1, number: 2 };
    following.requests.send(follow.clone()).await.unwrap();
    assert_eq!(soon(session.requests.recv()).await, Some(follow));

    let mut one = session.streams.open().await.unwrap();
    let mut other = session.streams.open().await.unwrap();
    one.send(Update::Snapshot(demo(), Snapshot { number: 10, ..Snapshot::default() })).await.unwrap();
    assert_eq!(number(&mut following.updates).await, Some(10));
    other.send(Update::Frame(RoomId::from("other"), frame(20))).await.unwrap();
    assert_eq!(number(&mut following.updates).await, Some(20));
    drop(other);
    one.send(Update::Frame(demo(), frame(11))).await.unwrap();
    assert_eq!(number(&mut following.updates).await, Some(11));
}

#[tokio::test]
async fn a_send_that_is_given_up_leaves_whole_updates_on_the_stream() {
    let authority = Authority::new();
    let mut ranker = Ranker::start(authority.local("ranker-0").await, 0).unwrap();
    let mut dialler = gateway(authority.local("gateway-0").await, ranker.address);
    let (mut following, session) = (dialler.session().await, ranker.gateway().await);
    let mut stream = session.streams.open().await.unwrap();
    let danmaku = danmaku(1, &Bytes::from("x".repeat(12 << 20)));
    let big = |number| {
        let frame = RoomFrame { number, danmaku: danmaku.clone(), ..RoomFrame::default() };
        Update::Frame(demo(), Arc::new(Emitted::from(frame)))
    };
    // The first poll of the first fills the window, and its rest waits for credit that has not come; so does the second.
    for number in 1..=2 {
        let send = stream.send(big(number));
        tokio::pin!(send);
        let first = std::future::poll_fn(|cx| std::task::Poll::Ready(send.as_mut().poll(cx))).await;
        assert!(first.is_pending(), "it is too big to go at once");
    }
    let last = tokio::spawn(async move { stream.send(Update::Frame(demo(), frame(3))).await.map(|()| stream) });
    assert_eq!(number(&mut following.updates).await, Some(1), "whole, though it was given up");
    assert_eq!(number(&mut following.updates).await, Some(3));
    soon(last).await.unwrap().unwrap();
}

#[tokio::test]
async fn a_consumer_that_ends_a_session_is_heard_to_its_last_word() {
    let authority = Authority::new();
    let mut ranker = Ranker::start(authority.local("ranker-0").await, 0).unwrap();
    let mut dialler = consumer(authority.local("consumer-0").await, ranker.address);
    let (ToRanker { candidates: to_ranker, accounted, .. }, mut session) =
        (dialler.session().await, ranker.consumer().await);
    for offset in 0..100 {
        to_ranker.send(candidates(offset, &Bytes::from_static(b"x"))).await.unwrap();
    }
    drop((to_ranker, accounted));
    for offset in 0..100 {
        assert_eq!(soon(session.candidates.recv()).await.map(|it| it.record.offset), Some(offset));
    }
    assert!(soon(session.candidates.recv()).await.is_none());
    drop(session);
    let next = dialler.session().await;
    assert!(!next.candidates.is_closed(), "it is dialled again");
}

#[tokio::test]
async fn a_ranker_that_ends_a_session_is_heard_to_its_last_word() {
    let authority = Authority::new();
    let mut ranker = Ranker::start(authority.local("ranker-0").await, 0).unwrap();
    let mut consumer = consumer(authority.local("consumer-0").await, ranker.address);
    let (mut to_ranker, session) = (consumer.session().await, ranker.consumer().await);
    let note = Accounted { room: demo(), shard: 1, record: Position { partition: 1, offset: 9, index: u32::MAX } };
    session.accounted.send(note.clone()).await.unwrap();
    drop(session);
    assert_eq!(soon(to_ranker.accounted.recv()).await, Some(note));
    assert_eq!(soon(to_ranker.accounted.recv()).await, None);
    soon(to_ranker.candidates.closed()).await;

    let mut gateway = gateway(authority.local("gateway-0").await, ranker.address);
    let mut following = gateway.session().await;
    let FromGateway { streams, requests, .. } = loop {
        // The consumer calls again meanwhile.
        if let Some(Caller::Gateway(session)) = soon(ranker.callers.recv()).await {
            break session;
        }
    };
    let mut stream = streams.open().await.unwrap();
    // Less than a window, and more than can be on its way when the session ends.
    let danmaku = danmaku(1, &Bytes::from("x".repeat(64 << 10)));
    for number in 1..=100 {
        let frame = RoomFrame { number, danmaku: danmaku.clone(), ..RoomFrame::default() };
        stream.send(Update::Frame(demo(), Arc::new(frame.into()))).await.unwrap();
    }
    drop((streams, stream, requests));
    for expected in 1..=100 {
        assert_eq!(number(&mut following.updates).await, Some(expected));
    }
    assert_eq!(number(&mut following.updates).await, None);
    soon(following.requests.closed()).await;
}

#[tokio::test]
async fn a_ranker_that_starts_again_on_its_port_is_found_again() {
    let authority = Authority::new();
    let mut ranker = Ranker::start(authority.local("ranker-0").await, 0).unwrap();
    let port = ranker.address.port();
    let mut consumer = consumer(authority.local("consumer-0").await, ranker.address);
    let mut gateway = gateway(authority.local("gateway-0").await, ranker.address);
    let (mut to_ranker, mut following) = (consumer.session().await, gateway.session().await);
    let held = [soon(ranker.callers.recv()).await, soon(ranker.callers.recv()).await];
    let streams = held.iter().find_map(|caller| match caller {
        Some(Caller::Gateway(session)) => Some(session.streams.clone()),
        _ => None,
    });
    // It goes with its sessions held, like a process that ends.
    ranker.stop().await;
    assert!(soon(to_ranker.accounted.recv()).await.is_none());
    assert!(soon(following.updates.recv()).await.is_none());
    let Some(Streams::Quic(streams)) = streams else { panic!("no gateway calls") };
    assert!(streams.open().await.is_err());
    // Whoever holds a way to a gateway holds the socket, too.
    drop((held, streams));

    let local = authority.local("ranker-0").await;
    let mut again = None;
    eventually(|| {
        again = Ranker::start(local.clone(), port).ok();
        again.is_some()
    })
    .await;
    let mut again = again.unwrap();
    let (to_ranker, _following) = (consumer.session().await, gateway.session().await);
    to_ranker.candidates.send(candidates(1, &Bytes::from_static(b"x"))).await.unwrap();
    let mut session = loop {
        if let Some(Caller::Consumer(session)) = soon(again.callers.recv()).await {
            break session;
        }
    };
    assert_eq!(soon(session.candidates.recv()).await.map(|it| it.record.offset), Some(1));
}

#[tokio::test]
async fn rankers_come_and_go_with_the_routes() {
    let authority = Authority::new();
    let mut first = Ranker::start(authority.local("ranker-0").await, 0).unwrap();
    let mut second = Ranker::start(authority.local("ranker-0").await, 0).unwrap();
    let mut dialler = consumer(authority.local("consumer-0").await, first.address);
    let (mut to_first, mut at_first) = (dialler.session().await, first.consumer().await);
    dialler.routes("ranker-0", second.address);
    let (mut to_second, _at_second) = (dialler.session().await, second.consumer().await);
    assert!(soon(to_first.accounted.recv()).await.is_none());
    assert!(soon(at_first.candidates.recv()).await.is_none());
    dialler.rankers.send_replace([].into());
    assert!(soon(to_second.accounted.recv()).await.is_none());
    dialler.shutdown.cancel();
    soon(dialler.task).await.unwrap().unwrap();
}

#[tokio::test]
async fn a_cut_link_ends_on_both_sides_and_a_quiet_one_does_not() {
    let authority = Authority::new();
    let mut ranker = Ranker::start(authority.local("ranker-0").await, 0).unwrap();
    let wire = Wire::to(ranker.address).await;
    let mut dialler = consumer(authority.local("consumer-0").await, wire.address);
    let (mut to_ranker, mut session) = (dialler.session().await, ranker.consumer().await);
    tokio::time::sleep(IDLE_TIMEOUT + KEEP_ALIVE).await;
    assert!(!to_ranker.candidates.is_closed() && !session.accounted.is_closed());
    wire.task.abort();
    assert!(soon(to_ranker.accounted.recv()).await.is_none());
    assert!(soon(session.candidates.recv()).await.is_none());
}

/// Carries packets between one party and a ranker.
struct Wire {
    address: SocketAddr,
    task: JoinHandle<()>,
}

impl Wire {
    async fn to(ranker: SocketAddr) -> Self {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = socket.local_addr().unwrap();
        let task = tokio::spawn(async move {
            let (mut packet, mut party) = ([0; 65_536], None);
            loop {
                let (bytes, from) = socket.recv_from(&mut packet).await.unwrap();
                let to = if from == ranker { party } else { Some(ranker) };
                if from != ranker {
                    party = Some(from);
                }
                socket.send_to(&packet[..bytes], to.unwrap()).await.unwrap();
            }
        });
        Self { address, task }
    }
}
