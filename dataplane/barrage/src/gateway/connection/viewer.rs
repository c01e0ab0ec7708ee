//! A viewer: one connection to one room. It carries out what its protocol decides.

use std::{
    cell::RefCell,
    rc::Rc,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use barrage_proto::{Position, log::Entry, v1, v2::pb};
use bytes::Bytes;

use super::{
    context::ConnectionContext,
    protocol::{
        self, Action, Output, Protocol, Rules,
        refusal::{self, SendRefusal},
    },
};
use crate::gateway::{
    delivery::{LocalRoom, Seat, Subscriber},
    encode::{self, Version, message_of},
    metrics::{Disconnect, Refusal},
    publish::{Sender, SenderId},
    state::{GatewayState, RoomState, admission::Admitted},
    transport::socket::Socket,
};
use barrage_core::{clock::unix_ms, link::Danmaku, room::Room, store::Store, token::Identity};

/// A ping with no payload (RFC 6455, section 5.5.2).
const PING: &[u8] = &[0x89, 0x00];

/// One connection to one room.
pub(crate) struct Viewer {
    socket: Socket,
    context: Rc<ConnectionContext>,
    room: Rc<LocalRoom<Viewer>>,
    seat: Seat,
    id: SenderId,
    protocol: RefCell<Protocol>,
    _admitted: Admitted,
}

pub(super) struct NewViewer {
    pub(super) socket: Socket,
    pub(super) room: Rc<LocalRoom<Viewer>>,
    pub(super) identity: Identity,
    pub(super) session: u64,
    pub(super) version: Version,
    pub(super) admitted: Admitted,
}

impl Viewer {
    pub(super) fn new(context: Rc<ConnectionContext>, new: NewViewer) -> Rc<Self> {
        let NewViewer { socket, room, identity, session, version, admitted } = new;
        let protocol = Protocol::new(version, identity, session, socket.stream.keeps_alive(), context.now_s());
        Rc::new(Self {
            socket,
            room,
            seat: Seat::new(version, identity.user),
            id: context.next_id(),
            protocol: RefCell::new(protocol),
            context,
            _admitted: admitted,
        })
    }

    pub(super) const fn socket(&self) -> &Socket {
        &self.socket
    }

    pub(super) fn room(&self) -> &LocalRoom<Self> {
        &self.room
    }

    pub(super) fn store(&self) -> &Store {
        &self.gateway().store
    }

    pub(super) const fn has_ended(&self) -> bool {
        self.socket.ended().is_some()
    }

    fn gateway(&self) -> &GatewayState {
        &self.context.gateway
    }

    /// Takes its place in the room.
    pub(super) fn arrive(self: &Rc<Self>) {
        self.gateway().metrics.connected(self.socket.stream.transport());
        if self.room.enter(self) {
            self.gateway().hub.want(self.room.state.id());
        }
    }

    /// Gives its place in the room back; whoever still holds this viewer writes no more.
    pub(super) fn leave(&self, reason: Disconnect) {
        self.socket.end(reason);
        self.room.leave(self);
        self.gateway().metrics.disconnected(self.socket.stream.transport(), reason);
        tracing::info!(room = %self.room.state.id(), user = self.seat.user, ?reason, "viewer left");
    }

    /// Bytes came.
    pub(super) fn heard(&self) {
        self.protocol.borrow_mut().upkeep().heard(self.context.now_s());
    }

    /// A binary message: frames, one after the other.
    pub(super) fn message(self: &Rc<Self>, message: &Bytes) {
        if message.is_empty() {
            self.count(1);
        }
        for frame in protocol::frames(self.seat.version, message) {
            if self.has_ended() {
                return;
            }
            let weight = frame.weight();
            let mut door = Door { viewer: self, room: None };
            let action = {
                let mut decoder = self.context.decoder.borrow_mut();
                self.protocol.borrow_mut().frame(frame, message, &mut decoder, &mut door)
            };
            let room = door.room;
            match action {
                Action::Submit { entry, reviewable } => {
                    let hook = room.and_then(|room| room.verdict.clone()).filter(|_| reviewable);
                    self.context.intake.submit(self, entry, hook);
                }
                action => {
                    if self.count(weight) {
                        self.perform(action);
                    }
                }
            }
        }
    }

    /// A text message.
    pub(super) fn text(&self) {
        let action = self.protocol.borrow().text();
        if self.count(1) {
            self.perform(action);
        }
    }

    /// A ping, which the protocol answers, or a pong.
    pub(super) fn control(&self) {
        self.count(1);
    }

    /// Counts what the peer sent besides danmaku that were accepted; false if that is too much, and it is sent away.
    fn count(&self, weight: u32) -> bool {
        let may = self.protocol.borrow_mut().upkeep().count(weight);
        if !may {
            self.socket.end(Disconnect::Flood);
        }
        may
    }

    fn perform(&self, action: Action) {
        match action {
            Action::Skip(reason) => reason.into_iter().for_each(|reason| self.gateway().metrics.refused(reason)),
            Action::Ignore(reason) => self.ignore(reason),
            Action::RefuseFrame { reason, detail } => self.tell(0, (reason, 0), &detail),
            Action::RefuseSend { seq, reason, retry_after_ms } => {
                if refusal::holds_up(reason) {
                    self.refuse_behind(seq);
                }
                self.tell(seq, (reason, retry_after_ms), refusal::detail(reason, retry_after_ms));
            }
            Action::Heartbeat { client_ms } => self.send(&self.heartbeat(client_ms)),
            Action::Like(count) => drop(self.room.state.likes.fetch_add(count.into(), Ordering::Relaxed)),
            // Only a message brings one.
            Action::Submit { .. } => {}
        }
    }

    fn ignore(&self, reason: Refusal) {
        self.gateway().metrics.refused(reason);
        if self.context.may_log() {
            tracing::info!(room = %self.room.state.id(), user = self.seat.user, ?reason, "frame ignored");
        }
    }

    /// What waits for a verdict behind something that was refused waits in vain.
    fn refuse_behind(&self, seq: u64) {
        for seq in self.context.intake.take_behind(self.id, seq) {
            self.refuse(seq, Refusal::Blocked, 0);
        }
    }

    fn tell(&self, seq: u64, (reason, retry_after_ms): SendRefusal, detail: &str) {
        self.gateway().metrics.refused(reason);
        let error = refusal::error(reason, seq, retry_after_ms, detail);
        let message = message_of(&error, &mut self.context.encoder.borrow_mut());
        self.send(&message);
    }

    fn heartbeat(&self, client_ms: i64) -> Bytes {
        let server_ms = unix_ms();
        match self.seat.version {
            Version::V1 => {
                let frame_type = v1::FrameType::Heartbeat;
                let frame = v1::Frame { frame_type, timestamp_ms: server_ms, user_id: self.seat.user, content: "" };
                let mut bytes = Vec::with_capacity(v1::HEADER_BYTES);
                // Without content it always fits.
                let _ = frame.encode(&mut bytes);
                encode::message(&bytes)
            }
            Version::V2 => message_of(&pb::Heartbeat { client_ms, server_ms }, &mut self.context.encoder.borrow_mut()),
        }
    }

    /// Looked at once a second: pings, and ends who is gone or takes nothing.
    pub(super) fn check(&self) {
        let output = Output { is_drained: self.socket.is_drained(), progressed: self.socket.take_progress() };
        let check = self.protocol.borrow_mut().upkeep().check(self.context.now_s(), output, self.context.limits);
        if check.ping {
            self.send(&Bytes::from_static(PING));
        }
        if let Some(reason) = check.end {
            self.socket.end(reason);
        }
    }
}

impl Subscriber for Viewer {
    fn seat(&self) -> &Seat {
        &self.seat
    }

    fn is_drained(&self) -> bool {
        self.socket.is_drained()
    }

    fn write(&self, message: &Bytes) {
        self.socket.send(message);
    }

    fn send(&self, message: &Bytes) {
        if !self.has_ended() {
            self.socket.send(message);
        }
    }

    fn notify(&self, notice: &pb::Notice) {
        let (tell, end) = self.protocol.borrow().hears(notice.kind());
        if tell {
            let message = message_of(notice, &mut self.context.encoder.borrow_mut());
            self.send(&message);
        }
        if end {
            self.socket.end(Disconnect::Banned);
        }
    }
}

impl Sender for Viewer {
    fn id(&self) -> SenderId {
        self.id
    }

    fn room(&self) -> &Arc<RoomState> {
        &self.room.state
    }

    fn wants_acks(&self) -> bool {
        self.seat.version == Version::V2
    }

    fn accepted(self: &Rc<Self>, shard: u32, entry: &Entry, received_ms: i64) {
        let danmaku = Danmaku::of(Position::default(), entry, received_ms);
        self.room.accepted(Rc::downgrade(self), shard, danmaku);
    }

    fn logged(&self, entry: &Entry, position: Position) {
        self.room.acknowledged(entry, position);
    }

    fn not_logged(&self, entry: &Entry) {
        self.room.refused(entry);
    }

    fn acknowledge(&self, ack: &pb::Ack) {
        let message = message_of(ack, &mut self.context.encoder.borrow_mut());
        self.send(&message);
    }

    fn refuse(&self, seq: u64, reason: Refusal, retry_after_ms: u32) {
        let action = self.protocol.borrow_mut().refuse(seq, reason, retry_after_ms);
        self.perform(action);
    }
}

struct Door<'a> {
    viewer: &'a Viewer,
    /// Its settings, once they were looked at.
    room: Option<Arc<Room>>,
}

impl Rules for Door<'_> {
    fn content_bytes_max(&self) -> usize {
        self.viewer.gateway().config.content_bytes_max
    }

    fn author_of(&self, danmaku: Position) -> Option<u64> {
        self.viewer.room.state.moderation.find(danmaku).map(|found| found.user)
    }

    fn check_text(&mut self, sender: &Identity, text: &str) -> Result<(), SendRefusal> {
        let mut folded = self.viewer.context.folded.borrow_mut();
        self.viewer.room.state.moderation.check(sender, text, &mut folded, unix_ms())
    }

    fn has_room(&self, sender: &Identity) -> bool {
        self.viewer.context.intake.has_room(self.viewer.room.state.id(), sender.user)
    }

    fn take_send(&mut self, sender: &Identity, is_gift: bool) -> Result<(), SendRefusal> {
        let state = &self.viewer.room.state;
        let room = self.room.insert(state.room());
        if is_gift {
            return Ok(());
        }
        state.take_send(sender.user).map_err(|wait| (Refusal::RateLimited, wait_ms(wait)))?;
        let slow = state.moderation.take_slow(room, sender, unix_ms());
        slow.map_err(|wait_ms| (Refusal::SlowMode, wait_ms))
    }
}

/// Rounded up: who waits that long is not refused again.
fn wait_ms(wait: Duration) -> u32 {
    u32::try_from(wait.as_micros().div_ceil(1_000)).unwrap_or(u32::MAX).max(1)
}
