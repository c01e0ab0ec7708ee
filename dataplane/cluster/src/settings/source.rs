//! Where settings come from: a file below the environment below flags, merged by confique. Names that nobody knows are
//! found here, because a layer would either pass over them or stop at the first.

use std::path::Path;

use confique::{Config, serde::Deserialize};
use toml::{Table, Value as Toml};

use super::{Flags, Role, catalog, raw::Raw, refusal::Refusal};
use barrage_core::host::Host;

type Layer = <Raw as Config>::Layer;

/// Variables that begin like settings and are for something else: other commands, tests and tools.
const OTHER_VARIABLES: [&str; 8] = [
    "BARRAGE_BIN",
    "BARRAGE_CONFIG",
    "BARRAGE_DATA",
    "BARRAGE_KILLS",
    "BARRAGE_LISTEN",
    "BARRAGE_LOG",
    "BARRAGE_RECORDINGS",
    "BARRAGE_URL",
];

/// All sources, merged; what is unknown goes to `refusals`. `None` where a source cannot be read at all.
pub(super) fn read(role: Role, flags: Flags, host: &Host, refusals: &mut Vec<Refusal>) -> Option<Raw> {
    let variables = std::env::vars_os()
        .map(|(name, value)| (name.to_string_lossy().into_owned(), value.to_string_lossy().into_owned()));
    refusals.extend(unknown_variables(variables));
    if role != Role::Gateway && !confique::Layer::is_empty(&flags.settings.gateway) {
        let problem = format!("are no flags of a {role}");
        refusals.push(Refusal::new("--gateway-…", problem, "with `barrage gateway`"));
    }
    let file = match &flags.config {
        Some(path) => file(path, host, refusals)?,
        None => confique::Layer::empty(),
    };
    // Earlier ones win.
    match Raw::builder().preloaded(flags.settings).env().preloaded(file).load() {
        Ok(raw) => Some(raw),
        Err(error) => {
            refusals.push(Refusal::new("the environment", format!("cannot be read: {error:#}"), "text in UTF-8"));
            None
        }
    }
}

fn file(path: &Path, host: &Host, refusals: &mut Vec<Refusal>) -> Option<Layer> {
    let name = path.display().to_string();
    let outcome = (host.read)(path)
        .map_err(|error| format!("cannot be read: {error}"))
        .and_then(|bytes| String::from_utf8(bytes).map_err(|_| "is not in UTF-8".to_owned()));
    match outcome.and_then(|text| layer(&text, refusals)) {
        Ok(layer) => Some(layer),
        Err(problem) => {
            refusals.push(Refusal::new(&name, problem, "a file like the one that `barrage config` prints (TOML)"));
            None
        }
    }
}

/// What a file says, without what is unknown.
pub(super) fn layer(text: &str, refusals: &mut Vec<Refusal>) -> Result<Layer, String> {
    let mut table: Table = text.parse().map_err(|error: toml::de::Error| {
        // The place, not the text: who mistook this file for that of a password would find it in a log.
        let line = error.span().map_or(1, |span| text[..span.start.min(text.len())].matches('\n').count() + 1);
        format!("is not TOML in line {line}: {}", error.message().trim())
    })?;
    refusals.extend(take_unknown_keys(&mut table));
    Layer::deserialize(table).map_err(|error| error.message().to_owned())
}

/// Removes what is no setting, and names it.
fn take_unknown_keys(table: &mut Table) -> Vec<Refusal> {
    let sections: Vec<_> = catalog::sections().into_iter().map(|(name, _)| name).collect();
    let is_in = |names: &[String], name: &str| names.iter().any(|known| known == name);
    let mut refusals = Vec::new();
    let top = keys(None);
    table.retain(|name, value| match value {
        Toml::Table(section) if is_in(&sections, name) => {
            let known = keys(Some(name));
            let allowed = format!("in [{name}], {}", known.join(", "));
            section.retain(|key, _| is_in(&known, key) || refuse(&mut refusals, &format!("{name}.{key}"), &allowed));
            true
        }
        _ if is_in(&sections, name) => {
            refusals.push(Refusal::new(name, "is a value", format!("a section, [{name}]")));
            false
        }
        _ => {
            let allowed = format!("{}, and the sections {}", top.join(", "), sections.join(", "));
            is_in(&top, name) || refuse(&mut refusals, name, &allowed)
        }
    });
    refusals
}

/// Without the value: what somebody wrote under another name may be a secret.
fn refuse(refusals: &mut Vec<Refusal>, name: &str, allowed: &str) -> bool {
    refusals.push(Refusal::new(name, "is not a setting", allowed));
    false
}

fn keys(section: Option<&str>) -> Vec<String> {
    let settings = catalog::settings().into_iter().filter(|setting| setting.section.as_deref() == section);
    settings.map(|setting| setting.key).collect()
}

/// Variables that somebody took for settings.
fn unknown_variables(variables: impl Iterator<Item = (String, String)>) -> Vec<Refusal> {
    let settings = catalog::settings();
    let known = |name: &str| {
        settings.iter().any(|setting| setting.env == name)
            || OTHER_VARIABLES.contains(&name)
            || name.starts_with("BARRAGE_E2E_")
    };
    let mut unknown: Vec<_> = variables
        .filter(|(name, value)| name.starts_with("BARRAGE_") && !known(name) && !is_service_link(name, value))
        .map(|(name, _)| name)
        .collect();
    unknown.sort_unstable();
    let refusals = unknown.iter().map(|name| {
        let section = name.split('_').take(2).collect::<Vec<_>>().join("_") + "_";
        let near: Vec<_> = settings.iter().map(|setting| setting.env).filter(|env| env.starts_with(&section)).collect();
        let allowed =
            if near.is_empty() { "the variables that `barrage config` names".to_owned() } else { near.join(", ") };
        Refusal::new(name, "is not the variable of a setting", allowed)
    });
    refusals.collect()
}

/// Kubernetes gives every pod the addresses of the services of its namespace as variables; those of a service called
/// `barrage-gateway` begin like settings (<https://kubernetes.io/docs/concepts/services-networking/service/>).
fn is_service_link(name: &str, value: &str) -> bool {
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let port = name.rsplit_once("_PORT_").and_then(|(_, rest)| rest.split_once('_'));
    name.ends_with("_SERVICE_HOST")
        || name.contains("_SERVICE_PORT")
        || name.ends_with("_PORT") && value.contains("://")
        || port.is_some_and(|(number, protocol)| {
            is_number(number) && ["TCP", "UDP", "SCTP"].iter().any(|known| protocol.starts_with(known))
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(refusals: &[Refusal]) -> Vec<&str> {
        refusals.iter().map(|refusal| refusal.name.as_str()).collect()
    }

    #[test]
    fn every_unknown_key_is_named_with_its_neighbours_and_without_its_value() {
        let mut refusals = Vec::new();
        let text = "poool = 'x'\nredis = 7\n[kafka]\ntls = true\npassword = 'hunter2'\nca_file = 'x'\n[kafa]\na = 1\n";
        layer(text, &mut refusals).unwrap();
        let mut found = names(&refusals);
        found.sort_unstable();
        assert_eq!(found, ["kafa", "kafka.ca_file", "kafka.password", "poool", "redis"]);
        let said = refusals.iter().map(ToString::to_string).collect::<String>();
        assert!(said.contains("password-file") && said.contains("[redis]") && !said.contains("hunter2"), "{said}");
    }

    #[test]
    fn what_is_not_toml_is_named_by_its_line_and_not_shown() {
        let error = layer("pool = 'a'\npassword = hunter2\n", &mut Vec::new()).unwrap_err();
        assert!(error.contains("line 2") && !error.contains("hunter2"), "{error}");
    }

    #[test]
    fn variables_that_nobody_knows_are_refused_and_those_of_others_are_not() {
        let variables = [
            ("BARRAGE_KAFKA_BROKER", "a:1"),
            ("BARRAGE_KAFKA_BROKERS", "a:1"),
            ("BARRAGE_SHARDS", "2"),
            ("BARRAGE_LOG", "debug"),
            ("BARRAGE_E2E_CACHE", "x"),
            ("BARRAGE_SERVICE_HOST", "10.96.0.7"),
            ("BARRAGE_GATEWAY_SERVICE_PORT_HTTP", "80"),
            ("BARRAGE_GATEWAY_PORT", "tcp://10.96.0.7:80"),
            ("BARRAGE_GATEWAY_PORT_80_TCP_ADDR", "10.96.0.7"),
            ("BARRAGE_GATEWAY_PORT_X_TCP", "10.96.0.7"),
            ("BARRAGE_ADMIN_PORT", "9090"),
            ("HOME", "/"),
        ];
        let refusals = unknown_variables(variables.iter().map(|(name, value)| (name.to_string(), value.to_string())));
        let unknown = ["BARRAGE_ADMIN_PORT", "BARRAGE_GATEWAY_PORT_X_TCP", "BARRAGE_KAFKA_BROKER", "BARRAGE_SHARDS"];
        assert_eq!(names(&refusals), unknown);
        assert_eq!(refusals[0].allowed, "BARRAGE_ADMIN_LISTEN");
        assert!(refusals[2].allowed.starts_with("BARRAGE_KAFKA_BROKERS, "));
    }
}
