//! Rooms of a pool: what is said at one gateway is seen at the other, and kept.

use barrage_e2e::{client::Event, session::Fate};
use tokio::task::block_in_place;

use crate::{PATIENCE, api, cluster, join, until};

#[tokio::test(flavor = "multi_thread")]
async fn viewers_at_one_gateway_see_what_was_sent_at_the_other() {
    let cluster = cluster().await;
    block_in_place(|| {
        let mut watcher = join(&cluster, 1, 1);
        let mut sender = join(&cluster, 0, 2);
        let both = |event: &Event| match event {
            Event::State(state) => (state.viewers == 2).then_some(()),
            _ => None,
        };
        watcher.wait_for("the viewers of both gateways", PATIENCE, both).unwrap();
        for round in 0..20 {
            let text = format!("弹幕 {round}");
            let seq = sender.say(&text).unwrap();
            let fate = sender.wait_fate(seq, PATIENCE).unwrap();
            assert!(matches!(fate, Fate::Acknowledged(_)), "{fate:?}");
            let shown = |event: &Event| match event {
                Event::Batch(danmaku, _) => danmaku.iter().any(|danmaku| danmaku.content == text).then_some(()),
                _ => None,
            };
            watcher.wait_for("the danmaku", PATIENCE, shown).unwrap();
        }
        for gateway in 0..2 {
            let api = api(&cluster, gateway);
            until("history and ranking", || {
                let kept = api.whole_history("demo").unwrap_or_default();
                let ranking = api.whole_ranking("demo").unwrap_or_default();
                kept.len() == 20 && ranking.first().is_some_and(|place| (place.user, place.score) == (2, 20))
            });
        }
        until("the books", || {
            let books = api(&cluster, 0).room("demo").unwrap().books;
            (books.logged, books.shown) == (20, 20)
        });
    });
}
