//! A version 2 client: sends with sequence numbers, keeps its session across connections, sorts what comes.

use std::{
    collections::VecDeque,
    fmt,
    time::{Duration, Instant},
};

use barrage_proto::{
    Position, batch,
    v2::{self, Decoder, Encoder, FrameType, Payload, RawFrame, pb},
};
use rand::RngExt;

use super::{ClientError, Connection, Join};
use crate::{
    session::{Fate, Session},
    swarm::now_ms,
};

/// A version 2 client.
pub struct ClientV2 {
    connection: Connection,
    join: Join,
    session: Session,
    encoder: Encoder,
    decoder: Decoder,
    events: VecDeque<Event>,
    cursor: Vec<u8>,
}

/// One danmaku of a batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Danmaku {
    /// Its ID.
    pub id: Position,
    /// Who sent it.
    pub user: u64,
    /// Unix time of sending, ms.
    pub sent_ms: i64,
    /// What the sender is in the room.
    pub role: pb::Role,
    /// The text.
    pub content: String,
    /// How it crosses the screen.
    pub mode: pb::Mode,
    /// 0xRRGGBB, or 0.
    pub colour: u32,
    /// Size of its text.
    pub size: pb::Size,
    /// What it answers, and who wrote that.
    pub reply: Option<(Position, u64)>,
    /// Value, name, count and seconds that it stays.
    pub gift: Option<(u64, String, u32, u32)>,
}

/// A frame as it came.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// Danmaku to show, and the frame's other fields.
    Batch(Vec<Danmaku>, Box<pb::Batch>),
    /// Danmaku from before; whether more was missed.
    History(Vec<Danmaku>, bool),
    /// The leaderboard.
    Snapshot(pb::RankingSnapshot),
    /// Changes to it.
    Delta(pb::RankingDelta),
    /// The room.
    State(pb::RoomState),
    /// Own danmaku are kept.
    Ack(pb::Ack),
    /// Something was refused.
    Error(pb::Error),
    /// The server stops.
    GoAway(pb::GoAway),
    /// The answer to a heartbeat.
    Heartbeat(pb::Heartbeat),
    /// Danmaku that moderators took away.
    Removal(pb::Removal),
    /// What moderators set.
    Settings(pb::RoomSettings),
    /// What is pinned and what stays.
    Highlights(pb::Highlights),
    /// What moderators decided about the user.
    Notice(pb::Notice),
}

impl ClientV2 {
    /// Joins a room with a new session; `user` is the token's.
    ///
    /// # Errors
    /// As [`Connection::open`]; [`ClientError::Protocol`] when the server does not choose `barrage.v2`.
    pub fn join(join: &Join, user: u64) -> Result<Self, ClientError> {
        let mut session = Session::new(rand::rng().random_range(1..=u64::MAX), user);
        let connection = connect(join, &session, &[])?;
        session.connected();
        Ok(Self {
            connection,
            join: join.clone(),
            session,
            encoder: Encoder::plain(),
            decoder: Decoder::new(v2::SERVER_PAYLOAD_BYTES_MAX),
            events: VecDeque::new(),
            cursor: Vec::new(),
        })
    }

    /// Connects again with the same session, resumes where it was, and sends again what was not acknowledged.
    ///
    /// # Errors
    /// As [`ClientV2::join`].
    pub fn rejoin(&mut self) -> Result<(), ClientError> {
        self.session.disconnected();
        self.connection = connect(&self.join, &self.session, &self.cursor)?;
        self.session.connected();
        self.send_due()
    }

    /// Sends a danmaku; returns its sequence number.
    ///
    /// # Errors
    /// As [`Connection::send`].
    pub fn say(&mut self, content: &str) -> Result<u64, ClientError> {
        let seq = self.session.push(content, now_ms());
        self.send_due()?;
        Ok(seq)
    }

    /// Sends any payload as it stands, past the session.
    ///
    /// # Errors
    /// As [`Connection::send`].
    pub fn send(&mut self, payload: &impl Payload) -> Result<(), ClientError> {
        let mut bytes = Vec::new();
        self.encoder.encode(payload, &mut bytes);
        self.connection.send_bytes(&bytes)
    }

    /// Waits until a danmaku is settled; returns what became of it. Refusals that pass are retried on the way.
    ///
    /// # Errors
    /// [`ClientError::Timeout`], and as [`Connection::receive`].
    pub fn wait_fate(&mut self, seq: u64, timeout: Duration) -> Result<Fate, ClientError> {
        let deadline = Instant::now() + timeout;
        loop {
            let index = usize::try_from(seq.saturating_sub(1)).unwrap_or(usize::MAX);
            match self.session.lines().get(index).map(|line| line.fate) {
                Some(Fate::Pending) => {}
                Some(fate) => return Ok(fate),
                None => {
                    return Err(ClientError::Protocol(format!("nothing was sent with number {seq}")));
                }
            }
            if Instant::now() >= deadline {
                return Err(ClientError::Timeout { what: format!("answer to number {seq}"), timeout });
            }
            self.pump(deadline)?;
        }
    }

    /// Waits for the first event that `wanted` takes, among those that came already and those to come. Others stay.
    ///
    /// # Errors
    /// [`ClientError::Timeout`], and as [`Connection::receive`].
    pub fn wait_for<T>(
        &mut self,
        what: impl fmt::Display,
        timeout: Duration,
        mut wanted: impl FnMut(&Event) -> Option<T>,
    ) -> Result<T, ClientError> {
        let deadline = Instant::now() + timeout;
        let mut known = 0;
        loop {
            let found = self.events.iter().enumerate().skip(known).find_map(|(at, event)| Some((at, wanted(event)?)));
            if let Some((at, found)) = found {
                self.events.remove(at);
                return Ok(found);
            }
            known = self.events.len();
            if Instant::now() >= deadline {
                return Err(ClientError::Timeout { what: what.to_string(), timeout });
            }
            self.pump(deadline)?;
        }
    }

    /// All events that came and were not waited for, and those that come within a time.
    ///
    /// # Errors
    /// As [`Connection::receive`].
    pub fn collect(&mut self, time: Duration) -> Result<Vec<Event>, ClientError> {
        let deadline = Instant::now() + time;
        while Instant::now() < deadline {
            self.pump(deadline)?;
        }
        Ok(self.events.drain(..).collect())
    }

    /// The session with what became of everything sent, for [`crate::checker::check_history`].
    #[must_use]
    pub const fn session(&self) -> &Session {
        &self.session
    }

    /// The last resume cursor that came; empty before the first.
    #[must_use]
    pub fn cursor(&self) -> &[u8] {
        &self.cursor
    }

    /// The connection beneath.
    pub fn connection(&mut self) -> &mut Connection {
        &mut self.connection
    }

    fn send_due(&mut self) -> Result<(), ClientError> {
        while let Some(send) = self.session.next_send(now_ms()) {
            self.send(&send)?;
        }
        Ok(())
    }

    /// Takes the next message, or lets the time pass until the deadline or the end of a pause in sending.
    fn pump(&mut self, deadline: Instant) -> Result<(), ClientError> {
        let left = deadline.saturating_duration_since(Instant::now());
        let held = self.session.due_ms().map(|due_ms| due_ms.saturating_sub(now_ms()).max(1));
        let held = held.and_then(|ms| u64::try_from(ms).ok()).map(Duration::from_millis);
        if let Some(message) = self.connection.receive(held.map_or(left, |held| held.min(left)))? {
            for frame in v2::frames(&message) {
                let frame = frame.map_err(|error| ClientError::Protocol(error.to_string()))?;
                self.take(&frame)?;
            }
        }
        self.send_due()
    }

    fn take(&mut self, frame: &RawFrame<'_>) -> Result<(), ClientError> {
        let Some(frame_type) = FrameType::from_code(frame.header.code) else {
            return Ok(());
        };
        let event = self.event(frame_type, frame)?;
        match &event {
            Event::Ack(ack) => _ = self.session.acknowledged(ack, now_ms()),
            Event::Error(error) => _ = self.session.refused(error, now_ms()),
            Event::Batch(danmaku, batch) => {
                let own = danmaku.iter().filter(|danmaku| danmaku.user == self.session.user());
                let times: Vec<_> = own.map(|danmaku| danmaku.sent_ms).collect();
                times.into_iter().for_each(|sent_ms| _ = self.session.saw(sent_ms));
                if !batch.cursor.is_empty() {
                    self.cursor.clone_from(&batch.cursor);
                }
            }
            _ => {}
        }
        self.events.push_back(event);
        Ok(())
    }

    fn event(&mut self, frame_type: FrameType, frame: &RawFrame<'_>) -> Result<Event, ClientError> {
        Ok(match frame_type {
            FrameType::Batch => {
                let batch = self.decode(frame)?;
                Event::Batch(danmaku(&batch)?, Box::new(batch))
            }
            FrameType::History => {
                let history: pb::History = self.decode(frame)?;
                let batch = history.batch.unwrap_or_default();
                if !batch.cursor.is_empty() {
                    self.cursor.clone_from(&batch.cursor);
                }
                Event::History(danmaku(&batch)?, history.truncated)
            }
            FrameType::RankingSnapshot => Event::Snapshot(self.decode(frame)?),
            FrameType::RankingDelta => Event::Delta(self.decode(frame)?),
            FrameType::RoomState => Event::State(self.decode(frame)?),
            FrameType::Ack => Event::Ack(self.decode(frame)?),
            FrameType::Error => Event::Error(self.decode(frame)?),
            FrameType::GoAway => Event::GoAway(self.decode(frame)?),
            FrameType::Heartbeat => Event::Heartbeat(self.decode(frame)?),
            FrameType::Removal => Event::Removal(self.decode(frame)?),
            FrameType::RoomSettings => Event::Settings(self.decode(frame)?),
            FrameType::Highlights => Event::Highlights(self.decode(frame)?),
            FrameType::Notice => Event::Notice(self.decode(frame)?),
            FrameType::Send | FrameType::Like => {
                return Err(ClientError::Protocol(format!("a {frame_type:?} from the server")));
            }
        })
    }

    fn decode<P: Payload>(&mut self, frame: &RawFrame<'_>) -> Result<P, ClientError> {
        self.decoder.decode(frame).map_err(|error| ClientError::Protocol(error.to_string()))
    }
}

fn connect(join: &Join, session: &Session, cursor: &[u8]) -> Result<Connection, ClientError> {
    use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
    let mut query = format!("session={}&{}", session.id(), join.query);
    if !cursor.is_empty() {
        query = format!("{query}&resume={}", URL_SAFE_NO_PAD.encode(cursor));
    }
    let protocols = join.protocols.clone().unwrap_or_else(|| v2::SUBPROTOCOL.to_owned());
    let connection = Connection::open(&Join { query, protocols: Some(protocols), ..join.clone() })?;
    match connection.protocol() {
        Some(v2::SUBPROTOCOL) => Ok(connection),
        other => Err(ClientError::Protocol(format!("it chose {other:?}, not {}", v2::SUBPROTOCOL))),
    }
}

fn danmaku(batch: &pb::Batch) -> Result<Vec<Danmaku>, ClientError> {
    let rows = batch::rows(batch).map_err(|error| ClientError::Protocol(error.to_string()))?;
    let danmaku = rows.map(|row| Danmaku {
        id: row.position,
        user: row.user,
        sent_ms: row.sent_ms,
        role: row.role,
        content: row.content.to_owned(),
        mode: row.mode,
        colour: row.colour,
        size: row.size,
        reply: row.reply,
        gift: row.gift.map(|gift| (gift.value, gift.name.to_owned(), gift.count, gift.stay_s)),
    });
    Ok(danmaku.collect())
}
