//! Rooms of a pool: what is said at one gateway is seen at the other and kept, and rooms come, change and go while the
//! pool runs.

use std::time::Duration;

use barrage_e2e::{
    client::{ClientV2, Event},
    cluster::Cluster,
    session::Fate,
};
use tokio::task::block_in_place;

use crate::{PATIENCE, api, cluster, join, join_room, until};

/// Manifest of a room whose users may send five danmaku, and then hardly any more.
const LIMITED: &str = "
apiVersion: barrage.live/v1alpha1
kind: LiveRoom
metadata: {name: limited}
spec: {rateLimit: {messagesPerSecond: 1, burst: 5}}
";

/// Danmaku that such a user may send at once.
const BURST: usize = 5;

#[tokio::test(flavor = "multi_thread")]
async fn a_pool_serves_its_rooms() {
    let cluster = cluster().await;
    block_in_place(|| viewers_at_one_gateway_see_what_was_sent_at_the_other(&cluster));
    cluster.apply_rooms(LIMITED).await.unwrap();
    block_in_place(|| gateways_share_a_users_limit(&cluster));
    let faster = LIMITED.replace("burst: 5", "burst: 50");
    cluster.apply_rooms(&faster).await.unwrap();
    block_in_place(|| a_changed_limit_holds_at_once(&cluster));
    let mut watcher = block_in_place(|| join_room(&cluster, 1, "limited", 9)).unwrap();
    cluster.command(&["rooms", "delete", "limited"]).await.unwrap();
    block_in_place(|| {
        let gone = |event: &Event| matches!(event, Event::GoAway(_)).then_some(());
        let ended = watcher.wait_for("the end of the room", PATIENCE, gone).err().map(|error| error.to_string());
        assert!(ended.is_some_and(|error| error.contains("1000")), "its viewers are sent away");
        until("the room is gone", || join_room(&cluster, 0, "limited", 9).is_err());
    });
}

fn viewers_at_one_gateway_see_what_was_sent_at_the_other(cluster: &Cluster) {
    let mut watcher = join(cluster, 1, 1);
    let mut sender = join(cluster, 0, 2);
    let both = |event: &Event| match event {
        Event::State(state) => (state.viewers == 2).then_some(()),
        _ => None,
    };
    watcher.wait_for("the viewers of both gateways", PATIENCE, both).unwrap();
    let (mut seen, mut sent) = (0, 0);
    while seen < 20 {
        assert!(sent < 60, "only {seen} of {sent} were shown");
        sent += 1;
        let text = format!("弹幕 {sent}");
        let seq = sender.say(&text).unwrap();
        let fate = sender.wait_fate(seq, PATIENCE).unwrap();
        assert!(matches!(fate, Fate::Acknowledged(_)), "{fate:?}");
        let shown = |event: &Event| match event {
            Event::Batch(danmaku, _) => danmaku.iter().any(|danmaku| danmaku.content == text).then_some(()),
            _ => None,
        };
        // What takes brokers that have just started over 5 s is kept, and shown to nobody any more.
        seen += u64::from(watcher.wait_for("the danmaku", PATIENCE / 6, shown).is_ok());
    }
    for gateway in 0..2 {
        let api = api(cluster, gateway);
        until("history and ranking", || {
            let kept = api.whole_history("demo").unwrap_or_default();
            let ranking = api.whole_ranking("demo").unwrap_or_default();
            kept.len() as u64 == sent && ranking.first().is_some_and(|place| (place.user, place.score) == (2, sent))
        });
    }
    until("the ledger", || {
        let ledger = api(cluster, 0).room("demo").unwrap().ledger;
        ledger.logged == sent && ledger.shown >= seen && ledger.check().is_none()
    });
}

fn gateways_share_a_users_limit(cluster: &Cluster) {
    let mut here = None;
    until("the room is served", || {
        here = join_room(cluster, 0, "limited", 5).ok();
        here.is_some()
    });
    let mut there = None;
    until("and at the other gateway", || {
        there = join_room(cluster, 1, "limited", 5).ok();
        there.is_some()
    });
    let (mut here, mut there) = (here.unwrap(), there.unwrap());
    assert_eq!(accepted(&mut here, BURST, PATIENCE), BURST);
    accepted(&mut there, BURST, Duration::from_millis(100));
    // Each gateway's own bucket had room for all of them.
    until("what was sent at the other gateway counts here, too", || {
        let metrics = api(cluster, 1).get("/metrics").unwrap().body;
        let refused = metrics.lines().find_map(|line| line.strip_prefix("barrage_gateway_limit_refused_total "));
        refused.is_some_and(|refused| refused.parse::<f64>().unwrap() > 0.0)
    });
}

fn a_changed_limit_holds_at_once(cluster: &Cluster) {
    until("more than the first limit is accepted", || {
        let mut sender = join_room(cluster, 0, "limited", 6).unwrap();
        accepted(&mut sender, 2 * BURST, PATIENCE / 60) == 2 * BURST
    });
}

/// Sends so many one after the other; how many were accepted, each within this time.
fn accepted(sender: &mut ClientV2, count: usize, within: Duration) -> usize {
    let fates = (0..count).map(|round| {
        let seq = sender.say(&format!("{round}")).unwrap();
        sender.wait_fate(seq, within).ok()
    });
    fates.filter(|fate| matches!(fate, Some(Fate::Acknowledged(_)))).count()
}
