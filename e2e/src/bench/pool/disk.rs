//! What a topic takes on the brokers' disks.

use std::{fs, io, path::Path};

/// Bytes of a topic's log files below a folder, all replicas together.
pub(super) fn log_bytes(folder: &Path, topic: &str) -> io::Result<u64> {
    let mut bytes = 0;
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if !entry.file_type()?.is_dir() {
            continue;
        }
        let name = entry.file_name().to_string_lossy().into_owned();
        let partition = name.strip_prefix(topic).and_then(|rest| rest.strip_prefix('-'));
        if partition.is_some_and(|number| number.parse::<u32>().is_ok()) {
            bytes += files(&entry.path())?;
        } else {
            bytes += log_bytes(&entry.path(), topic)?;
        }
    }
    Ok(bytes)
}

fn files(partition: &Path) -> io::Result<u64> {
    let logs = fs::read_dir(partition)?.filter_map(|entry| {
        let entry = entry.ok()?;
        entry.path().extension().is_some_and(|extension| extension == "log").then_some(entry)
    });
    logs.map(|entry| Ok(entry.metadata()?.len())).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_topics_own_logs_count() {
        let folder = tempfile::tempdir().unwrap();
        for (partition, file) in [("a.b-0", "0.log"), ("a.b-1", "0.log"), ("a.b-1", "0.index"), ("a.bc-0", "0.log")] {
            let partition = folder.path().join("kafka-0/log").join(partition);
            fs::create_dir_all(&partition).unwrap();
            fs::write(partition.join(file), [0; 10]).unwrap();
        }
        assert_eq!(log_bytes(folder.path(), "a.b").unwrap(), 20);
    }
}
