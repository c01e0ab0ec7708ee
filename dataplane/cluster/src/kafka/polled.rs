//! A producer whose events a thread of its own serves.
//!
//! What rdkafka has for it, `ThreadedProducer`, waits 100 ms at a time and spins through the last millisecond of each:
//! a hundredth of a core in every idle process.

use std::{
    io,
    sync::{Arc, Weak},
    thread,
    time::Duration,
};

use rdkafka::{
    ClientConfig,
    config::FromClientConfigAndContext,
    error::{KafkaError, KafkaResult},
    producer::{BaseProducer, NoCustomPartitioner, ProducerContext},
};

/// How long events are waited for at a time; the client lives up to as much longer than whoever uses it, and what it was
/// given is still sent meanwhile.
const WAIT: Duration = Duration::from_secs(1);

/// Makes a producer and starts its thread, which ends some time after everybody else has let go of the producer.
///
/// # Errors
/// The settings are wrong, or the system gives no thread.
pub fn polled<C>(config: &ClientConfig, context: C) -> KafkaResult<Arc<BaseProducer<C>>>
where
    C: ProducerContext<NoCustomPartitioner> + 'static,
{
    let producer = Arc::new(BaseProducer::from_config_and_context(config, context)?);
    let polled = Arc::downgrade(&producer);
    let spawned = thread::Builder::new().name("kafka-producer".into()).spawn(move || poll(&polled));
    spawned.map_err(|error: io::Error| KafkaError::ClientCreation(error.to_string()))?;
    Ok(producer)
}

fn poll<C: ProducerContext<NoCustomPartitioner>>(producer: &Weak<BaseProducer<C>>) {
    while let Some(producer) = producer.upgrade() {
        producer.poll(WAIT);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use rdkafka::producer::DefaultProducerContext;

    use super::*;

    #[test]
    fn the_thread_lets_go_of_a_producer_that_nobody_uses() {
        let mut config = ClientConfig::new();
        // Nobody listens at the discard port.
        config.set("bootstrap.servers", "127.0.0.1:9");
        let producer = polled(&config, DefaultProducerContext).unwrap();
        let (used, began) = (Arc::downgrade(&producer), Instant::now());
        drop(producer);
        while used.strong_count() > 0 {
            assert!(began.elapsed() < 30 * WAIT, "it is kept");
            thread::sleep(Duration::from_millis(20));
        }
    }
}
