//! Six real Redis nodes, three of them masters, for one test; killed when dropped.

use std::{
    fs,
    net::TcpListener,
    path::Path,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

/// What becomes of nodes takes seconds; a busy machine takes its time.
const PATIENCE: Duration = Duration::from_secs(60);
/// The ACL user of secured nodes.
pub(crate) const USER: &str = "barrage";
/// Its password.
pub(crate) const PASSWORD: &str = "not-a-secret";

/// Running nodes; at first 0 to 2 are masters, 3 to 5 their replicas.
pub(crate) struct Nodes {
    folder: TempDir,
    ports: Vec<u16>,
    processes: Vec<Option<Child>>,
    secured: bool,
}

impl Nodes {
    pub(crate) fn start() -> Self {
        Self::start_with(false, "")
    }

    /// With TLS and an ACL user, and with further lines of `redis.conf`.
    pub(crate) fn start_with(secured: bool, extra: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let ports = free_ports(12);
        let mut nodes = Self { folder, ports, processes: (0..6).map(|_| None).collect(), secured };
        if secured {
            nodes.make_certificates();
        }
        for node in 0..6 {
            let folder = nodes.folder_of(node);
            fs::create_dir(&folder).unwrap();
            fs::write(Path::new(&folder).join("redis.conf"), nodes.config(node, extra)).unwrap();
            nodes.run(node);
        }
        (0..6).for_each(|node| nodes.until(node, &["PING"], "PONG"));
        let addresses: Vec<_> = nodes.addresses();
        let mut words = vec!["--cluster", "create"];
        words.extend(addresses.iter().map(String::as_str));
        words.extend(["--cluster-replicas", "1", "--cluster-yes"]);
        nodes.cli(0, &words);
        nodes.until_settled();
        nodes
    }

    pub(crate) fn addresses(&self) -> Vec<String> {
        self.ports[..6].iter().map(|port| format!("127.0.0.1:{port}")).collect()
    }

    pub(crate) fn ca(&self) -> Vec<u8> {
        fs::read(self.folder.path().join("ca.crt")).unwrap()
    }

    /// What `redis-cli` prints.
    pub(crate) fn cli(&self, node: usize, words: &[&str]) -> String {
        let mut command = Command::new("redis-cli");
        command.args(["-h", "127.0.0.1", "-p", &self.ports[node].to_string()]);
        if self.secured {
            let ca = self.folder.path().join("ca.crt");
            command.args(["--tls", "--cacert"]).arg(ca).args(["--user", USER, "-a", PASSWORD, "--no-auth-warning"]);
        }
        let output = command.args(words).output().unwrap();
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    }

    pub(crate) fn kill(&mut self, node: usize) {
        if let Some(mut process) = self.processes[node].take() {
            process.kill().unwrap();
            process.wait().unwrap();
        }
    }

    /// It keeps its connections and answers nothing.
    pub(crate) fn pause(&self, node: usize) {
        self.signal(node, Signal::STOP);
    }

    pub(crate) fn resume(&self, node: usize) {
        self.signal(node, Signal::CONT);
    }

    fn signal(&self, node: usize, signal: Signal) {
        kill_process(Pid::from_child(self.processes[node].as_ref().unwrap()), signal).unwrap();
    }

    pub(crate) fn restart(&mut self, node: usize) {
        self.kill(node);
        self.run(node);
    }

    /// Kills a node and starts it without its data; it still knows its part in the cluster.
    pub(crate) fn restart_empty(&mut self, node: usize) {
        self.kill(node);
        fs::remove_dir_all(Path::new(&self.folder_of(node)).join("appendonlydir")).unwrap();
        self.run(node);
    }

    /// The node that is the master of a key's slot now.
    pub(crate) fn master_of(&self, key: &str) -> usize {
        let started = Instant::now();
        loop {
            let owner = (0..6).filter(|node| self.processes[*node].is_some()).find(|node| {
                self.cli(*node, &["ROLE"]).starts_with("master")
                    && ["0", "1"].contains(&self.cli(*node, &["EXISTS", key]).as_str())
            });
            if let Some(owner) = owner {
                return owner;
            }
            assert!(started.elapsed() < PATIENCE, "nobody owns {key}");
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    /// Waits until a node's part is played by another.
    pub(crate) fn until_replaced(&self, key: &str, old: usize) {
        let started = Instant::now();
        while self.master_of(key) == old {
            assert!(started.elapsed() < PATIENCE, "node {old} was not replaced");
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    /// Waits until all that run serve all slots and copy their masters.
    pub(crate) fn until_settled(&self) {
        for node in (0..6).filter(|node| self.processes[*node].is_some()) {
            self.until(node, &["CLUSTER", "INFO"], "cluster_state:ok");
            let started = Instant::now();
            while self.cli(node, &["INFO", "replication"]).contains("master_link_status:down") {
                assert!(started.elapsed() < PATIENCE, "node {node} does not copy its master");
                std::thread::sleep(Duration::from_millis(100));
            }
        }
    }

    /// Waits until clients are told of all six: a replica that has nothing yet is left out.
    pub(crate) fn until_listed(&self) {
        for port in &self.ports[..6] {
            (0..6).for_each(|node| self.until(node, &["CLUSTER", "SLOTS"], &port.to_string()));
        }
    }

    fn until(&self, node: usize, words: &[&str], wanted: &str) {
        let started = Instant::now();
        while !self.cli(node, words).contains(wanted) {
            assert!(started.elapsed() < PATIENCE, "node {node} does not say {wanted}");
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    fn run(&mut self, node: usize) {
        let folder = self.folder_of(node);
        let mut command = Command::new("redis-server");
        command.arg("redis.conf").current_dir(&folder).stdin(Stdio::null()).stdout(Stdio::null());
        self.processes[node] = Some(command.spawn().unwrap());
    }

    fn folder_of(&self, node: usize) -> String {
        self.folder.path().join(node.to_string()).display().to_string()
    }

    fn config(&self, node: usize, extra: &str) -> String {
        let (port, bus) = (self.ports[node], self.ports[node + 6]);
        let folder = self.folder.path().display();
        let listen = match self.secured {
            false => format!("port {port}"),
            true => format!(
                "port 0\ntls-port {port}\ntls-cert-file {folder}/node.crt\ntls-key-file {folder}/node.key\n\
                 tls-ca-cert-file {folder}/ca.crt\ntls-auth-clients no\ntls-replication yes\ntls-cluster yes\n\
                 user default off\nuser {USER} on >{PASSWORD} ~* &* +@all\nmasteruser {USER}\nmasterauth {PASSWORD}"
            ),
        };
        format!(
            "bind 127.0.0.1\n{listen}\ncluster-port {bus}\nsave \"\"\nappendonly yes\nappendfsync everysec\n\
             maxmemory-policy noeviction\ncluster-enabled yes\ncluster-node-timeout 1000\n\
             cluster-replica-validity-factor 0\nrepl-diskless-sync-delay 0\n{extra}\n"
        )
    }

    /// An authority and one certificate for all nodes, by the openssl program.
    fn make_certificates(&self) {
        let openssl = |words: &str| {
            let done = Command::new("openssl").args(words.split(' ')).current_dir(&self.folder).output().unwrap();
            assert!(done.status.success(), "openssl {words}: {}", String::from_utf8_lossy(&done.stderr));
        };
        let key = "-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes";
        openssl(&format!("req -x509 {key} -days 2 -subj /CN=authority -keyout ca.key -out ca.crt"));
        openssl(&format!("req {key} -subj /CN=node -keyout node.key -out node.csr"));
        fs::write(self.folder.path().join("san"), "subjectAltName=IP:127.0.0.1,DNS:localhost\n").unwrap();
        openssl("x509 -req -in node.csr -CA ca.crt -CAkey ca.key -CAcreateserial -days 2 -extfile san -out node.crt");
    }
}

impl Drop for Nodes {
    fn drop(&mut self) {
        (0..6).for_each(|node| self.kill(node));
    }
}

fn free_ports(count: u16) -> Vec<u16> {
    static NEXT: std::sync::atomic::AtomicU16 = std::sync::atomic::AtomicU16::new(27_000);
    let mut ports = Vec::new();
    while ports.len() < usize::from(count) {
        let port = NEXT.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        assert!(port < 28_000, "no free ports left");
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            ports.push(port);
        }
    }
    ports
}
