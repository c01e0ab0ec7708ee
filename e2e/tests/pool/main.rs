//! A pool on real brokers and a real Redis Cluster, its roles as processes of their own.

mod chaos;
mod moves;
mod rooms;
mod traces;
mod zombie;

use std::time::{Duration, Instant};

use barrage_e2e::{
    client::{ClientError, ClientV2, Join},
    cluster::{Cluster, ClusterOptions},
    http::Api,
    token::Claims,
};

/// Longer than anything takes on a busy machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// The cluster that the tests are about: 3 brokers, 6 Redis nodes, 2 gateways, 3 consumers, 2 rankers.
pub(crate) async fn cluster() -> Cluster {
    Cluster::start(ClusterOptions::default()).await.unwrap_or_else(|error| panic!("{error}"))
}

/// A viewer of the room `demo` at a gateway.
pub(crate) fn join(cluster: &Cluster, gateway: usize, user: u64) -> ClientV2 {
    join_room(cluster, gateway, "demo", user).unwrap()
}

/// A viewer of a room at a gateway.
pub(crate) fn join_room(cluster: &Cluster, gateway: usize, room: &str, user: u64) -> Result<ClientV2, ClientError> {
    let listen = cluster.gateways[gateway].listen().unwrap();
    let token = cluster.token_key().unwrap().mint(&Claims::viewer(room, user)).unwrap();
    ClientV2::join(&Join::new(&format!("ws://{listen}"), room, &token), user)
}

/// The API of a gateway, read as a viewer of `demo`.
pub(crate) fn api(cluster: &Cluster, gateway: usize) -> Api {
    let token = cluster.token_key().unwrap().mint(&Claims::viewer("demo", 1)).unwrap();
    Api::new(&format!("http://{}", cluster.gateways[gateway].listen().unwrap())).with_token(token)
}

/// Waits until something is true.
pub(crate) fn until(what: &str, mut look: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !look() {
        assert!(Instant::now() < deadline, "{what}: not within {PATIENCE:?}");
        std::thread::sleep(Duration::from_millis(50));
    }
}
