//! The pool of a dedicated room: like the one that the room refers to, with gateways for as many viewers as are expected.

use barrage_crds::{LiveRoom, RoomPool, RoomPoolSpec, RoomsFrom, SecretKeyRef};
use serde_json::json;

use crate::{apply::Child, options::PoolKey, pool::names::names};

/// Viewers of one gateway: three quarters of what its connections allow, so that the others hold when one goes.
const VIEWERS_PER_GATEWAY: u32 = 15_000;
const GATEWAYS_MAX: u32 = 1_000;
/// Characters of the room's name that its pool's name has, and of the hash behind them: 5 + 22 + 1 + 8 are the 36 that a
/// pool's name may have.
const NAME_CHARS: usize = 22;

/// Name of the room's pool.
#[must_use]
pub(crate) fn key(room: &LiveRoom) -> PoolKey {
    let namespace = room.metadata.namespace.clone().unwrap_or_default();
    let name = room.metadata.name.clone().unwrap_or_default();
    // Names of rooms are longer than those of pools, and have dots.
    let kept: String = name.chars().take(NAME_CHARS).map(|c| if c == '.' { '-' } else { c }).collect();
    PoolKey { namespace, name: format!("room-{kept}-{:08x}", fold(&name)) }
}

/// The pool's ID: its name with the hash of the namespace, too.
fn pool_id(room: &LiveRoom) -> String {
    let PoolKey { namespace, name } = key(room);
    let kept = &name[..name.len() - 8];
    let room = room.metadata.name.as_deref().unwrap_or_default();
    format!("{kept}{:08x}", fold(&format!("{namespace}/{room}")))
}

/// FNV-1a, 32 bit: the same for ever.
fn fold(text: &str) -> u32 {
    text.bytes().fold(0x811c_9dc5, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193))
}

/// The pool as it should be.
#[must_use]
pub(crate) fn pool(room: &LiveRoom, like: &RoomPool) -> Child {
    let key = key(room);
    Child::of::<RoomPool>(json!({
        "metadata": {
            "name": key.name,
            "namespace": key.namespace,
            "labels": {"app.kubernetes.io/managed-by": "barrage-operator"},
            "ownerReferences": [{
                "apiVersion": "barrage.live/v1alpha1",
                "kind": "LiveRoom",
                "name": room.metadata.name,
                "uid": room.metadata.uid,
                "controller": true,
                "blockOwnerDeletion": true,
            }],
        },
        "spec": spec(room, like),
    }))
}

fn spec(room: &LiveRoom, like: &RoomPool) -> RoomPoolSpec {
    let mut spec = like.spec.clone();
    // Rooms of one name may be in two namespaces, and share one Kafka.
    spec.pool_id = Some(pool_id(room));
    spec.rooms_from = RoomsFrom::Same;
    // Viewers hold tokens of the pool that the room refers to.
    let name = like.metadata.name.as_deref().unwrap_or_default();
    let own = || SecretKeyRef { secret: names(name).token_keys(), key: "keys.json".to_owned() };
    spec.tokens.keys = Some(spec.tokens.keys.unwrap_or_else(own));
    spec.image = spec.image.or_else(|| like.status.as_ref().and_then(|status| status.image.clone()));
    // One host name leads to one pool.
    spec.viewers.ingress = None;
    if let Some(viewers) = room.spec.expected_peak_viewers {
        spec.gateway.replicas = viewers.div_ceil(VIEWERS_PER_GATEWAY).clamp(2, GATEWAYS_MAX);
    }
    spec
}

#[cfg(test)]
mod tests {
    use barrage_crds::LiveRoomSpec;

    use super::*;

    #[test]
    fn a_pool_has_a_name_of_its_own_that_fits_whatever_the_room_is_called() {
        let named = |name: &str| key(&LiveRoom::new(name, LiveRoomSpec::default())).name;
        assert_ne!(named("show.eu"), named("show-eu"));
        for name in ["a", "show", &"very.long".repeat(20)] {
            let pool = named(name);
            assert!(pool.len() <= 36 && !pool.contains('.') && pool.starts_with("room-"), "{pool}");
        }
    }

    #[test]
    fn rooms_of_one_name_in_two_namespaces_have_pools_of_two_ids() {
        let of = |namespace: &str| {
            let mut room = LiveRoom::new("show", LiveRoomSpec::default());
            room.metadata.namespace = Some(namespace.to_owned());
            (key(&room).name, pool_id(&room))
        };
        let ((a, in_a), (b, in_b)) = (of("a"), of("b"));
        assert!(a == b && in_a != in_b && in_a.starts_with("room-show-") && in_a.len() == a.len(), "{in_a} {in_b}");
    }

    #[test]
    fn gateways_are_there_for_as_many_viewers_as_are_expected() {
        let like = RoomPool::new("default", RoomPoolSpec::default());
        let gateways = |viewers| {
            let expected = LiveRoomSpec { expected_peak_viewers: viewers, ..LiveRoomSpec::default() };
            spec(&LiveRoom::new("show", expected), &like).gateway.replicas
        };
        assert_eq!([gateways(None), gateways(Some(10)), gateways(Some(50_000))], [2, 2, 4]);
        let keys = spec(&LiveRoom::new("demo", LiveRoomSpec::default()), &like).tokens.keys.unwrap();
        assert_eq!((keys.secret.as_str(), keys.key.as_str()), ("default-token-keys", "keys.json"));
    }
}
