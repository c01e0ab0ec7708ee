//! What the connections of a worker share.

use std::{
    cell::{Cell, RefCell},
    rc::Rc,
    sync::Arc,
};

use barrage_proto::v2::{CLIENT_FRAME_BYTES_MAX, Decoder, Encoder};

use super::{protocol::Limits, viewer::Viewer};
use crate::gateway::{
    publish::{Intake, SenderId},
    state::GatewayState,
};

/// Lines about bad frames in a second, at the most: a hostile client must not fill the disk.
const LOG_LINES_PER_SECOND: u32 = 10;

/// What the connections of a worker share. It holds no connection, but for senders of what is on its way to the log.
pub(super) struct ConnectionContext {
    pub(super) gateway: Arc<GatewayState>,
    pub(super) intake: Rc<Intake<Viewer>>,
    pub(super) encoder: Rc<RefCell<Encoder>>,
    pub(super) decoder: RefCell<Decoder>,
    pub(super) folded: RefCell<String>,
    pub(super) limits: Limits,
    /// Seconds since the worker began: what idle connections are measured with.
    now_s: Cell<u32>,
    log_lines: Cell<u32>,
    last_id: Cell<u64>,
}

impl ConnectionContext {
    pub(super) fn new(gateway: Arc<GatewayState>) -> Self {
        Self {
            intake: Rc::new(Intake::new(Arc::clone(&gateway))),
            encoder: Rc::new(RefCell::new(Encoder::new())),
            decoder: RefCell::new(Decoder::new(CLIENT_FRAME_BYTES_MAX)),
            folded: RefCell::default(),
            limits: Limits::from(&gateway.config),
            now_s: Cell::new(0),
            log_lines: Cell::new(0),
            last_id: Cell::new(0),
            gateway,
        }
    }

    /// Seconds since the worker began.
    pub(super) const fn now_s(&self) -> u32 {
        self.now_s.get()
    }

    /// A second is over.
    pub(super) fn tick(&self) {
        self.now_s.set(self.now_s.get() + 1);
        self.log_lines.set(0);
    }

    /// Whether another line about a client's mistake may be logged in this second.
    pub(super) fn may_log(&self) -> bool {
        self.log_lines.set(self.log_lines.get().saturating_add(1));
        self.log_lines.get() <= LOG_LINES_PER_SECOND
    }

    /// The ID of a new connection.
    pub(super) fn next_id(&self) -> SenderId {
        self.last_id.set(self.last_id.get() + 1);
        SenderId(self.last_id.get())
    }
}
