//! Servers of a cluster: where one is, and how a client and it know each other.

use std::{fmt, path::PathBuf, str::FromStr};

use barrage_core::certificate::CertificateFiles;

/// A server, as `host:port`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    /// Name or address; an IPv6 address without brackets.
    pub host: String,
    /// Port, above 0.
    pub port: u16,
}

impl FromStr for Node {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let (host, port) = text.rsplit_once(':').ok_or(())?;
        let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
        let valid = match bare {
            Some(address) => address.parse::<std::net::Ipv6Addr>().is_ok(),
            None => !host.is_empty() && host.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._".contains(&byte)),
        };
        let port = port.parse().ok().filter(|&port| port > 0 && valid).ok_or(())?;
        Ok(Self { host: bare.unwrap_or(host).to_owned(), port })
    }
}

impl fmt::Display for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { host, port } = self;
        if host.contains(':') { write!(f, "[{host}]:{port}") } else { write!(f, "{host}:{port}") }
    }
}

/// TLS toward a server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tls {
    /// Authorities that the server's certificate is checked against, PEM; `None` is the system's.
    pub ca_file: Option<PathBuf>,
    pub certificate: Option<CertificateFiles>,
}

/// Text that no log and no error shows.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Box<str>);

impl Secret {
    /// Keeps a text.
    #[must_use]
    pub fn new(text: &str) -> Self {
        Self(text.into())
    }

    /// The text, for whoever has to send it.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(secret)")
    }
}
