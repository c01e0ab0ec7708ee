//! What all threads of a gateway share: settings, the log and the store, and its rooms.

use std::{
    collections::HashMap,
    sync::{Arc, atomic::Ordering},
};

use arc_swap::ArcSwap;

use super::{
    admission::Admission, hub_handle::HubHandle, moderation_hook::ModerationClient, rankings::Rankings,
    rate_limit::SharedLimit, room_state::RoomState,
};
use crate::gateway::{config::Config, metrics::Metrics};
use barrage_core::rate_limit::SharedRateLimit;
use barrage_core::{
    health::Health, heat::Heat, log::Log, room::RoomId, routes::Routes, store::Store, token::LiveKeys, trace::Tracer,
};

pub(crate) struct Backing {
    pub(crate) log: Log,
    pub(crate) store: Store,
    pub(crate) routes: Routes,
    pub(crate) keys: LiveKeys,
    pub(crate) heat: Heat,
    pub(crate) limiter: Option<Arc<dyn SharedRateLimit>>,
    pub(crate) tracer: Tracer,
}

/// A gateway, as its workers see it.
pub(crate) struct GatewayState {
    pub(crate) config: Config,
    pub(crate) log: Log,
    pub(crate) store: Store,
    pub(crate) rankings: Rankings,
    pub(crate) keys: LiveKeys,
    pub(crate) metrics: Metrics,
    pub(crate) admission: Admission,
    /// Calls of outside moderators.
    pub(crate) moderation_client: ModerationClient,
    pub(crate) routes: Routes,
    pub(crate) health: Health,
    heat: Heat,
    pub(crate) tracer: Tracer,
    pub(crate) limit: Option<SharedLimit>,
    rooms: ArcSwap<HashMap<RoomId, Arc<RoomState>>>,
    pub(crate) hub: HubHandle,
}

impl GatewayState {
    pub(crate) fn new(config: Config, backing: Backing, health: Health, metrics: Metrics, hub: HubHandle) -> Self {
        let Backing { log, store, routes, keys, heat, limiter, tracer } = backing;
        let gateway = Self {
            moderation_client: ModerationClient::new(config.content_bytes_max, metrics.clone()),
            admission: Admission::new(config.connections_max, config.connections_per_address_max),
            config,
            log,
            store,
            rankings: Rankings::default(),
            keys,
            metrics,
            routes,
            health,
            heat,
            tracer,
            limit: limiter.map(SharedLimit::new),
            rooms: ArcSwap::default(),
            hub,
        };
        gateway.follow_routes();
        gateway
    }

    pub(crate) fn room(&self, id: &str) -> Option<Arc<RoomState>> {
        self.rooms.load().get(id).cloned()
    }

    pub(crate) fn rooms(&self) -> Vec<Arc<RoomState>> {
        self.rooms.load().values().cloned().collect()
    }

    /// Takes in the rooms of the newest table: their settings change under their viewers, and who watches a room that
    /// is gone is sent away.
    pub(crate) fn follow_routes(&self) {
        let table = Arc::clone(&self.routes.borrow());
        let old = self.rooms.load();
        let rooms = table.rooms.all().into_iter().map(|room| {
            let state = match old.get(&room.id) {
                Some(state) => {
                    state.change(room);
                    Arc::clone(state)
                }
                None => Arc::new(RoomState::new(room, self.heat.room(&room.id))),
            };
            (room.id.clone(), state)
        });
        let rooms: HashMap<_, _> = rooms.collect();
        for (_, gone) in old.iter().filter(|(id, _)| !rooms.contains_key(*id)) {
            gone.closed.store(true, Ordering::Relaxed);
        }
        self.rooms.store(Arc::new(rooms));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gateway::testing::{TestGateway, room, table_of};

    #[tokio::test]
    async fn rooms_follow_the_route_table() {
        let gateway = TestGateway::new(Config::default(), |_| {});
        let demo = gateway.room();
        let [slow, other] = ["demo", "other"].map(|name| {
            room(|manifest| {
                manifest.metadata.name = name.to_owned();
                manifest.spec.moderation.slow_mode_seconds = 5;
            })
        });
        gateway.table.send_replace(Arc::new(table_of(&[slow, Arc::clone(&other)])));
        gateway.state.follow_routes();
        assert!(Arc::ptr_eq(&demo, &gateway.room()), "its viewers stay");
        assert_eq!((demo.room().slow_mode_s, gateway.state.rooms().len()), (5, 2));
        gateway.table.send_replace(Arc::new(table_of(&[other])));
        gateway.state.follow_routes();
        assert!(gateway.state.room("demo").is_none() && demo.closed.load(Ordering::Relaxed));
    }
}
