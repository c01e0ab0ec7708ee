//! TLS of a test's client, which trusts one certificate, or any; and certificates for a test's server.

use std::{fs, io, net::TcpStream, path::Path, sync::Arc};

use rcgen::{CertificateParams, KeyPair};
use rustls::{
    ClientConfig, ClientConnection, DigitallySignedStruct, SignatureScheme, StreamOwned,
    client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature},
    pki_types::{CertificateDer, ServerName, UnixTime},
};

use super::ClientError;

/// A self-signed certificate for 127.0.0.1, in files of a folder.
pub struct Certificate {
    der: Vec<u8>,
    pem: [String; 2],
}

impl Certificate {
    /// Makes one.
    ///
    /// # Errors
    /// What rcgen says.
    pub fn make() -> Result<Self, rcgen::Error> {
        let params = CertificateParams::new(["127.0.0.1".to_owned(), "localhost".to_owned()])?;
        let key = KeyPair::generate()?;
        let certificate = params.self_signed(&key)?;
        Ok(Self { der: certificate.der().to_vec(), pem: [certificate.pem(), key.serialize_pem()] })
    }

    /// The certificate as a client compares it.
    #[must_use]
    pub fn der(&self) -> &[u8] {
        &self.der
    }

    /// Writes `cert.pem` and `key.pem`.
    ///
    /// # Errors
    /// What the system says.
    pub fn write(&self, folder: &Path) -> io::Result<()> {
        let [certificate, key] = &self.pem;
        fs::write(folder.join("key.pem"), key)?;
        fs::write(folder.join("cert.pem"), certificate)
    }

    /// Flags of `barrage dev` that serve it on a port.
    #[must_use]
    pub fn flags(folder: &Path, port: u16) -> Vec<String> {
        let file = |name: &str| folder.join(name).display().to_string();
        let listen = format!("127.0.0.1:{port}");
        ["--tls-listen", &listen, "--tls-cert-file", &file("cert.pem"), "--tls-key-file", &file("key.pem")]
            .map(str::to_owned)
            .to_vec()
    }
}

/// Shakes hands on a TCP connection; `certificate` is the one that has to be shown, DER.
///
/// # Errors
/// [`ClientError::Io`].
pub fn handshake(
    mut stream: TcpStream,
    certificate: Option<&[u8]>,
) -> Result<StreamOwned<ClientConnection, TcpStream>, ClientError> {
    let failed = |source| ClientError::Io { doing: "shaking hands over TLS".to_owned(), source };
    let config = config(certificate).map_err(|error| failed(io::Error::other(error)))?;
    let name = ServerName::from(std::net::IpAddr::from([127, 0, 0, 1]));
    let mut session = ClientConnection::new(Arc::new(config), name).map_err(|error| failed(io::Error::other(error)))?;
    while session.is_handshaking() {
        session.complete_io(&mut stream).map_err(failed)?;
    }
    Ok(StreamOwned::new(session, stream))
}

pub(super) use handshake as connect;

/// TLS that takes one certificate, or any.
pub(super) fn config(certificate: Option<&[u8]>) -> Result<ClientConfig, rustls::Error> {
    let provider = Arc::new(ring::default_provider());
    let trusted = Trusted { certificate: certificate.map(<[u8]>::to_vec), provider: Arc::clone(&provider) };
    let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
    Ok(config.dangerous().with_custom_certificate_verifier(Arc::new(trusted)).with_no_client_auth())
}

#[derive(Debug)]
struct Trusted {
    certificate: Option<Vec<u8>>,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for Trusted {
    fn verify_server_cert(
        &self,
        shown: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        match &self.certificate {
            Some(trusted) if trusted != shown.as_ref() => {
                Err(rustls::Error::General("the server shows another certificate".to_owned()))
            }
            _ => Ok(ServerCertVerified::assertion()),
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signature, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signature, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
