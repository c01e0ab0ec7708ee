//! A server of a run that can be killed, stopped, resumed and started again with the same command. What it writes goes
//! to a file of its name, across all its lives.

use std::{
    fs::{self, File},
    io,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    sync::Arc,
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process};
use tokio::time::sleep;

use super::{
    error::ClusterError,
    run::{Run, tail},
};

/// Pause between two looks at what is waited for.
pub(super) const POLL: Duration = Duration::from_millis(20);

/// A child process of the run; killed when dropped.
pub struct Daemon {
    name: String,
    command: Command,
    child: Option<Child>,
    folder: PathBuf,
    log: PathBuf,
    // Where the log of this life begins, bytes.
    log_start: u64,
    // The process group and the folder last as long as the process.
    _run: Arc<Run>,
}

impl Daemon {
    /// Prepares `command` to be run in a folder `name` of the run, with its output in `name.log` beside it.
    pub(super) fn new(run: &Arc<Run>, name: &str, mut command: Command) -> Result<Self, ClusterError> {
        let folder = run.subfolder(name)?;
        let log = run.folder().join(format!("{name}.log"));
        let doing = || ClusterError::system(format!("opening {}", log.display()));
        let out = File::options().create(true).append(true).open(&log).map_err(doing())?;
        let err = out.try_clone().map_err(doing())?;
        command.current_dir(&folder).stdin(Stdio::null()).stdout(out).stderr(err);
        run.adopt(&mut command);
        Ok(Self { name: name.to_owned(), command, child: None, folder, log, log_start: 0, _run: Arc::clone(run) })
    }

    /// Starts it; one that still runs is killed first.
    pub(super) fn start(&mut self) -> Result<(), ClusterError> {
        self.kill9();
        self.log_start = fs::metadata(&self.log).map_or(0, |log| log.len());
        let child = self.command.spawn().map_err(ClusterError::system(format!("starting {:?}", self.command)))?;
        self.child = Some(child);
        Ok(())
    }

    /// Its name within the run.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its folder, which outlives its kills.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Its process ID while it has one.
    #[must_use]
    pub fn pid(&self) -> Option<u32> {
        self.child.as_ref().map(Child::id)
    }

    #[must_use]
    pub fn log(&self) -> String {
        let text = fs::read(&self.log).unwrap_or_default();
        let start = usize::try_from(self.log_start).unwrap_or(usize::MAX).min(text.len());
        String::from_utf8_lossy(&text[start..]).into_owned()
    }

    /// Whether it has been started and has not ended.
    pub fn is_running(&mut self) -> bool {
        self.child.as_mut().is_some_and(|child| matches!(child.try_wait(), Ok(None)))
    }

    /// `kill -9`, and waits for the end; nothing if it does not run.
    pub fn kill9(&mut self) {
        if let Some(mut child) = self.child.take() {
            // Both fail only when it has ended already, which is what is wanted.
            let _ended = child.kill();
            let _ended = child.wait();
        }
    }

    /// SIGSTOP: it keeps its connections and answers nothing.
    ///
    /// # Errors
    /// [`ClusterError::System`] when it does not run.
    pub fn pause(&self) -> Result<(), ClusterError> {
        self.signal(Signal::STOP)
    }

    /// SIGCONT.
    ///
    /// # Errors
    /// [`ClusterError::System`] when it does not run.
    pub fn resume(&self) -> Result<(), ClusterError> {
        self.signal(Signal::CONT)
    }

    /// SIGTERM; returns how it ended.
    ///
    /// # Errors
    /// [`ClusterError::System`] when it does not run, [`ClusterError::NotReady`] when it has not ended `within`.
    pub async fn terminate(&mut self, within: Duration) -> Result<ExitStatus, ClusterError> {
        self.signal(Signal::TERM)?;
        let deadline = Instant::now() + within;
        while Instant::now() < deadline {
            if let Some(Ok(Some(status))) = self.child.as_mut().map(Child::try_wait) {
                self.child = None;
                return Ok(status);
            }
            sleep(POLL).await;
        }
        Err(self.not_ready("the end after SIGTERM", within))
    }

    /// Waits until `what` is true and gives it. Ends early when the process does.
    pub(super) async fn until<T>(
        &mut self,
        what: &str,
        within: Duration,
        mut look: impl FnMut(&Self) -> Option<T>,
    ) -> Result<T, ClusterError> {
        let deadline = Instant::now() + within;
        loop {
            // In this order: the last words of one that has ended count.
            let running = self.is_running();
            if let Some(found) = look(self) {
                return Ok(found);
            }
            if !running || Instant::now() >= deadline {
                return Err(self.not_ready(what, within));
            }
            sleep(POLL).await;
        }
    }

    pub(super) fn not_ready(&self, what: &str, within: Duration) -> ClusterError {
        ClusterError::NotReady { what: format!("{}: {what}", self.name), within, log: tail(&self.log) }
    }

    fn signal(&self, signal: Signal) -> Result<(), ClusterError> {
        let doing = || ClusterError::system(format!("sending {signal:?} to {}", self.name));
        let absent = || doing()(io::Error::other("it does not run; start it first"));
        let child = self.child.as_ref().ok_or_else(absent)?;
        kill_process(Pid::from_child(child), signal).map_err(|errno| doing()(errno.into()))
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        self.kill9();
    }
}

/// Waiting for something that somebody has to be asked about: looks, and pauses between the looks.
pub(super) struct Patience {
    deadline: Instant,
}

impl Patience {
    pub(super) fn new(within: Duration) -> Self {
        Self { deadline: Instant::now() + within }
    }

    /// Pauses; false when it has been long enough.
    pub(super) async fn goes_on(&self) -> bool {
        sleep(POLL).await;
        Instant::now() < self.deadline
    }
}
