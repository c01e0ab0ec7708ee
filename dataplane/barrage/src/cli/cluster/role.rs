//! `barrage gateway`, `barrage consumer`, `barrage ranker`: one role of a cluster.

use barrage::roles;
use barrage_cluster::settings::{self, Flags, Role, RoleSettings};
use barrage_core::host::Host;

use crate::cli::process::until_signal;

/// The gateway's shards have threads of their own; its other parts get one thread for so many cores.
const GATEWAY_PARTS_PER_CORES: usize = 2;

pub(super) fn run(role: Role, flags: Flags) -> anyhow::Result<()> {
    let host = Host::here();
    match settings::load(role, flags, &host)? {
        RoleSettings::Gateway(settings, gateway) => {
            until_signal(host.cores.div_ceil(GATEWAY_PARTS_PER_CORES), |shutdown| {
                roles::gateway(settings, *gateway, shutdown)
            })
        }
        RoleSettings::Consumer(settings) => until_signal(host.cores, |shutdown| roles::consumer(settings, shutdown)),
        RoleSettings::Ranker(settings) => until_signal(host.cores, |shutdown| roles::ranker(settings, shutdown)),
    }
}
