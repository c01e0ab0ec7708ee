//! Whatever happens to a test, neither processes nor files of its servers stay.

use std::{
    fs,
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use barrage_e2e::cluster::{RedisCluster, RedisOptions, Run, SmallDisk};

use crate::until;

/// Processes that work in a folder or below it.
fn processes(folder: &Path) -> usize {
    let entries = fs::read_dir("/proc").unwrap().flatten();
    entries.filter(|one| fs::read_link(one.path().join("cwd")).is_ok_and(|cwd| cwd.starts_with(folder))).count()
}

#[tokio::test]
async fn nothing_is_left_when_a_test_ends() {
    let run = Run::start().unwrap();
    let folder = run.folder().to_owned();
    let redis = RedisCluster::start(&run, &RedisOptions::default()).await.unwrap();
    drop(run);
    assert_eq!((processes(&folder), folder.exists()), (6, true), "servers hold the run");
    drop(redis);
    assert_eq!((processes(&folder), folder.exists()), (0, false));
}

#[tokio::test]
async fn nothing_is_left_when_a_program_is_killed() {
    let mut program = Command::new(env!("CARGO_BIN_EXE_barrage-cluster"));
    let mut program = program.stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(program.stdout.take().unwrap()).lines().map_while(Result::ok);
    let last = lines.find(|line| line.starts_with("up,")).expect("barrage-cluster comes up");
    let folder = last.split("logs in ").nth(1).and_then(|rest| rest.split(';').next()).map(PathBuf::from).unwrap();
    assert_eq!((processes(&folder), folder.exists()), (9, true));
    program.kill().unwrap();
    program.wait().unwrap();
    until("servers and files are gone", async || processes(&folder) == 0 && !folder.exists()).await;
}

#[tokio::test]
async fn a_small_disk_is_full_and_has_room_again_and_goes() {
    let run = Run::start().unwrap();
    let disk = match SmallDisk::mount(&run, "disk", 1) {
        Ok(disk) => disk,
        Err(reason) => return eprintln!("skipped: {reason}"),
    };
    let file = disk.path().join("file");
    fs::write(&file, "before").unwrap();
    disk.fill().unwrap();
    let error = fs::write(disk.path().join("other"), "more than nothing").unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::StorageFull);
    disk.free().unwrap();
    fs::write(&file, vec![0; 500_000]).unwrap();
    let folder = run.folder().to_owned();
    drop((disk, run));
    assert!(!folder.exists());
    assert!(!fs::read_to_string("/proc/self/mounts").unwrap().contains(folder.to_str().unwrap()));
}
