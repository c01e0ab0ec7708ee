//! Links between processes, over QUIC with mutual TLS. Rankers listen; consumers and gateways keep a connection to each.
//!
//! A connection is one session. What waits in a session's queues is bounded on both sides: while a queue is full nothing
//! more is read from the connection, and QUIC's flow control holds the sender.

pub mod authority;
mod certificate;
mod dial;
mod hello;
mod listen;
mod metrics;
mod pump;
mod streams;

#[cfg(test)]
mod tests;

use std::{sync::Arc, time::Duration};

use quinn::{
    Connection, ConnectionError, IdleTimeout, MtuDiscoveryConfig, TransportConfig, VarInt, congestion::CubicConfig,
};

pub use certificate::{LinkCertificate, LinkCertificateFiles};
pub use dial::{Rankers, dial_consumer, dial_gateway};
pub use listen::listen;
pub use metrics::Metrics;
pub use streams::{QuicStream, QuicStreams};

use super::{Peer, codec::Malformed};

/// What both sides speak; another version is another name, and refused in the handshake.
const ALPN: &[u8] = b"barrage-link/1";
/// The DNS name that every certificate has to carry, whoever holds it. Pods change their addresses and are dialled by
/// them, so a certificate cannot name its host. A name of ours, on both sides, keeps out what else the same authority may
/// have signed; which peer it is, `Hello` says, and whoever has such a certificate is trusted to say it.
pub const LINK_NAME: &str = "barrage-link";

/// Nothing heard for so long: the link is cut.
const IDLE_TIMEOUT: Duration = Duration::from_secs(5);
/// Five chances to be heard within [`IDLE_TIMEOUT`].
const KEEP_ALIVE: Duration = Duration::from_secs(1);
/// A handshake and a `Hello`, or an end, that take longer are given up.
const PATIENCE: Duration = Duration::from_secs(5);
/// Bytes of one stream under way to somebody who does not read: 80 ms at 100 MB/s.
const STREAM_WINDOW_BYTES: u32 = 8 << 20;
/// Bytes of all streams of a connection under way.
const CONNECTION_WINDOW_BYTES: u32 = 2 * STREAM_WINDOW_BYTES;
/// Streams of a gateway's connection: as many as there are rooms awake at one ranker.
const STREAMS_MAX: u32 = 100_000;
/// Round trip assumed before one was measured: within a data centre, with slack for a busy machine. What is lost of a
/// handshake is sent again after three of these, not after the second that QUIC assumes for the open Internet.
const ROUND_TRIP: Duration = Duration::from_millis(50);
/// What is tried for the size of a datagram: a jumbo frame's, without the headers of IPv6 and UDP. Where the network
/// carries less, that is found out by lost probes alone.
const DATAGRAM_BYTES_MAX: u16 = 9_000 - 48;

#[derive(Clone)]
pub struct Local {
    /// Its name in its role, the same after every restart.
    pub name: Peer,
    /// Its pool; peers of another one are refused.
    pub pool: String,
    pub certificate: LinkCertificate,
    pub metrics: Metrics,
}

/// Why a connection is closed, for whoever reads the other side's log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
enum Code {
    /// Both sides are through.
    Done = 0,
    /// [`super::codec::Malformed`].
    Malformed = 1,
    /// The `Hello` is not of somebody who belongs here.
    Stranger = 2,
    /// One side goes away, or knows that the other has.
    Gone = 3,
}

fn close(connection: &Connection, code: Code, reason: &str) {
    connection.close(VarInt::from_u32(code as u32), reason.as_bytes());
}

/// Ends a session's connection, if it has not ended, and says why it did.
fn end(connection: &Connection, outcome: Result<(), Malformed>) {
    match outcome {
        Err(malformed) => {
            tracing::warn!(reason = %malformed, "session ends: the peer says what cannot be understood");
            close(connection, Code::Malformed, &malformed.to_string());
        }
        Ok(()) => {
            let reason =
                connection.close_reason().map_or_else(|| "this side is through".into(), |error| ending(&error));
            tracing::info!(reason, "session ends");
            close(connection, Code::Done, "it is through");
        }
    }
}

/// What ended a connection, as one reads it in a log.
fn ending(error: &ConnectionError) -> String {
    match error {
        ConnectionError::ApplicationClosed(close) => {
            format!("the peer closed: {}", String::from_utf8_lossy(&close.reason))
        }
        ConnectionError::TimedOut => format!("nothing heard for {} s", IDLE_TIMEOUT.as_secs()),
        other => other.to_string(),
    }
}

/// Cubic, because quinn's other choice, BBR, drains its window for 200 ms every 10 s to measure the round trip, which
/// viewers would see, and is experimental there. Within a data centre loss is rare, so Cubic's window is soon wide.
fn transport(bidirectional: u32, unidirectional: u32) -> Arc<TransportConfig> {
    let mut mtu = MtuDiscoveryConfig::default();
    mtu.upper_bound(DATAGRAM_BYTES_MAX);
    let mut transport = TransportConfig::default();
    transport
        .max_concurrent_bidi_streams(bidirectional.into())
        .max_concurrent_uni_streams(unidirectional.into())
        .max_idle_timeout(IdleTimeout::try_from(IDLE_TIMEOUT).ok())
        .keep_alive_interval(Some(KEEP_ALIVE))
        .initial_rtt(ROUND_TRIP)
        .mtu_discovery_config(Some(mtu))
        .stream_receive_window(STREAM_WINDOW_BYTES.into())
        .receive_window(CONNECTION_WINDOW_BYTES.into())
        .send_window(CONNECTION_WINDOW_BYTES.into())
        .datagram_receive_buffer_size(None)
        .congestion_controller_factory(Arc::new(CubicConfig::default()));
    Arc::new(transport)
}
