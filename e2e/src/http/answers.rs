//! What the HTTP API answers.

use barrage_proto::Position;
use serde::Deserialize;

use crate::{checker::Ledger, decimal};

/// `GET /v1/rooms/{room}`.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Room {
    pub room: String,
    /// Connections that watch it.
    pub viewers: u32,
    /// Danmaku/s sent to it.
    pub messages_per_second: u32,
    /// Danmaku/s that a viewer gets at most.
    pub viewer_budget: u32,
    pub ledger: Ledger,
}

/// One danmaku of the history.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Kept {
    /// Where it stands in the log: its ID.
    #[serde(deserialize_with = "decimal::from_text")]
    pub id: Position,
    #[serde(rename = "userId", deserialize_with = "decimal::from_text")]
    pub user: u64,
    /// Unix time of sending, ms, by the sender's clock.
    pub sent_ms: i64,
    pub content: String,
}

/// A page of the history, oldest first.
#[derive(Debug, Clone, Deserialize)]
pub struct HistoryPage {
    pub danmaku: Vec<Kept>,
    /// Cursor of the page before, if there is one.
    pub before: Option<String>,
    /// Cursor of what comes after.
    pub after: Option<String>,
}

/// A place in the ranking.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Place {
    /// From 1.
    pub rank: u64,
    #[serde(rename = "userId", deserialize_with = "decimal::from_text")]
    pub user: u64,
    /// Danmaku, and what gifts were worth.
    #[serde(deserialize_with = "decimal::from_text")]
    pub score: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_history_page_reads_as_the_api_writes_it() {
        let text = r#"{"danmaku":[{"id":"3-1042-0","userId":"18446744073709551615","role":"viewer",
            "sentMs":1696118400000,"receivedMs":1696118400001,"content":"来了"}],"before":null,"after":"CAE"}"#;
        let page: HistoryPage = serde_json::from_str(text).unwrap();
        let id = Position { partition: 3, offset: 1042, index: 0 };
        let kept = Kept { id, user: u64::MAX, sent_ms: 1_696_118_400_000, content: "来了".to_owned() };
        assert_eq!((page.danmaku, page.after.as_deref()), (vec![kept], Some("CAE")));
    }

    #[test]
    fn the_ledger_and_places_carry_64_bit_numbers_as_text() {
        let text = r#"{"room":"demo","viewers":12,"messagesPerSecond":3,"viewerBudget":200,"anonymousViewing":true,
            "ledger":{"logged":"10","shown":"8","merged":"1","sampledOut":"1","deleted":"0","expired":"0"}}"#;
        let room: Room = serde_json::from_str(text).unwrap();
        assert_eq!((room.ledger.logged, room.ledger.sampled_out), (10, 1));
        let place: Place = serde_json::from_str(r#"{"rank":1,"userId":"7","score":"12"}"#).unwrap();
        assert_eq!(place, Place { rank: 1, user: 7, score: 12 });
        assert!(serde_json::from_str::<Place>(r#"{"rank":1,"userId":"x","score":"12"}"#).is_err());
    }
}
