//! Asks a room's outside moderator for its verdict: one HTTP call for a danmaku, with a deadline.
//!
//! Calls are bounded for each room and for the gateway, and so is what waits for one. A service that keeps failing is
//! asked about one danmaku at a time until it answers again: then its room's senders do not wait for nothing, and it takes
//! no more than one of the gateway's calls from other rooms.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use http::{Request, header::CONTENT_TYPE};
use serde::{Deserialize, Serialize};
use tokio::{
    sync::{AcquireError, Semaphore},
    time::{Instant, timeout_at},
};

use crate::gateway::metrics::{Metrics, VerdictOutcome};
use barrage_core::http_client::{self, HttpClient, ReadError};
use barrage_core::{
    room::{Hook, RoomId},
    words,
};

/// Calls under way for all rooms of a gateway: each has a connection while it lasts.
const CALLS_MAX: usize = 128;
/// And for one room, at the most: at 50 ms each, 640 danmaku/s.
const ROOM_CALLS_MAX: usize = 32;
/// Danmaku of a room that wait, at the most.
const ROOM_WAITING_MAX: u32 = 1_024;
/// Failures in a row after which one danmaku at a time is asked about.
const FAILURES_MAX: u32 = 5;
/// A verdict with the longest content is far below.
const ANSWER_BYTES_MAX: usize = 16 * 1024;

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Question {
    pub(crate) room: String,
    pub(crate) user_id: String,
    pub(crate) role: &'static str,
    pub(crate) content: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(tag = "verdict", rename_all = "lowercase")]
pub(crate) enum Verdict {
    Allow,
    /// Nobody is to see it.
    Hide,
    /// This is to be seen instead.
    Replace {
        content: String,
    },
}

/// The gateway's calls.
pub(crate) struct ModerationClient {
    client: HttpClient,
    calls: Semaphore,
    content_bytes_max: usize,
    metrics: Metrics,
}

impl ModerationClient {
    /// A client; what a moderator puts in a text's place may be as long as a viewer's.
    pub(super) fn new(content_bytes_max: usize, metrics: Metrics) -> Self {
        let (client, calls) = (HttpClient::new(ROOM_CALLS_MAX), Semaphore::new(CALLS_MAX));
        Self { client, calls, content_bytes_max, metrics }
    }

    /// Asks a room's outside moderator; `None` when it does not say in time, or nothing that can be understood.
    pub(super) async fn ask(
        &self,
        room: &RoomId,
        calls: &HookCalls,
        hook: &Hook,
        question: Question,
    ) -> Option<Verdict> {
        let answer = match calls.enter() {
            Err(outcome) => Err(outcome),
            Ok(place) => {
                let answer = place.call(self, hook, question).await;
                answer.and_then(|verdict| verdict.checked(self.content_bytes_max))
            }
        };
        calls.note(room, &answer);
        self.metrics.judged(match &answer {
            Ok(Verdict::Allow) => VerdictOutcome::Allow,
            Ok(Verdict::Hide) => VerdictOutcome::Hide,
            Ok(Verdict::Replace { .. }) => VerdictOutcome::Replace,
            Err(outcome) => *outcome,
        });
        answer.ok()
    }
}

/// A room's calls.
pub(crate) struct HookCalls {
    calls: Semaphore,
    waiting: AtomicU32,
    /// Calls that failed, since the last that did not.
    failures: AtomicU32,
    /// One tries whether the service is there again.
    trying: AtomicBool,
}

impl Default for HookCalls {
    fn default() -> Self {
        Self {
            calls: Semaphore::new(ROOM_CALLS_MAX),
            waiting: AtomicU32::new(0),
            failures: AtomicU32::new(0),
            trying: AtomicBool::new(false),
        }
    }
}

impl Verdict {
    /// What is to be seen instead has to be what a viewer could have sent.
    fn checked(self, content_bytes_max: usize) -> Result<Self, VerdictOutcome> {
        match &self {
            Self::Replace { content }
                if content.is_empty() || content.len() > content_bytes_max || !words::is_readable(content) =>
            {
                Err(VerdictOutcome::Malformed)
            }
            _ => Ok(self),
        }
    }
}

impl HookCalls {
    /// A danmaku begins to wait.
    fn enter(&self) -> Result<Place<'_>, VerdictOutcome> {
        let tries = self.failures.load(Ordering::Relaxed) >= FAILURES_MAX;
        if tries && self.trying.swap(true, Ordering::Relaxed) {
            return Err(VerdictOutcome::Suspended);
        }
        let place = Place { room: self, tries };
        if self.waiting.fetch_add(1, Ordering::Relaxed) >= ROOM_WAITING_MAX {
            return Err(VerdictOutcome::Overloaded);
        }
        Ok(place)
    }

    fn note(&self, room: &RoomId, answer: &Result<Verdict, VerdictOutcome>) {
        let before = match answer {
            Ok(_) => self.failures.swap(0, Ordering::Relaxed),
            Err(VerdictOutcome::Overloaded | VerdictOutcome::Suspended) => return,
            Err(_) => self.failures.fetch_add(1, Ordering::Relaxed),
        };
        match answer {
            Ok(_) if before >= FAILURES_MAX => tracing::info!(%room, "the outside moderator answers again"),
            Err(outcome) if before + 1 == FAILURES_MAX => {
                tracing::warn!(
                    %room, ?outcome,
                    "the outside moderator fails; until it answers again the room's failurePolicy holds"
                );
            }
            _ => {}
        }
    }
}

/// A danmaku that waits.
struct Place<'a> {
    room: &'a HookCalls,
    tries: bool,
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.room.waiting.fetch_sub(1, Ordering::Relaxed);
        if self.tries {
            self.room.trying.store(false, Ordering::Relaxed);
        }
    }
}

impl Place<'_> {
    async fn call(
        &self,
        client: &ModerationClient,
        hook: &Hook,
        question: Question,
    ) -> Result<Verdict, VerdictOutcome> {
        let until = Instant::now() + hook.timeout;
        let permits = async { Ok((self.room.calls.acquire().await?, client.calls.acquire().await?)) };
        let permits: Result<Result<_, AcquireError>, _> = timeout_at(until, permits).await;
        let Ok(Ok(_permits)) = permits else { return Err(VerdictOutcome::Overloaded) };
        let answer = timeout_at(until, exchange(&client.client, &hook.url, &question)).await;
        answer.unwrap_or(Err(VerdictOutcome::Late))
    }
}

/// One call. Who gives up waiting for it ends it, and its connection.
async fn exchange(client: &HttpClient, url: &str, question: &Question) -> Result<Verdict, VerdictOutcome> {
    let body = serde_json::to_vec(question).map_err(|_| VerdictOutcome::Failed)?;
    let request = Request::post(url).header(CONTENT_TYPE, "application/json").body(body.into());
    let answer = client.send(request.map_err(|_| VerdictOutcome::Failed)?).await.map_err(|_| VerdictOutcome::Failed)?;
    if !answer.status().is_success() {
        return Err(VerdictOutcome::Failed);
    }
    match http_client::read(answer.into_body(), ANSWER_BYTES_MAX).await {
        Ok(bytes) => serde_json::from_slice(&bytes).map_err(|_| VerdictOutcome::Malformed),
        Err(ReadError::TooLong(_)) => Err(VerdictOutcome::Malformed),
        Err(ReadError::Broken(_)) => Err(VerdictOutcome::Failed),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(answer: &str) -> Result<Verdict, VerdictOutcome> {
        let verdict: Result<Verdict, _> = serde_json::from_str(answer);
        verdict.map_err(|_| VerdictOutcome::Malformed).and_then(|verdict| verdict.checked(16))
    }

    #[test]
    fn answers_are_what_they_say_or_none() {
        assert_eq!(read(r#"{"verdict":"allow"}"#), Ok(Verdict::Allow));
        assert_eq!(read(r#"{"verdict":"hide","score":0.98}"#), Ok(Verdict::Hide));
        let replaced = Verdict::Replace { content: "***".into() };
        assert_eq!(read(r#"{"verdict":"replace","content":"***"}"#), Ok(replaced));
        for answer in [
            "",
            "{}",
            "[]",
            r#"{"verdict":"maybe"}"#,
            r#"{"verdict":"replace"}"#,
            r#"{"verdict":"replace","content":""}"#,
            r#"{"verdict":"replace","content":"longer than it may be"}"#,
            r#"{"verdict":"replace","content":"\u0000"}"#,
        ] {
            assert_eq!(read(answer), Err(VerdictOutcome::Malformed), "{answer}");
        }
    }

    #[test]
    fn who_fails_is_asked_once_at_a_time() {
        let calls = HookCalls::default();
        calls.failures.store(FAILURES_MAX, Ordering::Relaxed);
        let first = calls.enter().ok();
        assert!(first.is_some());
        assert_eq!(calls.enter().err(), Some(VerdictOutcome::Suspended));
        drop(first);
        assert!(calls.enter().is_ok());
        calls.failures.store(0, Ordering::Relaxed);
        let waiting: Vec<_> = (0..ROOM_WAITING_MAX).filter_map(|_| calls.enter().ok()).collect();
        assert_eq!(calls.enter().err(), Some(VerdictOutcome::Overloaded));
        drop(waiting);
        assert_eq!(calls.waiting.load(Ordering::Relaxed), 0);
    }
}
