//! Pools that the installation declares in a file, which whoever leads applies. A chart cannot install them itself: the
//! definition of their kind is in the same chart, and a pool has to outlive a release.

use std::{path::Path, time::Duration};

use anyhow::{Context as _, Result};
use kube::{
    Api, Client, Resource, ResourceExt,
    api::{ApiResource, DynamicObject, Patch, PatchParams},
};

use barrage_crds::RoomPool;

/// Under this name the fields of declared pools are owned, apart from what the operator sets itself.
const MANAGER: &str = "barrage-installation";
/// The definitions may be a moment younger than the operator.
const TRY_AGAIN: Duration = Duration::from_secs(2);

/// Reads the pools of a file: a list of `RoomPool`s as JSON.
///
/// # Errors
/// The file cannot be read, or is no such list.
pub fn read(file: &Path) -> Result<Vec<DynamicObject>> {
    let text = std::fs::read(file).with_context(|| format!("cannot read the declared pools in {}", file.display()))?;
    serde_json::from_slice(&text).with_context(|| format!("{} is no list of RoomPools as JSON", file.display()))
}

/// Applies pools one after the other, each until the API server takes it.
pub async fn apply(client: Client, pools: Vec<DynamicObject>) {
    for pool in pools {
        let (namespace, name) = (pool.namespace().unwrap_or_default(), pool.name_any());
        let api: Api<DynamicObject> =
            Api::namespaced_with(client.clone(), &namespace, &ApiResource::erase::<RoomPool>(&()));
        let params = PatchParams::apply(MANAGER).force();
        while let Err(error) = api.patch(&name, &params, &Patch::Apply(&pool)).await {
            tracing::warn!(%error, namespace, name, "a declared pool could not be applied; trying again");
            tokio::time::sleep(TRY_AGAIN).await;
        }
        tracing::info!(kind = %RoomPool::kind(&()), namespace, name, "a declared pool is applied");
    }
}
