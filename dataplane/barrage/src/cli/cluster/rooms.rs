//! `barrage rooms`: the LiveRooms that a pool without an operator serves.

use std::{collections::BTreeMap, path::PathBuf};

use anyhow::{Context, bail};
use barrage_cluster::kafka::ClientConfig;
use barrage_cluster::routes::Writer;
use barrage_core::{room::RoomId, routes::change::Change};
use barrage_crds::{RoomManifest, manifest};
use clap::{Args, Subcommand};

use super::routes::{align, existing, write};

/// What stands as the writer of a change.
const WRITER: &str = "barrage rooms";

/// The rooms that a pool serves, from the same manifests that `kubectl apply` takes.
#[derive(Debug, Args)]
pub(crate) struct Rooms {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve the rooms of a file, or change them; others stay
    Apply(Apply),
    /// List the rooms that are served
    List,
    /// Serve a room no more; what was kept of it stays in the store
    Delete(Delete),
}

#[derive(Debug, Args)]
#[command(after_help = "Example:
  barrage rooms apply -f room.yaml")]
struct Apply {
    /// LiveRoom manifests, one or more documents
    #[arg(short, long, value_name = "FILE")]
    file: PathBuf,
}

#[derive(Debug, Args)]
struct Delete {
    /// Room ID
    name: String,
}

impl Rooms {
    /// `base` has brokers and security.
    pub(crate) async fn run(self, base: ClientConfig, pool: &str) -> anyhow::Result<()> {
        match self.command {
            Command::Apply(apply) => apply.run(base, pool).await,
            Command::List => list(base, pool).await,
            Command::Delete(delete) => delete.run(base, pool).await,
        }
    }
}

impl Apply {
    async fn run(self, base: ClientConfig, pool: &str) -> anyhow::Result<()> {
        let manifests = manifest::load(&self.file)?;
        existing(base.clone(), pool).await?;
        let mut writer = Writer::open(base, pool, WRITER).await?;
        let rooms = changed(manifests, &writer.manifests().collect())?;
        let change = Change { rooms, ..Change::on(writer.table()) };
        write(&mut writer, &change).await
    }
}

/// Rooms that stand otherwise, or not at all.
fn changed(
    manifests: Vec<RoomManifest>,
    stored: &BTreeMap<&str, &str>,
) -> anyhow::Result<BTreeMap<RoomId, Option<RoomManifest>>> {
    let mut rooms = BTreeMap::new();
    for manifest in manifests {
        let id = manifest.room_id();
        let text = serde_json::to_string(&manifest).with_context(|| format!("room {id}"))?;
        if stored.get(id) != Some(&text.as_str()) {
            rooms.insert(RoomId::from(id), Some(manifest));
        }
    }
    Ok(rooms)
}

impl Delete {
    async fn run(self, base: ClientConfig, pool: &str) -> anyhow::Result<()> {
        let known = existing(base.clone(), pool).await?.rooms.find(&self.name).map(|room| room.id.clone());
        let Some(id) = known else {
            bail!("room {} is not served: `barrage rooms list` shows those that are", self.name);
        };
        let mut writer = Writer::open(base, pool, WRITER).await?;
        let change = Change { rooms: [(id, None)].into(), ..Change::on(writer.table()) };
        write(&mut writer, &change).await
    }
}

async fn list(base: ClientConfig, pool: &str) -> anyhow::Result<()> {
    let table = existing(base, pool).await?;
    let cells = |cells: [&str; 6]| cells.map(ToOwned::to_owned).to_vec();
    let mut rows = vec![cells(["ROOM", "RANKER", "PARTITIONS", "RATE/S", "BUDGET/S", "HISTORY"])];
    for room in table.rooms.all() {
        let ranker = table.ranker_of(&room.id).map_or("-", |ranker| ranker);
        let partitions = table.placement().partitions_of(room.id.as_str());
        let partitions = partitions.iter().map(ToString::to_string).collect::<Vec<_>>().join(",");
        let (rate, budget) = (room.rate_per_second.to_string(), room.budget_per_second.to_string());
        rows.push(cells([room.id.as_str(), ranker, &partitions, &rate, &budget, &room.history_length.to_string()]));
    }
    let mut text = String::new();
    align(&mut text, &rows);
    print!("{text}");
    Ok(())
}
