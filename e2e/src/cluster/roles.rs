//! The processes `barrage gateway`, `barrage consumer` and `barrage ranker`, each of which keeps its name, ports and
//! settings through all its lives.

use std::{fmt, fs, net::SocketAddr, path::PathBuf, process::Command, sync::Arc, time::Duration};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::Deserialize;
use serde_json::json;

use super::{
    ClusterOptions,
    clock::Clock,
    daemon::Daemon,
    error::ClusterError,
    kafka::{Party, local},
    run::Run,
    wire::Wire,
};
use crate::{
    server::{binary, free_port},
    token::{TokenError, TokenKey},
};

/// A start includes connections to Kafka and Redis, on a machine that may be busy.
const READY_WITHIN: Duration = Duration::from_secs(60);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// `barrage gateway`.
    Gateway,
    /// `barrage consumer`.
    Consumer,
    /// `barrage ranker`.
    Ranker,
}

impl Role {
    #[must_use]
    pub const fn party(self) -> Party {
        match self {
            Self::Gateway => Party::Gateways,
            Self::Consumer => Party::Consumers,
            Self::Ranker => Party::Rankers,
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Gateway => "gateway",
            Self::Consumer => "consumer",
            Self::Ranker => "ranker",
        })
    }
}

pub(super) struct Shared {
    pub(super) run: Arc<Run>,
    /// Instead of the program that was built here.
    pub(super) program: Option<PathBuf>,
    /// Settings of the whole cluster and of a test, by the names of their environment variables.
    pub(super) settings: Vec<(String, String)>,
    pub(super) wired: bool,
    pub(super) clocks: bool,
    folder: PathBuf,
}

impl Shared {
    /// Makes the key that tokens are signed with, too.
    pub(super) fn new(
        run: &Arc<Run>,
        settings: Vec<(String, String)>,
        options: &ClusterOptions,
    ) -> Result<Self, ClusterError> {
        let folder = run.subfolder("keys")?;
        let secret = URL_SAFE_NO_PAD.encode(rand::random::<[u8; 32]>());
        let set = json!({"keys": [{"kty": "oct", "kid": "e2e", "alg": "HS256", "k": secret}]});
        let file = folder.join("keys.json");
        fs::write(&file, set.to_string()).map_err(ClusterError::system(format!("writing {}", file.display())))?;
        Ok(Self {
            run: Arc::clone(run),
            program: options.program.clone(),
            settings,
            wired: options.wired_links,
            clocks: options.clocks,
            folder,
        })
    }

    /// The key that all gateways verify tokens with.
    pub(super) fn token_key(&self) -> Result<TokenKey, TokenError> {
        TokenKey::load(&self.folder)
    }
}

/// One process of a role.
pub struct RoleProcess {
    daemon: Daemon,
    role: Role,
    admin: SocketAddr,
    listen: SocketAddr,
    wire: Option<Wire>,
    clock: Option<Clock>,
}

/// The line that a process prints when it is up.
#[derive(Deserialize)]
struct Ready {
    role: String,
    name: String,
}

impl RoleProcess {
    /// Prepares and starts the process of this number; it is not ready yet. `settings` are those of its party.
    pub(super) fn launch(
        shared: &Shared,
        role: Role,
        number: usize,
        settings: &[(String, String)],
    ) -> Result<Self, ClusterError> {
        let name = format!("{role}-{number}");
        let free = || free_port().map(local).map_err(ClusterError::system(format!("looking for a port for {name}")));
        let (admin, listen) = (free()?, free()?);
        let mut command = match &shared.program {
            Some(program) => Command::new(program),
            None => Command::new(binary()?),
        };
        command.arg(role.to_string());
        // Settings of whoever runs the tests are not this cluster's.
        for (key, _) in std::env::vars_os().filter(|(key, _)| key.to_string_lossy().starts_with("BARRAGE_")) {
            command.env_remove(key);
        }
        command.env("BARRAGE_NAME", &name).env("BARRAGE_ADMIN_LISTEN", admin.to_string());
        let wire = match role {
            Role::Gateway => {
                command.env("BARRAGE_GATEWAY_LISTEN", listen.to_string());
                command.env("BARRAGE_GATEWAY_KEYS_FILE", shared.folder.join("keys.json"));
                None
            }
            Role::Consumer => None,
            Role::Ranker => {
                command.env("BARRAGE_LINK_LISTEN", listen.to_string());
                let wire = shared.wired.then(|| Wire::udp(&shared.run, listen)).transpose()?;
                let reached = wire.as_ref().map_or(listen, Wire::address);
                command.env("BARRAGE_LINK_ADVERTISE", reached.to_string());
                wire
            }
        };
        command.envs(settings.iter().cloned()).envs(shared.settings.iter().cloned());
        let folder = shared.run.subfolder(&name)?;
        let clock = if shared.clocks { Some(Clock::give(&mut command, &folder)?) } else { None };
        let mut daemon = Daemon::new(&shared.run, &name, command)?;
        daemon.start()?;
        Ok(Self { daemon, role, admin, listen, wire, clock })
    }

    /// Waits for the line that it prints when it is up.
    ///
    /// # Errors
    /// [`ClusterError::NotReady`] with the end of its log.
    pub async fn until_ready(&mut self) -> Result<(), ClusterError> {
        let role = self.role.to_string();
        let said = |daemon: &Daemon| {
            let ready = |line: &str| serde_json::from_str::<Ready>(line).ok();
            let own = |ready: &Ready| ready.role == role && ready.name == daemon.name();
            daemon.log().lines().filter_map(ready).any(|ready| own(&ready)).then_some(())
        };
        self.daemon.until("its ready line", READY_WITHIN, said).await
    }

    /// Starts it again with the same name, ports and settings, killing it first if it runs, and waits until it is up.
    ///
    /// # Errors
    /// [`ClusterError`] when it does not come up.
    pub async fn restart(&mut self) -> Result<(), ClusterError> {
        self.daemon.start()?;
        self.until_ready().await
    }

    /// Where `/livez`, `/readyz` and `/metrics` are.
    #[must_use]
    pub const fn admin(&self) -> SocketAddr {
        self.admin
    }

    /// A gateway's address for viewers; a ranker's own for links, by UDP. A consumer has none.
    #[must_use]
    pub fn listen(&self) -> Option<SocketAddr> {
        (self.role != Role::Consumer).then_some(self.listen)
    }

    /// A ranker's address for gateways and consumers: its wire's, where there is one.
    #[must_use]
    pub fn advertised(&self) -> Option<SocketAddr> {
        self.wire.as_ref().map(Wire::address).or(self.listen())
    }

    /// The wire that a ranker's links go through.
    #[must_use]
    pub const fn wire(&self) -> Option<&Wire> {
        self.wire.as_ref()
    }

    /// Its clock, where the cluster was started with clocks.
    #[must_use]
    pub const fn clock(&self) -> Option<&Clock> {
        self.clock.as_ref()
    }

    /// The process: to kill, pause, resume, end it, and read what it wrote.
    pub const fn daemon(&mut self) -> &mut Daemon {
        &mut self.daemon
    }
}
