//! A ranker's ways to a gateway: one unidirectional stream each.

use bytes::Bytes;
use quinn::{Connection, SendStream, VarInt};
use tokio::runtime::Handle;
use tokio_util::task::{TaskTracker, task_tracker::TaskTrackerToken};

use super::metrics::Traffic;
use crate::link::{Closed, Update, codec::encoded};

/// Says that a stream ends within an update, which its receiver forgets.
const GIVEN_UP: VarInt = VarInt::from_u32(1);

/// See [`crate::link::Streams`].
#[derive(Clone)]
pub struct QuicStreams {
    connection: Connection,
    traffic: Traffic,
    runtime: Handle,
    /// Streams that are open, and those whose last bytes are under way.
    under_way: TaskTracker,
}

impl QuicStreams {
    pub(super) fn new(connection: Connection, traffic: Traffic) -> Self {
        Self { connection, traffic, runtime: Handle::current(), under_way: TaskTracker::new() }
    }

    /// Opens a stream; waits while the gateway has as many as it takes.
    pub(in crate::link) async fn open(&self) -> Result<QuicStream, Closed> {
        let stream = self.connection.open_uni().await.map_err(|_| Closed)?;
        Ok(QuicStream { stream, unsent: Bytes::new(), _open: self.under_way.token(), streams: self.clone() })
    }

    /// Waits until every stream was dropped and its peer has it all.
    pub(super) async fn ended(&self) {
        self.under_way.close();
        self.under_way.wait().await;
    }
}

/// See [`crate::link::Stream`].
pub struct QuicStream {
    stream: SendStream,
    /// The rest of an update whose sending was given up half way; it goes ahead of the next.
    unsent: Bytes,
    streams: QuicStreams,
    _open: TaskTrackerToken,
}

impl QuicStream {
    pub(in crate::link) async fn send(&mut self, update: &Update) -> Result<(), Closed> {
        self.flush().await?;
        self.unsent = encoded(update);
        self.streams.traffic.add(1, self.unsent.len());
        self.flush().await
    }

    /// Like all that is said on streams this may be dropped at any point: `unsent` is what the stream has not taken.
    async fn flush(&mut self) -> Result<(), Closed> {
        while !self.unsent.is_empty() {
            let mut rest = [Bytes::clone(&self.unsent)];
            let written = self.stream.write_chunks(&mut rest).await.map_err(|_| Closed)?;
            self.unsent = self.unsent.slice(written.bytes..);
        }
        Ok(())
    }
}

impl Drop for QuicStream {
    fn drop(&mut self) {
        // Both fail only where the connection or the gateway's end has gone already.
        if !self.unsent.is_empty() {
            self.stream.reset(GIVEN_UP).ok();
        } else if self.stream.finish().is_ok() {
            let stopped = self.stream.stopped();
            self.streams.under_way.spawn_on(stopped, &self.streams.runtime);
        }
    }
}
