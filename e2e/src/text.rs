//! Made-up danmaku, Chinese and English, the same for the same seed: short, repetitive, and in bursts of repeats
//! where something happens on the stage, because that is what merging and compression live from.

use rand::{RngExt, SeedableRng, rngs::StdRng, seq::IndexedRandom};

/// Share of Chinese among the texts.
const CHINESE_SHARE: f64 = 0.7;
/// Chance that a text starts a burst of repeats: about two bursts in a thousand texts.
const BURST_CHANCE: f64 = 0.002;
/// Share of a burst's texts that are the repeat; others speak in between.
const REPEAT_SHARE: f64 = 0.7;

const REACTIONS: &[&str] =
    &["哈哈哈", "啊啊啊", "好家伙", "来了来了", "前方高能", "泪目", "awsl", "绝了", "打卡", "妙啊"];
const REACTIONS_EN: &[&str] = &["lol", "wow", "GG", "nice", "LETS GO", "no way", "hype", "pog", "omg", "rip"];
const CHEERS: &[&str] = &["666", "哈哈哈哈哈哈", "爷青回", "GG", "233333", "恭喜恭喜", "？？？", "LETS GOOO"];
const WHO: &[&str] = &["主播", "这个镜头", "弹幕", "这一波", "队长", "这首歌", "背景音乐", "对面", "这个转场", "我妈"];
const WHAT: &[&str] =
    &["太强了", "我笑死", "真的好听", "有点东西", "是认真的吗", "看哭了", "好快", "出乎意料", "稳了", "第二遍了"];
const WHO_EN: &[&str] = &["this team", "the camera", "chat", "that play", "my cat", "the host", "the song", "everyone"];
const WHAT_EN: &[&str] =
    &["is insane", "made my day", "never misses", "needs a replay", "is so good live", "did it again", "is on fire"];
const ENDINGS: &[&str] = &["", "", "", "！", "！！！", "~", "。。。", "www"];
const ENDINGS_EN: &[&str] = &["", "", "", "!", "!!!", " :)", " again", "..."];

/// Endless texts from a seed.
pub struct Texts {
    random: StdRng,
    burst: Option<Burst>,
}

struct Burst {
    text: &'static str,
    left: u32,
}

impl Texts {
    /// The texts of a seed.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self { random: StdRng::seed_from_u64(seed), burst: None }
    }

    fn burst_text(&mut self) -> Option<&'static str> {
        if self.burst.is_none() && self.random.random_bool(BURST_CHANCE) {
            self.burst = Some(Burst { text: pick(&mut self.random, CHEERS), left: self.random.random_range(20..120) });
        }
        let burst = self.burst.as_mut()?;
        burst.left -= 1;
        let text = burst.text;
        if burst.left == 0 {
            self.burst = None;
        }
        self.random.random_bool(REPEAT_SHARE).then_some(text)
    }
}

impl Iterator for Texts {
    type Item = String;

    fn next(&mut self) -> Option<String> {
        if let Some(text) = self.burst_text() {
            return Some(text.to_owned());
        }
        let random = &mut self.random;
        let chinese = random.random_bool(CHINESE_SHARE);
        let text = match (random.random_range(0..10), chinese) {
            (0..4, true) => pick(random, REACTIONS).to_owned() + pick(random, ENDINGS),
            (0..4, false) => pick(random, REACTIONS_EN).to_owned() + pick(random, ENDINGS_EN),
            (4, _) => "6".repeat(random.random_range(1..10)),
            (5, _) => format!("{}:{:02}", random.random_range(0..60), random.random_range(0..60)),
            (_, true) => [pick(random, WHO), pick(random, WHAT), pick(random, ENDINGS)].concat(),
            (_, false) => format!("{} {}{}", pick(random, WHO_EN), pick(random, WHAT_EN), pick(random, ENDINGS_EN)),
        };
        Some(text)
    }
}

fn pick(random: &mut StdRng, texts: &[&'static str]) -> &'static str {
    texts.choose(random).copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashMap;

    #[test]
    fn the_same_seed_gives_the_same_texts_and_another_seed_others() {
        let of = |seed| Texts::new(seed).take(100).collect::<Vec<_>>();
        assert_eq!(of(7), of(7));
        assert_ne!(of(7), of(8));
    }

    #[test]
    fn texts_are_never_empty_and_of_both_languages() {
        let texts: Vec<_> = Texts::new(1).take(2000).collect();
        assert!(texts.iter().all(|text| !text.is_empty() && text.len() < 200));
        let ascii = texts.iter().filter(|text| text.is_ascii()).count();
        assert!((200..1600).contains(&ascii), "{ascii} of 2000 texts are ASCII");
    }

    #[test]
    fn there_are_bursts_of_repeats() {
        let texts: Vec<_> = Texts::new(3).take(5000).collect();
        let most = texts.windows(50).map(|window| {
            let mut counts = HashMap::new();
            window.iter().for_each(|text| *counts.entry(text).or_insert(0) += 1);
            counts.into_values().max().unwrap_or(0)
        });
        assert!(most.max().unwrap_or(0) >= 25);
    }
}
