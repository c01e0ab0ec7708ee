//! One run of a test with real servers: its folder, the process group that all its servers are in, and the watchdog
//! that leaves nothing of either behind, also when the test is killed with -9.

use std::{
    fs,
    io::Write,
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::Arc,
    thread,
};

use rustix::process::{Pid, Signal, kill_process_group};
use tempfile::TempDir;
use tokio::runtime::{Builder, Handle, Runtime};

use super::error::ClusterError;

/// Set to anything to keep a run's folder with its logs.
pub const KEEP_VARIABLE: &str = "BARRAGE_E2E_KEEP";
/// Lines of each log that a failing test prints.
const TAIL_LINES: usize = 25;

/// Waits for the end of its standard input, which only this process holds the other end of. A line means that all has
/// been tidied up; an end without one that the process was killed. Then a shell in a session of its own, which the
/// kill of the group spares, kills the group (twice: a server that was being forked joins it a moment later),
/// unmounts what is mounted in the folder and removes it.
const WATCHDOG: &str = r#"
read -r _ && exit 0
exec setsid sh -c '
    kill -s KILL -- "-$1"
    sleep 0.3
    kill -s KILL -- "-$1"
    grep -o " $2/[^ ]*" /proc/self/mounts | while read -r mount; do umount -l "$mount"; done
    for _ in 1 2 3 4 5; do rm -rf "$2" && break; sleep 0.2; done
' sh "$1" "$2" >/dev/null 2>&1
"#;

/// A folder, a process group and what wires run on. Everything in it ends with it: keep it as long as its servers.
pub struct Run {
    folder: Option<TempDir>,
    path: PathBuf,
    watchdog: Child,
    // Of its own, so that a test that blocks its thread does not stop the wires. None only while it is dropped.
    runtime: Option<Runtime>,
}

impl Run {
    /// A new run in the system's folder for temporary files.
    ///
    /// # Errors
    /// [`ClusterError::System`].
    pub fn start() -> Result<Arc<Self>, ClusterError> {
        let named = tempfile::Builder::new().prefix("barrage-e2e-").tempdir();
        let folder = named.map_err(ClusterError::system("making a folder for a run"))?;
        let path = folder.path().to_owned();
        let runtime = Builder::new_multi_thread().worker_threads(2).thread_name("wires").enable_all().build();
        let runtime = runtime.map_err(ClusterError::system("starting the threads of the wires"))?;
        let watchdog = watch(&path).map_err(ClusterError::system("starting the watchdog of a run"))?;
        Ok(Arc::new(Self { folder: Some(folder), path, watchdog, runtime: Some(runtime) }))
    }

    /// The run's folder.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.path
    }

    /// Makes a folder within the run's; one that is there already is taken.
    ///
    /// # Errors
    /// [`ClusterError::System`].
    pub fn subfolder(&self, name: &str) -> Result<PathBuf, ClusterError> {
        let path = self.path.join(name);
        fs::create_dir_all(&path).map_err(ClusterError::system(format!("making {}", path.display())))?;
        Ok(path)
    }

    /// Puts a command into the run's process group, so that it ends with the run.
    pub(super) fn adopt(&self, command: &mut Command) {
        command.process_group(self.group().as_raw_pid());
    }

    pub(super) fn threads(&self) -> &Handle {
        // Only `drop` takes it out.
        self.runtime.as_ref().expect("a run has its threads until it is dropped").handle()
    }

    fn group(&self) -> Pid {
        Pid::from_child(&self.watchdog)
    }

    fn print_tails(&self) {
        let mut logs: Vec<_> = fs::read_dir(&self.path).into_iter().flatten().flatten().map(|one| one.path()).collect();
        logs.retain(|path| path.extension().is_some_and(|extension| extension == "log"));
        logs.sort();
        for path in logs {
            eprintln!("--- the end of {}:\n{}", path.display(), tail(&path));
        }
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        if thread::panicking() {
            self.print_tails();
        }
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
        let folder = self.folder.take();
        if std::env::var_os(KEEP_VARIABLE).is_some() {
            eprintln!("the run's folder is kept: {}", self.path.display());
            folder.map(TempDir::keep);
        } else if let Some(Err(error)) = folder.map(TempDir::close) {
            eprintln!("removing the folder of a run: {error}");
        }
        if let Some(mut stdin) = self.watchdog.stdin.take() {
            // It is away only if somebody killed it; then there is nobody to tell.
            let _gone = stdin.write_all(b"tidy\n");
        }
        // Servers whose values were leaked; usually there are none, and the watchdog may have gone by then.
        let _none = kill_process_group(self.group(), Signal::KILL);
        let _ended = self.watchdog.wait();
    }
}

/// The last lines of a log.
pub(super) fn tail(path: &Path) -> String {
    let text = fs::read(path).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let lines: Vec<_> = text.lines().collect();
    lines[lines.len().saturating_sub(TAIL_LINES)..].join("\n")
}

fn watch(folder: &Path) -> std::io::Result<Child> {
    let mut command = Command::new("sh");
    // `$$` is the watchdog's own process ID: the leader of the group that it is to kill.
    command.args(["-c", &format!("set -- $$ \"$1\"\n{WATCHDOG}"), "watchdog"]).arg(folder);
    command.current_dir("/").process_group(0).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
    command.spawn()
}
