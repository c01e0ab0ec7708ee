//! The pool that the roles of a cluster work for, made and shared out with the program's own commands.

use std::{fs, process::Stdio, time::Duration};

use super::{Cluster, ClusterError, Party, RoleProcess, settings};
use crate::{http::Api, server::binary};

/// The room that a cluster serves unless it is told another.
pub(super) const DEMO: &str = "
apiVersion: barrage.live/v1alpha1
kind: LiveRoom
metadata: {name: demo}
spec:
  rateLimit: {messagesPerSecond: 1000, burst: 1000}
  history: {length: 100000}
";

/// How long a process may take to be ready for work, on a machine that may be busy.
const READY_WITHIN: Duration = Duration::from_secs(60);

impl Cluster {
    /// Runs a command of the program, like `["routes", "show"]`; gives what it printed.
    ///
    /// # Errors
    /// [`ClusterError::Refused`] with what it said.
    pub async fn command(&self, arguments: &[&str]) -> Result<String, ClusterError> {
        let doing = format!("barrage {}", arguments.join(" "));
        let program = match &self.shared.program {
            Some(program) => program.clone(),
            None => binary()?,
        };
        let kafka = settings::of_kafka(&self.kafka, Party::Consumers, &self.shared.run)?;
        let mut command = tokio::process::Command::new(program);
        for (key, _) in std::env::vars_os().filter(|(key, _)| key.to_string_lossy().starts_with("BARRAGE_")) {
            command.env_remove(key);
        }
        command.args(arguments).envs(kafka).envs(self.shared.settings.iter().cloned()).stdin(Stdio::null());
        let output = command.kill_on_drop(true).output().await.map_err(ClusterError::system(doing.clone()))?;
        let said = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        if output.status.success() {
            return Ok(said(&output.stdout));
        }
        Err(ClusterError::Refused { doing, problem: said(&output.stdout) + &said(&output.stderr) })
    }

    pub(super) async fn make_pool(
        &self,
        partitions: u32,
        spread: Option<u32>,
        rooms: &str,
    ) -> Result<(), ClusterError> {
        let spread = spread.map(|spread| format!("--spread={spread}"));
        let (create, partitions) = (["pool", "create"], format!("--partitions={partitions}"));
        let arguments: Vec<_> = create.into_iter().chain([&*partitions]).chain(spread.as_deref()).collect();
        self.command(&arguments).await?;
        self.apply_rooms(rooms).await
    }

    /// Serves the rooms of these manifests, too.
    ///
    /// # Errors
    /// [`ClusterError`].
    pub async fn apply_rooms(&self, manifests: &str) -> Result<(), ClusterError> {
        let file = self.run().folder().join("rooms.yaml");
        fs::write(&file, manifests).map_err(ClusterError::system(format!("writing {}", file.display())))?;
        self.command(&["rooms", "apply", "-f", &file.display().to_string()]).await.map(drop)
    }

    /// Shares the work among the processes of this cluster and waits until all are ready for it.
    ///
    /// # Errors
    /// [`ClusterError`].
    pub async fn share_work(&mut self) -> Result<(), ClusterError> {
        let consumers: Vec<String> = (0..self.consumers.len()).map(|number| format!("consumer-{number}")).collect();
        let rankers = self.rankers.iter().enumerate();
        let rankers = rankers.filter_map(|(number, ranker)| Some(format!("ranker-{number}={}", ranker.advertised()?)));
        let rankers: Vec<String> = rankers.collect();
        let (consumers, rankers) = (consumers.join(","), rankers.join(","));
        if consumers.is_empty() || rankers.is_empty() {
            return Ok(());
        }
        self.command(&["routes", "plan", "--consumers", &consumers, "--rankers", &rankers, "--apply"]).await?;
        for process in self.rankers.iter().chain(&self.consumers).chain(&self.gateways) {
            until_healthy(process).await?;
        }
        Ok(())
    }
}

/// Waits until nothing is wrong with a process by its own word.
async fn until_healthy(process: &RoleProcess) -> Result<(), ClusterError> {
    let api = Api::new(&format!("http://{}", process.admin()));
    let deadline = std::time::Instant::now() + READY_WITHIN;
    loop {
        let (asked, admin) = (api.clone(), process.admin());
        let answer = tokio::task::spawn_blocking(move || asked.get("/readyz")).await;
        let said = match answer {
            Ok(Ok(answer)) if answer.status == 200 && answer.body.contains("\"status\":\"ok\"") => return Ok(()),
            Ok(Ok(answer)) => answer.body,
            Ok(Err(error)) => error.to_string(),
            Err(error) => error.to_string(),
        };
        if std::time::Instant::now() > deadline {
            let what = format!("health of the process at {admin}");
            return Err(ClusterError::NotReady { what, within: READY_WITHIN, log: said });
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}
