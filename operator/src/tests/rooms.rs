//! Rooms: how they come to be served, change, are paused and go.

use barrage_crds::{LiveRoomSpec, RoomManifest};
use serde_json::json;

use super::served;
use crate::{
    problem::{Problem, Reason},
    testing::{Fuse, World},
};

#[tokio::test]
async fn a_room_is_served_with_its_limits_and_says_where() {
    let (world, mut operator) = served().await;
    let demo = World::room_path("demo");
    assert_eq!(world.condition(&demo, "Ready"), ("True".to_owned(), "Serving".to_owned()));
    let object = world.server.get(&demo).unwrap();
    assert_eq!(object["metadata"]["finalizers"], json!(["barrage.live/routes"]));
    let status = &object["status"];
    assert_eq!((&status["roomId"], &status["pool"]), (&json!("demo"), &json!("default/default")));
    assert_eq!(status["endpoints"]["webSocket"], "ws://default-gateway.default.svc/v1/rooms/demo/ws");
    assert!(status["ranker"].as_str().unwrap().starts_with("default-ranker-"));
    assert_eq!(status["endpoints"].get("webTransport"), None);
    world.room("demo", json!({"rateLimit": {"messagesPerSecond": 3, "burst": 4}}));
    operator.settle().await;
    let table = world.broker.table("default").unwrap();
    let room = table.rooms.find("demo").unwrap();
    assert_eq!((room.rate_per_second, room.burst), (3, 4));
}

#[tokio::test]
async fn a_room_that_is_deleted_is_closed_before_it_is_gone() {
    let (world, mut operator) = served().await;
    let demo = World::room_path("demo");
    world.server.delete(&demo);
    assert!(world.server.get(&demo).is_some(), "its finalizer holds it");
    operator.settle().await;
    assert!(world.server.get(&demo).is_none());
    assert!(world.broker.table("default").unwrap().rooms.find("demo").is_none());
}

#[tokio::test]
async fn what_a_deleted_room_leaves_behind_is_removed_only_if_it_says_so() {
    let (world, mut operator) = served().await;
    let (kept, gone) = (World::room_path("demo"), World::room_path("gone"));
    world.room("gone", json!({"deletionPolicy": "Delete"}));
    // This one has not got the ID, so it is not its data.
    world.room("copy", json!({"deletionPolicy": "Delete", "roomId": "demo"}));
    operator.settle().await;
    world.server.delete(&World::room_path("copy"));
    operator.settle().await;
    world.broker.set_unforgettable(Some(Problem::new(Reason::Deleting, "consumers are behind")));
    world.server.delete(&gone);
    operator.settle().await;
    assert_eq!(world.broker.forgotten(), [""; 0]);
    assert!(world.message(&gone, "Ready").contains("consumers are behind"));
    world.broker.set_unforgettable(None);
    operator.settle().await;
    assert_eq!((world.broker.forgotten(), world.server.get(&gone)), (vec!["gone".to_owned()], None));
    world.server.delete(&kept);
    operator.settle().await;
    assert_eq!((world.broker.forgotten(), world.server.get(&kept)), (vec!["gone".to_owned()], None));
}

#[tokio::test]
async fn a_room_whose_pool_is_gone_can_be_deleted() {
    let (world, mut operator) = served().await;
    world.server.delete(&World::pool_path("default"));
    operator.settle().await;
    let demo = World::room_path("demo");
    assert_eq!(world.condition(&demo, "Ready"), ("False".to_owned(), "PoolMissing".to_owned()));
    world.server.delete(&demo);
    operator.settle().await;
    assert!(world.server.get(&demo).is_none());
}

#[tokio::test]
async fn a_pool_that_is_made_again_does_not_serve_rooms_that_are_no_more() {
    let (world, mut operator) = served().await;
    world.room("stays", json!({}));
    operator.settle().await;
    world.broker.put("default", &RoomManifest::new("by-hand", LiveRoomSpec::default()));
    world.server.delete(&World::pool_path("default"));
    operator.settle().await;
    world.server.delete(&World::room_path("demo"));
    operator.settle().await;
    let rooms = || {
        let table = world.broker.table("default").unwrap();
        ["demo", "stays", "by-hand"].map(|id| table.rooms.find(id).is_some())
    };
    assert_eq!(rooms(), [true; 3], "nobody could be told");
    world.pool("default", json!({}));
    operator.settle().await;
    assert_eq!(rooms(), [false, true, true]);
}

#[tokio::test]
async fn rooms_that_this_operator_does_not_see_or_understand_stay() {
    let (world, mut operator) = served().await;
    let mut elsewhere = RoomManifest::new("elsewhere", LiveRoomSpec::default());
    elsewhere.metadata.namespace = Some("other".to_owned());
    elsewhere.metadata.uid = Some("of another".to_owned());
    world.broker.put("default", &elsewhere);
    world.server.edit(&World::room_path("demo"), |room| room["spec"]["shards"] = json!("many"));
    let rooms = || {
        let table = world.broker.table("default").unwrap();
        ["demo", "elsewhere"].map(|id| table.rooms.find(id).is_some())
    };
    let mut of_default = world.operator(Fuse::never()).with_namespaces(&["default"]);
    of_default.settle().await;
    assert_eq!(rooms(), [true, true]);
    operator.settle().await;
    assert_eq!(rooms(), [true, false]);
}

#[tokio::test]
async fn a_paused_room_is_served_as_it_was() {
    let (world, mut operator) = served().await;
    world.room("demo", json!({"paused": true, "history": {"length": 5}}));
    operator.settle().await;
    let served = || world.broker.table("default").unwrap().rooms.find("demo").unwrap().history_length;
    assert_eq!(served(), 10_000);
    assert_eq!(world.condition(&World::room_path("demo"), "Progressing"), ("False".to_owned(), "Paused".to_owned()));
    assert_eq!(world.condition(&World::room_path("demo"), "Ready").0, "True");
    world.room("demo", json!({"history": {"length": 5}}));
    operator.settle().await;
    assert_eq!(served(), 5);
}

#[tokio::test]
async fn a_dedicated_room_has_a_pool_of_its_own_that_goes_with_it() {
    let (world, mut operator) = served().await;
    world.room("show", json!({"placement": "Dedicated", "expectedPeakViewers": 50_000}));
    operator.settle().await;
    let pools = world.server.all("/roompools/room-show-");
    let [(path, pool)] = &pools[..] else { panic!("{pools:?}") };
    assert_eq!(pool["spec"]["gateway"]["replicas"], 4);
    let show = World::room_path("show");
    assert_eq!(world.condition(&show, "Ready").0, "True", "{}", world.message(&show, "Ready"));
    let id = pool["spec"]["poolId"].as_str().unwrap();
    assert!(world.broker.table(id).unwrap().rooms.find("show").is_some());
    assert!(world.broker.table("default").unwrap().rooms.find("show").is_none());
    world.server.delete(&show);
    operator.settle().await;
    assert!(world.server.get(&show).is_none() && world.server.get(path).is_none());
}

#[tokio::test]
async fn nothing_is_changed_while_an_engineer_has_taken_over() {
    let (world, mut operator) = served().await;
    world.broker.set_manual("default", true);
    world.room("demo", json!({"history": {"length": 5}}));
    operator.settle().await;
    assert_eq!(world.broker.table("default").unwrap().rooms.find("demo").unwrap().history_length, 10_000);
    assert_eq!(world.condition(&World::room_path("demo"), "Ready").1, "Manual");
    world.broker.set_manual("default", false);
    operator.settle().await;
    assert_eq!(world.broker.table("default").unwrap().rooms.find("demo").unwrap().history_length, 5);
    assert_eq!(world.condition(&World::room_path("demo"), "Ready").0, "True");
}

#[tokio::test]
async fn a_new_operator_that_reaches_nobody_leaves_served_rooms_as_they_are() {
    let (world, operator) = served().await;
    drop(operator);
    world
        .broker
        .set_down(Some(crate::problem::Problem::new(crate::problem::Reason::KafkaUnreachable, "no broker answers")));
    let mut operator = world.operator(Fuse::never());
    operator.settle().await;
    assert_eq!(world.condition(&World::room_path("demo"), "Ready").0, "True");
    let pool = World::pool_path("default");
    assert_eq!(world.condition(&pool, "Ready").0, "True");
    assert_eq!(world.condition(&pool, "Degraded"), ("True".to_owned(), "KafkaUnreachable".to_owned()));
    world.broker.set_down(None);
    tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    operator.settle().await;
    assert_eq!(world.condition(&pool, "Degraded").0, "False");
}
