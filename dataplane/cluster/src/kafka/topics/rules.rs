//! What each topic has to be set to. Pure.

use std::fmt::Display;

use super::{Durability, Topic};

const MINUTE_MS: i64 = 60 * 1000;
const DAY_MS: i64 = 24 * 60 * MINUTE_MS;
/// More than a record and what is around it.
const MESSAGE_BYTES_MAX: i64 = 8 * 1024 * 1024;

/// A setting of a topic.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Rule {
    pub(super) setting: &'static str,
    pub(super) value: String,
    bound: Bound,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Bound {
    None,
    Higher,
    /// And -1, which is without limit.
    Longer,
}

/// A setting that will not do.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Wrong {
    pub(super) setting: String,
    pub(super) found: String,
    pub(super) wanted: String,
}

impl Wrong {
    pub(super) fn new(setting: &str, found: impl Display, wanted: impl Display) -> Self {
        Self { setting: setting.to_owned(), found: found.to_string(), wanted: wanted.to_string() }
    }
}

/// What `topic` is made with.
pub(super) fn rules(topic: Topic, durability: Durability) -> Vec<Rule> {
    let rule = |setting, value: &dyn Display, bound| Rule { setting, value: value.to_string(), bound };
    let retention = match topic {
        Topic::Danmaku => Some(7 * DAY_MS),
        Topic::Heat => Some(10 * MINUTE_MS),
        Topic::Dead => Some(30 * DAY_MS),
        Topic::Routes => None,
    };
    let mut rules = vec![
        rule("min.insync.replicas", &durability.in_sync(), Bound::Higher),
        rule("unclean.leader.election.enable", &"false", Bound::None),
        rule("max.message.bytes", &MESSAGE_BYTES_MAX, Bound::Higher),
        // Windows are cut by it, and no producer's clock is in it.
        rule("message.timestamp.type", &"LogAppendTime", Bound::None),
    ];
    match retention {
        Some(ms) => rules.extend([
            rule("cleanup.policy", &"delete", Bound::None),
            rule("retention.ms", &ms, Bound::Longer),
            rule("retention.bytes", &-1, Bound::None),
        ]),
        None => rules.push(rule("cleanup.policy", &"compact", Bound::None)),
    }
    rules
}

/// What is wrong with a topic whose settings `value` looks up.
pub(super) fn wrong_entries(
    topic: Topic,
    durability: Durability,
    value: impl Fn(&str) -> Option<String>,
) -> Vec<Wrong> {
    let judge = |rule: Rule| {
        let found = value(rule.setting).unwrap_or_else(|| "not set".to_owned());
        let wanted = match rule.bound {
            Bound::None => rule.value.clone(),
            Bound::Higher => format!("{} or more", rule.value),
            Bound::Longer => format!("{} or more, or -1", rule.value),
        };
        (!rule.allows(&found)).then_some(Wrong { setting: rule.setting.to_owned(), found, wanted })
    };
    rules(topic, durability).into_iter().filter_map(judge).collect()
}

impl Rule {
    fn allows(&self, found: &str) -> bool {
        let number = |text: &str| text.parse::<i64>().ok();
        found == self.value
            || match self.bound {
                Bound::None => false,
                Bound::Higher => number(found) > number(&self.value),
                Bound::Longer => found == "-1" || number(found) > number(&self.value),
            }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judge(topic: Topic, changed: (&str, &str)) -> Vec<Wrong> {
        wrong_entries(topic, Durability::Replicated, |setting| {
            if setting == changed.0 {
                return Some(changed.1.to_owned());
            }
            rules(topic, Durability::Replicated).into_iter().find(|r| r.setting == setting).map(|r| r.value)
        })
    }

    #[test]
    fn a_topic_as_it_is_made_has_nothing_wrong() {
        for topic in Topic::ALL {
            assert_eq!(judge(topic, ("", "")), []);
        }
    }

    #[test]
    fn what_loses_records_is_named_and_what_keeps_more_is_not() {
        let cases = [
            ("min.insync.replicas", "1", "3", "2 or more"),
            ("max.message.bytes", "1048576", "9000000", "8388608 or more"),
            ("retention.ms", "604799999", "-1", "604800000 or more, or -1"),
        ];
        for (setting, bad, good, wanted) in cases {
            assert_eq!(judge(Topic::Danmaku, (setting, bad)), [Wrong::new(setting, bad, wanted)]);
            assert_eq!(judge(Topic::Danmaku, (setting, good)), []);
        }
        for (topic, setting, bad, wanted) in [
            (Topic::Danmaku, "unclean.leader.election.enable", "true", "false"),
            (Topic::Danmaku, "message.timestamp.type", "CreateTime", "LogAppendTime"),
            (Topic::Danmaku, "cleanup.policy", "compact,delete", "delete"),
            (Topic::Danmaku, "retention.bytes", "1000", "-1"),
            (Topic::Routes, "cleanup.policy", "delete", "compact"),
        ] {
            assert_eq!(judge(topic, (setting, bad)), [Wrong::new(setting, bad, wanted)]);
        }
        assert_eq!(judge(Topic::Dead, ("max.message.bytes", "many"))[0].found, "many");
    }

    #[test]
    fn one_broker_will_do_for_a_trial_only() {
        let one = |setting: &str| (setting == "min.insync.replicas").then(|| "1".to_owned());
        let named = |durability| {
            wrong_entries(Topic::Danmaku, durability, one).iter().any(|wrong| wrong.setting == "min.insync.replicas")
        };
        assert!(named(Durability::Replicated) && !named(Durability::Trial));
    }
}
