//! This gateway's part in a slice's move to another partition: it stops writing the slice, waits for what is under way,
//! says so in the partition that the slice leaves, and only then writes to the new one.
//!
//! Shards write by the newest [`Gate`]: the route table, and the slices that wait. An append holds the gate that it was
//! written by, so that the mover sees when the last one by an earlier gate is over. Every gateway ends every move that
//! it learns of, with or without viewers in the room: the old owner waits for all.
//!
//! A gateway that has just started has written nothing. But it announced itself before it read the routes, so an old
//! owner may wait for it: it ends the moves of the last few changes of the table, whether they are complete or not. Of
//! an older one that is not complete the owner waits its ten seconds, which is right, too.

mod ends;

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
    time::Duration,
};

use tokio::{
    sync::watch,
    task::JoinSet,
    time::{MissedTickBehavior, interval, sleep},
};
use tokio_util::sync::{CancellationToken, DropGuard};

use super::{metrics::Metrics, standing::Standing};
use barrage_core::{
    clock::unix_ms,
    link::Peer,
    log::{Log, NewRecord},
    room::RoomId,
    routes::{Routes, Table},
};
use ends::{End, ends, recent_ends};

/// Before a mark that the log refused is tried again.
const RETRY_AFTER: Duration = Duration::from_millis(200);
/// How often this gateway looks whether it is heard.
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// Room and shard.
type Slice = (RoomId, u32);

/// What shards write by.
pub(super) struct Gate {
    /// Where slices live.
    pub(super) table: Arc<Table>,
    /// Slices on their way, with the number of the move: nobody writes them.
    moving: Arc<HashMap<Slice, u32>>,
    /// Tells when nobody writes by this gate any more.
    _over: DropGuard,
}

/// The newest gate.
pub(super) type Gates = watch::Receiver<Arc<Gate>>;

impl Gate {
    /// Whether a slice may be written.
    pub(super) fn is_open(&self, room: &RoomId, shard: u32) -> bool {
        self.moving.is_empty() || !self.moving.contains_key(&(room.clone(), shard))
    }
}

/// Moves slices; see the module.
pub(super) struct Mover {
    name: Peer,
    log: Log,
    routes: Routes,
    standing: Standing,
    metrics: Metrics,
    gates: watch::Sender<Arc<Gate>>,
    moving: HashMap<Slice, u32>,
    /// Cancelled when nobody writes by a gate any more, the newest gate last.
    over: Vec<CancellationToken>,
    /// Moves that are being ended.
    ending: JoinSet<Vec<End>>,
}

impl Mover {
    pub(super) fn new(name: Peer, log: Log, routes: Routes, standing: Standing, metrics: Metrics) -> (Self, Gates) {
        let over = CancellationToken::new();
        let (table, moving) = (Arc::clone(&routes.borrow()), Arc::default());
        let gate = Arc::new(Gate { table, moving, _over: over.clone().drop_guard() });
        let (gates, newest) = watch::channel(gate);
        let (moving, ending) = (HashMap::new(), JoinSet::new());
        (Self { name, log, routes, standing, metrics, gates, moving, over: vec![over], ending }, newest)
    }

    /// Runs until `shutdown`, which comes after the shards' end: they wait for moves until then.
    pub(super) async fn run(mut self, shutdown: CancellationToken) {
        let recent = recent_ends(&self.gates.borrow().table);
        self.end(recent, Vec::new());
        let mut looks = interval(LOOK_EVERY);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        self.routes.mark_changed();
        loop {
            tokio::select! {
                changed = self.routes.changed() => match changed {
                    Ok(()) => self.follow(),
                    // Who carries the table has gone: the last one holds.
                    Err(_) => break,
                },
                Some(ended) = self.ending.join_next() => self.ended(ended),
                _ = looks.tick() => { self.standing.holds(); }
                () = shutdown.cancelled() => return,
            }
        }
        shutdown.cancelled().await;
    }

    /// Takes in the newest table: what it moves waits until the move is ended.
    fn follow(&mut self) {
        let table = Arc::clone(&self.routes.borrow_and_update());
        let ends = ends(&self.gates.borrow().table, &table);
        self.moving.extend(ends.iter().map(|end| (end.slice.clone(), end.number)));
        let before = self.over.clone();
        self.open(table);
        self.end(ends, before);
    }

    /// Ends moves, once nobody writes by the gates `before` any more. A partition that takes nothing holds up no other.
    fn end(&mut self, ends: Vec<End>, before: Vec<CancellationToken>) {
        let mut partitions: BTreeMap<u32, Vec<End>> = BTreeMap::new();
        for end in ends {
            partitions.entry(end.leaves).or_default().push(end);
        }
        for (partition, ends) in partitions {
            tracing::info!(partition, slices = ends.len(), "slices move away; writing them waits");
            let (log, name, before, metrics) =
                (self.log.clone(), Peer::clone(&self.name), before.clone(), self.metrics.clone());
            self.ending.spawn(async move {
                for over in before {
                    over.cancelled().await;
                }
                while let Err(error) = log.append(marks(&ends, &name)).await {
                    tracing::warn!(partition, %error, "ending moves is tried again; their senders wait");
                    sleep(RETRY_AFTER).await;
                }
                metrics.ended_moves.inc_by(ends.len() as u64);
                ends
            });
        }
    }

    fn ended(&mut self, ended: Result<Vec<End>, tokio::task::JoinError>) {
        match ended {
            Ok(ends) => {
                for End { slice, number, .. } in ends {
                    // It may be on the next move already.
                    if self.moving.get(&slice) == Some(&number) {
                        self.moving.remove(&slice);
                    }
                }
                let table = Arc::clone(&self.gates.borrow().table);
                self.open(table);
            }
            Err(error) => tracing::error!(%error, "slices cannot be moved; they wait until this gateway is restarted"),
        }
    }

    /// From now on shards write by this.
    fn open(&mut self, table: Arc<Table>) {
        let over = CancellationToken::new();
        let (moving, guard) = (Arc::new(self.moving.clone()), over.clone().drop_guard());
        self.gates.send_replace(Arc::new(Gate { table, moving, _over: guard }));
        self.over.retain(|over| !over.is_cancelled());
        self.over.push(over);
    }
}

fn marks(ends: &[End], name: &str) -> Vec<NewRecord> {
    let now_ms = unix_ms();
    ends.iter().flat_map(|end| end.marks(name, now_ms)).collect()
}

#[cfg(test)]
mod tests;
