//! Where the server is: `ws://HOST:PORT` as a user types it.

use std::{io, net::ToSocketAddrs};

use thiserror::Error;

use crate::swarm::Target;

/// A server's address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    /// `HOST:PORT`.
    host: String,
}

#[derive(Debug, Error)]
pub enum EndpointError {
    /// It is not of the form that is understood.
    #[error("--url {url:?} is not ws://HOST:PORT; TLS and paths are not spoken here")]
    Form { url: String },
    /// The host has no address.
    #[error("finding the address of {host}: {problem}")]
    Unresolved {
        /// `HOST:PORT`.
        host: String,
        problem: String,
    },
}

impl Endpoint {
    /// Reads `ws://HOST:PORT`, with or without a slash at the end; `http://` will do too. The port may be left out.
    ///
    /// # Errors
    /// [`EndpointError::Form`].
    pub fn parse(url: &str) -> Result<Self, EndpointError> {
        let bad = || EndpointError::Form { url: url.to_owned() };
        let rest = url.strip_prefix("ws://").or_else(|| url.strip_prefix("http://")).ok_or_else(bad)?;
        let host = rest.strip_suffix('/').unwrap_or(rest);
        if host.is_empty() || host.contains(['/', '?', '#', '@', ' ']) {
            return Err(bad());
        }
        let has_port = host.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok());
        let host = if has_port { host.to_owned() } else { format!("{host}:80") };
        Ok(Self { host })
    }

    /// Base URL of the HTTP API.
    #[must_use]
    pub fn http_url(&self) -> String {
        format!("http://{}", self.host)
    }

    /// The resolved target for a room.
    ///
    /// # Errors
    /// [`EndpointError::Unresolved`].
    pub fn target(&self, room: &str) -> Result<Target, EndpointError> {
        let unresolved =
            |problem: io::Error| EndpointError::Unresolved { host: self.host.clone(), problem: problem.to_string() };
        let mut addresses = self.host.to_socket_addrs().map_err(unresolved)?;
        let address = addresses.next().ok_or_else(|| unresolved(io::ErrorKind::NotFound.into()))?;
        Ok(Target { address, host: self.host.clone(), room: room.to_owned(), others: Vec::new() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_usual_forms_are_understood() {
        for (url, host) in [
            ("ws://127.0.0.1:8080", "127.0.0.1:8080"),
            ("ws://[::1]:8080/", "[::1]:8080"),
            ("http://localhost", "localhost:80"),
        ] {
            assert_eq!(Endpoint::parse(url).unwrap().http_url(), format!("http://{host}"));
        }
        let target = Endpoint::parse("ws://127.0.0.1:8080").unwrap().target("demo").unwrap();
        assert_eq!((target.address.port(), target.room.as_str()), (8080, "demo"));
    }

    #[test]
    fn other_forms_are_refused_by_name() {
        for url in ["wss://h:1", "h:1", "ws://", "ws://h:1/v1/rooms", "ws://h:1?x"] {
            assert!(Endpoint::parse(url).unwrap_err().to_string().contains("ws://HOST:PORT"), "{url}");
        }
    }
}
