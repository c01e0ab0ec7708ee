//! How many connections there may be, in all and from one address.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{Arc, Mutex, PoisonError},
};

/// Counts connections; clones share one count.
#[derive(Clone)]
pub(crate) struct Admission {
    connections_max: usize,
    per_address_max: usize,
    counts: Arc<Mutex<Counts>>,
}

#[derive(Default)]
struct Counts {
    all: usize,
    by_address: HashMap<IpAddr, usize>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Full {
    /// The gateway serves as many as it may.
    Gateway,
    /// The address has as many as it may.
    Address,
}

/// One admitted connection; dropped, it makes room.
pub(crate) struct Admitted {
    /// `None` where addresses are not counted: that saves the entry for each connection.
    address: Option<IpAddr>,
    counts: Arc<Mutex<Counts>>,
}

impl Admission {
    pub(crate) fn new(connections_max: usize, per_address_max: usize) -> Self {
        Self { connections_max, per_address_max, counts: Arc::default() }
    }

    pub(crate) fn admit(&self, address: IpAddr) -> Result<Admitted, Full> {
        let address = (self.per_address_max > 0).then_some(address);
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        if counts.all >= self.connections_max {
            return Err(Full::Gateway);
        }
        if let Some(address) = address {
            let of_address = counts.by_address.entry(address).or_default();
            if *of_address >= self.per_address_max {
                return Err(Full::Address);
            }
            *of_address += 1;
        }
        counts.all += 1;
        Ok(Admitted { address, counts: Arc::clone(&self.counts) })
    }
}

impl Drop for Admitted {
    fn drop(&mut self) {
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        counts.all -= 1;
        if let Some(address) = self.address
            && let Some(of_address) = counts.by_address.get_mut(&address)
        {
            *of_address -= 1;
            if *of_address == 0 {
                counts.by_address.remove(&address);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_hold_and_a_dropped_connection_makes_room() {
        let admission = Admission::new(3, 2);
        let [a, b] = [1, 2].map(|last| IpAddr::from([127, 0, 0, last]));
        let first = admission.admit(a).ok().unwrap();
        let _second = admission.admit(a).ok().unwrap();
        assert_eq!(admission.admit(a).err(), Some(Full::Address));
        let _third = admission.admit(b).ok().unwrap();
        assert_eq!(admission.admit(b).err(), Some(Full::Gateway));
        drop(first);
        assert!(admission.admit(a).is_ok());
    }
}
