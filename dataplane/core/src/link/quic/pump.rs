//! Between the queues of a session and the streams of its connection. Nothing here buffers more than a message and a
//! batch: a full queue stops the reading, a stream without credit stops the taking.

use bytes::BytesMut;
use quinn::{Connection, RecvStream, SendStream, WriteError};
use tokio::{pin, select, sync::mpsc, task::JoinSet, try_join};
use tracing::Instrument;

use super::metrics::Traffic;
use crate::link::{
    Update,
    codec::{Malformed, Wire, take},
};

/// Messages taken from a queue at once.
const BATCH: usize = 256;
/// Bytes that are written at once, or one message: some hundred packets.
const WRITE_BYTES: usize = 256 << 10;
/// Bytes that are read at once.
const READ_BYTES: usize = 64 << 10;

/// The messages that come on a stream.
pub(super) struct Messages {
    stream: RecvStream,
    received: BytesMut,
    traffic: Traffic,
}

impl Messages {
    pub(super) fn new(stream: RecvStream, traffic: Traffic) -> Self {
        Self { stream, received: BytesMut::new(), traffic }
    }

    /// The next message; `None` when no more come, because the stream has ended or the connection has. Nothing is lost
    /// when this is dropped.
    pub(super) async fn next<M: Wire>(&mut self) -> Result<Option<M>, Malformed> {
        loop {
            if let Some(message) = take(&mut self.received)? {
                self.traffic.add(1, 0);
                return Ok(Some(message));
            }
            if self.received.is_empty() {
                // A gateway has a stream for each awake room, and most are silent at any moment.
                self.received = BytesMut::new();
            }
            match self.stream.read_chunk(READ_BYTES, true).await {
                Ok(Some(chunk)) => {
                    self.traffic.add(0, chunk.bytes.len());
                    self.received.extend_from_slice(&chunk.bytes);
                }
                Ok(None) if !self.received.is_empty() => return Err(Malformed::Truncated),
                Ok(None) | Err(_) => return Ok(None),
            }
        }
    }
}

/// Both directions of a session, until both have ended or the peer says what cannot be understood.
pub(super) async fn both(
    send: impl Future<Output = ()>,
    receive: impl Future<Output = Result<(), Malformed>>,
) -> Result<(), Malformed> {
    let send = async {
        send.await;
        Ok(())
    };
    try_join!(send, receive).map(|((), ())| ())
}

/// Puts what comes on a stream into a queue, until either ends.
pub(super) async fn receive<M: Wire>(mut messages: Messages, queue: mpsc::Sender<M>) -> Result<(), Malformed> {
    loop {
        let next = select! {
            next = messages.next() => next?,
            () = queue.closed() => None,
        };
        let Some(message) = next else { return Ok(()) };
        if queue.send(message).await.is_err() {
            return Ok(());
        }
    }
}

/// Puts what comes on all streams that the peer opens into a queue, until the connection or the queue ends. What was
/// received before the connection ended is still handed on.
pub(super) async fn receive_all(
    connection: &Connection,
    queue: mpsc::Sender<Update>,
    traffic: &Traffic,
) -> Result<(), Malformed> {
    let mut streams = JoinSet::new();
    loop {
        select! {
            accepted = connection.accept_uni() => {
                let Ok(stream) = accepted else { break };
                let messages = Messages::new(stream, traffic.clone());
                streams.spawn(receive(messages, queue.clone()).in_current_span());
            }
            Some(Ok(ended)) = streams.join_next() => ended?,
            () = queue.closed() => return Ok(()),
        }
    }
    while let Some(ended) = streams.join_next().await {
        ended.unwrap_or(Ok(()))?;
    }
    Ok(())
}

/// Writes what comes from a queue to a stream, until either ends. When the queue ends, waits until the peer has it all.
pub(super) async fn send<M: Wire>(
    connection: &Connection,
    mut stream: SendStream,
    mut queue: mpsc::Receiver<M>,
    traffic: &Traffic,
) {
    let closed = connection.closed();
    pin!(closed);
    let mut batch = Vec::with_capacity(BATCH);
    loop {
        let taken = select! {
            taken = queue.recv_many(&mut batch, BATCH) => taken,
            _ = &mut closed => return,
        };
        if taken == 0 {
            break;
        }
        if write(&mut stream, &mut batch, traffic).await.is_err() {
            return;
        }
    }
    // Either fails where the connection or the peer's end of the stream has gone, and then there is nobody to wait for.
    if stream.finish().is_ok() {
        stream.stopped().await.ok();
    }
}

async fn write<M: Wire>(stream: &mut SendStream, batch: &mut Vec<M>, traffic: &Traffic) -> Result<(), WriteError> {
    traffic.add(batch.len(), 0);
    let mut buffer = BytesMut::new();
    for message in batch.drain(..) {
        message.encode(&mut buffer);
        if buffer.len() >= WRITE_BYTES {
            traffic.add(0, buffer.len());
            stream.write_chunk(buffer.split().freeze()).await?;
        }
    }
    traffic.add(0, buffer.len());
    stream.write_chunk(buffer.freeze()).await
}
