//! The barrier against a log in a file: nobody writes a slice between its old place and the mark that ends it there.

use std::path::Path;

use barrage_proto::log::Record;
use prometheus_client::registry::Registry;
use prost::Message;

use super::*;
use crate::embedded::log::EmbeddedLog;
use barrage_core::{log::Reading, room::Rooms, routes::Moved};

fn log(dir: &Path) -> Log {
    Arc::new(EmbeddedLog::open(dir, &[0, 0], &mut Registry::default()).unwrap())
}

async fn so(condition: impl Fn() -> bool) {
    let wait = async {
        while !condition() {
            sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), wait).await.expect("it comes to pass");
}

#[tokio::test]
async fn a_slice_waits_for_what_is_under_way_and_for_the_mark() {
    let dir = tempfile::tempdir().unwrap();
    let (log, room) = (log(dir.path()), RoomId::from("demo"));
    let table = Table::of_one(&"c".into(), 2, Rooms::default());
    let (tables, routes) = watch::channel(Arc::new(table.clone()));
    let (mover, gates) = Mover::new("g".into(), log.clone(), routes, Standing::alone(), Metrics::default());
    let stop = CancellationToken::new();
    let task = tokio::spawn(mover.run(stop.clone()));

    let under_way = Arc::clone(&gates.borrow());
    let from = table.home(&room, 3).partition;
    let mut moved = Table { epoch: 2, ..table };
    moved.slices.insert((room.clone(), 3), Moved { partition: 1 - from, from, number: 1, epoch: 2 });
    tables.send_replace(Arc::new(moved));
    so(|| gates.borrow().table.epoch == 2).await;
    assert!(!gates.borrow().is_open(&room, 3) && gates.borrow().is_open(&room, 4));
    sleep(Duration::from_millis(100)).await;
    assert_eq!(log.state(from).await.unwrap().end, 0, "an append by the old table is under way");

    drop(under_way);
    so(|| gates.borrow().is_open(&room, 3)).await;
    let mut reader = log.reader(from, 0, Reading::Live).unwrap();
    let records = reader.next(10).await.unwrap();
    let mark = Record::decode(&*records[0].payload).unwrap().mark.unwrap();
    assert_eq!((records.len(), mark.r#move, mark.member.as_str()), (1, 1, "g"));
    stop.cancel();
    task.await.unwrap();
}
