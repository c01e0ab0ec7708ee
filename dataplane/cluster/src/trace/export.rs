//! Brings finished spans to a collector: OTLP over HTTP, protobuf, from a thread of its own. A collector that is slow or
//! away costs spans and nothing else: what waits is bounded, and what does not fit is dropped.

use std::{pin::Pin, time::Duration};

use opentelemetry_http::{Bytes, HttpClient as Exchange, HttpError, Request, Response};
use opentelemetry_otlp::{SpanExporter, WithExportConfig, WithHttpConfig};
use opentelemetry_sdk::{
    Resource,
    trace::{BatchConfigBuilder, BatchSpanProcessor, SdkTracerProvider},
};
use tokio::{runtime::Handle, time::timeout};

use super::{Resource as Process, TraceError};
use barrage_core::http_client::{self, HttpClient};

const TIMEOUT: Duration = Duration::from_secs(5);
const DELAY: Duration = Duration::from_secs(1);
/// Spans that wait at the most; more are dropped.
const QUEUE: usize = 4_096;
/// Of an answer, which says little.
const ANSWER_BYTES_MAX: usize = 64 * 1024;

/// A provider whose spans go to `endpoint`, `http://host:4318` for example, by means of the runtime that this is called in.
pub(super) fn provider(endpoint: &str, process: &Process) -> Result<SdkTracerProvider, TraceError> {
    let exporter = SpanExporter::builder()
        .with_http()
        .with_http_client(Client { http: HttpClient::new(1), runtime: Handle::current() })
        .with_endpoint(format!("{}/v1/traces", endpoint.trim_end_matches('/')))
        .with_timeout(TIMEOUT)
        .build()
        .map_err(|error| TraceError(error.to_string()))?;
    let batch = BatchConfigBuilder::default().with_max_queue_size(QUEUE).with_scheduled_delay(DELAY).build();
    let processor = BatchSpanProcessor::builder(exporter).with_batch_config(batch).build();
    let Process { role, name, pool } = process;
    let resource = Resource::builder()
        .with_service_name(format!("barrage-{role}"))
        .with_attributes([
            opentelemetry::KeyValue::new("service.instance.id", name.clone()),
            opentelemetry::KeyValue::new("service.namespace", pool.clone()),
            opentelemetry::KeyValue::new("service.version", env!("CARGO_PKG_VERSION")),
        ])
        .build();
    Ok(SdkTracerProvider::builder().with_span_processor(processor).with_resource(resource).build())
}

/// The exporter's thread has no runtime, so exchanges are done in the process's.
#[derive(Debug)]
struct Client {
    http: HttpClient,
    runtime: Handle,
}

impl Exchange for Client {
    fn send_bytes<'a, 'b>(
        &'a self,
        request: Request<Bytes>,
    ) -> Pin<Box<dyn Future<Output = Result<Response<Bytes>, HttpError>> + Send + 'b>>
    where
        'a: 'b,
        Self: 'b,
    {
        let http = self.http.clone();
        // In the runtime, or the time limit has no clock.
        let done = self.runtime.spawn(async move {
            let exchanged = timeout(TIMEOUT, async move {
                let (head, body) = http.send(request.map(Into::into)).await?.into_parts();
                Ok(Response::from_parts(head, http_client::read(body, ANSWER_BYTES_MAX).await?))
            });
            exchanged.await?
        });
        Box::pin(async { done.await? })
    }
}
