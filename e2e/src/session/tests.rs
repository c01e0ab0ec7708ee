//! A session against a server that refuses, blocks and goes away.

use super::*;

fn session(texts: &[&str]) -> Session {
    let mut session = Session::new(9, 5);
    for text in texts {
        session.push(text, 1000);
    }
    session.connected();
    session
}

fn seqs(session: &mut Session, now_ms: i64) -> Vec<u64> {
    std::iter::from_fn(|| session.next_send(now_ms)).map(|send| send.seq).collect()
}

fn ack(seqs: &[u64]) -> pb::Ack {
    pb::Ack { seq: seqs.to_vec(), partition: 1, offset: 70, index: (0..).take(seqs.len()).collect() }
}

fn error(seq: u64, reason: Reason, retry_after_ms: u32) -> pb::Error {
    pb::Error { seq, reason: reason.into(), retry_after_ms, ..pb::Error::default() }
}

#[test]
fn sends_in_order_and_an_ack_names_the_position_of_each() {
    let mut session = session(&["a", "b", "c"]);
    assert_eq!(seqs(&mut session, 1001), [1, 2, 3]);
    assert_eq!(session.acknowledged(&ack(&[1, 3]), 2000), 2);
    let position = Position { partition: 1, offset: 70, index: 1 };
    assert_eq!(session.lines()[2].fate, Fate::Acknowledged(position));
    assert_eq!((session.pending(), session.waiting_since_ms()), (2, Some(1001)));
    assert_eq!(session.acknowledged(&ack(&[2, 2, 99, 0]), 2000), 1);
    assert_eq!(session.pending(), 0);
}

#[test]
fn times_of_sending_ascend_so_that_each_names_one_danmaku() {
    let session = session(&["a", "a", "a"]);
    let times: Vec<_> = session.lines().iter().map(|line| line.sent_ms).collect();
    assert_eq!(times, [1000, 1001, 1002]);
}

#[test]
fn after_a_lost_connection_what_was_in_flight_is_marked_as_a_retry() {
    let mut session = session(&["a", "b"]);
    assert_eq!(seqs(&mut session, 1001), [1, 2]);
    session.acknowledged(&ack(&[1]), 2000);
    session.disconnected();
    session.push("c", 1500);
    assert_eq!(session.next_send(1500), None);
    session.connected();
    let again = session.next_send(1701).unwrap();
    assert_eq!((again.seq, again.oldest_pending, again.retry_age_ms, again.sent_ms), (2, 2, 700, 1001));
    let new = session.next_send(1701).unwrap();
    assert_eq!((new.seq, new.retry_age_ms), (3, 0));
}

#[test]
fn a_rate_limit_holds_until_all_answers_are_in_and_the_pause_is_over() {
    let mut session = session(&["a", "b", "c"]);
    seqs(&mut session, 1000);
    session.acknowledged(&ack(&[1]), 2000);
    session.refused(&error(2, Reason::RateLimited, 50), 1000);
    session.push("d", 1010);
    assert_eq!(seqs(&mut session, 1060), [0_u64; 0], "3 is not answered yet");
    session.refused(&error(3, Reason::Blocked, 0), 1020);
    assert_eq!(seqs(&mut session, 1049), [0_u64; 0]);
    let again = session.next_send(1050).unwrap();
    assert_eq!((again.seq, again.retry_age_ms), (2, 0), "what was refused outright was surely not kept");
    assert_eq!(session.next_send(1050), None, "the next may be refused too");
    session.acknowledged(&ack(&[2]), 2000);
    assert_eq!(seqs(&mut session, 1051), [3, 4]);
}

#[test]
fn a_server_that_cannot_keep_it_now_gets_it_again_as_a_retry() {
    let mut session = session(&["a"]);
    seqs(&mut session, 1000);
    session.refused(&error(1, Reason::Retry, 0), 1000);
    assert_eq!(session.due_ms(), Some(1000 + i64::from(RETRY_AFTER_MS)));
    assert_eq!(session.next_send(1100).unwrap().retry_age_ms, 100);
}

#[test]
fn what_is_refused_for_good_is_given_up_and_the_rest_goes_on() {
    let mut session = session(&["", "b"]);
    seqs(&mut session, 1000);
    session.refused(&error(1, Reason::ContentEmpty, 0), 1000);
    session.refused(&error(2, Reason::Blocked, 0), 1000);
    let next = session.next_send(1000).unwrap();
    assert_eq!((next.seq, next.oldest_pending), (2, 2));
    assert_eq!(session.lines()[0].fate, Fate::Refused(Reason::ContentEmpty));
}

#[test]
fn an_old_retry_is_unknown() {
    let mut session = session(&["a"]);
    seqs(&mut session, 1000);
    session.refused(&error(1, Reason::UnknownOutcome, 0), 1000);
    assert_eq!((session.lines()[0].fate, session.pending()), (Fate::Unknown, 0));
    session.refused(&error(0, Reason::BadMagic, 0), 1000);
    assert_eq!(session.refusals().len(), 2);
}

#[test]
fn own_danmaku_that_are_shown_are_counted() {
    let mut session = session(&["a", "b"]);
    assert!(session.saw(1001) && session.saw(1001));
    assert!(!session.saw(5));
    assert_eq!(session.lines()[1].seen, 2);
}
