//! A collector of traces: takes OTLP over HTTP and keeps the spans, for tests.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
};

use axum::{Router, body::Bytes, extract::State, http::StatusCode, routing::post};
use opentelemetry_proto::tonic::{
    collector::trace::v1::{ExportTraceServiceRequest, ExportTraceServiceResponse},
    common::v1::any_value,
    resource::v1::Resource,
};
use prost::Message;
use tokio::{net::TcpListener, task::JoinHandle};

/// A span, as far as tests ask.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Span {
    /// `service.instance.id` of the process that made it.
    pub process: String,
    pub name: String,
    /// Trace ID.
    pub trace: Vec<u8>,
    pub id: Vec<u8>,
    /// The ID of the span that it follows; empty when it begins the trace.
    pub parent: Vec<u8>,
}

type Spans = Arc<Mutex<Vec<Span>>>;

/// Listens until it is dropped.
pub struct Collector {
    address: SocketAddr,
    spans: Spans,
    serving: JoinHandle<()>,
}

impl Collector {
    /// Listens on a free port of the loopback.
    ///
    /// # Errors
    /// When there is none.
    pub async fn start() -> std::io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let (address, spans) = (listener.local_addr()?, Spans::default());
        let router = Router::new().route("/v1/traces", post(take)).with_state(Arc::clone(&spans));
        let serving = tokio::spawn(async move {
            if let Err(error) = axum::serve(listener, router).await {
                eprintln!("the collector ended: {error}");
            }
        });
        Ok(Self { address, spans, serving })
    }

    #[must_use]
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    /// All spans that came so far.
    #[must_use]
    pub fn spans(&self) -> Vec<Span> {
        self.spans.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Drop for Collector {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

async fn take(State(spans): State<Spans>, body: Bytes) -> Result<Vec<u8>, StatusCode> {
    let request = ExportTraceServiceRequest::decode(body).map_err(|_| StatusCode::BAD_REQUEST)?;
    let mut kept = spans.lock().unwrap_or_else(PoisonError::into_inner);
    for of_resource in request.resource_spans {
        let process = instance(of_resource.resource.as_ref());
        for span in of_resource.scope_spans.into_iter().flat_map(|scope| scope.spans) {
            let (name, trace, id, parent) = (span.name, span.trace_id, span.span_id, span.parent_span_id);
            kept.push(Span { process: process.clone(), name, trace, id, parent });
        }
    }
    Ok(ExportTraceServiceResponse::default().encode_to_vec())
}

fn instance(resource: Option<&Resource>) -> String {
    let attributes = resource.into_iter().flat_map(|resource| &resource.attributes);
    let mut ids = attributes.filter(|attribute| attribute.key == "service.instance.id");
    match ids.next().and_then(|id| id.value.as_ref()?.value.as_ref()) {
        Some(any_value::Value::StringValue(id)) => id.clone(),
        _ => String::new(),
    }
}
