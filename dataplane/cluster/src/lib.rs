//! What a pool of many processes is made with: the log on Kafka, the store on Redis Cluster, the route table and the
//! membership on topics, and the settings of the roles. Knows no gateway, consumer or ranker.

pub mod endpoint;
pub mod kafka;
pub mod log;
pub mod membership;
pub mod rate_limit;
pub mod room_deletion;
pub mod routes;
pub mod settings;
pub mod store;
pub mod topic_reader;
pub mod trace;
