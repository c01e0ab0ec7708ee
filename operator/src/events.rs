//! Events: what `kubectl describe` shows happened to an object. One for each change of a condition, none for what stays.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::{
    Resource,
    runtime::events::{Event, EventType},
};

use crate::{context::Context, problem::Reason};

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
        let warns = !good && condition.type_ != "Progressing";
        say(ctx, object, warns, &condition.reason, &condition.type_, note(condition)).await;
    }
}

/// Warns of what no condition can say, because the object is about to go.
pub async fn warn<K: Resource<DynamicType = ()>>(ctx: &Context, object: &K, reason: Reason, what: &str) {
    tracing::warn!(object = object.meta().name, reason = reason.as_str(), what);
    say(ctx, object, true, reason.as_str(), "Delete", what.to_owned()).await;
}

async fn say<K: Resource<DynamicType = ()>>(
    ctx: &Context,
    object: &K,
    warns: bool,
    reason: &str,
    action: &str,
    note: String,
) {
    let event = Event {
        type_: if warns { EventType::Warning } else { EventType::Normal },
        reason: reason.to_owned(),
        note: Some(note),
        action: action.to_owned(),
        secondary: None,
    };
    ctx.metrics.wrote("event");
    if let Err(error) = ctx.recorder.publish(&event, &object.object_ref(&())).await {
        ctx.metrics.api_error("event", &error);
        tracing::warn!(%error, "an event could not be published");
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
