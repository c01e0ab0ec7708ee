//! A `barrage dev` of one's own: started, killed, restarted on the same port and data, measured from outside.

use std::{
    io,
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Command, ExitStatus},
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};

use tempfile::TempDir;
use thiserror::Error;

use crate::{
    http::Api,
    process::{Process, ProcessError, Usage},
    token::{Claims, TokenError, TokenKey},
};

/// Names the binary to start, instead of the one beside the running program.
pub const BINARY_VARIABLE: &str = "BARRAGE_BIN";

#[derive(Debug, Clone, Default)]
pub struct Options {
    /// The room's manifest, as text; without it the room is `demo` with all defaults.
    pub manifest: Option<String>,
    /// The data folder; without it a temporary one that ends with the server.
    pub data: Option<PathBuf>,
    /// Accept-and-serve shards; without it as many as the server likes.
    pub shards: Option<u32>,
    /// Further arguments of `barrage dev`.
    pub extra: Vec<String>,
    /// Environment variables.
    pub env: Vec<(String, String)>,
}

#[derive(Debug, Error)]
pub enum ServerError {
    /// The binary is not there.
    #[error(
        "no server binary at {path}; build it with `cargo build -p barrage{release}`, \
         or name one in {BINARY_VARIABLE}"
    )]
    NoBinary {
        path: PathBuf,
        /// The option for this profile.
        release: &'static str,
    },
    /// Folders or files for it cannot be made.
    #[error("preparing a data folder and a port for the server: {0}")]
    Prepare(#[source] io::Error),
    /// It does not start, or ended.
    #[error(transparent)]
    Process(#[from] ProcessError),
    /// It wrote no key.
    #[error(transparent)]
    Token(#[from] TokenError),
}

/// A running server; killed when dropped.
pub struct Server {
    process: Process,
    options: Options,
    home: TempDir,
    port: u16,
}

impl Server {
    /// Starts a server on a free port and waits until it serves.
    ///
    /// # Errors
    /// [`ServerError`].
    pub fn start(options: Options) -> Result<Self, ServerError> {
        let home = tempfile::tempdir().map_err(ServerError::Prepare)?;
        let port = free_port().map_err(ServerError::Prepare)?;
        let process = launch(&options, home.path(), port)?;
        Ok(Self { process, options, home, port })
    }

    /// Starts a server with this manifest and a data folder that ends with it.
    ///
    /// # Errors
    /// [`ServerError`].
    pub fn with_manifest(manifest: &str) -> Result<Self, ServerError> {
        Self::start(Options { manifest: Some(manifest.to_owned()), ..Options::default() })
    }

    /// `http://127.0.0.1:PORT`.
    #[must_use]
    pub fn http_url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// `ws://127.0.0.1:PORT`.
    #[must_use]
    pub fn ws_url(&self) -> String {
        format!("ws://127.0.0.1:{}", self.port)
    }

    /// Its port on 127.0.0.1.
    #[must_use]
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// Its HTTP API.
    #[must_use]
    pub fn api(&self) -> Api {
        Api::new(&self.http_url())
    }

    /// Its data folder.
    #[must_use]
    pub fn data(&self) -> PathBuf {
        data_folder(&self.options, self.home.path())
    }

    /// A viewer's token for a room.
    ///
    /// # Errors
    /// [`ServerError::Token`].
    pub fn token(&self, room: &str, user: u64) -> Result<String, ServerError> {
        self.token_of(room, user, "viewer")
    }

    /// A token of a user in a role.
    ///
    /// # Errors
    /// [`ServerError::Token`].
    pub fn token_of(&self, room: &str, user: u64, role: &str) -> Result<String, ServerError> {
        let claims = Claims { role: role.to_owned(), ..Claims::viewer(room, user) };
        Ok(TokenKey::load(&self.data())?.mint(&claims)?)
    }

    /// CPU time and memory so far.
    ///
    /// # Errors
    /// [`ServerError::Process`] when it has ended.
    pub fn usage(&self) -> Result<Usage, ServerError> {
        Ok(self.process.usage()?)
    }

    /// Its process ID.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.process.pid()
    }

    /// What it has written so far, standard output and error.
    #[must_use]
    pub fn log(&self) -> String {
        self.process.log()
    }

    /// `kill -9`, and waits for the end.
    pub fn kill9(&mut self) {
        self.process.kill9();
    }

    /// SIGTERM; returns how it ended.
    ///
    /// # Errors
    /// [`ServerError::Process`] when it has not ended within `timeout`.
    pub fn terminate(&mut self, timeout: Duration) -> Result<ExitStatus, ServerError> {
        Ok(self.process.terminate(timeout)?)
    }

    /// Starts it again on the same port and data after [`Server::kill9`] or [`Server::terminate`]; one that still
    /// runs is killed first.
    ///
    /// # Errors
    /// [`ServerError`].
    pub fn restart(&mut self) -> Result<(), ServerError> {
        self.kill9();
        self.process = launch(&self.options, self.home.path(), self.port)?;
        Ok(())
    }
}

/// The server binary: what [`BINARY_VARIABLE`] says, else the one beside the running program.
///
/// # Errors
/// [`ServerError::NoBinary`], [`ServerError::Prepare`].
pub fn binary() -> Result<PathBuf, ServerError> {
    let path = match std::env::var_os(BINARY_VARIABLE) {
        Some(path) => PathBuf::from(path),
        None => profile_folder().map_err(ServerError::Prepare)?.join("barrage"),
    };
    let release = if cfg!(debug_assertions) { "" } else { " --release" };
    if path.is_file() { Ok(path) } else { Err(ServerError::NoBinary { path, release }) }
}

/// `target/<profile>`; test programs live in its `deps`.
fn profile_folder() -> io::Result<PathBuf> {
    let mut folder = std::env::current_exe()?;
    folder.pop();
    if folder.ends_with("deps") {
        folder.pop();
    }
    Ok(folder)
}

fn data_folder(options: &Options, home: &Path) -> PathBuf {
    options.data.clone().unwrap_or_else(|| home.join("data"))
}

fn launch(options: &Options, home: &Path, port: u16) -> Result<Process, ServerError> {
    let mut command = Command::new(binary()?);
    command.arg("dev").arg("--listen").arg(format!("127.0.0.1:{port}"));
    command.arg("--data").arg(data_folder(options, home));
    if let Some(manifest) = &options.manifest {
        let path = home.join("room.yaml");
        std::fs::write(&path, manifest).map_err(ServerError::Prepare)?;
        command.arg("-f").arg(path);
    }
    if let Some(shards) = options.shards {
        command.arg("--shards").arg(shards.to_string());
    }
    command.args(&options.extra).envs(options.env.iter().cloned());
    Ok(Process::start(command)?)
}

/// A port that was free a moment ago. Chosen here and not by the server, so that a restart can take it again; below
/// the range that outgoing connections take theirs from, so that none of them sits on it meanwhile.
///
/// # Errors
/// All are taken.
pub fn free_port() -> io::Result<u16> {
    const PORTS: std::ops::Range<u16> = 20_000..30_000;
    // Tests of one program run beside each other: none is offered what another was.
    static OFFERED: AtomicUsize = AtomicUsize::new(0);
    // Programs beside each other start apart.
    let start = std::process::id() as usize * 97;
    for _ in PORTS {
        let step = OFFERED.fetch_add(1, Ordering::Relaxed);
        let port = PORTS.start + u16::try_from((start + step) % PORTS.len()).unwrap_or_default();
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return Ok(port);
        }
    }
    Err(io::Error::other("no free port from 20000 to 29999 on 127.0.0.1"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_binary_says_how_to_build_it() {
        let error = ServerError::NoBinary { path: "/x/barrage".into(), release: " --release" }.to_string();
        assert!(error.contains("cargo build -p barrage --release") && error.contains("BARRAGE_BIN"), "{error}");
    }

    #[test]
    fn a_free_port_is_outside_the_range_of_outgoing_connections() {
        let ports = [free_port().unwrap(), free_port().unwrap()];
        assert!(ports.iter().all(|port| (20_000..30_000).contains(port)));
        assert_ne!(ports[0], ports[1]);
    }
}
