//! A pool with one room, those who send and watch in it, and the account of what has to be kept.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use barrage_core::room::shard_of;
use barrage_e2e::{
    client::{ClientError, ClientV2, Event, Join},
    cluster::{Cluster, ClusterOptions, Role, RoleProcess},
    http::{Api, Kept},
    session::Fate,
    token::Claims,
};
use barrage_proto::{
    log::{Entry, Record},
    v2::pb::Reason,
};
use prost::Message;
use rdkafka::{
    message::OwnedHeaders,
    producer::{FutureProducer, FutureRecord},
};
use serde::Deserialize;
use tokio::sync::{Mutex, MutexGuard};

use crate::{PATIENCE, until, wait};

/// The topic of the pool's log.
pub(crate) const DANMAKU: &str = "default.danmaku";
/// Who appends past the gateways.
const STRANGER: u64 = 99;

/// What `/readyz` says.
#[derive(Debug, Deserialize)]
pub(crate) struct Readyz {
    pub(crate) status: String,
    pub(crate) checks: Vec<Check>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Check {
    pub(crate) name: String,
    pub(crate) ok: bool,
    pub(crate) detail: String,
}

/// A cluster of which parts are broken needs the machine for itself.
static TURN: Mutex<()> = Mutex::const_new(());

pub(crate) struct Scene {
    pub(crate) cluster: Cluster,
    _turn: MutexGuard<'static, ()>,
    /// Partition of the room, all of it.
    pub(crate) partition: u32,
    /// Texts that were acknowledged, and those of which nobody knows.
    acknowledged: BTreeSet<String>,
    unknown: BTreeSet<String>,
    said: u32,
}

impl Scene {
    pub(crate) async fn start(options: ClusterOptions) -> Self {
        let options = ClusterOptions { spread: Some(1), ..options };
        let turn = TURN.lock().await;
        let cluster = Cluster::start(options).await.unwrap_or_else(|error| panic!("{error}"));
        let (acknowledged, unknown) = (BTreeSet::new(), BTreeSet::new());
        let mut scene = Self { cluster, _turn: turn, partition: 0, acknowledged, unknown, said: 0 };
        let mut first = scene.join(0, 2);
        let (seq, text) = scene.say(&mut first);
        match first.wait_fate(seq, PATIENCE).unwrap() {
            Fate::Acknowledged(at) => scene.partition = at.partition,
            other => panic!("{other:?}"),
        }
        scene.acknowledged.insert(text);
        scene
    }

    /// A viewer at a gateway.
    pub(crate) fn join(&self, gateway: usize, user: u64) -> ClientV2 {
        self.join_room("demo", gateway, user)
    }

    /// A viewer of any room.
    pub(crate) fn join_room(&self, room: &str, gateway: usize, user: u64) -> ClientV2 {
        let listen = self.cluster.gateways[gateway].listen().unwrap();
        let token = self.cluster.token_key().unwrap().mint(&Claims::viewer(room, user)).unwrap();
        let join = Join::new(&format!("ws://{listen}"), room, &token);
        ClientV2::join(&join, user).unwrap_or_else(|error| panic!("joining at gateway {gateway}: {error}"))
    }

    /// The API of a gateway.
    pub(crate) fn api(&self, gateway: usize) -> Api {
        let token = self.cluster.token_key().unwrap().mint(&Claims::viewer("demo", 1)).unwrap();
        Api::new(&format!("http://{}", self.cluster.gateways[gateway].listen().unwrap())).with_token(token)
    }

    /// Sends a danmaku; its number and text.
    pub(crate) fn say(&mut self, sender: &mut ClientV2) -> (u64, String) {
        self.said += 1;
        let text = format!("弹幕 {}", self.said);
        (sender.say(&text).unwrap(), text)
    }

    /// Sends a danmaku and waits until it is acknowledged.
    pub(crate) fn keep(&mut self, sender: &mut ClientV2) -> String {
        let (seq, text) = self.say(sender);
        self.settle(sender, seq, &text);
        text
    }

    /// Each of the users says so much at a gateway, so that every slice has something.
    pub(crate) fn chat(&mut self, gateway: usize, users: std::ops::Range<u64>) {
        for user in users {
            let mut sender = self.join(gateway, user);
            self.keep(&mut sender);
        }
    }

    /// Waits until it is known what became of a danmaku, coming back as often as need be, and accounts for it.
    pub(crate) fn settle(&mut self, sender: &mut ClientV2, seq: u64, text: &str) {
        let mut fate = None;
        until("what became of a danmaku", || {
            match sender.wait_fate(seq, Duration::from_secs(10)) {
                Ok(known) => fate = Some(known),
                Err(ClientError::Timeout { what, .. }) => return Err(what),
                Err(lost) => {
                    let back = sender.rejoin();
                    return Err(format!("{lost}; back: {back:?}"));
                }
            }
            Ok(())
        });
        match fate {
            Some(Fate::Acknowledged(_)) => self.acknowledged.insert(text.to_owned()),
            Some(Fate::Unknown | Fate::Refused(Reason::UnknownOutcome)) => self.unknown.insert(text.to_owned()),
            other => panic!("{text}: {other:?}"),
        };
    }

    /// Appends a danmaku to the log past all gateways; its text. It counts like an acknowledged one.
    pub(crate) fn append_danmaku(&mut self) -> String {
        self.said += 1;
        let text = format!("弹幕 {}", self.said);
        let now = i64::from(self.said);
        let entry = Entry {
            user: STRANGER,
            session: 1,
            seq: u64::from(self.said),
            sent_ms: now,
            content: text.clone().into_bytes().into(),
            ..Entry::default()
        };
        let received_ms = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_millis();
        let record = Record {
            room: "demo".to_owned(),
            shard: shard_of(STRANGER),
            received_ms: i64::try_from(received_ms).unwrap(),
            entries: vec![entry],
            ..Record::default()
        };
        self.append(&record.encode_to_vec());
        self.acknowledged.insert(text.clone());
        text
    }

    /// Appends any bytes to the room's partition.
    pub(crate) fn append(&self, payload: &[u8]) {
        let producer: FutureProducer = self.cluster.kafka.client(None).create().unwrap();
        let partition = i32::try_from(self.partition).unwrap();
        let record = FutureRecord::<(), _>::to(DANMAKU).partition(partition).payload(payload);
        let record = record.headers(OwnedHeaders::new());
        wait(producer.send(record, PATIENCE)).unwrap();
    }

    /// The processes of a role.
    pub(crate) fn processes(&self, role: Role) -> &[RoleProcess] {
        match role {
            Role::Gateway => &self.cluster.gateways,
            Role::Consumer => &self.cluster.consumers,
            Role::Ranker => &self.cluster.rankers,
        }
    }

    /// All checks that are not as they should be at any process of a role.
    pub(crate) fn complaints(&self, role: Role) -> Vec<Check> {
        let all = self.processes(role).iter().filter_map(readyz);
        all.flat_map(|readyz| readyz.checks).filter(|check| !check.ok).collect()
    }

    /// A metric, summed over all processes of a role and all labels.
    pub(crate) fn metric(&self, role: Role, name: &str) -> f64 {
        let of = |process: &RoleProcess| {
            let answer = Api::new(&format!("http://{}", process.admin())).get("/metrics").ok()?;
            let value = |line: &str| {
                let rest = line.strip_prefix(name).filter(|rest| rest.starts_with(['{', ' ']))?;
                rest.rsplit(' ').next()?.parse::<f64>().ok()
            };
            Some(answer.body.lines().filter_map(value).sum::<f64>())
        };
        self.processes(role).iter().filter_map(of).sum()
    }

    /// Waits until all processes say that all is well.
    pub(crate) fn until_well(&self) {
        until("all is well", || {
            for role in [Role::Gateway, Role::Consumer, Role::Ranker] {
                for process in self.processes(role) {
                    let said = readyz(process);
                    if said.as_ref().is_none_or(|said| said.status != "ok") {
                        return Err(format!("{role}: {said:?}"));
                    }
                }
            }
            Ok(())
        });
    }

    /// Waits until history, ranking and what was logged agree with each other and with what was acknowledged: each
    /// danmaku once.
    pub(crate) fn until_exact(&self) {
        until("history and ranking are exact", || {
            let api = self.api(0);
            let history = api.whole_history("demo").map_err(|error| error.to_string())?;
            self.judge(&history)?;
            let mut scores: BTreeMap<u64, u64> = BTreeMap::new();
            history.iter().for_each(|kept| *scores.entry(kept.user).or_default() += 1);
            let ranking = api.whole_ranking("demo").map_err(|error| error.to_string())?;
            let ranking: BTreeMap<u64, u64> = ranking.into_iter().map(|place| (place.user, place.score)).collect();
            let logged = api.room("demo").map_err(|error| error.to_string())?.ledger.logged;
            if scores == ranking && logged == history.len() as u64 {
                return Ok(());
            }
            Err(format!("history {scores:?}, ranking {ranking:?}, logged {logged}"))
        });
    }

    fn judge(&self, history: &[Kept]) -> Result<(), String> {
        let mut kept = BTreeSet::new();
        for one in history {
            if !kept.insert(&*one.content) {
                return Err(format!("{} is there twice", one.content));
            }
        }
        let lost: Vec<_> = self.acknowledged.iter().filter(|text| !kept.contains(text.as_str())).collect();
        let known = |text: &&&str| self.acknowledged.contains(**text) || self.unknown.contains(**text);
        let foreign: Vec<_> = kept.iter().filter(|text| !known(text)).collect();
        if lost.is_empty() && foreign.is_empty() {
            return Ok(());
        }
        Err(format!("of {} in the history: lost {lost:?}, never said {foreign:?}", kept.len()))
    }

    /// Accounts for a danmaku that was acknowledged elsewhere.
    pub(crate) fn count(&mut self, text: &str) {
        self.acknowledged.insert(text.to_owned());
    }

    /// What is known to be lost need not be there any more.
    pub(crate) fn give_up(&mut self, texts: &[String]) {
        texts.iter().for_each(|text| assert!(self.acknowledged.remove(text), "{text}"));
    }
}

/// What a process says of itself, if it is there.
pub(crate) fn readyz(process: &RoleProcess) -> Option<Readyz> {
    let answer = Api::new(&format!("http://{}", process.admin())).get("/readyz").ok()?;
    serde_json::from_str(&answer.body).ok()
}

/// Whether a frame shows a danmaku.
pub(crate) fn shows(event: &Event, text: &str) -> Option<()> {
    match event {
        Event::Batch(danmaku, _) => danmaku.iter().any(|danmaku| danmaku.content == text).then_some(()),
        _ => None,
    }
}
