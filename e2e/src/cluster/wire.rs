//! Relays between two parties that can be cut like a cable, slowed down and mended, in user space: not every kernel
//! has a way to do it to its loopback.
//!
//! A cut TCP wire holds what is on the way, as retransmission would, and lets no connection's end through; it cannot
//! keep the kernel from completing a handshake, so a connection that is opened meanwhile is open and silent. A cut UDP
//! wire drops.

mod tcp;
mod udp;

use std::{io, net::SocketAddr, time::Duration};

use tokio::{
    sync::watch,
    time::{Instant, sleep, sleep_until},
};

use super::{error::ClusterError, run::Run};

/// What a slow wire does, in each direction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Slowness {
    pub delay: Duration,
    pub bytes_per_s: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Condition {
    /// Everything passes at once.
    Whole,
    /// Nothing passes, and nobody is told.
    Cut,
    /// Everything passes, later.
    Slow(Slowness),
}

/// A relay on a loopback port of its own; it keeps the port until it is dropped.
pub struct Wire {
    address: SocketAddr,
    condition: watch::Sender<Condition>,
}

impl Wire {
    /// A wire to a TCP server, which need not be there yet.
    ///
    /// # Errors
    /// [`ClusterError::System`] without a port.
    pub fn tcp(run: &Run, to: SocketAddr) -> Result<Self, ClusterError> {
        Self::lay(run, to, tcp::lay)
    }

    /// A wire to a UDP server, which need not be there yet.
    ///
    /// # Errors
    /// [`ClusterError::System`] without a port.
    pub fn udp(run: &Run, to: SocketAddr) -> Result<Self, ClusterError> {
        Self::lay(run, to, udp::lay)
    }

    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    #[must_use]
    pub fn condition(&self) -> Condition {
        *self.condition.borrow()
    }

    /// Changes its state, for connections that are open, too.
    pub fn set(&self, condition: Condition) {
        self.condition.send_replace(condition);
    }

    fn lay(
        run: &Run,
        to: SocketAddr,
        lay: fn(SocketAddr, watch::Receiver<Condition>) -> io::Result<SocketAddr>,
    ) -> Result<Self, ClusterError> {
        let (condition, watched) = watch::channel(Condition::Whole);
        let _threads = run.threads().enter();
        let address = lay(to, watched).map_err(ClusterError::system(format!("laying a wire to {to}")))?;
        Ok(Self { address, condition })
    }
}

/// Waits until a wire is not cut; false when it is gone.
async fn whole(condition: &mut watch::Receiver<Condition>) -> bool {
    condition.wait_for(|now| *now != Condition::Cut).await.is_ok()
}

/// Ends with the wire.
async fn gone(mut condition: watch::Receiver<Condition>) {
    while condition.changed().await.is_ok() {}
}

/// Holds what came at `came` as long as a slow wire does.
async fn dawdle(condition: &watch::Receiver<Condition>, came: Instant, bytes: usize) {
    let now = *condition.borrow();
    if let Condition::Slow(Slowness { delay, bytes_per_s }) = now {
        sleep_until(came + delay).await;
        let bytes = u32::try_from(bytes).unwrap_or(u32::MAX);
        sleep(Duration::from_secs(1) * bytes / bytes_per_s.max(1)).await;
    }
}
