//! Whether a process can do its work: named checks that any of its parts sets, for `/readyz`, metrics and the log.

use std::sync::{Arc, Mutex, PoisonError};

use prometheus_client::{
    metrics::{family::Family, gauge::Gauge},
    registry::Registry,
};
use serde::Serialize;

#[derive(Debug, Clone, PartialEq, Eq)]
enum State {
    Ok,
    Degraded(String),
    Failed(String),
}

impl State {
    const fn level(&self) -> i64 {
        match self {
            Self::Ok => 2,
            Self::Degraded(_) => 1,
            Self::Failed(_) => 0,
        }
    }

    fn detail(&self) -> &str {
        match self {
            Self::Ok => "ok",
            Self::Degraded(detail) | Self::Failed(detail) => detail,
        }
    }
}

/// Checks of a process. Clones share them. Setting one to what it is already costs a lock and a comparison; a
/// change for better or worse is logged once.
#[derive(Debug, Clone, Default)]
pub struct Health {
    checks: Arc<Mutex<Vec<(&'static str, State)>>>,
    levels: Family<[(&'static str, &'static str); 1], Gauge>,
}

/// What `/readyz` answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Report {
    /// The worst of the checks: `ok`, `degraded` or `failed`.
    pub status: &'static str,
    /// Whether work should come here: no check has failed.
    pub ready: bool,
    /// All checks in the order of their first mention.
    pub checks: Vec<Check>,
}

/// One check of a report.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Check {
    pub name: &'static str,
    /// Whether it is as it should be.
    pub ok: bool,
    /// `ok`, or what is the matter.
    pub detail: String,
}

impl Health {
    /// With checks that have failed until somebody says otherwise: a process is not ready before all its parts are.
    #[must_use]
    pub fn starting(names: &[&'static str]) -> Self {
        let health = Self::default();
        for name in names {
            health.set(name, State::Failed("starting".to_owned()));
        }
        health
    }

    /// Shows the checks as metrics.
    pub fn register(&self, registry: &mut Registry) {
        registry.register("health", "Checks: 2 is ok, 1 degraded, 0 failed", self.levels.clone());
    }

    pub fn ok(&self, name: &'static str) {
        self.set(name, State::Ok);
    }

    /// Worse than it should be, and good enough to go on working.
    pub fn degraded(&self, name: &'static str, detail: impl Into<String>) {
        self.set(name, State::Degraded(detail.into()));
    }

    /// So bad that no work should come here.
    pub fn failed(&self, name: &'static str, detail: impl Into<String>) {
        self.set(name, State::Failed(detail.into()));
    }

    /// All checks as they are now.
    #[must_use]
    pub fn report(&self) -> Report {
        let checks = self.checks.lock().unwrap_or_else(PoisonError::into_inner);
        let worst = checks.iter().map(|(_, state)| state.level()).min();
        Report {
            status: match worst {
                Some(0) => "failed",
                Some(1) => "degraded",
                _ => "ok",
            },
            ready: !checks.iter().any(|(_, state)| matches!(state, State::Failed(_))),
            checks: checks
                .iter()
                .map(|(name, state)| Check { name, ok: *state == State::Ok, detail: state.detail().to_owned() })
                .collect(),
        }
    }

    fn set(&self, name: &'static str, state: State) {
        let mut checks = self.checks.lock().unwrap_or_else(PoisonError::into_inner);
        let Some((_, current)) = checks.iter_mut().find(|(known, _)| *known == name) else {
            self.levels.get_or_create(&[("check", name)]).set(state.level());
            return checks.push((name, state));
        };
        if current.level() != state.level() {
            self.levels.get_or_create(&[("check", name)]).set(state.level());
            match &state {
                State::Ok => tracing::info!(check = name, "ok"),
                State::Degraded(detail) => tracing::warn!(check = name, detail, "degraded"),
                State::Failed(detail) => tracing::warn!(check = name, detail, "failed"),
            }
        }
        if *current != state {
            *current = state;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(health: &Health) -> (bool, String) {
        let report = health.report();
        let checks = report.checks.iter().map(|check| format!("{} {} {}", check.name, check.ok, check.detail));
        (report.ready, checks.collect::<Vec<_>>().join(", "))
    }

    #[test]
    fn a_process_is_ready_when_nothing_has_failed() {
        let health = Health::starting(&["kafka", "redis"]);
        assert_eq!(report(&health), (false, "kafka false starting, redis false starting".to_owned()));
        health.clone().ok("kafka");
        health.degraded("redis", "one shard is down");
        assert_eq!(report(&health), (true, "kafka true ok, redis false one shard is down".to_owned()));
        health.degraded("redis", "two shards are down");
        health.failed("links", "the certificate has expired");
        let checks = "kafka true ok, redis false two shards are down, links false the certificate has expired";
        assert_eq!(report(&health), (false, checks.to_owned()));
    }

    #[test]
    fn metrics_follow() {
        let mut registry = Registry::default();
        let health = Health::starting(&["kafka"]);
        health.register(&mut registry);
        health.degraded("kafka", "a broker is down");
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &registry).unwrap();
        assert!(text.contains("health{check=\"kafka\"} 1\n"), "{text}");
    }
}
