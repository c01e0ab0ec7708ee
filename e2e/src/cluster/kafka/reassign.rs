//! Moves the copies of a partition: `AlterPartitionReassignments`, which librdkafka does not have. Version 0 of
//! <https://kafka.apache.org/protocol#The_Messages_AlterPartitionReassignments>, in the compact encoding: lengths are one
//! more than they are, and every structure ends with its tags, of which there are none.

use std::{
    io::{self, Read, Write},
    net::{SocketAddr, TcpStream},
    time::Duration,
};

const API: i16 = 45;
const TIMEOUT: Duration = Duration::from_secs(10);
/// Where the request's own error stands in the answer: behind its number, no tags, and the throttle time.
const ERROR_AT: usize = 9;

/// Asks a broker to have copies of a partition on these brokers and no others; it happens soon after.
pub(super) fn reassign(broker: SocketAddr, topic: &str, partition: i32, replicas: &[i32]) -> io::Result<()> {
    let mut stream = TcpStream::connect_timeout(&broker, TIMEOUT)?;
    stream.set_read_timeout(Some(TIMEOUT))?;
    let request = request(topic, partition, replicas);
    stream.write_all(&length(request.len()).to_be_bytes())?;
    stream.write_all(&request)?;
    let mut size = [0; 4];
    stream.read_exact(&mut size)?;
    let mut answer = vec![0; u32::from_be_bytes(size) as usize];
    stream.read_exact(&mut answer)?;
    // Of the whole, and of the one partition, which ends with its message and the tags of three structures.
    let of_partition = answer.len().saturating_sub(6);
    for at in [ERROR_AT, of_partition] {
        match answer.get(at..at + 2) {
            Some([0, 0]) => {}
            error => return Err(io::Error::other(format!("error {error:?} in {answer:?}"))),
        }
    }
    Ok(())
}

fn request(topic: &str, partition: i32, replicas: &[i32]) -> Vec<u8> {
    let mut bytes = Vec::new();
    bytes.extend(API.to_be_bytes());
    // Version, number, no client ID, no tags.
    bytes.extend([0, 0, 0, 0, 0, 1, 0xff, 0xff, 0]);
    bytes.extend(length(TIMEOUT.as_millis().try_into().unwrap_or(usize::MAX)).to_be_bytes());
    // One topic, its name, one partition.
    bytes.extend([2, compact(topic.len())]);
    bytes.extend(topic.as_bytes());
    bytes.push(2);
    bytes.extend(partition.to_be_bytes());
    bytes.push(compact(replicas.len()));
    replicas.iter().for_each(|replica| bytes.extend(replica.to_be_bytes()));
    bytes.extend([0; 3]);
    bytes
}

fn length(value: usize) -> u32 {
    u32::try_from(value).unwrap_or(u32::MAX)
}

/// Of less than 127.
fn compact(count: usize) -> u8 {
    u8::try_from(count + 1).unwrap_or(u8::MAX)
}
