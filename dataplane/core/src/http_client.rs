//! Calls to HTTP services of others: outside moderators, collectors of traces. A pool of connections, no proxy, no
//! redirects, certificates of public authorities. How long a call may take its caller says, by giving up.

use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::body::Incoming;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::{
    client::legacy::{Client, Error, connect::HttpConnector},
    rt::{TokioExecutor, TokioTimer},
};
use thiserror::Error;

/// A connection that nobody uses is kept for this long.
const IDLE: Duration = Duration::from_secs(15);
/// A connection that begins for a caller who has given up is tried for this long.
const CONNECT: Duration = Duration::from_secs(5);
/// Of an answer's head.
const HEAD_BYTES_MAX: usize = 32 * 1024;

/// Clones share connections.
#[derive(Debug, Clone)]
pub struct HttpClient(Client<HttpsConnector<HttpConnector>, Full<Bytes>>);

/// An answer's body cannot be had.
#[derive(Debug, Error)]
pub enum ReadError {
    #[error("the answer is longer than {0} bytes")]
    TooLong(usize),
    #[error("the answer broke off: {0}")]
    Broken(Box<dyn std::error::Error + Send + Sync>),
}

impl HttpClient {
    /// With at most so many idle connections to a host.
    pub fn new(idle_per_host: usize) -> Self {
        let mut connector = HttpConnector::new();
        connector.enforce_http(false);
        connector.set_nodelay(true);
        connector.set_connect_timeout(Some(CONNECT));
        let https = HttpsConnectorBuilder::new().with_webpki_roots().https_or_http().enable_http1();
        let mut client = Client::builder(TokioExecutor::new());
        client.pool_timer(TokioTimer::new()).pool_idle_timeout(IDLE).pool_max_idle_per_host(idle_per_host);
        Self(client.http1_max_buf_size(HEAD_BYTES_MAX).build(https.wrap_connector(connector)))
    }

    /// One call, up to the answer's head. To drop it ends it.
    pub async fn send(&self, request: Request<Full<Bytes>>) -> Result<Response<Incoming>, Error> {
        self.0.request(request).await
    }
}

/// An answer's body, if it is no longer than `bytes_max`.
pub async fn read(body: Incoming, bytes_max: usize) -> Result<Bytes, ReadError> {
    match Limited::new(body, bytes_max).collect().await {
        Ok(body) => Ok(body.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => Err(ReadError::TooLong(bytes_max)),
        Err(error) => Err(ReadError::Broken(error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::{TcpListener, TcpStream},
        time::timeout,
    };

    async fn listen() -> (TcpListener, String) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/path?query", listener.local_addr().unwrap());
        (listener, url)
    }

    fn post(url: &str) -> Request<Full<Bytes>> {
        Request::post(url).body(Full::from("question")).unwrap()
    }

    async fn question(peer: &mut TcpStream) -> String {
        let mut text = String::new();
        while !text.ends_with("question") {
            let mut bytes = [0; 1024];
            let count = peer.read(&mut bytes).await.unwrap();
            assert_ne!(count, 0, "it ended after {text:?}");
            text.push_str(std::str::from_utf8(&bytes[..count]).unwrap());
        }
        text
    }

    #[tokio::test]
    async fn answers_are_read_up_to_their_limit_over_one_connection() {
        let (listener, url) = listen().await;
        let serving = tokio::spawn(async move {
            let mut peer = listener.accept().await.unwrap().0;
            for _ in 0..2 {
                let asked = question(&mut peer).await;
                assert!(asked.starts_with("POST /path?query HTTP/1.1\r\n") && asked.contains("content-length: 8\r\n"));
                // A redirect to nowhere, which nobody follows.
                let answer = b"HTTP/1.1 302 Found\r\nlocation: http://127.0.0.1:1/\r\ncontent-length: 4\r\n\r\nbody";
                peer.write_all(answer).await.unwrap();
            }
            // Longer than its head lets expect it to be.
            question(&mut peer).await;
            peer.write_all(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nlong!\r\n").await.unwrap();
            peer
        });
        let client = HttpClient::new(1);
        for _ in 0..2 {
            let answer = client.send(post(&url)).await.unwrap();
            assert_eq!(answer.status(), 302);
            assert_eq!(read(answer.into_body(), 4).await.unwrap(), "body");
        }
        let answer = client.send(post(&url)).await.unwrap();
        assert!(matches!(read(answer.into_body(), 4).await, Err(ReadError::TooLong(4))));
        serving.await.unwrap();
    }

    #[tokio::test]
    async fn a_call_that_is_given_up_ends_its_connection() {
        let (listener, url) = listen().await;
        let client = HttpClient::new(1);
        let (given_up, mut peer) = tokio::join!(timeout(Duration::from_millis(200), client.send(post(&url))), async {
            let mut peer = listener.accept().await.unwrap().0;
            question(&mut peer).await;
            peer
        });
        assert!(given_up.is_err());
        assert_eq!(peer.read(&mut [0; 1]).await.unwrap(), 0);
    }

    #[tokio::test]
    async fn certificates_of_authorities_that_nobody_knows_are_refused() {
        let (listener, url) = listen().await;
        let own = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
        let key = rustls::pki_types::PrivateKeyDer::try_from(own.signing_key.serialize_der()).unwrap();
        let config = rustls::ServerConfig::builder().with_no_client_auth();
        let config = config.with_single_cert(vec![own.cert.der().clone()], key).unwrap();
        let serving = tokio::spawn(async move {
            let peer = listener.accept().await.unwrap().0;
            tokio_rustls::TlsAcceptor::from(std::sync::Arc::new(config)).accept(peer).await.map(drop)
        });
        let error = HttpClient::new(1).send(post(&url.replace("http:", "https:"))).await.unwrap_err();
        assert!(format!("{error:?}").contains("UnknownIssuer"), "{error:?}");
        assert!(serving.await.unwrap().is_err());
    }
}
