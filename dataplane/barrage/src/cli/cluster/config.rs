//! `barrage config`: the reference of settings, and what a role would run with.

use std::{
    io::{ErrorKind, Write},
    path::PathBuf,
};

use barrage_cluster::settings::{self, Flags, Role};
use barrage_core::host::Host;
use clap::Args;

#[derive(Debug, Args)]
#[command(after_help = "Examples:
  barrage config > barrage.toml                            all settings with documentation and defaults
  barrage config --check --config barrage.toml gateway     what a gateway would run with, or what is wrong")]
pub(crate) struct Config {
    /// Say what a role would run with here, by the file and the environment, or what is wrong with it
    #[arg(long, requires = "role")]
    check: bool,
    /// TOML file with settings
    #[arg(long, value_name = "FILE", env = "BARRAGE_CONFIG")]
    config: Option<PathBuf>,
    /// The role to check
    #[arg(value_enum, requires = "check")]
    role: Option<Role>,
}

impl Config {
    pub(super) fn run(self) -> anyhow::Result<()> {
        let text = match self.role {
            Some(role) => settings::effective(role, Flags::of_file(self.config), &Host::here())?,
            None => settings::reference(),
        };
        match std::io::stdout().write_all(text.as_bytes()) {
            // Who reads the first lines only, has them.
            Err(error) if error.kind() != ErrorKind::BrokenPipe => Err(error.into()),
            _ => Ok(()),
        }
    }
}
