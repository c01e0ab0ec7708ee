//! `barrage routes plan`: the work shared among those who are alive.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Context;
use barrage_cluster::kafka::ClientConfig;
use barrage_cluster::{membership, routes::Writer};
use barrage_core::{
    link::Peer,
    routes::{
        Table,
        change::Change,
        plan::{Alive, plan},
    },
};
use barrage_proto::heat::report::Role;
use clap::Args;

use super::{WRITER, existing, print_change, write};

#[derive(Debug, Args)]
#[command(after_help = "Examples:
  barrage routes plan                                  what would change, with those alive
  barrage routes plan --apply
  barrage routes plan --consumers consumer-0,consumer-1 --rankers ranker-0=10.0.0.5:7800 --apply")]
pub(super) struct Plan {
    /// Consumers that share the partitions [default: those heard on the heat topic in the last 5 s]
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    consumers: Vec<String>,
    /// Rankers and where their links are reached [default: those heard on the heat topic in the last 5 s]
    #[arg(long, value_name = "NAME=HOST:PORT", value_delimiter = ',', value_parser = ranker)]
    rankers: Vec<(String, String)>,
    /// Write it
    #[arg(long)]
    apply: bool,
}

impl Plan {
    pub(super) async fn run(self, base: ClientConfig, pool: &str) -> anyhow::Result<()> {
        let alive = self.alive(&base, pool).await?;
        let change_on = |table: &Table| anyhow::Ok(Change::between(table, &plan(table, &alive, None)?));
        let table = existing(base.clone(), pool).await?;
        let change = change_on(&table)?;
        if !self.apply || change.is_empty(&table) {
            return print_change(&change, &table, "with --apply it is written");
        }
        let mut writer = Writer::open(base, pool, WRITER).await?;
        let change = change_on(writer.table())?;
        write(&mut writer, &change).await
    }

    async fn alive(&self, base: &ClientConfig, pool: &str) -> anyhow::Result<Alive> {
        let (no_consumers, no_rankers) = (self.consumers.is_empty(), self.rankers.is_empty());
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
        Ok(alive)
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
