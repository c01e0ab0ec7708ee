//! The certificates by which a pool's processes know each other: an authority of the pool's own, and one certificate that
//! all pods show. Both are replaced long before they end, and pods read what is new without a restart.
//!
//! A new authority is trusted first and signs later: pods take a minute to see a changed Secret, and one that shows a
//! certificate which another does not know yet would be shut out.

use std::collections::BTreeMap;

use barrage_core::link::quic::authority::{Authority, Pair, not_after};
use base64::{Engine, engine::general_purpose::STANDARD};
use k8s_openapi::{api::core::v1::Secret, jiff::Timestamp};
use serde_json::json;
use time::{Duration, OffsetDateTime};

use super::{
    names::{metadata, names},
    validate::Blueprint,
};
use crate::{
    apply::{self, Child},
    context::Context,
    problem::{Problem, Reason},
};

const AUTHORITY_DAYS: i64 = 10 * 365;
/// A new authority is made when the old one has so long left.
const AUTHORITY_LEFT: Duration = Duration::days(365);
const LEAF_DAYS: i64 = 90;
/// A third of its time is left for whatever keeps an operator from working.
const LEAF_LEFT: Duration = Duration::days(LEAF_DAYS / 3);
/// Until every pod trusts a new authority: a kubelet looks about once a minute.
const SETTLE: Duration = Duration::minutes(10);

type Data = BTreeMap<String, String>;

/// Keeps both Secrets as they should be; gives when the certificate ends, RFC 3339.
///
/// # Errors
/// The API server refuses, or a Secret holds what is none of the operator's.
pub(crate) async fn keep(ctx: &Context, blueprint: &Blueprint) -> Result<String, Problem> {
    let names = names(&blueprint.name);
    let (authority, links) = (names.link_authority(), names.links());
    let now = OffsetDateTime::from_unix_timestamp(ctx.now().as_second()).unwrap_or(OffsetDateTime::UNIX_EPOCH);
    let stored = read(ctx, &blueprint.namespace, &authority).await?;
    let wanted = renewed_authority(&stored, now)?;
    write(ctx, blueprint, &authority, &stored, &wanted).await?;
    let stored = read(ctx, &blueprint.namespace, &links).await?;
    // Who made the authority first counts, if that was somebody else a moment ago.
    let authority = read(ctx, &blueprint.namespace, &authority).await?;
    let wanted = renewed_links(&stored, &authority, now)?;
    write(ctx, blueprint, &links, &stored, &wanted).await?;
    let end = wanted.get("cert.pem").and_then(|pem| not_after(pem)).and_then(|end| Timestamp::from_second(end).ok());
    Ok(end.map(|end| end.to_string()).unwrap_or_default())
}

/// The authority's Secret as it should be. Pure but for the randomness of a new key.
fn renewed_authority(stored: &Data, now: OffsetDateTime) -> Result<Data, Problem> {
    let old = stored.get("ca.pem").zip(stored.get("ca-key.pem"));
    let left = old.and_then(|(certificate, _)| left(certificate, now));
    if left.is_some_and(|left| left > AUTHORITY_LEFT) {
        return Ok(stored.clone());
    }
    let (_, pair) = Authority::make(now, AUTHORITY_DAYS).map_err(|error| broken(&error))?;
    let mut wanted = Data::from([("ca.pem".to_owned(), pair.certificate), ("ca-key.pem".to_owned(), pair.key)]);
    if let Some((certificate, _)) = old {
        wanted.insert("previous.pem".to_owned(), certificate.clone());
    }
    Ok(wanted)
}

/// The pods' Secret as it should be, by the authority's.
fn renewed_links(stored: &Data, authority: &Data, now: OffsetDateTime) -> Result<Data, Problem> {
    let of = |name: &str| authority.get(name).cloned().unwrap_or_default();
    let pair = Pair { certificate: of("ca.pem"), key: of("ca-key.pem") };
    let previous = authority.get("previous.pem").filter(|pem| left(pem, now).is_some_and(|left| left > Duration::ZERO));
    let trusted = format!("{}{}", pair.certificate, previous.map_or("", String::as_str));
    let leaf_left = stored.get("cert.pem").and_then(|pem| left(pem, now)).unwrap_or(Duration::ZERO);
    let made = left(&pair.certificate, now).map_or(Duration::ZERO, |left| Duration::days(AUTHORITY_DAYS) - left);
    let of_this_authority = stored.get("signed-by.pem") == Some(&pair.certificate);
    // Where nobody is known by anybody, there is nothing to wait for.
    let settled = made >= SETTLE || leaf_left <= Duration::ZERO;
    if leaf_left > LEAF_LEFT && (of_this_authority || !settled) {
        let mut wanted = stored.clone();
        wanted.insert("ca.pem".to_owned(), trusted);
        return Ok(wanted);
    }
    let leaf = Authority::read(&pair).and_then(|authority| authority.issue(now, LEAF_DAYS));
    let leaf = leaf.map_err(|error| broken(&error))?;
    Ok(Data::from([
        ("ca.pem".to_owned(), trusted),
        ("cert.pem".to_owned(), leaf.certificate),
        ("key.pem".to_owned(), leaf.key),
        ("signed-by.pem".to_owned(), pair.certificate),
    ]))
}

fn left(pem: &str, now: OffsetDateTime) -> Option<Duration> {
    not_after(pem).map(|end| Duration::seconds(end - now.unix_timestamp()))
}

fn broken(error: &impl std::fmt::Display) -> Problem {
    Problem::new(
        Reason::SecretInvalid,
        format!("the Secret with the authority of links cannot be used: {error}. Delete it, and a new one is made"),
    )
}

async fn read(ctx: &Context, namespace: &str, name: &str) -> Result<Data, Problem> {
    let secret = apply::secret(ctx, namespace, name).await?;
    let data = secret.and_then(|secret| secret.data).unwrap_or_default();
    Ok(data.into_iter().filter_map(|(key, value)| Some((key, String::from_utf8(value.0).ok()?))).collect())
}

async fn write(ctx: &Context, blueprint: &Blueprint, name: &str, stored: &Data, wanted: &Data) -> Result<(), Problem> {
    if stored == wanted {
        return Ok(());
    }
    let data: BTreeMap<_, _> = wanted.iter().map(|(key, text)| (key, STANDARD.encode(text))).collect();
    let object = json!({"metadata": metadata(blueprint, name, None), "type": "Opaque", "data": data});
    let child = Child::of::<Secret>(object);
    if stored.is_empty() { apply::create(ctx, &child).await } else { apply::apply(ctx, &child).await.map(drop) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(days: i64) -> OffsetDateTime {
        OffsetDateTime::UNIX_EPOCH + Duration::days(20_000 + days)
    }

    fn first() -> (Data, Data) {
        let authority = renewed_authority(&Data::new(), at(0)).unwrap();
        let links = renewed_links(&Data::new(), &authority, at(0)).unwrap();
        (authority, links)
    }

    #[test]
    fn what_is_good_stays_and_a_certificate_is_replaced_with_a_third_of_its_time_left() {
        let (authority, links) = first();
        assert_eq!(renewed_authority(&authority, at(59)).unwrap(), authority);
        assert_eq!(renewed_links(&links, &authority, at(59)).unwrap(), links);
        let later = renewed_links(&links, &authority, at(60)).unwrap();
        assert_ne!(later["cert.pem"], links["cert.pem"]);
        assert_eq!(later["ca.pem"], links["ca.pem"]);
        assert_eq!(not_after(&later["cert.pem"]), Some(at(150).unix_timestamp()));
    }

    #[test]
    fn a_new_authority_is_trusted_before_it_signs() {
        let (authority, _) = first();
        let day = AUTHORITY_DAYS - 365;
        let links = renewed_links(&Data::new(), &authority, at(day)).unwrap();
        let new = renewed_authority(&authority, at(day)).unwrap();
        assert_ne!(new["ca.pem"], authority["ca.pem"]);
        assert_eq!(new["previous.pem"], authority["ca.pem"]);
        let trusting = renewed_links(&links, &new, at(day)).unwrap();
        assert_eq!(trusting["cert.pem"], links["cert.pem"]);
        assert_eq!(trusting["ca.pem"], format!("{}{}", new["ca.pem"], authority["ca.pem"]));
        let signed = renewed_links(&trusting, &new, at(day) + SETTLE).unwrap();
        assert_ne!(signed["cert.pem"], links["cert.pem"]);
        assert_eq!(signed["ca.pem"], trusting["ca.pem"]);
        // The old one is trusted until it ends.
        let alone = renewed_links(&signed, &new, at(AUTHORITY_DAYS)).unwrap();
        assert_eq!(alone["ca.pem"], new["ca.pem"]);
    }

    #[test]
    fn what_has_ended_is_replaced_at_once_and_what_is_damaged_is_named() {
        let (mut authority, links) = first();
        let late = renewed_links(&links, &authority, at(200)).unwrap();
        assert_ne!(late["cert.pem"], links["cert.pem"]);
        authority.insert("ca-key.pem".to_owned(), "nonsense".to_owned());
        let problem = renewed_links(&Data::new(), &authority, at(0)).unwrap_err();
        assert_eq!(problem.reason, Reason::SecretInvalid);
    }
}
