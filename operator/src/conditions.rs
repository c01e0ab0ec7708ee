//! Conditions of a status: set by type, with the time of the last change kept where nothing has changed.

use k8s_openapi::{
    apimachinery::pkg::apis::meta::v1::{Condition, Time},
    jiff::Timestamp,
};

use crate::problem::{Problem, Reason};

/// What a condition of Kubernetes takes of a message, bytes.
const MESSAGE_BYTES_MAX: usize = 32 * 1024;

/// Whether something holds, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    pub kind: &'static str,
    /// Whether it holds.
    pub holds: bool,
    pub reason: Reason,
    /// Why, and what to do.
    pub message: String,
}

impl Finding {
    /// That it holds, or does not, for a reason.
    pub fn new(kind: &'static str, holds: bool, reason: Reason, message: impl Into<String>) -> Self {
        Self { kind, holds, reason, message: message.into() }
    }

    /// That it holds, or does not, because of a problem.
    #[must_use]
    pub fn of(kind: &'static str, holds: bool, problem: &Problem) -> Self {
        Self::new(kind, holds, problem.reason, problem.message.clone())
    }
}

/// The conditions that these findings make of those there were.
#[must_use]
pub fn merged(old: &[Condition], findings: &[Finding], generation: Option<i64>, now: Timestamp) -> Vec<Condition> {
    let condition = |finding: &Finding| {
        let status = if finding.holds { "True" } else { "False" };
        let same = old.iter().find(|old| old.type_ == finding.kind && old.status == status);
        Condition {
            type_: finding.kind.to_owned(),
            status: status.to_owned(),
            reason: finding.reason.as_str().to_owned(),
            message: cut(&finding.message),
            last_transition_time: same.map_or(Time(seconds(now)), |same| same.last_transition_time.clone()),
            observed_generation: generation,
        }
    };
    findings.iter().map(condition).collect()
}

/// Kubernetes keeps whole seconds of a time.
fn seconds(now: Timestamp) -> Timestamp {
    Timestamp::from_second(now.as_second()).unwrap_or(now)
}

fn cut(message: &str) -> String {
    let end = (0..=MESSAGE_BYTES_MAX.min(message.len())).rev().find(|&end| message.is_char_boundary(end));
    message[..end.unwrap_or_default()].to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_of_the_last_change_stays_until_the_status_is_another() {
        let at = |second| Timestamp::from_second(second).unwrap();
        let ready = |holds| [Finding::new("Ready", holds, Reason::Serving, "as it should be")];
        let first = merged(&[], &ready(true), Some(1), at(10));
        let second = merged(&first, &ready(true), Some(2), at(20));
        assert_eq!((second[0].last_transition_time.0, second[0].observed_generation), (at(10), Some(2)));
        let third = merged(&second, &ready(false), Some(2), at(30));
        assert_eq!((third[0].last_transition_time.0, third[0].status.as_str()), (at(30), "False"));
    }

    #[test]
    fn long_messages_are_cut_between_characters() {
        assert_eq!(cut(&"é".repeat(MESSAGE_BYTES_MAX)).len(), MESSAGE_BYTES_MAX);
        assert_eq!(cut("short"), "short");
    }
}
