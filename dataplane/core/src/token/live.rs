//! Keys that are read again when their file changes: who signs tokens can change keys without anybody's restart.

use std::{path::PathBuf, sync::Arc, time::Duration};

use arc_swap::ArcSwap;

use super::{KeyError, Keys};

const CHECK_EVERY: Duration = Duration::from_secs(3);

/// The newest keys; clones share them.
#[derive(Clone)]
pub struct LiveKeys(Arc<ArcSwap<Keys>>);

impl LiveKeys {
    /// Keys that stay as they are.
    #[must_use]
    pub fn fixed(keys: Arc<Keys>) -> Self {
        Self(Arc::new(ArcSwap::new(keys)))
    }

    /// The keys that are in force now.
    #[must_use]
    pub fn current(&self) -> Arc<Keys> {
        self.0.load_full()
    }

    /// Takes up what the file at `path` comes to say, for ever. What is wrong later is logged, and the keys that were in
    /// force stay.
    pub async fn follow(self, path: PathBuf) -> std::io::Result<()> {
        let mut seen = None;
        loop {
            let file = path.clone();
            match tokio::task::spawn_blocking(move || std::fs::read(file)).await {
                Ok(Ok(text)) if seen.as_ref() == Some(&text) => {}
                Ok(Ok(text)) => {
                    match keys(&path, &text) {
                        Ok(keys) => self.take_up(keys, seen.is_some()),
                        Err(error) => tracing::warn!(%error, "new token keys are not used, the old ones stay in force"),
                    }
                    seen = Some(text);
                }
                Ok(Err(error)) => {
                    tracing::warn!(file = %path.display(), %error, "token keys cannot be read, the old ones stay in force");
                }
                Err(_) => return Ok(()),
            }
            tokio::time::sleep(CHECK_EVERY).await;
        }
    }

    fn take_up(&self, keys: Keys, news: bool) {
        if news {
            tracing::info!("token keys are read anew");
        }
        self.0.store(Arc::new(keys));
    }
}

fn keys(path: &std::path::Path, text: &[u8]) -> Result<Keys, KeyError> {
    let source = path.display().to_string();
    let keys = Keys::parse(&source, text)?;
    if keys.is_empty() {
        return Err(KeyError::Malformed { path: source, reason: "there is no key in it".to_owned() });
    }
    Ok(keys)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::token::{AUDIENCE, Claims, RoomClaim, mint, verify};

    #[tokio::test(start_paused = true)]
    async fn a_changed_file_is_taken_up_and_a_bad_one_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("keys.json");
        let sets = ["a", "b"].map(|kid| Arc::new(Keys::parse("", Keys::generate(kid).as_bytes()).unwrap()));
        let texts = ["c", "d"].map(Keys::generate);
        let live = LiveKeys::fixed(Arc::clone(&sets[0]));
        let opens = |live: &LiveKeys, keys: &Keys| {
            let room = RoomClaim::One("demo".to_owned());
            let (sub, aud) = ("7".to_owned(), AUDIENCE.to_owned());
            let claims = Claims { sub, room, role: crate::token::Role::Viewer, send: true, exp: u64::MAX / 4, aud };
            verify(&live.current(), &mint(keys, &claims).unwrap(), "demo").is_ok()
        };
        assert!(opens(&live, &sets[0]) && !opens(&live, &sets[1]));
        std::fs::write(&path, &texts[0]).unwrap();
        let following = tokio::spawn(live.clone().follow(path.clone()));
        for (text, in_force) in [(texts[0].as_str(), 0), ("{}", 0), ("{\"keys\":[]}", 0), (texts[1].as_str(), 1)] {
            std::fs::write(&path, text).unwrap();
            let keys = Keys::parse("", texts[in_force].as_bytes()).unwrap();
            tokio::time::sleep(2 * CHECK_EVERY).await;
            while !opens(&live, &keys) {
                tokio::time::sleep(CHECK_EVERY).await;
            }
        }
        following.abort();
    }
}
