//! The roles of a cluster, each a process: what `barrage gateway`, `barrage consumer` and `barrage ranker` run.

use anyhow::{Result, bail};
use tokio_util::sync::CancellationToken;

use crate::settings::{Gateway, Settings};

/// Runs a gateway until `shutdown`.
///
/// # Errors
/// Always: not built yet.
pub async fn gateway(_settings: Settings, _gateway: Gateway, _shutdown: CancellationToken) -> Result<()> {
    bail!("the gateway is not built yet")
}

/// Runs a consumer until `shutdown`.
///
/// # Errors
/// Always: not built yet.
pub async fn consumer(_settings: Settings, _shutdown: CancellationToken) -> Result<()> {
    bail!("the consumer is not built yet")
}

/// Runs a ranker until `shutdown`.
///
/// # Errors
/// Always: not built yet.
pub async fn ranker(_settings: Settings, _shutdown: CancellationToken) -> Result<()> {
    bail!("the ranker is not built yet")
}
