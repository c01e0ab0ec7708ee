//! How a session begins: both sides say who they are, and each decides whether it wants the other.

use barrage_proto::link::{Hello, hello::Role};
use quinn::{Connection, ConnectionError, SendStream, WriteError};
use rustls::{
    client::verify_server_name,
    pki_types::{CertificateDer, ServerName},
    server::ParsedCertificate,
};
use thiserror::Error;

use super::{Code, LINK_NAME, Local, close, ending, metrics::Caller, pump::Messages};
use crate::link::{
    Peer,
    codec::{Malformed, alone},
};

/// Bytes of a peer's name: that of a host, at the most (RFC 1035).
const NAME_BYTES_MAX: usize = 253;

/// A connection on which both sides have said who they are.
pub(super) struct Link {
    pub(super) connection: Connection,
    pub(super) stream: SendStream,
    pub(super) messages: Messages,
}

/// A connection that becomes no session.
#[derive(Debug, Error)]
pub(super) enum HelloError {
    #[error("{}", ending(.0))]
    Lost(#[from] ConnectionError),
    #[error("it does not listen: {0}")]
    Write(#[from] WriteError),
    #[error(transparent)]
    Malformed(#[from] Malformed),
    /// In words for both sides.
    #[error("{0}")]
    Stranger(String),
}

impl HelloError {
    /// Closes the connection, with the reason.
    pub(super) fn tell(&self, connection: &Connection) {
        let code = if matches!(self, Self::Stranger(_)) { Code::Stranger } else { Code::Malformed };
        close(connection, code, &self.to_string());
    }
}

/// The side that dialled: says who it is, and hears whether that is the ranker it meant.
pub(super) async fn greet(
    connection: Connection,
    local: &Local,
    caller: Caller,
    ranker: &str,
) -> Result<Link, HelloError> {
    let (mut stream, incoming) = connection.open_bi().await?;
    let mut messages = Messages::new(incoming, local.metrics.received.clone());
    let role = match caller {
        Caller::Consumer => Role::Consumer,
        Caller::Gateway => Role::Gateway,
    };
    say(&mut stream, local, role).await?;
    let hello = hear(&connection, &mut messages).await?;
    if hello.role() != Role::Ranker || hello.name != ranker {
        let Hello { name, .. } = &hello;
        let stranger = format!("this address was given as that of ranker {ranker}, but {name} answers; see the routes");
        return Err(HelloError::Stranger(stranger));
    }
    same_pool(&hello, local)?;
    Ok(Link { connection, stream, messages })
}

/// The side that was dialled: hears who calls, and says who it is.
pub(super) async fn welcome(connection: Connection, local: &Local) -> Result<(Link, Caller, Peer), HelloError> {
    certified(&connection)?;
    let (mut stream, incoming) = connection.accept_bi().await?;
    let mut messages = Messages::new(incoming, local.metrics.received.clone());
    let hello = hear(&connection, &mut messages).await?;
    same_pool(&hello, local)?;
    let caller = match hello.role() {
        Role::Consumer => Caller::Consumer,
        Role::Gateway => Caller::Gateway,
        Role::Ranker | Role::Unspecified => {
            return Err(HelloError::Stranger("a ranker is called by consumers and gateways alone".into()));
        }
    };
    if !matches!(hello.name.len(), 1..=NAME_BYTES_MAX) {
        let stranger = format!("a peer's name has 1 to {NAME_BYTES_MAX} bytes, this one has {}", hello.name.len());
        return Err(HelloError::Stranger(stranger));
    }
    say(&mut stream, local, Role::Ranker).await?;
    Ok((Link { connection, stream, messages }, caller, hello.name.into()))
}

async fn say(stream: &mut SendStream, local: &Local, role: Role) -> Result<(), HelloError> {
    let hello = Hello { role: role.into(), name: local.name.to_string(), pool: local.pool.clone() };
    Ok(stream.write_chunk(alone(&hello)).await?)
}

async fn hear(connection: &Connection, messages: &mut Messages) -> Result<Hello, HelloError> {
    match messages.next().await? {
        Some(hello) => Ok(hello),
        None => Err(connection.closed().await.into()),
    }
}

fn same_pool(hello: &Hello, local: &Local) -> Result<(), HelloError> {
    if hello.pool == local.pool {
        return Ok(());
    }
    let (Hello { name, pool, .. }, Local { name: us, pool: ours, .. }) = (hello, local);
    Err(HelloError::Stranger(format!("{name} is of pool {pool}, {us} is of pool {ours}; links stay within a pool")))
}

/// rustls checks a server's name, and of a client only who signed it.
fn certified(connection: &Connection) -> Result<(), HelloError> {
    let certificates = connection.peer_identity().and_then(|chain| chain.downcast::<Vec<CertificateDer<'_>>>().ok());
    let carries_name = certificates.is_some_and(|chain| {
        let parsed = chain.first().and_then(|leaf| ParsedCertificate::try_from(leaf).ok());
        let name = ServerName::try_from(LINK_NAME).ok();
        parsed.zip(name).is_some_and(|(parsed, name)| verify_server_name(&parsed, &name).is_ok())
    });
    if carries_name {
        return Ok(());
    }
    Err(HelloError::Stranger(format!("the caller's certificate does not carry the DNS name {LINK_NAME}")))
}
