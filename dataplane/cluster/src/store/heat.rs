//! How much was said when: a ring of steps in the hash of each slice's applied position, `h<place>` = `<step>:<danmaku>`.

use std::{collections::HashMap, sync::Arc};

use redis::cmd;
use tokio::task::JoinSet;

use super::{config::failed, shared::Shared};
use barrage_core::room::{RoomId, SHARDS};
use barrage_core::store::{
    StoreError,
    heat::{self, STEPS_KEPT, Steps},
};

/// The script's argument: `<place> <step> <danmaku>` for each step, in lines.
pub(super) fn argument(steps: &Steps) -> Vec<u8> {
    let line = |(step, danmaku): (&i64, &u64)| format!("{} {step} {danmaku}\n", step.rem_euclid(STEPS_KEPT));
    steps.iter().map(line).collect::<String>().into_bytes()
}

/// A room's steps.
pub(super) async fn of_room(shared: &Arc<Shared>, room: &RoomId) -> Result<Steps, StoreError> {
    let mut tasks = JoinSet::new();
    for shard in 0..SHARDS {
        let (shared, key) = (Arc::clone(shared), shared.keys.slice(room, shard).applied);
        tasks.spawn(async move {
            let read = cmd("HGETALL").arg(&key).to_owned();
            let fields: HashMap<String, Vec<u8>> =
                shared.calls.read(&key, read).await.map_err(|error| failed("read", format!("{key}: {error}")))?;
            Ok::<_, StoreError>(fields)
        });
    }
    let mut steps = Steps::new();
    while let Some(done) = tasks.join_next().await {
        let fields = done.map_err(|error| failed("read", error.to_string())).flatten()?;
        for (step, danmaku) in fields.iter().filter_map(|(name, value)| parse(name, value)) {
            *steps.entry(step).or_default() += danmaku;
        }
    }
    heat::keep_newest(&mut steps);
    Ok(steps)
}

fn parse(name: &str, value: &[u8]) -> Option<(i64, u64)> {
    name.strip_prefix('h')?.parse::<u32>().ok()?;
    let (step, danmaku) = std::str::from_utf8(value).ok()?.split_once(':')?;
    Some((step.parse().ok()?, danmaku.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_have_places_in_a_ring() {
        let steps = [(-1, 2), (STEPS_KEPT + 5, 3)].into();
        let text = String::from_utf8(argument(&steps)).unwrap();
        assert_eq!(text, format!("{} -1 2\n5 {} 3\n", STEPS_KEPT - 1, STEPS_KEPT + 5));
        assert_eq!(parse("h5", b"2165:3"), Some((2_165, 3)));
        assert_eq!(parse("h", b"1:3"), None);
        assert_eq!(parse("o", b"17"), None);
    }
}
