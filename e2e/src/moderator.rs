//! An outside moderator, as small as one can be: a service that gateways ask about each danmaku. It stands for a model
//! that takes its time; tests have it fail in all the ways that one can.

use std::{
    convert::Infallible,
    io,
    net::SocketAddr,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use axum::{
    Json, Router,
    body::{Body, Bytes},
    extract::State,
    http::{StatusCode, header::CONTENT_TYPE},
    response::{IntoResponse, Response},
    routing::post,
};
use futures_util::stream;
use serde::{Deserialize, Serialize};
use tokio::net::TcpListener;

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Question {
    /// The room's ID.
    pub room: String,
    pub user_id: String,
    /// `viewer`, so far: nobody else is asked about.
    pub role: String,
    pub content: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "verdict", rename_all = "lowercase")]
pub enum Verdict {
    /// It may be seen.
    Allow,
    /// Nobody is to see it.
    Hide,
    /// This is to be seen instead.
    Replace {
        /// The other text.
        content: String,
    },
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Mood {
    /// It judges.
    #[default]
    Well,
    /// It takes this long.
    Slow(Duration),
    /// It answers so, whatever it is asked.
    Says(u16, String),
    /// It answers without end.
    Endless,
}

#[derive(Debug, Clone, Default)]
pub struct Words {
    /// These hide a danmaku.
    pub hidden: Vec<String>,
    /// These are replaced by asterisks.
    pub masked: Vec<String>,
}

impl Words {
    /// The verdict about a text.
    #[must_use]
    pub fn judge(&self, content: &str) -> Verdict {
        if self.hidden.iter().any(|word| content.contains(word)) {
            return Verdict::Hide;
        }
        let mask = |text: String, word: &String| text.replace(word, &"*".repeat(word.chars().count()));
        let masked = self.masked.iter().fold(content.to_owned(), mask);
        if masked == content { Verdict::Allow } else { Verdict::Replace { content: masked } }
    }
}

/// A service that is served by [`Moderator::router`].
#[derive(Clone, Default)]
pub struct Moderator(Arc<Shared>);

#[derive(Default)]
struct Shared {
    words: Words,
    mood: Mutex<Mood>,
    asked: AtomicU64,
    under_way: AtomicU64,
    most_under_way: AtomicU64,
}

impl Moderator {
    /// Judges by these words.
    #[must_use]
    pub fn new(words: Words) -> Self {
        Self(Arc::new(Shared { words, ..Shared::default() }))
    }

    /// Its one route.
    pub fn router(&self) -> Router {
        Router::new().route("/verdict", post(judge)).with_state(self.clone())
    }

    /// Serves on a free port of the loopback, in a thread of its own, until the program ends.
    ///
    /// # Errors
    /// No port or no thread.
    pub fn start(&self) -> io::Result<SocketAddr> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0"))?;
        let address = listener.local_addr()?;
        let router = self.router();
        let serve = move || runtime.block_on(async move { axum::serve(listener, router).await });
        std::thread::Builder::new().name("moderator".to_owned()).spawn(serve)?;
        Ok(address)
    }

    /// From now on it is so.
    pub fn set(&self, mood: Mood) {
        *self.0.mood.lock().unwrap_or_else(PoisonError::into_inner) = mood;
    }

    /// Calls so far.
    #[must_use]
    pub fn asked(&self) -> u64 {
        self.0.asked.load(Ordering::Relaxed)
    }

    /// Calls at the same time, at the most so far.
    #[must_use]
    pub fn most_under_way(&self) -> u64 {
        self.0.most_under_way.load(Ordering::Relaxed)
    }
}

/// Counts a call while it lasts, also when who asked gives up.
struct UnderWay<'a>(&'a Shared);

impl<'a> UnderWay<'a> {
    fn new(shared: &'a Shared) -> Self {
        shared.asked.fetch_add(1, Ordering::Relaxed);
        let now = shared.under_way.fetch_add(1, Ordering::Relaxed) + 1;
        shared.most_under_way.fetch_max(now, Ordering::Relaxed);
        Self(shared)
    }
}

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        self.0.under_way.fetch_sub(1, Ordering::Relaxed);
    }
}

async fn judge(State(moderator): State<Moderator>, Json(question): Json<Question>) -> Response {
    let shared = &*moderator.0;
    let _under_way = UnderWay::new(shared);
    let mood = shared.mood.lock().unwrap_or_else(PoisonError::into_inner).clone();
    match mood {
        Mood::Well => {}
        Mood::Slow(time) => tokio::time::sleep(time).await,
        Mood::Says(status, body) => {
            let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
            return (status, [(CONTENT_TYPE, "application/json")], body).into_response();
        }
        Mood::Endless => {
            let chunk = || Some((Ok::<_, Infallible>(Bytes::from_static(&[b' '; 4096])), ()));
            return Body::from_stream(stream::unfold((), move |()| std::future::ready(chunk()))).into_response();
        }
    }
    Json(shared.words.judge(&question.content)).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_hide_mask_or_mean_nothing() {
        let words = Words { hidden: vec!["spoiler".into()], masked: vec!["笨蛋".into()] };
        assert_eq!(words.judge("a spoiler, 笨蛋"), Verdict::Hide);
        assert_eq!(words.judge("你笨蛋!"), Verdict::Replace { content: "你**!".into() });
        assert_eq!(words.judge("hello"), Verdict::Allow);
        let said = |verdict: &Verdict| serde_json::to_string(verdict).unwrap();
        assert_eq!(said(&words.judge("hello")), r#"{"verdict":"allow"}"#);
        assert_eq!(said(&words.judge("笨蛋")), r#"{"verdict":"replace","content":"**"}"#);
    }
}
