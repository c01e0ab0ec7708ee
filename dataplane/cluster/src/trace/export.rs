//! Brings finished spans to a collector: OTLP over HTTP, protobuf, from a thread of its own. A collector that is slow or
//! away costs spans and nothing else: what waits is bounded, and what does not fit is dropped.

use std::{io::Read, time::Duration};

use async_trait::async_trait;
use opentelemetry_http::{Bytes, HttpClient, HttpError, Request, Response};
use opentelemetry_otlp::{SpanExporter, WithExportConfig, WithHttpConfig};
use opentelemetry_sdk::{
    Resource,
    trace::{BatchConfigBuilder, BatchSpanProcessor, SdkTracerProvider},
};

use super::{Resource as Process, TraceError};

/// How long a collector may take to answer.
const TIMEOUT: Duration = Duration::from_secs(5);
/// How long a span waits for others.
const DELAY: Duration = Duration::from_secs(1);
/// Spans that wait at the most; more are dropped.
const QUEUE: usize = 4_096;
/// Of an answer that nobody reads to its end.
const ANSWER_BYTES_MAX: u64 = 64 * 1024;

/// A provider whose spans go to `endpoint`, `http://host:4318` for example.
pub(super) fn provider(endpoint: &str, process: &Process) -> Result<SdkTracerProvider, TraceError> {
    let agent = ureq::Agent::config_builder().timeout_global(Some(TIMEOUT)).http_status_as_error(false).build();
    let exporter = SpanExporter::builder()
        .with_http()
        .with_http_client(Client(agent.into()))
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

/// Blocks, which only the exporter's thread notices.
#[derive(Debug)]
struct Client(ureq::Agent);

#[async_trait]
impl HttpClient for Client {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let (head, body) = request.into_parts();
        let answer = self.0.run(Request::from_parts(head, &body[..]))?;
        let (head, body) = answer.into_parts();
        let mut bytes = Vec::new();
        body.into_reader().take(ANSWER_BYTES_MAX).read_to_end(&mut bytes)?;
        Ok(Response::from_parts(head, bytes.into()))
    }
}
