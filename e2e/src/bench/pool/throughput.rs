//! The highest rate of one room that a pool holds with everything exact: danmaku go in at the gateway's publisher, and
//! consumer and ranker keep up. Beside it what the producer and the script reach alone.

use std::{
    collections::VecDeque,
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use barrage_cluster::routes as topic;
use barrage_core::{room::RoomId, store::Store};
use tokio::sync::watch;

use super::{
    Rig, Scale, alone, disk,
    exact::{self, Judgement},
    inject::{Chatter, Injection, room_of},
    manifest,
    scrape::Figures,
};
use crate::{
    bench::{
        BenchError,
        rig::ROOM,
        sample::Sample,
        table::{Row, Table, Target},
    },
    cluster::ClusterOptions,
};

/// Budget of the room: its viewers read what they can, the rest is counted.
const BUDGET: u32 = 200;
/// Lanes of the gateway, one a core as its shards.
const LANES: usize = 2;
/// How far consumer or ranker may be behind while the highest rate is looked for: enough for what is on its way.
const BEHIND: Duration = Duration::from_millis(500);
/// At a rate that holds they are never further behind than this.
const BEHIND_MAX: Duration = Duration::from_secs(1);
/// Danmaku that may be on their way at first, before a rate is known.
const ON_THE_WAY_MIN: u64 = 20_000;
/// How long what is left of a rate that did not hold may take.
const CATCH_UP_MAX: Duration = Duration::from_secs(60);
const BEAT: Duration = Duration::from_millis(100);
/// Rates that are tried, from just above what was reached with consumer and ranker at their limit.
const TRIES: [f64; 9] = [1.1, 1.05, 1.0, 0.95, 0.9, 0.8, 0.7, 0.6, 0.5];
const TARGET: f64 = 0.5;
const AIM: u32 = 1_000_000;
/// Of so many rooms the ledgers say what is logged; of more that would cost too much, and consumers do.
const ROOMS_ASKED: usize = 8;
/// Replicas of a partition.
const REPLICAS: u64 = 3;

struct Size {
    warm_up: Duration,
    time: Duration,
    alone: Duration,
    /// Danmaku for the script alone.
    applied: u64,
}

pub(super) fn run(short: bool, scale: &Scale, sample: &Sample, table: &mut Table) -> Result<(), BenchError> {
    let size = |warm_up, time, alone, applied| {
        let [warm_up, time, alone] = [warm_up, time, alone].map(Duration::from_secs);
        Size { warm_up, time, alone, applied }
    };
    let size = if short { size(8, 6, 4, 400_000) } else { size(30, 20, 10, 1_500_000) };
    let names: Vec<_> = match scale.rooms.unwrap_or(1) {
        1 => vec![ROOM.to_owned()],
        many => (0..many).map(|number| format!("{ROOM}-{number}")).collect(),
    };
    let manifests: Vec<_> = names.iter().map(|name| manifest(name, BUDGET)).collect();
    let rooms: Vec<_> = names.iter().map(|name| RoomId::from(name.as_str())).collect();
    let rig = Rig::start(scale, manifests.join("---\n"), [1, 1, 1], false)?;
    let chatter = Arc::new(Chatter::new(sample)?);
    let held = hold(&rig, &chatter, &rooms, &size)?;
    let [per_append, per_record, per_call] = held.shape();
    let producer = alone::producer(&rig, &chatter, LANES, per_append, (scale.placement.spread(), size.alone))?;
    let script = alone::script(&rig, &chatter, per_call, per_record, size.applied)?;
    table.add(Row::plain("pool-throughput: rooms, spread, partitions", scale.describe(rooms.len())));
    report(&rig, &held, (producer, script), table)
}

/// What was reached, and what was counted meanwhile.
struct Held {
    rate: f64,
    sent: u64,
    per_append: f64,
    /// Batches a second that were sent to partitions at the rate that holds.
    batches: f64,
    figures: Figures,
    judgement: Judgement,
}

impl Held {
    /// Danmaku of an append, of a record and of a script call.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "small positive numbers")]
    fn shape(&self) -> [u64; 3] {
        let danmaku = self.figures.sum("barrage_consumer_danmaku_total");
        let records = self.figures.sum("barrage_consumer_records_total").max(1.0);
        let calls = self.calls().max(1.0);
        [self.per_append, danmaku / records, danmaku / calls].map(|mean| mean.ceil() as u64)
    }

    fn calls(&self) -> f64 {
        self.figures.sum("barrage_store_script_calls_total")
    }
}

fn hold(rig: &Rig, chatter: &Arc<Chatter>, rooms: &[RoomId], size: &Size) -> Result<Held, BenchError> {
    let pool = ClusterOptions::default().pool;
    let read = rig.runtime.block_on(topic::read(rig.kafka(&pool)?.client(), &pool));
    let routes = read.map_err(BenchError::refused("reading the routes"))?;
    let routes = routes.ok_or_else(|| BenchError::Meaningless("the pool has no routes".to_owned()))?;
    let (log, counted) = rig.log(&pool, routes.partition_count())?;
    let (_sender, routes) = watch::channel(Arc::new(routes));
    let injection = {
        let _here = rig.runtime.enter();
        Injection::start(chatter, (&log, &routes), rooms, LANES, u64::MAX)
    };
    let (store, zero) = (rig.store_of_pool()?, rig.figures()?);
    let mut drive = Drive { rig, store, rooms, injection, done: VecDeque::new(), allowed: 0, zero };
    drive.at_the_limit(size.warm_up)?;
    let limit = drive.at_the_limit(size.time)?;
    eprintln!("  {limit:.0} msg/s with consumer and ranker {} ms behind", BEHIND.as_millis());
    let before = rig.figures()?;
    let mut held = None;
    for share in TRIES {
        let (began, sent) = (Instant::now(), Figures::of(&counted)?);
        if drive.holds(limit * share, size.time)? {
            let sent = Figures::of(&counted)?.since(&sent).sum("batches_total");
            held = Some((limit * share, sent / began.elapsed().as_secs_f64()));
            break;
        }
    }
    let figures = rig.figures()?.since(&before);
    let (rate, batches) =
        held.ok_or_else(|| BenchError::Meaningless(format!("no rate holds below {limit:.0} msg/s")))?;
    let per_append = drive.injection.per_append();
    let (sent, judgement) = rig.runtime.block_on(async {
        let sent = drive.injection.end().await?;
        let mut scores = vec![Vec::new(); rooms.len()];
        for (user, score) in chatter.scores(sent) {
            scores[room_of(user, rooms.len())].push((user, score));
        }
        let mut judgement = Judgement::default();
        for (room, scores) in rooms.iter().zip(scores) {
            let sent = scores.iter().map(|(_, score)| score).sum();
            judgement.add(sent, &exact::judge(&drive.store, room, sent, &scores).await?);
        }
        Ok::<_, BenchError>((sent, judgement))
    })?;
    Ok(Held { rate, sent, per_append, batches, figures, judgement })
}

/// The hand on the throttle.
struct Drive<'a> {
    rig: &'a Rig,
    store: Store,
    rooms: &'a [RoomId],
    injection: Injection,
    /// What was done by when, of the last second.
    done: VecDeque<(Instant, u64)>,
    allowed: u64,
    zero: Figures,
}

impl Drive<'_> {
    /// Lets in what consumer and ranker can take at [`BEHIND`]; gives what they did a second.
    fn at_the_limit(&mut self, time: Duration) -> Result<f64, BenchError> {
        let (began, before) = (Instant::now(), self.look()?);
        let mut done = before;
        while began.elapsed() < time {
            let rate = self.recent_rate();
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a small positive number")]
            let on_the_way = ON_THE_WAY_MIN.max((rate * BEHIND.as_secs_f64()) as u64);
            self.allow(done + on_the_way);
            thread::sleep(BEAT);
            done = self.look()?;
        }
        Ok((done - before) as f64 / began.elapsed().as_secs_f64())
    }

    /// Whether a rate holds: it goes in, and nobody is behind by more than [`BEHIND_MAX`] in the second half.
    fn holds(&mut self, rate: f64, time: Duration) -> Result<bool, BenchError> {
        // What is left of an earlier try is done first.
        self.catch_up()?;
        let (began, base) = (Instant::now(), self.allowed);
        let mut worst: f64 = 0.0;
        while began.elapsed() < time {
            let elapsed = began.elapsed();
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a small positive number")]
            let due = base + (elapsed.as_secs_f64() * rate) as u64;
            self.allow(due);
            thread::sleep(BEAT);
            if elapsed > time / 2 {
                worst = worst.max(due.saturating_sub(self.look()?) as f64 / rate);
            }
        }
        let held = worst <= BEHIND_MAX.as_secs_f64();
        eprintln!("  {rate:.0} msg/s: at most {:.0} ms behind: {held}", worst * 1_000.0);
        Ok(held)
    }

    fn catch_up(&mut self) -> Result<(), BenchError> {
        let until = Instant::now() + CATCH_UP_MAX;
        while self.look()? < self.injection.acknowledged() {
            if Instant::now() > until {
                let (done, sent) = (self.look()?, self.injection.acknowledged());
                let what = format!("{done} of {sent} acknowledged danmaku are applied and decided, and no more follow");
                return Err(BenchError::Meaningless(what));
            }
            thread::sleep(BEAT);
        }
        Ok(())
    }

    fn allow(&mut self, below: u64) {
        self.allowed = self.allowed.max(below);
        self.injection.allow(self.allowed);
    }

    /// Danmaku that the store has and the ranker has decided about.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "counts")]
    fn look(&mut self) -> Result<u64, BenchError> {
        let figures = self.rig.figures()?.since(&self.zero);
        let decided = figures.sum_without("barrage_ranker_danmaku_total", "Seen") as u64;
        let logged = if self.rooms.len() > ROOMS_ASKED {
            figures.sum("barrage_store_applied_danmaku_total") as u64
        } else {
            // A consumer does not count what a call did that was not answered in time.
            let mut logged = 0;
            for room in self.rooms {
                let ledger = self.rig.runtime.block_on(self.store.ledger(room));
                logged += ledger.map_err(BenchError::refused("reading what is logged"))?.1;
            }
            logged
        };
        let done = logged.min(decided);
        self.done.push_back((Instant::now(), done));
        while self.done.front().is_some_and(|(at, _)| at.elapsed() > Duration::from_secs(1)) {
            self.done.pop_front();
        }
        Ok(done)
    }

    fn recent_rate(&self) -> f64 {
        match (self.done.front(), self.done.back()) {
            (Some((from, first)), Some((to, last))) if to > from => (last - first) as f64 / (*to - *from).as_secs_f64(),
            _ => 0.0,
        }
    }
}

fn report(rig: &Rig, held: &Held, (producer, script): (f64, f64), table: &mut Table) -> Result<(), BenchError> {
    let slower = producer.min(script);
    let row = Row::plain("pool-throughput: one room, everything exact", format!("{:.0} msg/s", held.rate));
    let row = row.against(format!("{slower:.0} the slower below"), format!("{:.2}", held.rate / slower));
    let target = Target::at_least(held.rate / slower, TARGET, format!("≥ {TARGET:.2}, aim {AIM} msg/s"));
    table.add(row.target(target));
    table.add(Row::plain("pool-throughput: producer alone, acks=all", format!("{producer:.0} msg/s")));
    table.add(Row::plain("pool-throughput: apply script alone", format!("{script:.0} msg/s")));
    let [per_append, per_record, per_call] = held.shape();
    let shape = format!("{per_append} an append, {per_record} a record, {per_call} a script call");
    table.add(Row::plain("pool-throughput: danmaku", shape));
    // librdkafka sends each batch of a partition in a request of its own.
    let row = Row::plain("pool-throughput: produce requests at the brokers", format!("{:.0}/s", held.batches));
    table.add(row.against("batches that the publisher sent", ""));
    let Judgement { users, expired, wrong } = held.judgement;
    let row = Row::plain("pool-throughput: scores, logged and ledgers that are wrong", wrong.to_string());
    let row = row.against(format!("{} danmaku of {users} users", held.sent), format!("{expired} expired"));
    table.add(row.target(Target::at_most(wrong as f64, 0.0, "0")));
    let danmaku = held.figures.sum("barrage_consumer_danmaku_total").max(1.0);
    let operations = held.figures.sum("barrage_store_operations_total") / danmaku * 1_000.0;
    let row = Row::plain("pool-throughput: Redis operations per 1,000 msg", format!("{operations:.1}"));
    table.add(row.against(format!("{:.1} script calls", held.calls() / danmaku * 1_000.0), ""));
    let topic = format!("{}.danmaku", ClusterOptions::default().pool);
    let bytes = disk::log_bytes(rig.cluster.run().folder(), &topic);
    let bytes = (bytes.map_err(BenchError::io("measuring the topic"))? / REPLICAS) as f64 / held.sent as f64;
    table.add(Row::plain("pool-throughput: bytes in Kafka per danmaku", format!("{bytes:.1} B")));
    if wrong > 0 { Err(BenchError::Wrong(wrong)) } else { Ok(()) }
}
