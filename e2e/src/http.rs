//! The room's HTTP API as a reader sees it: room, history, ranking. Blocking, for tests and for the threads of the
//! load generator that check what was kept.

mod answers;
mod exchange;

pub use answers::{HistoryPage, Kept, Place, Room};

use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use serde::{Deserialize, de::DeserializeOwned};
use thiserror::Error;

use self::exchange::{Exchanges, is_refused};

/// Longer than any answer takes on a busy machine; a server that is silent for longer is stuck.
const TIMEOUT: Duration = Duration::from_secs(20);
/// Danmaku in the largest page of the history that the API gives.
pub const HISTORY_PAGE_MAX: usize = 1000;
/// Places in the largest page of the ranking that is asked for here.
const RANKING_PAGE: usize = 1000;

/// A server's HTTP API.
#[derive(Clone)]
pub struct Api {
    exchanges: Exchanges,
    base: String,
    token: Option<String>,
}

/// Why there is no answer, or not the one that was asked for.
#[derive(Debug, Error)]
pub enum HttpError {
    /// Nobody listens there.
    #[error("nothing listens at {url}; is a server running? `make run` starts one, --url names another")]
    Refused { url: String },
    /// The exchange failed.
    #[error("reading {url}: {problem}")]
    Transport { url: String, problem: String },
    /// The server refused.
    #[error("{url} answers {status}: {detail}")]
    Status {
        url: String,
        /// HTTP status.
        status: u16,
        /// Its explanation, or the body.
        detail: String,
    },
    /// The answer is not the JSON that it should be.
    #[error("{url} answers something else than the API says: {problem}")]
    Body { url: String, problem: String },
}

impl HttpError {
    /// Whether the server may just be away: starting, stopping or killed.
    #[must_use]
    pub const fn is_absence(&self) -> bool {
        matches!(self, Self::Refused { .. } | Self::Transport { .. } | Self::Status { status: 503, .. })
    }
}

/// An answer as it came.
#[derive(Debug, Clone)]
pub struct Answer {
    /// HTTP status.
    pub status: u16,
    /// `Content-Type`, or empty.
    pub content_type: String,
    pub body: String,
}

#[derive(Debug, Clone, Copy)]
pub enum Page<'a> {
    Newest,
    /// The one behind a cursor; an empty cursor starts at the oldest danmaku that is kept.
    After(&'a str),
    /// The one before a cursor.
    Before(&'a str),
}

#[derive(Deserialize)]
struct RankingPage {
    ranking: Vec<Place>,
}

#[derive(Deserialize)]
struct Problem {
    detail: Option<String>,
    title: Option<String>,
}

impl Api {
    /// The API at `base`, `http://HOST:PORT`, read without a token.
    #[must_use]
    pub fn new(base: &str) -> Self {
        Self { exchanges: Exchanges::new(), base: base.trim_end_matches('/').to_owned(), token: None }
    }

    /// The same, read with a token.
    #[must_use]
    pub fn with_token(self, token: String) -> Self {
        Self { token: Some(token), ..self }
    }

    /// The room with its ledger.
    ///
    /// # Errors
    /// [`HttpError`].
    pub fn room(&self, room: &str) -> Result<Room, HttpError> {
        self.json(&format!("/v1/rooms/{room}"))
    }

    /// A page of the room's history, of at most `limit` danmaku.
    ///
    /// # Errors
    /// [`HttpError`].
    pub fn history(&self, room: &str, page: Page<'_>, limit: usize) -> Result<HistoryPage, HttpError> {
        let cursor = match page {
            Page::Newest => String::new(),
            Page::After(cursor) => format!("&after={cursor}"),
            Page::Before(cursor) => format!("&before={cursor}"),
        };
        self.json(&format!("/v1/rooms/{room}/history?limit={limit}{cursor}"))
    }

    /// The whole history that is kept, oldest first.
    ///
    /// # Errors
    /// [`HttpError`].
    pub fn whole_history(&self, room: &str) -> Result<Vec<Kept>, HttpError> {
        let mut all = Vec::new();
        let mut cursor = String::new();
        loop {
            let page = self.history(room, Page::After(&cursor), HISTORY_PAGE_MAX)?;
            let last = page.danmaku.len() < HISTORY_PAGE_MAX;
            all.extend(page.danmaku);
            match page.after {
                Some(after) if !last => cursor = after,
                _ => return Ok(all),
            }
        }
    }

    /// A page of the room's ranking.
    ///
    /// # Errors
    /// [`HttpError`].
    pub fn ranking(&self, room: &str, limit: usize, offset: usize) -> Result<Vec<Place>, HttpError> {
        let page: RankingPage = self.json(&format!("/v1/rooms/{room}/ranking?limit={limit}&offset={offset}"))?;
        Ok(page.ranking)
    }

    /// The whole ranking that is kept.
    ///
    /// # Errors
    /// [`HttpError`].
    pub fn whole_ranking(&self, room: &str) -> Result<Vec<Place>, HttpError> {
        let mut all = Vec::new();
        loop {
            let page = self.ranking(room, RANKING_PAGE, all.len())?;
            if page.is_empty() {
                return Ok(all);
            }
            all.extend(page);
        }
    }

    /// Any path, whatever the status.
    ///
    /// # Errors
    /// [`HttpError::Refused`], [`HttpError::Transport`].
    pub fn get(&self, path: &str) -> Result<Answer, HttpError> {
        self.exchange(&self.exchanges, "GET", path, String::new())
    }

    /// Any path with a method and, but for DELETE, a JSON body, whatever the status; over a connection of its own.
    ///
    /// # Errors
    /// [`HttpError::Refused`], [`HttpError::Transport`].
    pub fn call(&self, method: &str, path: &str, body: &serde_json::Value) -> Result<Answer, HttpError> {
        let body = if body.is_null() { String::new() } else { body.to_string() };
        self.exchange(&Exchanges::new(), method, path, body)
    }

    fn exchange(&self, exchanges: &Exchanges, method: &str, path: &str, body: String) -> Result<Answer, HttpError> {
        let url = format!("{}{path}", self.base);
        let failed = |problem: String| HttpError::Transport { url: url.clone(), problem };
        let mut request = http::Request::builder().method(method).uri(&url);
        if let Some(token) = &self.token {
            request = request.header("Authorization", format!("Bearer {token}"));
        }
        if method != "GET" {
            request = request.header("Content-Type", "application/json");
        }
        let request = request.body(Full::new(Bytes::from(body))).map_err(|error| failed(error.to_string()))?;
        let answer = exchanges.exchange(request).map_err(|error| match is_refused(&error) {
            true => HttpError::Refused { url: url.clone() },
            false => failed(error.to_string()),
        })?;
        let (head, body) = answer.into_parts();
        let content_type = head.headers.get("content-type").and_then(|value| value.to_str().ok());
        let body = String::from_utf8(body.into()).map_err(|error| failed(error.to_string()))?;
        Ok(Answer { status: head.status.as_u16(), content_type: content_type.unwrap_or_default().to_owned(), body })
    }

    fn json<T: DeserializeOwned>(&self, path: &str) -> Result<T, HttpError> {
        let url = format!("{}{path}", self.base);
        let Answer { status, body, .. } = self.get(path)?;
        if status != 200 {
            return Err(HttpError::Status { url, status, detail: problem_detail(&body) });
        }
        serde_json::from_str(&body).map_err(|error| HttpError::Body { url, problem: error.to_string() })
    }
}

/// What a problem document (RFC 9457) says, or the text itself.
#[must_use]
pub fn problem_detail(body: &str) -> String {
    let problem: Option<Problem> = serde_json::from_str(body).ok();
    let detail = problem.and_then(|problem| problem.detail.or(problem.title));
    detail.unwrap_or_else(|| body.trim().chars().take(200).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_there_says_how_to_start_somebody() {
        // Port 1 of the loopback: nothing listens there.
        let error = Api::new("http://127.0.0.1:1").room("demo").unwrap_err();
        assert!(matches!(error, HttpError::Refused { .. }), "{error}");
        assert!(error.to_string().contains("make run"));
    }

    #[test]
    fn a_problem_document_is_read_for_its_detail() {
        assert_eq!(
            problem_detail(r#"{"type":"about:blank","title":"Not Found","detail":"no such room"}"#),
            "no such room"
        );
        assert_eq!(problem_detail("  plain \n"), "plain");
    }
}
