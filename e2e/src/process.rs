//! A child process that says `listening on http://…` when it is ready: its end, its output, its CPU time and memory.

use std::{
    fs,
    io::{self, BufRead, BufReader, Read},
    process::{Child, Command, ExitStatus, Stdio},
    sync::{Arc, Mutex, PoisonError, mpsc},
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process};
use thiserror::Error;

/// A start includes recovery of the data folder, on a machine that may be busy.
const READY_WITHIN: Duration = Duration::from_secs(30);
/// Pause between two looks at whether a process has ended.
const END_POLL: Duration = Duration::from_millis(10);
/// What a ready process writes, followed by its URL.
const READY_LINE: &str = "listening on ";

#[derive(Debug, Error)]
pub enum ProcessError {
    /// It cannot be started.
    #[error("starting {command}: {source}")]
    Spawn {
        /// The command line.
        command: String,
        source: io::Error,
    },
    /// It ended, or is silent.
    #[error("{command} did not say `{READY_LINE}…` within {READY_WITHIN:?}; its output:\n{log}")]
    NotReady {
        /// The command line.
        command: String,
        log: String,
    },
    /// It does not end.
    #[error("process {pid} did not end within {timeout:?} of SIGTERM; its output:\n{log}")]
    NotEnded {
        /// Process ID.
        pid: u32,
        timeout: Duration,
        log: String,
    },
    /// `/proc` says nothing about it.
    #[error("reading CPU time and memory of process {pid}: {problem}; has it ended?")]
    Usage {
        /// Process ID.
        pid: u32,
        problem: String,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Usage {
    /// User and system time of all its threads; in steps of 10 ms.
    pub cpu: Duration,
    /// Resident memory, bytes.
    pub rss_bytes: u64,
}

/// A child process, killed when dropped.
pub struct Process {
    child: Child,
    log: Arc<Mutex<String>>,
    url: String,
}

impl Process {
    /// Starts `command` and waits for its ready line.
    ///
    /// # Errors
    /// [`ProcessError::Spawn`], [`ProcessError::NotReady`].
    pub fn start(mut command: Command) -> Result<Self, ProcessError> {
        let shown = format!("{command:?}");
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().map_err(|source| ProcessError::Spawn { command: shown.clone(), source })?;
        let log = Arc::new(Mutex::new(String::new()));
        let (ready, is_ready) = mpsc::channel();
        let stderr = child.stderr.take().map(|stderr| follow(stderr, Arc::clone(&log), None));
        let stdout = child.stdout.take().map(|stdout| follow(stdout, Arc::clone(&log), Some(ready)));
        let mut process = Self { child, log, url: String::new() };
        if let Ok(url) = is_ready.recv_timeout(READY_WITHIN) {
            process.url = url;
            return Ok(process);
        }
        process.kill9();
        for reader in [stderr, stdout].into_iter().flatten() {
            // Its last words are what matters here; a reader that panicked has none.
            let _words = reader.join();
        }
        Err(ProcessError::NotReady { command: shown, log: process.log() })
    }

    /// The URL of its ready line, without a slash at the end.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Its process ID.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// What it has written so far, standard output and error.
    #[must_use]
    pub fn log(&self) -> String {
        self.log.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// CPU time and memory so far.
    ///
    /// # Errors
    /// [`ProcessError::Usage`].
    pub fn usage(&self) -> Result<Usage, ProcessError> {
        let pid = self.pid();
        usage(pid).map_err(|problem| ProcessError::Usage { pid, problem })
    }

    /// `kill -9`, and waits for the end; nothing if it has ended.
    pub fn kill9(&mut self) {
        // Both fail only when it has ended already, which is what is wanted.
        let _ended = self.child.kill();
        let _ended = self.child.wait();
    }

    /// SIGTERM; returns how it ended.
    ///
    /// # Errors
    /// [`ProcessError::NotEnded`].
    pub fn terminate(&mut self, timeout: Duration) -> Result<ExitStatus, ProcessError> {
        if let Some(pid) = i32::try_from(self.pid()).ok().and_then(Pid::from_raw) {
            // Fails only when it has ended already; the wait below tells.
            let _ended = kill_process(pid, Signal::TERM);
        }
        let deadline = Instant::now() + timeout;
        loop {
            if let Ok(Some(status)) = self.child.try_wait() {
                return Ok(status);
            }
            if Instant::now() >= deadline {
                return Err(ProcessError::NotEnded { pid: self.pid(), timeout, log: self.log() });
            }
            thread::sleep(END_POLL);
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill9();
    }
}

/// Copies a stream to the log line by line until it ends; tells of the ready line.
fn follow(
    stream: impl Read + Send + 'static,
    log: Arc<Mutex<String>>,
    ready: Option<mpsc::Sender<String>>,
) -> JoinHandle<()> {
    thread::spawn(move || {
        for line in BufReader::new(stream).lines().map_while(Result::ok) {
            let mut log = log.lock().unwrap_or_else(PoisonError::into_inner);
            log.push_str(&line);
            log.push('\n');
            drop(log);
            let url = line.split_once(READY_LINE).map(|(_, url)| url.trim().trim_end_matches('/').to_owned());
            if let (Some(url), Some(ready)) = (url, &ready) {
                // Nobody waits any more: it came too late.
                let _late = ready.send(url);
            }
        }
    })
}

/// See proc_pid_stat(5): after the command in parentheses, `utime` is the 12th field, `stime` the 13th, `rss` the 22nd.
fn usage(pid: u32) -> Result<Usage, String> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).map_err(|error| error.to_string())?;
    let (_, fields) = stat.rsplit_once(')').ok_or("no command in stat")?;
    let fields: Vec<u64> = fields.split_whitespace().map(|field| field.parse().unwrap_or_default()).collect();
    let (Some(user), Some(system), Some(pages)) = (fields.get(11), fields.get(12), fields.get(21)) else {
        return Err("stat is too short".to_owned());
    };
    let tick = Duration::from_secs(1) / u32::try_from(rustix::param::clock_ticks_per_second()).unwrap_or(100);
    let ticks = u32::try_from(user + system).map_err(|error| error.to_string())?;
    Ok(Usage { cpu: tick * ticks, rss_bytes: pages * rustix::param::page_size() as u64 })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        command
    }

    #[test]
    fn the_ready_line_gives_the_url_and_output_is_kept() {
        let process = Process::start(shell("echo oops >&2; echo listening on http://127.0.0.1:9/; sleep 9")).unwrap();
        assert_eq!(process.url(), "http://127.0.0.1:9");
        assert!(process.log().contains("listening"));
        assert!(process.usage().unwrap().rss_bytes > 0);
    }

    #[test]
    fn one_that_ends_before_it_is_ready_shows_what_it_wrote() {
        let error = Process::start(shell("echo no port >&2; exit 3")).err().unwrap().to_string();
        assert!(error.contains("listening on") && error.contains("no port"), "{error}");
    }

    #[test]
    fn sigterm_ends_it_with_its_own_status() {
        let script = "trap 'exit 7' TERM; echo listening on http://x/; while :; do sleep 0.01; done";
        let mut process = Process::start(shell(script)).unwrap();
        assert_eq!(process.terminate(Duration::from_secs(20)).unwrap().code(), Some(7));
    }

    #[test]
    fn cpu_time_of_a_busy_process_grows() {
        let process = Process::start(shell("echo listening on http://x/; while :; do :; done")).unwrap();
        let start = Instant::now();
        while process.usage().unwrap().cpu < Duration::from_millis(50) {
            assert!(start.elapsed() < Duration::from_secs(30), "no CPU time after {:?}", start.elapsed());
            thread::sleep(END_POLL);
        }
    }
}
