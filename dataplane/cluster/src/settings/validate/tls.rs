//! What a gateway serves viewers over TLS and QUIC with.

use std::net::{Ipv4Addr, SocketAddr};

use super::{
    super::{ViewerTls, raw},
    Check,
};
use barrage_core::certificate::{self, CertificateFiles};

const PAIR: &str = "a certificate, and its private key in gateway.tls-key-file";

const LISTEN: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::UNSPECIFIED), 8443);

/// `Some(None)` where nothing is set.
pub(super) fn tls(raw: &raw::Gateway, check: &mut Check) -> Option<Option<ViewerTls>> {
    let listen = check.address_if_set("gateway.tls-listen", &raw.tls_listen);
    let certificate = check.certificates("gateway.tls-cert-file", &raw.tls_cert_file);
    let key = check.private_key("gateway.tls-key-file", &raw.tls_key_file);
    let files = [("gateway.tls-cert-file", &raw.tls_cert_file), ("gateway.tls-key-file", &raw.tls_key_file)];
    match (&raw.tls_cert_file, &raw.tls_key_file) {
        (None, None) if raw.tls_listen.is_some() => {
            for (name, _) in files {
                check.refuse_absent::<()>(name, "a PEM file, because gateway.tls-listen is set");
            }
        }
        _ => check.together(files[0], files[1]),
    }
    let (listen, certificate, key) = (listen?, certificate?, key?);
    let Some((certificate, key)) = certificate.zip(key) else { return Some(None) };
    let certificate = CertificateFiles { certificate, key };
    fit(raw, &certificate, check)?;
    Some(Some(ViewerTls { listen: listen.unwrap_or(LISTEN), certificate }))
}

/// Whether certificate and key go together.
fn fit(raw: &raw::Gateway, files: &CertificateFiles, check: &mut Check) -> Option<()> {
    let read = |path: &std::path::Path| (check.host.read)(path).unwrap_or_default();
    let contents = [read(&files.certificate), read(&files.key)];
    match (certificate::fit(&contents, files), &raw.tls_cert_file) {
        (Ok(()), _) | (_, None) => Some(()),
        (Err(error), Some(value)) => check.refuse_because("gateway.tls-cert-file", value, &error.to_string(), PAIR),
    }
}
