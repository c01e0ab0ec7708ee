//! One of several operators leads: the one that holds a Lease. A Lease alone keeps nobody from writing who believes in it
//! for too long; that is what the route table's single writer is for. Who loses the Lease ends its process.

use std::time::{Duration, Instant};

use k8s_openapi::{
    api::coordination::v1::{Lease, LeaseSpec},
    apimachinery::pkg::apis::meta::v1::MicroTime,
    jiff::Timestamp,
};
use kube::{
    Api, Client,
    api::{ObjectMeta, PostParams},
};
use tokio::time::sleep;

/// A Lease that was not renewed for so long, by the clock of whoever looks, is free.
const DURATION: Duration = Duration::from_secs(15);
const RENEW: Duration = Duration::from_secs(5);
/// How often others look; a leader that cannot renew tries again as often.
const RETRY: Duration = Duration::from_secs(2);
/// A leader that could not renew for so long gives up, well before others take over.
const GIVE_UP: Duration = Duration::from_secs(10);

pub struct Election {
    api: Api<Lease>,
    name: String,
    identity: String,
}

/// A Lease as it was seen last, and since when it has been like that.
struct Seen {
    version: Option<String>,
    since: Instant,
}

impl Election {
    /// For the Lease `name`; `identity` is another one for each process.
    #[must_use]
    pub fn new(client: Client, namespace: &str, name: &str, identity: String) -> Self {
        Self { api: Api::namespaced(client, namespace), name: name.to_owned(), identity }
    }

    /// Waits until this process leads.
    pub async fn acquire(&self) {
        let mut seen = Seen { version: None, since: Instant::now() };
        loop {
            match self.attempt(&mut seen, Instant::now()).await {
                Ok(true) => return,
                Ok(false) => {}
                Err(error) => tracing::warn!(%error, lease = self.name, "the Lease cannot be had; trying again"),
            }
            sleep(RETRY).await;
        }
    }

    /// Renews, until that fails for too long or somebody else leads.
    pub async fn keep(&self) {
        let mut renewed = Instant::now();
        loop {
            sleep(if renewed.elapsed() < RENEW { RENEW } else { RETRY }).await;
            match tokio::time::timeout(GIVE_UP.saturating_sub(renewed.elapsed()), self.renew()).await {
                Ok(Ok(true)) => renewed = Instant::now(),
                Ok(Ok(false)) => return tracing::error!(lease = self.name, "another operator leads"),
                Ok(Err(error)) => tracing::warn!(%error, lease = self.name, "the Lease could not be renewed"),
                Err(_) => tracing::warn!(lease = self.name, "the Lease could not be renewed in time"),
            }
            if renewed.elapsed() >= GIVE_UP {
                return tracing::error!(lease = self.name, "the Lease is lost");
            }
        }
    }

    /// Gives the Lease away, so that another operator need not wait for its end.
    pub async fn release(&self) {
        let released = async {
            let Some(mut lease) = self.api.get_opt(&self.name).await? else { return Ok(()) };
            if holder(&lease) == Some(&*self.identity) {
                lease.spec.get_or_insert_default().holder_identity = None;
                self.replace(&lease).await?;
            }
            Ok::<_, kube::Error>(())
        };
        if let Err(error) = released.await {
            tracing::warn!(%error, "the Lease could not be given away; it ends by itself");
        }
    }

    /// Whether this process leads now.
    async fn attempt(&self, seen: &mut Seen, now: Instant) -> Result<bool, kube::Error> {
        let Some(mut lease) = self.api.get_opt(&self.name).await? else {
            let lease = Lease {
                metadata: ObjectMeta { name: Some(self.name.clone()), ..ObjectMeta::default() },
                spec: Some(self.taken(None)),
            };
            return won(self.api.create(&PostParams::default(), &lease).await);
        };
        let ours = holder(&lease) == Some(&*self.identity);
        if !ours && !is_free(&lease, seen, now) {
            return Ok(false);
        }
        lease.spec = Some(self.taken(lease.spec.as_ref()));
        won(self.replace(&lease).await)
    }

    /// False when somebody else leads.
    async fn renew(&self) -> Result<bool, kube::Error> {
        let Some(mut lease) = self.api.get_opt(&self.name).await? else { return Ok(false) };
        if holder(&lease) != Some(&*self.identity) {
            return Ok(false);
        }
        lease.spec.get_or_insert_default().renew_time = Some(MicroTime(Timestamp::now()));
        // Who wrote meanwhile is seen at the next attempt.
        won(self.replace(&lease).await).map(|_| true)
    }

    /// The version that was read goes along: of two who write, one does.
    async fn replace(&self, lease: &Lease) -> Result<Lease, kube::Error> {
        self.api.replace(&self.name, &PostParams::default(), lease).await
    }

    fn taken(&self, before: Option<&LeaseSpec>) -> LeaseSpec {
        let (now, changes) = (MicroTime(Timestamp::now()), before.and_then(|spec| spec.lease_transitions));
        LeaseSpec {
            holder_identity: Some(self.identity.clone()),
            lease_duration_seconds: i32::try_from(DURATION.as_secs()).ok(),
            acquire_time: Some(now.clone()),
            renew_time: Some(now),
            lease_transitions: Some(changes.map_or(0, |changes| changes.saturating_add(1))),
            ..LeaseSpec::default()
        }
    }
}

fn holder(lease: &Lease) -> Option<&str> {
    lease.spec.as_ref()?.holder_identity.as_deref().filter(|holder| !holder.is_empty())
}

/// Nobody holds it, or nobody has renewed it for as long as it lasts.
fn is_free(lease: &Lease, seen: &mut Seen, now: Instant) -> bool {
    if holder(lease).is_none() {
        return true;
    }
    if seen.version != lease.metadata.resource_version {
        *seen = Seen { version: lease.metadata.resource_version.clone(), since: now };
    }
    now.duration_since(seen.since) >= DURATION
}

fn won(written: Result<Lease, kube::Error>) -> Result<bool, kube::Error> {
    match written {
        Ok(_) => Ok(true),
        Err(kube::Error::Api(status)) if status.code == 409 => Ok(false),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::ApiServer;

    fn election(server: &ApiServer, identity: &str) -> Election {
        Election::new(server.client(), "barrage", "barrage-operator", identity.to_owned())
    }

    #[tokio::test]
    async fn one_leads_and_another_takes_over_what_is_given_away() {
        let server = ApiServer::default();
        let (a, b) = (election(&server, "a"), election(&server, "b"));
        let (mut seen_a, mut seen_b) = (seen(), seen());
        let now = Instant::now();
        assert!(a.attempt(&mut seen_a, now).await.unwrap());
        assert!(!b.attempt(&mut seen_b, now).await.unwrap());
        assert!(a.renew().await.unwrap());
        a.release().await;
        assert!(b.attempt(&mut seen_b, now).await.unwrap());
        assert!(!a.renew().await.unwrap());
    }

    #[tokio::test]
    async fn a_lease_that_nobody_renews_is_free_by_the_clock_of_who_looks() {
        let server = ApiServer::default();
        let (a, b) = (election(&server, "a"), election(&server, "b"));
        let (mut seen_b, start) = (seen(), Instant::now());
        assert!(a.attempt(&mut seen(), start).await.unwrap());
        assert!(!b.attempt(&mut seen_b, start).await.unwrap());
        assert!(!b.attempt(&mut seen_b, start + DURATION - RETRY).await.unwrap());
        assert!(a.renew().await.unwrap());
        assert!(!b.attempt(&mut seen_b, start + DURATION).await.unwrap());
        assert!(b.attempt(&mut seen_b, start + 2 * DURATION).await.unwrap());
        assert!(!a.renew().await.unwrap());
    }

    fn seen() -> Seen {
        Seen { version: None, since: Instant::now() }
    }
}
