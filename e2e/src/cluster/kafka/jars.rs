//! What is needed to start brokers quickly, made once and kept in a cache outside the checkout: the jars from Maven
//! Central, an archive of loaded classes, and what a formatted node starts with.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process};
use tokio::time::sleep;

use super::{
    super::{daemon::POLL, error::ClusterError, run::Run},
    config::{NodePorts, Properties, random_id},
};
use crate::server::free_port;

/// Names the cache, instead of `~/.cache/barrage-e2e`.
pub const CACHE_VARIABLE: &str = "BARRAGE_E2E_CACHE";
/// The one user of brokers that ask for one.
pub const USER: &str = "barrage";
/// That user's password; the servers are a test's.
pub const PASSWORD: &str = "only-for-tests";

const POM: &str = include_str!("../../../kafka/pom.xml");
const LOG_SETTINGS: &str = include_str!("../../../kafka/log4j2.properties");
/// Raised when what is made here, or its jars, changes.
const FOLDER: &str = "kafka-4.3.1-a";
const INSTALL_JAVA: &str = "sudo apt-get install openjdk-17-jre-headless";
const INSTALL_MAVEN: &str = "sudo apt-get install maven";
/// A broker that loads every class for the first time, on a machine that may be busy.
const FIRST_START_WITHIN: Duration = Duration::from_secs(120);
/// Small, quick to start, and content with a share of a core; see HotSpot's documentation.
const JVM: [&str; 4] = ["-Xmx256m", "-Xms64m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"];
/// What is hot is compiled again and again, as Java does by itself; stronger, because it comes later.
const OPTIMISED: &str = "-XX:TieredStopAtLevel=4";

/// A complete cache.
#[derive(Debug, Clone)]
pub(super) struct Jars {
    folder: PathBuf,
}

impl Jars {
    /// Finds the cache or fills it; of several runs at once, one fills it and the others wait.
    pub(super) async fn find(run: &Run) -> Result<Self, ClusterError> {
        let cache = cache()?;
        let jars = Self { folder: cache.join(FOLDER) };
        make_folder(&jars.folder)?;
        let lock = File::create(cache.join("lock")).map_err(ClusterError::system("opening the lock of the cache"))?;
        // Ends with `lock`, and with this process.
        while lock.try_lock().is_err() {
            sleep(POLL).await;
        }
        if !jars.libs().is_dir() {
            jars.fetch(run)?;
        }
        if !jars.bootstrap().is_file() {
            jars.format(run)?;
        }
        if !jars.classes().is_file() {
            jars.archive(run).await?;
        }
        Ok(jars)
    }

    /// The command that runs a broker with these properties.
    pub(super) fn broker(&self, properties: &Path, optimised: bool) -> Command {
        let mut command = self.java(&[&format!("-XX:SharedArchiveFile={}", self.classes().display())]);
        if optimised {
            command.arg(OPTIMISED);
        }
        command.arg("kafka.Kafka").arg(properties);
        command
    }

    /// The features and the user that a formatted node begins with; copied into each node's log folder.
    pub(super) fn bootstrap(&self) -> PathBuf {
        self.folder.join("bootstrap.checkpoint")
    }

    pub(super) fn libs(&self) -> PathBuf {
        self.folder.join("libs")
    }

    fn classes(&self) -> PathBuf {
        self.folder.join("kafka.jsa")
    }

    fn java(&self, options: &[&str]) -> Command {
        let mut command = Command::new("java");
        command.args(JVM).args(options).arg("-Dlog4j2.disableJmx=true");
        command.arg(format!("-Dlog4j2.configurationFile={}", self.folder.join("log4j2.properties").display()));
        // The star is for Java; no shell sees it.
        command.arg("-cp").arg(self.libs().join("*"));
        command
    }

    fn fetch(&self, run: &Run) -> Result<(), ClusterError> {
        eprintln!("fetching Kafka with Maven into {} (once)", self.folder.display());
        write(&self.folder.join("pom.xml"), POM)?;
        write(&self.folder.join("log4j2.properties"), LOG_SETTINGS)?;
        let partial = self.folder.join("libs.partial");
        let _absent = fs::remove_dir_all(&partial);
        let mut maven = Command::new("mvn");
        maven.args(["-q", "-B", "dependency:copy-dependencies", "-DincludeScope=runtime"]);
        maven.arg(format!("-DoutputDirectory={}", partial.display())).current_dir(&self.folder);
        finish(run, maven, "mvn", INSTALL_MAVEN)?;
        rename(&partial, &self.libs())
    }

    /// Formats a node and keeps what is the same for all of them.
    fn format(&self, run: &Run) -> Result<(), ClusterError> {
        let properties = self.first(run)?;
        let mut tool = self.java(&[]);
        tool.args(["kafka.tools.StorageTool", "format", "-t", &random_id(), "-c"]).arg(&properties.file);
        for mechanism in ["SCRAM-SHA-256", "SCRAM-SHA-512"] {
            tool.arg("--add-scram").arg(format!("{mechanism}=[name={USER},password={PASSWORD}]"));
        }
        finish(run, tool, "java", INSTALL_JAVA)?;
        let partial = self.folder.join("bootstrap.partial");
        let made = properties.log_folder.join("bootstrap.checkpoint");
        fs::copy(&made, &partial).map_err(ClusterError::system(format!("copying {}", made.display())))?;
        rename(&partial, &self.bootstrap())
    }

    /// Starts a node alone and ends it: its classes are written down on the way out.
    async fn archive(&self, run: &Run) -> Result<(), ClusterError> {
        let properties = self.first(run)?;
        properties.format(&random_id(), &self.bootstrap())?;
        let partial = self.folder.join("kafka.jsa.partial");
        let log = run.folder().join("first-start.log");
        let out = File::create(&log).map_err(ClusterError::system(format!("writing {}", log.display())))?;
        let mut java = self.java(&[&format!("-XX:ArchiveClassesAtExit={}", partial.display())]);
        java.arg("kafka.Kafka").arg(&properties.file).stdin(Stdio::null()).stdout(out).stderr(Stdio::null());
        run.adopt(&mut java);
        let mut java = java.spawn().map_err(missing("java", INSTALL_JAVA))?;
        let deadline = Instant::now() + FIRST_START_WITHIN;
        let mut told = false;
        loop {
            let ready = fs::read_to_string(&log).unwrap_or_default().contains("Kafka Server started");
            if ready && !told {
                told = kill_process(Pid::from_child(&java), Signal::TERM).is_ok();
            }
            if let Ok(Some(_)) = java.try_wait() {
                break;
            }
            if Instant::now() >= deadline {
                // It may have ended meanwhile, which is as good.
                let _ended = java.kill();
            }
            sleep(POLL).await;
        }
        rename(&partial, &self.classes())
    }

    /// The properties of a node that is alone, in an empty folder.
    fn first(&self, run: &Run) -> Result<Properties, ClusterError> {
        let folder = run.subfolder("first-node")?;
        let _absent = fs::remove_dir_all(folder.join("log"));
        let ports = NodePorts::pick(free_port)?;
        Properties::write(&folder, 0, &[ports], None, None)
    }
}

fn cache() -> Result<PathBuf, ClusterError> {
    let named = std::env::var_os(CACHE_VARIABLE).map(PathBuf::from);
    let home = || std::env::home_dir().map(|home| home.join(".cache/barrage-e2e"));
    named.or_else(home).ok_or_else(|| ClusterError::Refused {
        doing: "looking for a folder that keeps Kafka's jars".to_owned(),
        problem: format!("no home folder; name one in {CACHE_VARIABLE}"),
    })
}

/// Runs a tool to its end; it may take minutes where packages come slowly.
fn finish(run: &Run, mut command: Command, program: &'static str, remedy: &'static str) -> Result<(), ClusterError> {
    run.adopt(&mut command);
    let output = command.stdin(Stdio::null()).output().map_err(missing(program, remedy))?;
    if output.status.success() {
        return Ok(());
    }
    let said = [output.stdout, output.stderr].concat();
    Err(ClusterError::Refused {
        doing: format!("running {command:?}"),
        problem: format!("{}\n{}", output.status, String::from_utf8_lossy(&said)),
    })
}

fn missing(program: &'static str, remedy: &'static str) -> impl FnOnce(std::io::Error) -> ClusterError {
    move |source| match source.kind() {
        std::io::ErrorKind::NotFound => ClusterError::Missing { program, remedy },
        _ => ClusterError::System { doing: format!("starting {program}"), source },
    }
}

fn make_folder(path: &Path) -> Result<(), ClusterError> {
    fs::create_dir_all(path).map_err(ClusterError::system(format!("making {}", path.display())))
}

fn write(path: &Path, text: &str) -> Result<(), ClusterError> {
    fs::write(path, text).map_err(ClusterError::system(format!("writing {}", path.display())))
}

fn rename(from: &Path, to: &Path) -> Result<(), ClusterError> {
    fs::rename(from, to).map_err(ClusterError::system(format!("putting {} in place", to.display())))
}
