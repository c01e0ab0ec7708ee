//! Who is let in, who is not, and who gets to know why.

use quinn::{ClientConfig, Endpoint, crypto::rustls::QuicClientConfig};
use rustls::{RootCertStore, version::TLS13};

use super::*;

#[tokio::test]
async fn a_caller_without_a_certificate_is_refused() {
    let authority = Authority::new();
    let ranker = Ranker::start(authority.local("ranker-0").await, 0).unwrap();
    let lines = Lines::about(&ranker);
    let mut roots = RootCertStore::empty();
    roots.add(authority.issuer.der().clone()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut tls = rustls::ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&TLS13])
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    tls.alpn_protocols = vec![ALPN.to_vec()];
    let config = ClientConfig::new(Arc::new(QuicClientConfig::try_from(tls).unwrap()));
    let endpoint = Endpoint::client((Ipv4Addr::LOCALHOST, 0).into()).unwrap();
    let connecting = endpoint.connect_with(config, ranker.address, LINK_NAME).unwrap();
    // TLS 1.3 lets a client believe for a moment that it is in.
    let error = match soon(connecting).await {
        Ok(connection) => soon(connection.closed()).await,
        Err(error) => error,
    };
    assert!(error.to_string().contains("certificate"), "{error}");
    lines.say(&["a caller is refused", "no certificates"]).await;
}

#[tokio::test]
async fn peers_of_another_authority_refuse_each_other() {
    let (ours, theirs) = (Authority::new(), Authority::new());
    let ranker = Ranker::start(ours.local("ranker-0").await, 0).unwrap();
    let lines = Lines::about(&ranker);
    let dialler = consumer(theirs.local("consumer-0").await, ranker.address);
    lines.say(&["no link to the ranker", "invalid peer certificate"]).await;
    // A caller that does not look at the ranker's certificate is refused for its own.
    let mixed = tempfile::tempdir().unwrap();
    let files = theirs.write(mixed.path(), LINK_NAME);
    std::fs::write(&files.authority, ours.issuer.pem()).unwrap();
    let other = consumer(local("consumer-1", files).await, ranker.address);
    lines.say(&["a caller is refused", "invalid peer certificate"]).await;
    lines.say(&["no link to the ranker", "aborted by peer"]).await;
    assert!(ranker.callers.is_empty() && dialler.sessions.is_empty() && other.sessions.is_empty());
}

#[tokio::test]
async fn strangers_are_refused_and_told_why() {
    let authority = Authority::new();
    let mut ranker = Ranker::start(authority.local("ranker-0").await, 0).unwrap();
    let lines = Lines::about(&ranker);
    let foreign = Local { pool: "other".into(), ..authority.local("consumer-1").await };
    let foreign = consumer(foreign, ranker.address);
    let reason = "consumer-1 is of pool other, ranker-0 is of pool default";
    lines.say(&["a caller is refused", reason]).await;
    lines.say(&["no link to the ranker", reason]).await;

    let folder = tempfile::tempdir().unwrap();
    let unnamed = local("consumer-2", authority.write(folder.path(), "something.else")).await;
    let unnamed = consumer(unnamed, ranker.address);
    let reason = "does not carry the DNS name barrage-link";
    lines.say(&["a caller is refused", reason]).await;
    lines.say(&["no link to the ranker", reason]).await;

    let mut misled = consumer(authority.local("consumer-3").await, ranker.address);
    drop((misled.session().await, ranker.consumer().await));
    misled.routes("ranker-1", ranker.address);
    let reason = "was given as that of ranker ranker-1, but ranker-0 answers";
    lines.say(&["no link to the ranker", reason]).await;
    assert!(foreign.sessions.is_empty() && unnamed.sessions.is_empty());
}

#[tokio::test]
async fn a_peer_that_cannot_be_understood_is_left_and_told_why() {
    let authority = Authority::new();
    let mut ranker = Ranker::start(authority.local("ranker-0").await, 0).unwrap();
    let lines = Lines::about(&ranker);
    let local = authority.local("consumer-0").await;
    let endpoint = Endpoint::client((Ipv4Addr::LOCALHOST, 0).into()).unwrap();
    let connecting = endpoint.connect_with(local.certificate.client(0), ranker.address, LINK_NAME).unwrap();
    let connection = soon(connecting).await.unwrap();
    let greeted = soon(hello::greet(connection.clone(), &local, metrics::Caller::Consumer, "ranker-0")).await;
    let mut stream = greeted.unwrap().stream;
    let mut session = ranker.consumer().await;
    stream.write_all(&[2, 0xff, 0xff]).await.unwrap();
    let ConnectionError::ApplicationClosed(close) = soon(connection.closed()).await else { panic!("it is not told") };
    assert_eq!(close.error_code, VarInt::from_u32(Code::Malformed as u32));
    lines.say(&["cannot be understood", "bytes that are not the message"]).await;
    assert!(soon(session.candidates.recv()).await.is_none());
}

#[tokio::test]
async fn certificates_are_replaced_while_running() {
    let (old, new) = (Authority::new(), Authority::new());
    let folder = tempfile::tempdir().unwrap();
    let files = old.write(folder.path(), LINK_NAME);
    let mut ranker = Ranker::start(local("ranker-0", files.clone()).await, 0).unwrap();
    let lines = Lines::about(&ranker);
    let mut before = consumer(old.local("consumer-0").await, ranker.address);
    let of_files = Lines(lines.0.clone(), folder.path().display().to_string());
    let (live, _at_ranker) = (before.session().await, ranker.consumer().await);

    std::fs::write(&files.key, "no key").unwrap();
    of_files.say(&["new certificates are not used", "key.pem"]).await;
    let mut still = consumer(old.local("consumer-1").await, ranker.address);
    drop((still.session().await, ranker.consumer().await, still));

    let mut after = consumer(new.local("consumer-2").await, ranker.address);
    lines.say(&["no link to the ranker", "invalid peer certificate"]).await;
    new.write(folder.path(), LINK_NAME);
    let session = after.session().await;
    assert!(!session.candidates.is_closed());
    of_files.say(&["certificates are read anew"]).await;
    assert!(!live.candidates.is_closed(), "a connection that there is stays");
}

#[tokio::test]
async fn what_is_no_identity_is_refused_at_start() {
    let authority = Authority::new();
    let folder = tempfile::tempdir().unwrap();
    let files = authority.write(folder.path(), LINK_NAME);
    let refusal = async |files: &LinkCertificateFiles| {
        let metrics = Metrics::register(&mut Registry::default());
        LinkCertificate::load(files.clone(), metrics).await.err().map(|error| error.to_string()).unwrap_or_default()
    };
    assert_eq!(refusal(&files).await, "");
    let absent = LinkCertificateFiles { key: folder.path().join("absent.pem"), ..files.clone() };
    assert!(refusal(&absent).await.contains("absent.pem"));
    let empty = LinkCertificateFiles { authority: files.key.clone(), ..files.clone() };
    assert!(refusal(&empty).await.contains("no usable certificate"));
    std::fs::write(&files.key, KeyPair::generate().unwrap().serialize_pem()).unwrap();
    assert!(refusal(&files).await.contains("have to belong together"));
}
