//! Moderation in a pool: what one gateway is asked to do holds at the other, in every history and export, through the
//! death of gateways, consumers and rankers.

use std::time::Duration;

use barrage_e2e::{
    client::{ClientV2, Event},
    cluster::{Cluster, Node},
    http::Api,
    token::Claims,
};
use barrage_proto::{Position, v2::pb};
use serde_json::{Value, json};
use tokio::task::block_in_place;

use crate::{PATIENCE, api, cluster, join, until};

/// Longer than rankers keep frames (`ranker/frame_buffer.rs`).
const FRAMES_KEPT: Duration = Duration::from_secs(6);

fn moderator(cluster: &Cluster, gateway: usize) -> Api {
    let claims = Claims { role: "moderator".into(), ..Claims::viewer("demo", 900) };
    api(cluster, gateway).with_token(cluster.token_key().unwrap().mint(&claims).unwrap())
}

/// Does something at a gateway. Who has just been started or killed may make it take longer than the answer waits: it is
/// kept all the same, and done again it comes to the same.
fn done(cluster: &Cluster, gateway: usize, method: &str, path: &str, body: &Value) {
    until("an act holds everywhere", || {
        let answer = moderator(cluster, gateway).call(method, &format!("/v1/rooms/demo/{path}"), body).unwrap();
        assert!(matches!(answer.status, 200 | 503), "{}", answer.body);
        answer.status == 200
    });
}

/// What became of a danmaku: where it is, or why it was refused. It is sent again while the pool cannot keep it.
fn say(client: &mut ClientV2, content: &str) -> Result<Position, pb::Reason> {
    let seq = client.say(content).unwrap();
    let outcome = |event: &Event| match event {
        Event::Ack(ack) => {
            let at = ack.seq.iter().position(|&of| of == seq)?;
            Some(Ok(Position { partition: ack.partition, offset: ack.offset, index: ack.index[at] }))
        }
        Event::Error(error) if error.seq == seq && error.reason() != pb::Reason::Retry => Some(Err(error.reason())),
        _ => None,
    };
    client.wait_for(format!("answer to {content}"), PATIENCE, outcome).unwrap()
}

fn texts(cluster: &Cluster, gateway: usize) -> Vec<String> {
    let kept = api(cluster, gateway).whole_history("demo").unwrap_or_default();
    kept.into_iter().map(|kept| kept.content).collect()
}

fn becomes(cluster: &Cluster, expected: &[&str]) {
    for gateway in 0..2 {
        until("history", || texts(cluster, gateway) == expected);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_moderator_does_at_one_gateway_holds_at_all_through_kills() {
    let mut cluster = cluster().await;
    block_in_place(|| {
        let mut watcher = join(&cluster, 0, 1);
        let mut loud = join(&cluster, 1, 7);
        let first = say(&mut loud, "rude").unwrap();
        say(&mut loud, "sorry").unwrap();
        becomes(&cluster, &["rude", "sorry"]);
        let removal = json!({ "userId": "7", "danmaku": first.to_string() });
        done(&cluster, 0, "POST", "moderation/removals", &removal);
        let removed = |event: &Event| match event {
            Event::Removal(removal) => Some(removal.danmaku.contains(&first.into())),
            _ => None,
        };
        assert!(watcher.wait_for("the removal", PATIENCE, removed).unwrap());
        for gateway in 0..2 {
            assert_eq!(texts(&cluster, gateway), ["sorry"], "at once at gateway {gateway}");
        }
        done(&cluster, 0, "POST", "moderation/mutes", &json!({ "userId": "7", "reason": "rude" }));
        assert_eq!(say(&mut loud, "after the mute"), Err(pb::Reason::Muted));
        done(&cluster, 1, "PATCH", "settings", &json!({ "blockWords": ["spoiler"] }));
        assert_eq!(say(&mut watcher, "a spoiler"), Err(pb::Reason::BlockedWord));
    });
    for node in
        [Node::Gateway(1), Node::Consumer(0), Node::Consumer(1), Node::Consumer(2), Node::Ranker(0), Node::Ranker(1)]
    {
        cluster.daemon(node).kill9();
        cluster.restart(node).await.unwrap();
    }
    block_in_place(|| {
        // A gateway that has just begun takes everything until Redis has said what moderators did; nobody sees it.
        let mut taken = 0;
        until("the mute, at the new gateway", || match say(&mut join(&cluster, 1, 7), "after the kill") {
            Ok(_) => {
                taken += 1;
                false
            }
            Err(reason) => reason == pb::Reason::Muted,
        });
        let mut other = join(&cluster, 1, 8);
        assert_eq!(say(&mut other, "SPOILER"), Err(pb::Reason::BlockedWord));
        say(&mut other, "fence").unwrap();
        becomes(&cluster, &["sorry", "fence"]);
        done(&cluster, 1, "DELETE", "moderation/mutes/7", &Value::Null);
        let mut free = join(&cluster, 0, 7);
        until("free again", || say(&mut free, "free again").is_ok());
        becomes(&cluster, &["sorry", "fence", "free again"]);
        done(&cluster, 1, "PATCH", "settings", &json!({ "slowModeSeconds": 600 }));
        say(&mut other, "once").unwrap();
        let shown = |event: &Event| match event {
            Event::Batch(danmaku, _) => danmaku.iter().any(|danmaku| danmaku.content == "once").then_some(()),
            _ => None,
        };
        free.wait_for("what was said at the other gateway", PATIENCE, shown).unwrap();
        assert_eq!(say(&mut join(&cluster, 0, 8), "twice"), Err(pb::Reason::SlowMode), "at another gateway");
        until("heat", || texts(&cluster, 0).len() == 4);
        let heat: Value = serde_json::from_str(&api(&cluster, 0).get("/v1/rooms/demo/heat").unwrap().body).unwrap();
        let counted: u64 =
            heat["points"].as_array().unwrap().iter().map(|point| point["danmaku"].as_u64().unwrap()).sum();
        assert!((5..=5 + taken).contains(&counted), "what was removed was said, too: {heat}");
        a_gateway_that_stood_still_learns_what_was_done_meanwhile(&mut cluster);
    });
}

/// For longer than rankers keep frames: what it goes on from is a state, which has no acts in it.
fn a_gateway_that_stood_still_learns_what_was_done_meanwhile(cluster: &mut Cluster) {
    let mut watcher = join(cluster, 0, 1);
    let mut other = join(cluster, 1, 9);
    say(&mut other, "before it stood still").unwrap();
    cluster.daemon(Node::Gateway(0)).pause().unwrap();
    done(cluster, 1, "POST", "moderation/mutes", &json!({ "userId": "1" }));
    std::thread::sleep(FRAMES_KEPT);
    done(cluster, 1, "PATCH", "settings", &json!({ "slowModeSeconds": 0 }));
    cluster.daemon(Node::Gateway(0)).resume().unwrap();
    let muted = |event: &Event| match event {
        Event::Notice(notice) => (notice.kind() == pb::NoticeKind::Muted).then_some(()),
        _ => None,
    };
    watcher.wait_for("what was done meanwhile", PATIENCE, muted).unwrap();
    assert_eq!(say(&mut watcher, "after the mute"), Err(pb::Reason::Muted));
}
