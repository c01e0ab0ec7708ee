//! One exchange over HTTP for a caller who blocks, on the client that the server calls others with. A thread here has the
//! runtime, so a caller may be anywhere, inside of another runtime as well.

use std::{
    error::Error,
    io,
    sync::{LazyLock, mpsc},
};

use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use tokio::{
    runtime::{Builder, Runtime},
    time::timeout,
};

use super::TIMEOUT;

/// Longer than any answer that is asked for.
const ANSWER_BYTES_MAX: usize = 64 * 1024 * 1024;

static RUNTIME: LazyLock<io::Result<Runtime>> =
    LazyLock::new(|| Builder::new_multi_thread().worker_threads(1).thread_name("http").enable_all().build());

type Failure = Box<dyn Error + Send + Sync>;

/// Clones share connections.
#[derive(Debug, Clone)]
pub(super) struct Exchanges(Client<HttpConnector, Full<Bytes>>);

impl Exchanges {
    pub(super) fn new() -> Self {
        Self(Client::builder(TokioExecutor::new()).build_http())
    }

    /// Sends a request and waits for all of the answer, for [`TIMEOUT`] at the most.
    pub(super) fn exchange(&self, request: http::Request<Full<Bytes>>) -> Result<http::Response<Bytes>, Failure> {
        let runtime = RUNTIME.as_ref().map_err(ToString::to_string)?;
        let (done, answer) = mpsc::sync_channel(1);
        let answered = within_time(self.0.clone(), request);
        runtime.spawn(async move { done.send(answered.await) });
        answer.recv()?
    }
}

async fn within_time(
    client: Client<HttpConnector, Full<Bytes>>,
    request: http::Request<Full<Bytes>>,
) -> Result<http::Response<Bytes>, Failure> {
    let whole = async {
        let (head, body) = client.request(request).await?.into_parts();
        let body = Limited::new(body, ANSWER_BYTES_MAX).collect().await?;
        Ok(http::Response::from_parts(head, body.to_bytes()))
    };
    timeout(TIMEOUT, whole).await.unwrap_or_else(|_| Err(format!("no answer within {TIMEOUT:?}").into()))
}

/// Whether nobody listens there.
pub(super) fn is_refused(failure: &Failure) -> bool {
    let mut cause: Option<&dyn Error> = Some(failure.as_ref());
    while let Some(error) = cause {
        if error.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::ConnectionRefused) {
            return true;
        }
        cause = error.source();
    }
    false
}
