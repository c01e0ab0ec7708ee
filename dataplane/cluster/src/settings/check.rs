//! Reads single values and gathers what is wrong with them. `None` means refused, and said so: the caller goes on to
//! the next value, and gives up only at the end.

use std::{
    net::SocketAddr,
    ops::RangeInclusive,
    path::{Path, PathBuf},
    time::Duration,
};

use rustls::pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject};

use super::{refusal::Refusal, value::Value};
use crate::endpoint::{Node, Secret};
use barrage_core::host::Host;

const ADDRESS: &str = "an IP address and a port, like 127.0.0.1:8080 or [::]:8080";
const PEM_CERTIFICATES: &str = "a PEM file with one or more certificates";
const PEM_KEY: &str = "a PEM file with a private key";
const PASSWORD: &str = "a file with one line of text";

/// Values under examination.
pub(super) struct Check<'a> {
    pub(super) refusals: Vec<Refusal>,
    pub(super) host: &'a Host,
}

impl Check<'_> {
    /// Refuses a value that is there.
    pub(super) fn refuse<T>(&mut self, name: &str, value: &Value, allowed: &str) -> Option<T> {
        self.refusals.push(Refusal::new(name, format!("is {value}"), allowed));
        None
    }

    /// Refuses a value that is there for what was found in it.
    pub(super) fn refuse_because<T>(&mut self, name: &str, value: &Value, why: &str, allowed: &str) -> Option<T> {
        self.refusals.push(Refusal::new(name, format!("is {value}: {why}"), allowed));
        None
    }

    /// Refuses what is not there.
    pub(super) fn refuse_absent<T>(&mut self, name: &str, allowed: &str) -> Option<T> {
        self.refusals.push(Refusal::new(name, "is not set", allowed));
        None
    }

    /// Refuses settings that are there without another one that gives them a meaning.
    pub(super) fn refuse_without(&mut self, settings: &[(&str, &Option<Value>)], allowed: &str) {
        for (name, value) in settings {
            if let Some(value) = value {
                self.refuse::<()>(name, value, allowed);
            }
        }
    }

    /// Refuses one of two that only make sense together.
    pub(super) fn together(&mut self, one: (&str, &Option<Value>), other: (&str, &Option<Value>)) {
        let absent = match (one.1, other.1) {
            (Some(_), None) => (other.0, one.0),
            (None, Some(_)) => (one.0, other.0),
            _ => return,
        };
        self.refuse_absent::<()>(absent.0, &format!("a value, because {} is set", absent.1));
    }

    pub(super) fn parse<T>(
        &mut self,
        name: &str,
        value: &Value,
        allowed: &str,
        parse: impl FnOnce(&str) -> Option<T>,
    ) -> Option<T> {
        value.text().and_then(parse).or_else(|| self.refuse(name, value, allowed))
    }

    /// A setting that may be left out.
    pub(super) fn parse_if_set<T>(
        &mut self,
        name: &str,
        value: &Option<Value>,
        allowed: &str,
        parse: impl FnOnce(&str) -> Option<T>,
    ) -> Option<Option<T>> {
        match value {
            Some(value) => self.parse(name, value, allowed, parse).map(Some),
            None => Some(None),
        }
    }

    pub(super) fn number(&mut self, name: &str, value: &Value, range: RangeInclusive<usize>) -> Option<usize> {
        let allowed = match (range.start(), *range.end()) {
            (start, usize::MAX) => format!("a whole number from {start}"),
            (start, end) => format!("a whole number from {start} to {end}"),
        };
        self.parse(name, value, &allowed, |text| text.parse().ok().filter(|number| range.contains(number)))
    }

    pub(super) fn seconds(&mut self, name: &str, value: &Value, range: RangeInclusive<usize>) -> Option<Duration> {
        self.number(name, value, range).and_then(|s| u64::try_from(s).ok()).map(Duration::from_secs)
    }

    pub(super) fn truth(&mut self, name: &str, value: &Value) -> Option<bool> {
        self.parse(name, value, "true or false", |text| text.parse().ok())
    }

    pub(super) fn address(&mut self, name: &str, value: &Value) -> Option<SocketAddr> {
        self.parse(name, value, ADDRESS, |text| text.parse().ok())
    }

    pub(super) fn address_if_set(&mut self, name: &str, value: &Option<Value>) -> Option<Option<SocketAddr>> {
        self.parse_if_set(name, value, ADDRESS, |text| text.parse().ok())
    }

    pub(super) fn items<T>(
        &mut self,
        name: &str,
        value: &Value,
        allowed: &str,
        parse: impl Fn(&str) -> Option<T>,
    ) -> Option<Vec<T>> {
        let parsed = value.items().and_then(|items| items.into_iter().map(parse).collect());
        parsed.or_else(|| self.refuse(name, value, allowed))
    }

    pub(super) fn nodes(&mut self, name: &str, value: &Value) -> Option<Vec<Node>> {
        let allowed = "one or more of host:port";
        let nodes = self.items(name, value, allowed, |text| text.parse().ok())?;
        if nodes.is_empty() { self.refuse(name, value, allowed) } else { Some(nodes) }
    }

    pub(super) fn certificates(&mut self, name: &str, value: &Option<Value>) -> Option<Option<PathBuf>> {
        let count = |bytes: &[u8]| CertificateDer::pem_slice_iter(bytes).collect::<Result<Vec<_>, _>>().ok();
        let read = |bytes: &[u8]| count(bytes).filter(|certificates| !certificates.is_empty());
        let file = self.file(name, value, PEM_CERTIFICATES, read)?;
        Some(file.map(|(path, _)| path))
    }

    pub(super) fn private_key(&mut self, name: &str, value: &Option<Value>) -> Option<Option<PathBuf>> {
        let file = self.file(name, value, PEM_KEY, |bytes| PrivateKeyDer::from_pem_slice(bytes).ok())?;
        Some(file.map(|(path, _)| path))
    }

    pub(super) fn password(&mut self, name: &str, value: &Option<Value>) -> Option<Option<Secret>> {
        let file = self.file(name, value, PASSWORD, |bytes| {
            let text = std::str::from_utf8(bytes).ok()?;
            let line = text.strip_suffix('\n').map_or(text, |line| line.strip_suffix('\r').unwrap_or(line));
            (!line.is_empty() && !line.contains(char::is_control)).then(|| Secret::new(line))
        })?;
        Some(file.map(|(_, secret)| secret))
    }

    /// What is in a file, if one is set. Says nothing of the content.
    pub(super) fn file<T>(
        &mut self,
        name: &str,
        value: &Option<Value>,
        allowed: &str,
        read: impl FnOnce(&[u8]) -> Option<T>,
    ) -> Option<Option<(PathBuf, T)>> {
        let Some(value) = value else { return Some(None) };
        let path = value.text().filter(|text| !text.is_empty()).map(Path::new);
        let Some(path) = path else { return self.refuse(name, value, allowed) };
        let problem = match (self.host.read)(path) {
            Ok(bytes) => match read(&bytes) {
                Some(content) => return Some(Some((path.to_owned(), content))),
                None => format!("is {value}, which holds something else"),
            },
            Err(error) => format!("is {value}, which cannot be read: {error}"),
        };
        self.refusals.push(Refusal::new(name, problem, allowed));
        None
    }
}
