//! `barrage routes`: who owns what in a pool without an operator, and for engineers at night.

mod plan;
mod show;

use std::{io::Read, path::PathBuf};

use anyhow::{Context, bail};
use barrage_cluster::kafka::ClientConfig;
use barrage_cluster::{
    membership,
    routes::{self as topic, Writer},
};
use barrage_core::routes::{Table, change::Change, file};
use clap::{Args, Subcommand, ValueEnum};
pub(super) use show::align;

/// What stands as the writer of a change.
const WRITER: &str = "barrage routes";

/// Who owns what: shows, plans and writes the route table of a pool.
#[derive(Debug, Args)]
pub(crate) struct Routes {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Show who owns what, who is alive, and who goes by which epoch
    Show(Show),
    /// Share the work among those who are alive; shows what would change, writes it with --apply
    Plan(plan::Plan),
    /// Write the table as a file says, and take over from an operator
    Apply(Apply),
}

#[derive(Debug, Args)]
#[command(after_help = "Examples:
  barrage routes show
  barrage routes show -o file > routes.toml    to edit, then: barrage routes apply -f routes.toml")]
struct Show {
    /// As a table to read, or as a file to edit
    #[arg(short, long, value_enum, default_value_t)]
    output: Output,
}

#[derive(Debug, Clone, Copy, Default, ValueEnum)]
enum Output {
    #[default]
    Table,
    File,
}

#[derive(Debug, Args)]
#[command(after_help = "Examples:
  barrage routes show -o file > routes.toml
  barrage routes apply -f routes.toml --dry-run
  barrage routes apply -f routes.toml
  barrage routes apply -f routes.toml --auto   and give back to the operator")]
struct Apply {
    /// The file, as `barrage routes show -o file` prints it; - is standard input
    #[arg(short, long, value_name = "FILE")]
    file: PathBuf,
    /// Only show what would change
    #[arg(long)]
    dry_run: bool,
    /// Let an operator change the table again; else it is left alone from now on
    #[arg(long)]
    auto: bool,
}

impl Routes {
    /// `base` has brokers and security.
    pub(crate) async fn run(self, base: ClientConfig, pool: &str) -> anyhow::Result<()> {
        match self.command {
            Command::Show(show) => show.run(base, pool).await,
            Command::Plan(plan) => plan.run(base, pool).await,
            Command::Apply(apply) => apply.run(base, pool).await,
        }
    }
}

impl Show {
    async fn run(self, base: ClientConfig, pool: &str) -> anyhow::Result<()> {
        let table = existing(base.clone(), pool).await?;
        match self.output {
            Output::File => print!("{}", file::print(&table, pool)),
            Output::Table => match membership::alive(base, pool).await {
                Ok(alive) => print!("{}", show::text(pool, &table, Some(&alive))),
                // The table is worth seeing all the same.
                Err(error) => {
                    print!("{}", show::text(pool, &table, None));
                    bail!("who is alive is not known: {error}");
                }
            },
        }
        Ok(())
    }
}

impl Apply {
    async fn run(self, base: ClientConfig, pool: &str) -> anyhow::Result<()> {
        let source_name = self.file.display().to_string();
        let text = self.read().with_context(|| format!("cannot read {source_name}; give the path of a file"))?;
        let change_on = |table: &Table| {
            let new = file::parse(&source_name, &text, table)?;
            anyhow::Ok(Change { manual: !self.auto, ..Change::between(table, &new) })
        };
        if self.dry_run {
            let table = existing(base, pool).await?;
            return print_change(&change_on(&table)?, &table, "without --dry-run it is written");
        }
        // Before another writer is fenced, the file shall be known to be fit.
        change_on(&existing(base.clone(), pool).await?)?;
        let mut writer = Writer::open(base, pool, WRITER).await?;
        let change = change_on(writer.table())?;
        write(&mut writer, &change).await
    }

    fn read(&self) -> std::io::Result<String> {
        if self.file.as_os_str() != "-" {
            return std::fs::read_to_string(&self.file);
        }
        let mut text = String::new();
        std::io::stdin().read_to_string(&mut text)?;
        Ok(text)
    }
}

/// The table; an error with the next step when the pool has none.
pub(super) async fn existing(base: ClientConfig, pool: &str) -> anyhow::Result<Table> {
    let table = topic::read(base, pool).await?;
    table.with_context(|| {
        format!("the pool {pool} has no route table yet: make it with `barrage pool create --partitions N`")
    })
}

/// Shows a change and writes it, if it changes anything.
pub(super) async fn write(writer: &mut Writer, change: &Change) -> anyhow::Result<()> {
    let before = writer.table().clone();
    let lines = change.describe(&before);
    if change.is_empty(&before) {
        println!("nothing to change: the table is at epoch {}", before.epoch);
        return Ok(());
    }
    let epoch = writer.write(change).await?.epoch;
    lines.iter().for_each(|line| println!("{line}"));
    println!("written: epoch {} → {epoch}", before.epoch);
    Ok(())
}

/// Shows a change that is not written; `next` says how it would be.
fn print_change(change: &Change, table: &Table, next: &str) -> anyhow::Result<()> {
    if change.is_empty(table) {
        println!("nothing to change: the table is at epoch {}", table.epoch);
        return Ok(());
    }
    change.describe(table).iter().for_each(|line| println!("{line}"));
    println!("not written, {next}: epoch {} → {}", table.epoch, change.epoch());
    Ok(())
}
