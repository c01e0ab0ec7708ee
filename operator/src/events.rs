//! Events: what `kubectl describe` shows happened to an object. One for each change of a condition, none for what stays.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::{
    Resource,
    runtime::events::{Event, EventType},
};

use crate::context::Context;

/// What an event takes of a note, bytes.
const NOTE_BYTES_MAX: usize = 1_000;

/// Says what is different between two lists of conditions. Where it cannot be said, the conditions still say it.
pub async fn publish<K: Resource<DynamicType = ()>>(ctx: &Context, object: &K, old: &[Condition], new: &[Condition]) {
    for condition in new {
        let before = old.iter().find(|before| before.type_ == condition.type_);
        if !is_news(before, condition) {
            continue;
        }
        let good = (condition.status == "True") == (condition.type_ == "Ready");
        let event = Event {
            type_: if good || condition.type_ == "Progressing" { EventType::Normal } else { EventType::Warning },
            reason: condition.reason.clone(),
            note: Some(note(condition)),
            action: condition.type_.clone(),
            secondary: None,
        };
        ctx.metrics.wrote("event");
        if let Err(error) = ctx.recorder.publish(&event, &object.object_ref(&())).await {
            ctx.metrics.api_error("event", &error);
            tracing::warn!(%error, "an event could not be published");
        }
    }
}

/// A first condition is news when it says that something is wrong, or that all is well.
fn is_news(before: Option<&Condition>, now: &Condition) -> bool {
    match before {
        Some(before) => before.status != now.status || before.reason != now.reason,
        None => now.type_ == "Ready" || now.status == "True",
    }
}

fn note(condition: &Condition) -> String {
    let text = format!("{} is {}: {}", condition.type_, condition.status, condition.message);
    let end = (0..=NOTE_BYTES_MAX.min(text.len())).rev().find(|&end| text.is_char_boundary(end));
    text[..end.unwrap_or_default()].to_owned()
}
