//! What one writes first: tokio-tungstenite with a task for each connection and a broadcast channel; the read buffer
//! set to 4 KiB, as its default of 128 KiB would make too easy a rival.

use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use tokio::{
    net::{TcpListener, TcpStream},
    runtime,
    sync::broadcast,
    time::{MissedTickBehavior, interval},
};
use tokio_tungstenite::{
    accept_async_with_config,
    tungstenite::{Message, protocol::WebSocketConfig},
};

use super::{args::Stream, bare::prepared, error::BenchError};
use crate::swarm::now_ms;

/// Rounds that a slow task may be behind.
const QUEUE: usize = 64;
const BUFFER_BYTES: usize = 4 * 1024;

/// Serves until killed.
///
/// # Errors
/// Sockets.
pub(super) fn serve(stream: Stream) -> Result<(), BenchError> {
    super::rig::end_with_parent();
    let failed = BenchError::io("running the naive server");
    let runtime = runtime::Builder::new_current_thread().enable_all().build().map_err(&failed)?;
    runtime.block_on(run(stream)).map_err(&failed)
}

async fn run(stream: Stream) -> std::io::Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    println!("listening on http://{}/", listener.local_addr()?);
    let (frames, _) = broadcast::channel(QUEUE);
    if stream.rate > 0 {
        tokio::spawn(rounds(stream, frames.clone()));
    }
    loop {
        let (socket, _) = listener.accept().await?;
        tokio::spawn(viewer(socket, frames.subscribe()));
    }
}

async fn rounds(stream: Stream, frames: broadcast::Sender<Message>) {
    let mut beat = interval(Duration::from_secs(1) / stream.rate);
    beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
    // Without the WebSocket header, which the library writes itself.
    let mut payload = prepared(stream.bytes).split_off(2);
    loop {
        beat.tick().await;
        payload[4..12].copy_from_slice(&now_ms().to_be_bytes());
        // Nobody may be there yet.
        let _nobody = frames.send(Message::binary(payload.clone()));
    }
}

async fn viewer(socket: TcpStream, mut frames: broadcast::Receiver<Message>) {
    // A viewer who is gone is no concern of a naive server.
    let _gone = socket.set_nodelay(true);
    let config = WebSocketConfig::default().read_buffer_size(BUFFER_BYTES);
    let Ok(mut socket) = accept_async_with_config(socket, Some(config)).await else {
        return;
    };
    loop {
        tokio::select! {
            frame = frames.recv() => match frame {
                Ok(frame) => if socket.send(frame).await.is_err() { return },
                Err(broadcast::error::RecvError::Lagged(_)) => {}
                Err(broadcast::error::RecvError::Closed) => return,
            },
            message = socket.next() => if !matches!(message, Some(Ok(_))) { return },
        }
    }
}
