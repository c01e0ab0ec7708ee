//! What all parts of the store work with: the connection, the names of keys and the scripts.

use std::sync::Arc;

use tokio::sync::Semaphore;

use super::{
    calls::{Calls, Script},
    config::{RedisConfig, failed},
    confirm::Confirmations,
    keys::Keys,
    markers::Markers,
    metrics::Metrics,
};
use barrage_core::{last_error::LastError, store::StoreError};

/// Script calls of writes under way at the same time: more than a master needs to be busy.
const IN_FLIGHT: usize = 128;

pub(super) struct Shared {
    pub(super) calls: Calls,
    pub(super) keys: Keys,
    pub(super) scripts: Scripts,
    pub(super) metrics: Metrics,
    pub(super) markers: Markers,
    pub(super) confirmations: Confirmations,
    pub(super) in_flight: Arc<Semaphore>,
    pub(super) last_error: LastError,
}

pub(super) struct Scripts {
    pub(super) apply: Script,
    pub(super) mark: Script,
    pub(super) settle: Script,
    pub(super) ranking: Script,
    pub(super) take_ledger: Script,
    pub(super) save_ledger: Script,
    pub(super) forget: Script,
    pub(super) forget_ledger: Script,
}

impl Shared {
    /// Connects, and checks how each node is set.
    pub(super) async fn connect(config: &RedisConfig, metrics: Metrics) -> Result<Self, StoreError> {
        let confirmations = Confirmations::begin(config).await?;
        let calls = Calls::connect(config, metrics.clone()).await;
        let calls = calls.map_err(|error| failed("reached", format!("{}: {error}", config.nodes.join(", "))))?;
        let scripts = Scripts {
            apply: Script::new(include_str!("apply.lua")),
            mark: Script::new(include_str!("mark.lua")),
            settle: Script::new(include_str!("settle.lua")),
            ranking: Script::new(include_str!("ranking.lua")),
            take_ledger: Script::new(include_str!("take_ledger.lua")),
            save_ledger: Script::new(include_str!("save_ledger.lua")),
            forget: Script::new(include_str!("forget.lua")),
            forget_ledger: Script::new(include_str!("forget_ledger.lua")),
        };
        Ok(Self {
            calls,
            keys: Keys::new(&config.pool),
            scripts,
            metrics,
            markers: Markers::default(),
            confirmations,
            in_flight: Arc::new(Semaphore::new(IN_FLIGHT)),
            last_error: LastError::default(),
        })
    }
}
