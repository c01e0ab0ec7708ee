//! `barrage routes plan`: the work shared among those who are alive.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Context;
use barrage_cluster::kafka::ClientConfig;
use barrage_cluster::{membership, routes::Writer};
use barrage_core::{
    link::Peer,
    room::RoomId,
    routes::{
        Table,
        change::Change,
        plan::{Alive, plan, spread},
    },
};
use barrage_proto::heat::report::Role;
use clap::Args;

use super::{WRITER, existing, print_change, write};

#[derive(Debug, Args)]
#[command(after_help = "Examples:
  barrage routes plan                                  what would change, with those alive
  barrage routes plan --apply
  barrage routes plan --consumers consumer-0,consumer-1 --rankers ranker-0=10.0.0.5:7800 --apply
  barrage routes plan --spread demo=4 --apply          one hot room on four partitions
  barrage routes plan --spread demo=1 --apply          and back")]
pub(super) struct Plan {
    /// Consumers that share the partitions [default: those heard on the heat topic in the last 5 s]
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    consumers: Vec<String>,
    /// Rankers and where their links are reached [default: those heard on the heat topic in the last 5 s]
    #[arg(long, value_name = "NAME=HOST:PORT", value_delimiter = ',', value_parser = ranker)]
    rankers: Vec<(String, String)>,
    /// Spread a room's slices over so many partitions; owners stay as they are, unless they are named too
    #[arg(long, value_name = "ROOM=N", value_delimiter = ',', value_parser = spreading)]
    spread: Vec<(String, u32)>,
    /// Write it
    #[arg(long)]
    apply: bool,
}

impl Plan {
    pub(super) async fn run(self, base: ClientConfig, pool: &str) -> anyhow::Result<()> {
        let alive = self.alive(&base, pool).await?;
        let change_on = |table: &Table| anyhow::Ok(Change::between(table, &self.planned(table, alive.as_ref())?));
        let table = existing(base.clone(), pool).await?;
        let change = change_on(&table)?;
        if !self.apply || change.is_empty(&table) {
            return print_change(&change, &table, "with --apply it is written");
        }
        let mut writer = Writer::open(base, pool, WRITER).await?;
        let change = change_on(writer.table())?;
        write(&mut writer, &change).await
    }

    /// `None` when owners stay as they are.
    async fn alive(&self, base: &ClientConfig, pool: &str) -> anyhow::Result<Option<Alive>> {
        let (no_consumers, no_rankers) = (self.consumers.is_empty(), self.rankers.is_empty());
        if !self.spread.is_empty() && no_consumers && no_rankers {
            return Ok(None);
        }
        let mut alive = Alive {
            consumers: self.consumers.iter().map(|name| name.as_str().into()).collect(),
            rankers: self.rankers.iter().map(|(name, address)| (name.as_str().into(), address.clone())).collect(),
        };
        if no_consumers || no_rankers {
            let heard = membership::alive(base.clone(), pool).await;
            let heard = heard.context("who is alive is not known; name them with --consumers and --rankers")?;
            let of = |role| heard.iter().filter(move |member| member.role == role);
            if no_consumers {
                alive.consumers = of(Role::Consumer).map(|member| member.name.clone()).collect::<BTreeSet<Peer>>();
            }
            if no_rankers {
                let rankers = of(Role::Ranker).map(|member| (member.name.clone(), member.address.clone()));
                alive.rankers = rankers.collect::<BTreeMap<_, _>>();
            }
        }
        Ok(Some(alive))
    }

    fn planned(&self, table: &Table, alive: Option<&Alive>) -> anyhow::Result<Table> {
        let mut new = match alive {
            Some(alive) => plan(table, alive, None)?,
            None => table.clone(),
        };
        for (room, over) in &self.spread {
            // All is one change, so every step has its epoch.
            let spread = spread(&Table { epoch: table.epoch, ..new }, &RoomId::from(room.as_str()), *over)?;
            new = spread;
        }
        Ok(new)
    }
}

fn ranker(text: &str) -> Result<(String, String), String> {
    let (name, address) = text.split_once('=').ok_or("allowed: NAME=HOST:PORT")?;
    let port = address.rsplit_once(':').filter(|(host, _)| !host.is_empty()).map(|(_, port)| port.parse::<u16>());
    match port {
        Some(Ok(_)) if !name.is_empty() => Ok((name.to_owned(), address.to_owned())),
        _ => Err("allowed: NAME=HOST:PORT".to_owned()),
    }
}

fn spreading(text: &str) -> Result<(String, u32), String> {
    let allowed = || "allowed: ROOM=N, N partitions from 1".to_owned();
    let (room, over) = text.split_once('=').ok_or_else(allowed)?;
    let over = over.parse().ok().filter(|&over| over > 0).ok_or_else(allowed)?;
    Ok((room.to_owned(), over))
}
