//! From a sender to the log and back, with a log in a file: who is told what, in which order, and what waits for whom.

use std::{cell::RefCell, rc::Rc, sync::Arc, time::Duration};

use barrage_proto::{Position, log::Entry, v2::pb};
use tokio::{
    task::{LocalSet, spawn_local},
    time::timeout,
};

use super::{Intake, Sender, SenderId, publish_all, run};
use crate::gateway::{
    config::Config,
    metrics::Refusal,
    state::RoomState,
    testing::{TestGateway, table_of},
};
use barrage_core::room::{Hook, shard_of};

/// What a sender hears.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Heard {
    Accepted(u64),
    Logged(u64),
    NotLogged(u64),
    Ack(Vec<u64>),
    Refused(u64, Refusal),
}

/// A sender that keeps what it hears.
struct Client {
    id: u64,
    room: Arc<RoomState>,
    has_acks: bool,
    heard: RefCell<Vec<Heard>>,
}

impl Sender for Client {
    fn id(&self) -> SenderId {
        SenderId(self.id)
    }

    fn room(&self) -> &Arc<RoomState> {
        &self.room
    }

    fn wants_acks(&self) -> bool {
        self.has_acks
    }

    fn accepted(self: &Rc<Self>, shard: u32, entry: &Entry, _: i64) {
        assert_eq!(shard, shard_of(entry.user));
        self.hear(Heard::Accepted(entry.seq));
    }

    fn logged(&self, entry: &Entry, _: Position) {
        self.hear(Heard::Logged(entry.seq));
    }

    fn not_logged(&self, entry: &Entry) {
        self.hear(Heard::NotLogged(entry.seq));
    }

    fn acknowledge(&self, ack: &pb::Ack) {
        assert_eq!(ack.seq.len(), ack.index.len());
        self.hear(Heard::Ack(ack.seq.clone()));
    }

    fn refuse(&self, seq: u64, reason: Refusal, _: u32) {
        self.hear(Heard::Refused(seq, reason));
    }
}

impl Client {
    fn hear(&self, heard: Heard) {
        self.heard.borrow_mut().push(heard);
    }

    fn heard(&self) -> Vec<Heard> {
        self.heard.take()
    }
}

/// A worker's way to the log.
struct Rig {
    gateway: TestGateway,
    intake: Rc<Intake<Client>>,
}

impl Rig {
    /// Runs a test with one.
    async fn with(test: impl AsyncFnOnce(&Self)) {
        let gateway = TestGateway::new(Config::default(), |_| {});
        let intake = Rc::new(Intake::new(Arc::clone(&gateway.state)));
        let rig = Self { gateway, intake };
        let tasks = LocalSet::new();
        let within = tasks.run_until(async {
            spawn_local(run(Rc::clone(&rig.intake)));
            test(&rig).await;
        });
        timeout(Duration::from_secs(30), within).await.unwrap();
    }

    fn client(&self, id: u64, has_acks: bool) -> Rc<Client> {
        Rc::new(Client { id, room: self.gateway.room(), has_acks, heard: RefCell::default() })
    }

    fn submit(&self, client: &Rc<Client>, entry: Entry) {
        self.intake.submit(client, entry, None);
    }
}

fn entry(user: u64, seq: u64) -> Entry {
    Entry { user, session: user, seq, content: "hello".into(), ..Entry::default() }
}

#[tokio::test]
async fn a_sender_hears_where_its_danmaku_stand() {
    Rig::with(async |rig| {
        let (one, two, old) = (rig.client(1, true), rig.client(2, true), rig.client(3, false));
        for seq in 1..=2 {
            rig.submit(&one, entry(7, seq));
            rig.submit(&two, entry(8, seq));
        }
        rig.submit(&old, entry(9, 1));
        publish_all(&rig.intake).await;
        use Heard::{Accepted, Ack, Logged};
        for client in [&one, &two] {
            let heard = client.heard();
            assert_eq!(heard, [Accepted(1), Accepted(2), Logged(1), Logged(2), Ack(vec![1, 2])]);
        }
        assert_eq!(old.heard(), [Accepted(1), Logged(1)], "version 1 has no acknowledgements");
        let metrics = &rig.gateway.state.metrics;
        assert_eq!((metrics.accepted.get(), metrics.acknowledged.get()), (5, 5));
    })
    .await;
}

#[tokio::test]
async fn a_retry_is_acknowledged_and_never_shown_again() {
    Rig::with(async |rig| {
        let client = rig.client(1, true);
        rig.submit(&client, Entry { retry: true, ..entry(7, 4) });
        publish_all(&rig.intake).await;
        assert_eq!(client.heard(), [Heard::Ack(vec![4])]);
    })
    .await;
}

#[tokio::test]
async fn what_the_log_does_not_take_is_refused_with_all_behind_it() {
    Rig::with(async |rig| {
        // The log has one partition.
        let rooms: Vec<_> = vec![rig.gateway.room().room()];
        let mut table = table_of(&rooms);
        let owner = table.partitions[0].clone();
        table.partitions = vec![owner; 1_000];
        rig.gateway.table.send_replace(Arc::new(table));
        let client = rig.client(1, true);
        for seq in 1..=2 {
            rig.submit(&client, entry(7, seq));
        }
        publish_all(&rig.intake).await;
        use Heard::{Accepted, NotLogged, Refused};
        let retry = |seq| Refused(seq, Refusal::Retry);
        assert_eq!(client.heard(), [Accepted(1), Accepted(2), NotLogged(1), retry(1), NotLogged(2), retry(2)]);
        assert!(rig.intake.has_room(client.room.id(), 7) && rig.intake.is_empty());
        assert_eq!(rig.gateway.state.metrics.acknowledged.get(), 0);
    })
    .await;
}

/// An outside moderator that is not there.
fn hook(lets_through: bool) -> Arc<Hook> {
    Arc::new(Hook { url: "http://127.0.0.1:1/".to_owned(), timeout: Duration::from_millis(500), lets_through })
}

#[tokio::test]
async fn what_follows_a_danmaku_in_review_waits_behind_it() {
    Rig::with(async |rig| {
        let (client, other) = (rig.client(1, true), rig.client(2, true));
        rig.intake.submit(&client, entry(7, 1), Some(hook(true)));
        rig.submit(&client, entry(7, 2));
        assert!(client.heard().is_empty(), "neither is on its way");
        rig.submit(&other, entry(8, 1));
        assert_eq!(other.heard(), [Heard::Accepted(1)], "nobody else waits");
        publish_all(&rig.intake).await;
        let heard = client.heard();
        assert_eq!(heard[..2], [Heard::Accepted(1), Heard::Accepted(2)]);
        let acks: Vec<u64> = heard
            .iter()
            .filter_map(|heard| match heard {
                Heard::Ack(seq) => Some(seq.clone()),
                _ => None,
            })
            .flatten()
            .collect();
        assert_eq!(acks, [1, 2]);
    })
    .await;
}

#[tokio::test]
async fn a_room_may_want_nothing_that_nobody_has_judged() {
    Rig::with(async |rig| {
        let client = rig.client(1, true);
        rig.intake.submit(&client, entry(7, 1), Some(hook(false)));
        rig.submit(&client, entry(7, 2));
        rig.submit(&client, entry(7, 3));
        assert_eq!(rig.intake.take_behind(SenderId(1), 2), [3], "its sender has refused 2");
        publish_all(&rig.intake).await;
        assert_eq!(client.heard(), [Heard::Refused(1, Refusal::Rejected)]);
        assert_eq!(rig.gateway.state.metrics.verdicts_awaited.get(), 0);
    })
    .await;
}
