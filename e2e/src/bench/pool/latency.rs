//! From send to receipt at a rate through a pool: senders at one gateway, viewers at another, rooms on all
//! partitions, beside what the brokers alone take for the same records.

use std::{
    collections::BTreeSet,
    thread,
    time::{Duration, Instant},
};

use hdrhistogram::Histogram;

use super::{
    Rig, Scale,
    brokers::{self, Shape},
    crowd::Crowd,
    disk, manifest,
    scrape::Figures,
};
use crate::{
    bench::{
        BenchError,
        rig::rate as share,
        table::{Row, Table, Target},
    },
    cluster::ClusterOptions,
};

/// Budget of a room: nothing is left out, so that every danmaku is measured.
const BUDGET: u32 = 10_000;
/// So much of the rate has to be acknowledged, or the figures are of another rate.
const ACKNOWLEDGED_MIN: f64 = 0.9;
/// What may come to the brokers' own P99, and the limit where that allows it, ms.
const OVER_BROKERS_MS: f64 = 30.0;
const TARGET_MS: f64 = 100.0;
/// Brokers that are optimised have compiled what is hot after this, and no longer compete with what is measured.
const WARM_UP_OPTIMISED_S: u64 = 180;
/// Records to produce again for the baseline.
const PAYLOADS: usize = 3_000;
/// Replicas of a partition.
const REPLICAS: u64 = 3;

/// Histograms of ages, in the order of the way.
const STAGES: [(&str, &str); 5] = [
    ("gateway: acknowledged by the log", "barrage_gateway_append_age_seconds"),
    ("consumer: read", "barrage_consumer_read_age_seconds"),
    ("ranker: offered", "barrage_ranker_offer_age_seconds"),
    ("ranker: decided", "barrage_ranker_frame_age_seconds"),
    ("gateway: frame taken", "barrage_gateway_frame_age_seconds"),
];

pub(super) fn run(short: bool, scale: &Scale, table: &mut Table) -> Result<(), BenchError> {
    let (optimised, warm_up, time) = if short { (false, 5, 8) } else { (true, WARM_UP_OPTIMISED_S, 60) };
    if optimised {
        eprintln!("pool-latency: brokers are warmed for {warm_up} s, then it is measured for {time} s, twice …");
    }
    let (warm_up, time) = (Duration::from_secs(warm_up), Duration::from_secs(time));
    let rooms = rooms(scale);
    let manifests: Vec<_> = rooms.iter().map(|room| manifest(room, BUDGET)).collect();
    let rig = Rig::start(scale, manifests.join("---\n"), [2, 3, 2], optimised)?;
    let (latency, figures) = measure(&rig, &rooms, scale.rate, warm_up, time)?;
    let own = brokers_alone(&rig, scale, &rooms, &figures, time)?;
    table.add(Row::plain("pool-latency: rooms, spread, partitions", scale.describe(rooms.len())));
    report(&latency, &own, &figures, table);
    report_bytes(&rig, table)
}

fn measure(
    rig: &Rig,
    rooms: &[String],
    rate: f64,
    warm_up: Duration,
    time: Duration,
) -> Result<(Histogram<u64>, Stretch), BenchError> {
    let wanted = share(rate);
    let crowd = Crowd::gather(rig, rooms, wanted)?;
    thread::sleep(warm_up);
    crowd.forget_latency();
    let (acknowledged, before, began) = (crowd.acknowledged(), rig.figures()?, Instant::now());
    thread::sleep(time);
    let (figures, time) = (rig.figures()?.since(&before), began.elapsed());
    let rate = (crowd.acknowledged() - acknowledged) as f64 / time.as_secs_f64();
    let latency = crowd.leave()?;
    if rate < wanted * ACKNOWLEDGED_MIN {
        return Err(BenchError::Meaningless(format!("only {rate:.0} of {wanted:.0} danmaku/s were acknowledged")));
    }
    Ok((latency, Stretch { figures, time, rate }))
}

struct Stretch {
    figures: Figures,
    time: Duration,
    /// Danmaku acknowledged a second.
    rate: f64,
}

impl Stretch {
    fn per_second(&self, name: &str) -> f64 {
        self.figures.sum(name) / self.time.as_secs_f64()
    }
}

fn brokers_alone(
    rig: &Rig,
    scale: &Scale,
    rooms: &[String],
    stretch: &Stretch,
    time: Duration,
) -> Result<Histogram<u64>, BenchError> {
    let (records, batches) =
        (stretch.per_second("barrage_log_records_total"), stretch.per_second("barrage_log_batches_total"));
    // To as many partitions as the rooms are on; one to each at a time.
    let partitions = in_use(scale, rooms);
    let appends = batches / f64::from(partitions);
    let payloads = brokers::last_payloads(&rig.kafka(&ClusterOptions::default().pool)?, scale.partitions, PAYLOADS)?;
    let config = rig.kafka("alone")?;
    rig.runtime.block_on(brokers::create(&config, partitions))?;
    // Whole records an append, and as many appends as make the same records a second.
    let each = (records / appends).round().max(1.0);
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a small positive number")]
    let shape = Shape { partitions, appends: records / each, records: each as usize, payloads };
    brokers::measure(&config, &shape, time)
}

fn report(latency: &Histogram<u64>, own: &Histogram<u64>, stretch: &Stretch, table: &mut Table) {
    let of = |quantile: f64| latency.value_at_quantile(quantile) as f64;
    let alone = |quantile: f64| own.value_at_quantile(quantile) as f64 / 1_000.0;
    let rate = stretch.rate;
    for (name, quantile) in [("P50", 0.5), ("P99", 0.99)] {
        let (ours, theirs) = (of(quantile), alone(quantile));
        let figure = format!("pool-latency: {name} send → receipt at {rate:.0} msg/s");
        let row = Row::plain(figure, format!("{ours:.0} ms"));
        let row = row.against(format!("{theirs:.1} ms brokers alone"), format!("+{:.0} ms", ours - theirs));
        let most = if theirs < TARGET_MS { TARGET_MS } else { f64::INFINITY };
        let allowed = (theirs + OVER_BROKERS_MS).min(most);
        table.add(match name {
            "P99" => row.target(Target::at_most(ours, allowed, format!("≤ {allowed:.0} ms, aim 25"))),
            _ => row,
        });
    }
    for (stage, name) in STAGES {
        let ages = [0.5, 0.99].map(|quantile| stretch.figures.quantile(name, quantile) * 1_000.0);
        let figure = format!("pool-latency: since receipt, {stage}");
        table.add(Row::plain(figure, format!("P50 {:.0} ms, P99 {:.0} ms", ages[0], ages[1])));
    }
    let records = stretch.per_second("barrage_log_records_total");
    let bytes = stretch.per_second("barrage_log_record_bytes_total") / records;
    let batches = stretch.per_second("barrage_log_batches_total");
    let value = format!("{:.2} danmaku, {bytes:.0} B", rate / records);
    let row = Row::plain("pool-latency: a record", value);
    table.add(row.against(format!("{records:.0} records/s"), ""));
    // librdkafka sends each batch of a partition in a request of its own.
    let row = Row::plain("pool-latency: produce requests at the brokers", format!("{batches:.0}/s"));
    table.add(row.against("batches that gateways sent".to_owned(), ""));
    let operations = stretch.per_second("barrage_store_operations_total") / rate * 1_000.0;
    table.add(Row::plain("pool-latency: Redis operations per 1,000 msg", format!("{operations:.0}")));
}

/// Of everything that was said, warming up included.
fn report_bytes(rig: &Rig, table: &mut Table) -> Result<(), BenchError> {
    let topic = format!("{}.danmaku", ClusterOptions::default().pool);
    let bytes = disk::log_bytes(rig.cluster.run().folder(), &topic);
    let bytes = bytes.map_err(BenchError::io("measuring the topic"))? / REPLICAS;
    let figures = rig.figures()?;
    let danmaku = figures.sum("barrage_gateway_acknowledged_total");
    let plain = figures.sum("barrage_log_record_bytes_total") / danmaku;
    let value = bytes as f64 / danmaku;
    let row = Row::plain("pool-latency: bytes in Kafka per danmaku", format!("{value:.1} B"));
    table.add(row.against(format!("{plain:.1} B before zstd"), format!("{:.2}", value / plain)));
    Ok(())
}

/// So many rooms, or one that begins on each partition.
fn rooms(scale: &Scale) -> Vec<String> {
    let names = (0_u32..).map(|number| format!("bench-{number}"));
    if let Some(rooms) = scale.rooms {
        return names.take(rooms as usize).collect();
    }
    let mut on = |partition: u32| names.clone().find(|name| scale.placement.partition_of(name, 0) == partition);
    (0..scale.partitions).filter_map(&mut on).collect()
}

/// Partitions that rooms are on.
fn in_use(scale: &Scale, rooms: &[String]) -> u32 {
    let all: BTreeSet<_> = rooms.iter().flat_map(|room| scale.placement.partitions_of(room)).collect();
    u32::try_from(all.len()).unwrap_or(scale.partitions)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::args::Pool;

    #[test]
    fn a_room_begins_on_each_partition_unless_there_are_to_be_so_many() {
        let scale = |spread, rooms| Scale::new(Pool { partitions: 3, spread, rooms, rate: 5_000 }).unwrap();
        for spread in [None, Some(1), Some(2)] {
            let scale = scale(spread, None);
            let on: Vec<_> = rooms(&scale).iter().map(|room| scale.placement.partition_of(room, 0)).collect();
            assert_eq!(on, [0, 1, 2]);
        }
        assert_eq!(rooms(&scale(None, Some(7))).len(), 7);
        let hot = ["hot".to_owned()];
        assert_eq!([1, 2, 3].map(|spread| in_use(&scale(Some(spread), None), &hot)), [1, 2, 3]);
    }
}
