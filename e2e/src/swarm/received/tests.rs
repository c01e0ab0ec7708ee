//! Viewers and senders that are accounted for message by message.

use super::{
    super::message::tests::{batch, encoded},
    *,
};
use barrage_proto::v2::pb;

fn take(received: &mut Received, message: &[u8], now_ms: i64, account: &mut Account) -> Vec<Reply> {
    let mut replies = Vec::new();
    received.take(message, now_ms, account, &mut replies);
    replies
}

#[test]
fn a_message_is_decoded_once_and_counts_for_each_viewer() {
    let mut received = Received::new(Format::V2).unwrap();
    let message = encoded(&pb::Batch { sampled_out: 3, ..batch(&[1, 2]) });
    let mut viewers = [Account::default(), Account::default()];
    for viewer in &mut viewers {
        take(&mut received, &message, 1010, viewer);
    }
    received.settle();
    assert_eq!((received.numbers, received.totals.messages, received.totals.danmaku), (1, 2, 4));
    assert_eq!((viewers[0].danmaku, viewers[1].left_out), (2, 3));
    assert_eq!((received.latency.len(), received.latency.max(), received.totals.doubled), (4, 10, 0));
}

#[test]
fn receipts_at_different_times_have_different_latencies() {
    let mut received = Received::new(Format::V2).unwrap();
    let message = encoded(&batch(&[1]));
    for now_ms in [1003, 1003, 1007, 900] {
        take(&mut received, &message, now_ms, &mut Account::default());
    }
    received.settle();
    let counts = [0, 3, 7].map(|latency_ms| received.latency.count_at(latency_ms));
    assert_eq!(counts, [1, 2, 1]);
}

#[test]
fn what_a_viewer_is_shown_twice_is_counted_and_what_two_viewers_are_is_not() {
    let mut received = Received::new(Format::V2).unwrap();
    let [first, second, third] = [&[1, 2][..], &[2, 3], &[4]].map(|offsets| encoded(&batch(offsets)));
    let (mut one, mut other) = (Account::default(), Account::default());
    take(&mut received, &first, 1010, &mut one);
    take(&mut received, &second, 1010, &mut other);
    assert_eq!(received.totals.doubled, 0);
    take(&mut received, &second, 1010, &mut one);
    assert_eq!(received.totals.doubled, 1, "danmaku 2, in both messages");
    take(&mut received, &third, 1010, &mut one);
    take(&mut received, &third, 1010, &mut one);
    assert_eq!(received.totals.doubled, 2, "danmaku 4, in one message that came twice");
    take(&mut received, &encoded(&batch(&[9, 9])), 1010, &mut one);
    assert_eq!(received.totals.doubled, 3, "danmaku 9, twice in one message");
    one.dialed(0);
    take(&mut received, &third, 1010, &mut one);
    assert_eq!(received.totals.doubled, 3, "on another connection");
}

#[test]
fn history_may_overlap_with_what_is_live() {
    let mut received = Received::new(Format::V2).unwrap();
    let mut viewer = Account::default();
    take(&mut received, &encoded(&batch(&[1, 2])), 1010, &mut viewer);
    let history = pb::History { batch: Some(batch(&[1, 2])), truncated: false };
    take(&mut received, &encoded(&history), 1010, &mut viewer);
    assert_eq!((received.totals.doubled, received.totals.history, received.totals.danmaku), (0, 2, 2));
}

#[test]
fn a_sender_learns_of_acks_and_of_its_own_danmaku() {
    let mut received = Received::new(Format::V1).unwrap();
    let mut sender = Account::of_sender(5);
    let ack = pb::Ack { seq: vec![1], ..pb::Ack::default() };
    assert_eq!(take(&mut received, &encoded(&ack), 1010, &mut sender), [Reply::Ack(ack)]);
    let echo = encoded(&pb::Batch { echo: true, ..batch(&[1]) });
    assert_eq!(take(&mut received, &echo, 1010, &mut sender), [Reply::Own(1000)]);
    assert!(received.recent.is_empty(), "nobody else gets these");
    let mut other = Account::of_sender(6);
    assert_eq!(take(&mut received, &encoded(&batch(&[2])), 1010, &mut other), []);
}

#[test]
fn what_was_sent_before_a_viewer_came_was_not_slow_except_to_its_sender() {
    let mut received = Received::new(Format::V2).unwrap();
    let mut accounts = [Account::default(), Account::of_sender(5), Account::of_sender(6)];
    for account in &mut accounts {
        account.dialed(1005);
        take(&mut received, &encoded(&batch(&[1])), 1030, account);
    }
    received.settle();
    assert_eq!((received.latency.len(), received.latency.max(), received.totals.danmaku), (1, 30, 3));
}
