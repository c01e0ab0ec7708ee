//! Who is alive, by what was said on the heat topic in the last seconds.

use std::{collections::BTreeMap, time::Duration};

use barrage_proto::heat::{Report, report::Role};
use prost::Message as _;
use rdkafka::{ClientConfig, Message, message::BorrowedMessage};

use super::topic_of;
use crate::topic_reader::{self, ReadError};
use barrage_core::link::Peer;

/// Who was not heard for so long is not given work, ms. Time is the topic's own, so that no clock of this machine makes
/// anybody dead.
const ALIVE_MS: i64 = 5_000;
/// Whoever is alive is heard within this, twice.
const LISTEN: Duration = Duration::from_secs(2);

/// A process that has said something of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    pub role: Role,
    /// Its identity in the role.
    pub name: Peer,
    /// Another after every start: of a process that was restarted, both are here.
    pub incarnation: u64,
    /// A ranker: host and port that its links are reached at.
    pub address: String,
    /// When it last said something, Unix ms by its own clock.
    pub at_ms: i64,
    /// How long before the newest record of the topic that was, ms by the broker's clock.
    pub silent_ms: i64,
    /// Epoch of the route table that it went by.
    pub routes_epoch: u64,
}

/// Who can be given work: everybody who was heard in the last five seconds, once each. Where nobody says anything while
/// this listens, which takes two seconds, nobody is alive, whatever the topic still holds.
///
/// # Errors
/// The topic cannot be read.
pub async fn alive(base: ClientConfig, pool: &str) -> Result<Vec<Member>, ReadError> {
    let before = listen(base.clone(), pool).await?.newest_offset;
    tokio::time::sleep(LISTEN).await;
    let heard = listen(base, pool).await?;
    if heard.newest_offset == before {
        return Ok(Vec::new());
    }
    let mut newest: BTreeMap<(i32, Peer), Member> = BTreeMap::new();
    for member in heard.members() {
        let known = newest.entry((member.role.into(), Peer::clone(&member.name))).or_insert_with(|| member.clone());
        if member.silent_ms < known.silent_ms {
            *known = member;
        }
    }
    Ok(newest.into_values().collect())
}

async fn listen(base: ClientConfig, pool: &str) -> Result<Heard, ReadError> {
    let pool = pool.to_owned();
    let reading = tokio::task::spawn_blocking(move || {
        let (mut heard, back) = (Heard::default(), Duration::from_millis(ALIVE_MS.unsigned_abs()));
        topic_reader::read(&base, &pool, &topic_of(&pool), topic_reader::From::Newest(back), |message| {
            heard.record(message);
        })?;
        Ok(heard)
    });
    reading.await.unwrap_or_else(|panicked| std::panic::resume_unwind(panicked.into_panic()))
}

/// The last of everybody, with the record's time in place of the silence.
#[derive(Debug, Default)]
struct Heard {
    members: BTreeMap<(i32, String, u64), Member>,
    newest_ms: i64,
    newest_offset: Option<i64>,
}

impl Heard {
    fn record(&mut self, message: &BorrowedMessage<'_>) {
        self.newest_offset = Some(message.offset());
        let report = message.payload().map(Report::decode);
        match (report, message.timestamp().to_millis()) {
            (Some(Ok(report)), Some(record_ms)) => self.report(report, record_ms),
            (Some(Err(error)), _) => tracing::debug!(offset = message.offset(), %error, "no heat report"),
            _ => {}
        }
    }

    fn report(&mut self, report: Report, record_ms: i64) {
        self.newest_ms = self.newest_ms.max(record_ms);
        let member = Member {
            role: report.role(),
            name: report.name.as_str().into(),
            incarnation: report.incarnation,
            address: report.address,
            at_ms: report.at_ms,
            silent_ms: record_ms,
            routes_epoch: report.routes_epoch,
        };
        self.members.insert((report.role, report.name, report.incarnation), member);
    }

    fn members(self) -> Vec<Member> {
        let newest_ms = self.newest_ms;
        let silent = |member: Member| Member { silent_ms: (newest_ms - member.silent_ms).max(0), ..member };
        let members = self.members.into_values().map(silent);
        members.filter(|member| member.silent_ms <= ALIVE_MS).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_of_every_incarnation_counts_by_the_time_of_the_records() {
        let report = |name: &str, incarnation, at_ms, routes_epoch| Report {
            role: Role::Gateway.into(),
            name: name.to_owned(),
            incarnation,
            at_ms,
            routes_epoch,
            ..Report::default()
        };
        let mut heard = Heard::default();
        // The clock of the first is a day ahead.
        heard.report(report("gateway-9", 4, 0, 3), 5_000);
        heard.report(report("gateway-0", 1, 86_400_000, 3), 6_000);
        heard.report(report("gateway-1", 7, 1_500, 3), 6_500);
        heard.report(report("gateway-1", 8, 6_000, 4), 8_000);
        heard.report(report("gateway-1", 8, 11_000, 5), 11_000);
        let members = heard.members();
        let seen: Vec<_> = members.iter().map(|m| (&*m.name, m.incarnation, m.silent_ms, m.routes_epoch)).collect();
        assert_eq!(seen, [("gateway-0", 1, 5_000, 3), ("gateway-1", 7, 4_500, 3), ("gateway-1", 8, 0, 5)]);
    }
}
