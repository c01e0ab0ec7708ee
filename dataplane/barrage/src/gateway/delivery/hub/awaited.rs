//! Acts that somebody waits for until every gateway has them.

use super::Hub;
use crate::gateway::state::AwaitedAct;

impl Hub {
    pub(super) fn wait_for(&mut self, awaited: AwaitedAct) {
        // Who does not follow the room hears nothing of it.
        self.want(awaited.room.clone());
        self.awaited.push(awaited);
        self.answer_awaited();
    }

    /// Says again what has arrived here of rooms where somebody waits: it may have been lost in a full queue.
    pub(super) fn remind_awaited(&self) {
        for AwaitedAct { room, .. } in &self.awaited {
            if let (Some(subscription), Some(room_state)) = (self.rooms.get(room), self.gateway.room(room.as_str())) {
                self.links.seen(room, subscription, room_state.viewers());
            }
        }
    }

    /// Tells those whose acts have arrived everywhere; forgets those who wait no more.
    pub(super) fn answer_awaited(&mut self) {
        let rooms = &self.rooms;
        let arrived = |awaited: &mut AwaitedAct| {
            let subscription = rooms.get(&awaited.room);
            subscription.is_some_and(|subscription| subscription.is_settled(awaited.shard, awaited.position))
        };
        for awaited in self.awaited.extract_if(.., arrived) {
            // Who asked may have given up.
            let _ = awaited.arrived.send(());
        }
        self.awaited.retain(|awaited| !awaited.arrived.is_closed());
    }
}
