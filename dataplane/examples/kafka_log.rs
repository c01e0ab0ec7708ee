//! The log on real brokers, by hand: makes topics, checks them, measures, and appends while somebody kills brokers.
//!
//! `kafka_log BROKERS create|check|bench|kill|ask` with the brokers separated by commas. With `BARRAGE_TRY_TLS=FOLDER`, a
//! folder with `ca.pem`, `cert.pem` and `key.pem`, and `BARRAGE_TRY_SASL=MECHANISM:USER:PASSWORD`, it logs in.

use std::{
    collections::HashMap,
    env,
    path::Path,
    time::{Duration, Instant},
};

use anyhow::{Context, Result};
use barrage::{
    kafka::{Durability, KafkaConfig, Sasl, SaslMechanism, Secret, Tls, check_topics, create_topics},
    log::{Commit, Log, NewRecord, Reading, kafka::KafkaLog},
};
use prometheus_client::registry::Registry;
use tokio::time::{MissedTickBehavior, interval, sleep, timeout};

const PARTITIONS: u32 = 3;
const RECORD_BYTES: usize = 4096;

#[tokio::main(flavor = "multi_thread")]
async fn main() -> Result<()> {
    tracing_subscriber::fmt().with_env_filter(env::var("RUST_LOG").unwrap_or_else(|_| "warn".into())).init();
    let mut arguments = env::args().skip(1);
    let brokers = arguments.next().context("no brokers")?;
    let config = config(&brokers);
    let log = || KafkaLog::open(&config, PARTITIONS, &mut Registry::default()).map(Log::Kafka);
    match arguments.next().as_deref() {
        Some("create") => create_topics(&config, PARTITIONS, Durability::Replicated).await?,
        Some("check") => match check_topics(&config, Some(PARTITIONS), Durability::Replicated).await {
            Ok(partitions) => println!("{partitions} partitions, all as it has to be"),
            Err(wrong) => wrong.iter().for_each(|wrong| println!("{wrong}")),
        },
        Some("bench") => bench(log()?).await?,
        Some("kill") => kill(log()?).await?,
        Some("ask") => ask(log()?).await?,
        _ => eprintln!("create|check|bench|kill|ask"),
    }
    Ok(())
}

fn config(brokers: &str) -> KafkaConfig {
    let tls = env::var("BARRAGE_TRY_TLS").ok().map(|folder| {
        let file = |name: &str| Path::new(&folder).join(name);
        Tls { ca_file: Some(file("ca.pem")), identity: Some((file("cert.pem"), file("key.pem"))) }
    });
    let sasl = env::var("BARRAGE_TRY_SASL").ok().map(|login| {
        let parts: Vec<_> = login.split(':').map(str::to_owned).collect();
        let mechanism = match parts[0].as_str() {
            "SCRAM-SHA-256" => SaslMechanism::ScramSha256,
            "SCRAM-SHA-512" => SaslMechanism::ScramSha512,
            _ => SaslMechanism::Plain,
        };
        Sasl { mechanism, username: parts[1].clone(), password: Secret(parts[2].clone()) }
    });
    KafkaConfig { brokers: brokers.split(',').map(str::to_owned).collect(), pool: "try".into(), tls, sasl }
}

fn now_us() -> u64 {
    let since = std::time::UNIX_EPOCH.elapsed().unwrap_or_default();
    u64::try_from(since.as_micros()).unwrap_or_default()
}

/// Half of it does not compress.
fn payload(number: u64) -> Vec<u8> {
    let mut bytes = now_us().to_be_bytes().to_vec();
    bytes.extend(number.to_be_bytes());
    bytes.extend((16..RECORD_BYTES).map(|i| if i % 2 == 0 { rand::random() } else { 7 }));
    bytes
}

fn stamp(payload: &[u8], at: usize) -> u64 {
    payload[at..at + 8].iter().fold(0, |value, byte| value << 8 | u64::from(*byte))
}

fn percentiles(name: &str, mut us: Vec<u64>) {
    us.sort_unstable();
    let at = |permille: usize| us.get((us.len() - 1) * permille / 1000).map_or(0.0, |us| *us as f64 / 1000.0);
    println!("{name}: n {} P50 {:.1} P90 {:.1} P99 {:.1} max {:.1} ms", us.len(), at(500), at(900), at(990), at(1000));
}

/// 1,000 records/s on 3 partitions: 10 appends of 1 record each 10 ms. A run to warm up, then one that counts.
async fn bench(log: Log) -> Result<()> {
    for round in ["warm-up", "measured"] {
        let readers: Vec<_> = (0..PARTITIONS).map(|partition| tokio::spawn(consume(log.clone(), partition))).collect();
        sleep(Duration::from_secs(1)).await;
        let mut tick = interval(Duration::from_millis(10));
        tick.set_missed_tick_behavior(MissedTickBehavior::Burst);
        let mut appends = Vec::new();
        for i in 0..2_000_u64 {
            tick.tick().await;
            for j in 0..10_u64 {
                let log = log.clone();
                let partition = u32::try_from((i * 10 + j) % u64::from(PARTITIONS))?;
                appends.push(tokio::spawn(async move {
                    let began = Instant::now();
                    let payload = payload(i).into();
                    log.append(vec![NewRecord { partition, payload, trace: None }]).await?;
                    anyhow::Ok(u64::try_from(began.elapsed().as_micros())?)
                }));
            }
        }
        let mut append_us = Vec::new();
        for append in appends {
            append_us.push(append.await??);
        }
        let (mut logged_us, mut seen_us) = (Vec::new(), Vec::new());
        for reader in readers {
            let (logged, seen) = reader.await??;
            logged_us.extend(logged);
            seen_us.extend(seen);
        }
        percentiles(&format!("{round}: produce to the leader's append"), logged_us);
        percentiles(&format!("{round}: produce to consume"), seen_us);
        percentiles(&format!("{round}: produce to acknowledgement"), append_us);
    }
    Ok(())
}

/// Times from a record's making to its append and to its arrival, until nothing comes for four seconds.
async fn consume(log: Log, partition: u32) -> Result<(Vec<u64>, Vec<u64>)> {
    let end = log.state(partition).await?.end;
    let mut reader = log.reader(partition, end, Reading::Live)?;
    let (mut logged_us, mut seen_us) = (Vec::new(), Vec::new());
    while let Ok(records) = timeout(Duration::from_secs(4), reader.next(1000)).await {
        let now = now_us();
        for record in records? {
            let made = stamp(&record.payload, 0);
            logged_us.push((u64::try_from(record.append_ms)? * 1000).saturating_sub(made));
            seen_us.push(now.saturating_sub(made));
        }
    }
    Ok((logged_us, seen_us))
}

/// For 40 s, four senders a partition append numbered records one after the other, and again what failed; kill brokers
/// meanwhile. At the end everything acknowledged has to be where it was said to be, in the senders' order.
async fn kill(log: Log) -> Result<()> {
    let deadline = Instant::now() + Duration::from_secs(40);
    let mut starts = Vec::new();
    for partition in 0..PARTITIONS {
        starts.push(log.state(partition).await?.end);
    }
    let watched = log.clone();
    let watch = tokio::spawn(async move {
        let mut last = None;
        loop {
            let now = (watched.trouble(), watched.degraded());
            if last.as_ref() != Some(&now) {
                println!("{now:?}");
                last = Some(now);
            }
            sleep(Duration::from_millis(200)).await;
        }
    });
    let senders: Vec<_> = (0..PARTITIONS * 4).map(|sender| tokio::spawn(send(log.clone(), sender, deadline))).collect();
    let (mut acknowledged, mut failures, mut longest) = (Vec::new(), 0, Duration::ZERO);
    for sender in senders {
        let (kept, failed, waited) = sender.await?;
        acknowledged.push(kept);
        failures += failed;
        longest = longest.max(waited);
    }
    watch.abort();
    let count: usize = acknowledged.iter().map(Vec::len).sum();
    println!("acknowledged {count}, failed appends {failures}, longest wait for success {longest:?}");
    for partition in 0..PARTITIONS {
        verify(&log, partition, starts[partition as usize], &acknowledged).await?;
    }
    Ok(())
}

type Kept = Vec<(u64, u64)>;

async fn send(log: Log, sender: u32, deadline: Instant) -> (Kept, u32, Duration) {
    let (mut kept, mut failed, mut longest, mut last) = (Vec::new(), 0, Duration::ZERO, Instant::now());
    let mut number = 0;
    while Instant::now() < deadline {
        let mut payload = payload(number);
        payload[..8].copy_from_slice(&u64::from(sender).to_be_bytes());
        let record = NewRecord { partition: sender % PARTITIONS, payload: payload.into(), trace: None };
        match log.append(vec![record]).await {
            Ok(offsets) => {
                kept.push((number, offsets[0]));
                number += 1;
                longest = longest.max(last.elapsed());
                last = Instant::now();
            }
            Err(_) => {
                failed += 1;
                sleep(Duration::from_millis(50)).await;
            }
        }
        sleep(Duration::from_millis(5)).await;
    }
    (kept, failed, longest)
}

async fn verify(log: &Log, partition: u32, start: u64, acknowledged: &[Kept]) -> Result<()> {
    let state = log.state(partition).await?;
    let mut reader = log.reader(partition, start, Reading::CatchUp)?;
    let (mut next, mut at, mut newest) = (start, HashMap::new(), HashMap::new());
    let (mut disorder, mut doubled) = (0, 0);
    while next < state.end {
        for record in reader.next(1000).await? {
            assert_eq!(record.offset, next, "no hole");
            next += 1;
            let (sender, number) = (stamp(&record.payload, 0), stamp(&record.payload, 8));
            // A repeat of what failed may stand behind its original; what is new must not stand before anything older.
            let newest = newest.entry(sender).or_insert(0);
            match number {
                n if n + 1 == *newest => doubled += 1,
                n if n == *newest => *newest += 1,
                _ => disorder += 1,
            }
            at.insert(record.offset, (sender, number));
        }
    }
    let kept = (0_u64..).zip(acknowledged).filter(|(sender, _)| sender % u64::from(PARTITIONS) == u64::from(partition));
    let lost = kept.flat_map(|(sender, kept)| kept.iter().map(move |&(number, offset)| (sender, number, offset)));
    let lost = lost.filter(|&(sender, number, offset)| at.get(&offset) != Some(&(sender, number))).count();
    println!(
        "partition {partition}: {} records, lost {lost}, out of order {disorder}, repeats {doubled}",
        state.end - start
    );
    Ok(())
}

async fn ask(log: Log) -> Result<()> {
    let append = |text: &'static str| {
        let record = NewRecord { partition: 0, payload: text.into(), trace: None };
        let log = log.clone();
        async move { log.append(vec![record]).await.map(|offsets| offsets[0]) }
    };
    let first = append("first").await?;
    sleep(Duration::from_secs(2)).await;
    let second = append("second").await?;
    let third = append("third").await?;
    println!("offsets {first} {second} {third}");
    for (offset, window_ms) in [(third + 1, 1000), (third + 1, 60_000), (second, 0), (0, 1000)] {
        println!("rewind({offset}, {window_ms}) = {:?}", log.rewind(0, offset, window_ms).await);
    }
    log.commit(vec![Commit { partition: 0, offset: second, released: 9 }]).await?;
    println!("{:?}", log.state(0).await);
    println!("{:?} {:?}", log.trouble(), log.degraded());
    Ok(())
}
