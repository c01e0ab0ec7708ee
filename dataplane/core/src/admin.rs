//! `/livez`, `/readyz` and `/metrics` on a port of their own, which viewers do not reach.

use std::{
    io,
    net::SocketAddr,
    sync::{Arc, PoisonError, RwLock},
};

use axum::{
    Json, Router,
    response::{IntoResponse, Response},
    routing::get,
};
use http::{StatusCode, header::CONTENT_TYPE};
use prometheus_client::registry::Registry;
use thiserror::Error;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::health::Health;

/// Metrics of parts that come one after the other.
pub type SharedRegistry = Arc<RwLock<Registry>>;

/// Health and metrics cannot be served.
#[derive(Debug, Error)]
pub enum AdminError {
    /// The address cannot be had.
    #[error("cannot listen on {address}: {source}. Is something else there? Choose another with --admin-listen")]
    Listen { address: SocketAddr, source: io::Error },
    /// The listening socket broke.
    #[error("cannot serve health and metrics: {0}")]
    Serve(io::Error),
}

/// A bound port.
pub struct Admin {
    address: SocketAddr,
    listener: TcpListener,
}

impl Admin {
    /// Binds an address; port 0 picks a free one.
    ///
    /// # Errors
    /// [`AdminError::Listen`].
    pub async fn bind(address: SocketAddr) -> Result<Self, AdminError> {
        let failed = |source| AdminError::Listen { address, source };
        let listener = TcpListener::bind(address).await.map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        Ok(Self { address, listener })
    }

    /// The address, with the port that was picked.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves until `shutdown`, then at once no more: whoever drains cancels this last.
    ///
    /// # Errors
    /// [`AdminError::Serve`].
    pub async fn run(
        self,
        registry: SharedRegistry,
        health: Health,
        shutdown: CancellationToken,
    ) -> Result<(), AdminError> {
        let served = axum::serve(self.listener, router(registry, health));
        // A client that reads its answer slowly would hold a graceful end up.
        tokio::select! {
            ended = served => ended.map_err(AdminError::Serve),
            () = shutdown.cancelled() => Ok(()),
        }
    }
}

/// The routes; `/readyz` is 503 while a check has failed.
pub fn router(registry: SharedRegistry, health: Health) -> Router {
    Router::new()
        .route("/livez", get(|| async { "ok\n" }))
        .route("/readyz", get(async move || readyz(&health)))
        .route("/metrics", get(async move || metrics(&registry)))
}

fn readyz(health: &Health) -> Response {
    let report = health.report();
    let status = if report.ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, Json(report)).into_response()
}

fn metrics(registry: &SharedRegistry) -> Response {
    let registry = registry.read().unwrap_or_else(PoisonError::into_inner);
    let mut text = String::new();
    match prometheus_client::encoding::text::encode(&mut text, &registry) {
        Ok(()) => {
            ([(CONTENT_TYPE, "application/openmetrics-text; version=1.0.0; charset=utf-8")], text).into_response()
        }
        Err(error) => {
            (StatusCode::INTERNAL_SERVER_ERROR, format!("cannot encode the metrics: {error}\n")).into_response()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::body::{Body, to_bytes};
    use tower::ServiceExt;

    async fn get(router: &Router, path: &str) -> (StatusCode, String) {
        let request = http::Request::get(path).body(Body::empty()).unwrap();
        let response = router.clone().oneshot(request).await.unwrap();
        let status = response.status();
        let body = to_bytes(response.into_body(), 1 << 20).await.unwrap();
        (status, String::from_utf8(body.to_vec()).unwrap())
    }

    #[tokio::test]
    async fn readiness_follows_the_checks() {
        let health = Health::starting(&["kafka"]);
        let mut registry = Registry::default();
        health.register(&mut registry);
        let router = router(Arc::new(RwLock::new(registry)), health.clone());
        let starting = "{\"status\":\"failed\",\"ready\":false,\"checks\":[{\"name\":\"kafka\",\"ok\":false,\"detail\":\"starting\"}]}";
        assert_eq!(get(&router, "/readyz").await, (StatusCode::SERVICE_UNAVAILABLE, starting.to_owned()));
        health.degraded("kafka", "a broker is down");
        let (status, body) = get(&router, "/readyz").await;
        assert!(status == StatusCode::OK && body.contains("a broker is down"), "{status} {body}");
        assert_eq!(get(&router, "/livez").await, (StatusCode::OK, "ok\n".to_owned()));
        let (status, body) = get(&router, "/metrics").await;
        assert!(status == StatusCode::OK && body.ends_with("# EOF\n"), "{status} {body}");
    }

    #[tokio::test]
    async fn it_serves_on_the_port_that_it_names_and_an_address_in_use_is_named() {
        let admin = Admin::bind(([127, 0, 0, 1], 0).into()).await.unwrap();
        let address = admin.address();
        let error = Admin::bind(address).await.err().unwrap().to_string();
        assert!(error.contains(&address.to_string()) && error.contains("--admin-listen"), "{error}");
        let shutdown = CancellationToken::new();
        let running = tokio::spawn(admin.run(SharedRegistry::default(), Health::default(), shutdown.clone()));
        tokio::net::TcpStream::connect(address).await.unwrap();
        shutdown.cancel();
        running.await.unwrap().unwrap();
        assert!(tokio::net::TcpStream::connect(address).await.is_err());
    }
}
