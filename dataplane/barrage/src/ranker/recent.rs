//! Texts shown a moment ago, which repeats can be merged into.

use std::collections::VecDeque;

use barrage_proto::Position;
use bytes::Bytes;

use barrage_core::hash::FastMap;

/// A danmaku is on screen for about this long; a repeat merged later would count on something gone.
const ON_SCREEN_MS: i64 = 5_000;
/// Texts remembered at the most: 5 s of a budget of 10,000/s would be more than anyone reads.
const TEXTS_MAX: usize = 4_096;

/// A shown text and how many it stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stand {
    /// The danmaku on screen.
    pub(super) position: Position,
    /// Times the text was sent, that one included.
    pub(super) total: u32,
    shown_ms: i64,
}

/// Shown texts by content, the last [`ON_SCREEN_MS`] of them.
#[derive(Default)]
pub(super) struct RecentTexts {
    texts: FastMap<Bytes, Stand>,
    by_time: VecDeque<(i64, Bytes)>,
}

impl RecentTexts {
    /// The danmaku on screen with this text.
    pub(super) fn find(&mut self, text: &[u8], now_ms: i64) -> Option<&mut Stand> {
        self.texts.get_mut(text).filter(|stand| now_ms - stand.shown_ms < ON_SCREEN_MS)
    }

    /// A text is shown now, for `total` sent.
    pub(super) fn show(&mut self, text: &[u8], position: Position, total: u32, now_ms: i64) {
        while let Some((shown_ms, oldest)) = self.by_time.front()
            && (now_ms - shown_ms >= ON_SCREEN_MS || self.by_time.len() >= TEXTS_MAX)
        {
            if self.texts.get(oldest).is_some_and(|stand| stand.shown_ms == *shown_ms) {
                self.texts.remove(oldest);
            }
            self.by_time.pop_front();
        }
        // A copy: it is a part of its record, which may have a thousand times as much.
        let text = Bytes::copy_from_slice(text);
        self.texts.insert(text.clone(), Stand { position, total, shown_ms: now_ms });
        self.by_time.push_back((now_ms, text));
    }
}
