//! The viewer page, built by Vite and carried in the binary.

use axum::{
    body::Body,
    response::{IntoResponse, Response},
};
use http::{
    HeaderValue, StatusCode, Uri,
    header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS},
};
use rust_embed::RustEmbed;

use crate::gateway::problem::Problem;

/// Nothing from elsewhere, nothing inline, and no text that becomes markup: with trusted types required and none
/// allowed, browsers refuse `innerHTML` and its kin.
const POLICY: &str = "default-src 'self'; connect-src 'self' ws: wss:; img-src 'self' data:; object-src 'none'; \
     base-uri 'none'; form-action 'self'; frame-ancestors 'self'; require-trusted-types-for 'script'; \
     trusted-types 'none'";
/// Shown by a binary that was built without the page.
const NO_PAGE: &str = "<!doctype html><meta charset=utf-8><title>Barrage</title>\
     <p>Barrage runs, but this binary was built without its page: <code>make web</code>, then build again.";

#[derive(RustEmbed)]
#[folder = "../web/dist"]
#[allow_missing = true]
struct Files;

/// A file of the page.
pub(super) async fn serve(uri: Uri) -> Response {
    let path = match uri.path().trim_start_matches('/') {
        "" => "index.html",
        path => path,
    };
    let mut response = match Files::get(path) {
        Some(file) => {
            let kind = HeaderValue::from_str(file.metadata.mimetype());
            let kind = kind.unwrap_or(HeaderValue::from_static("application/octet-stream"));
            let mut response = Body::from(file.data).into_response();
            response.headers_mut().insert(CONTENT_TYPE, kind);
            // Built files carry a hash in their names; the page that names them does not.
            let cache = if path.starts_with("assets/") { "public, max-age=31536000, immutable" } else { "no-cache" };
            response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static(cache));
            response
        }
        None if path == "index.html" => axum::response::Html(NO_PAGE).into_response(),
        None => return Problem::new(StatusCode::NOT_FOUND, "nothing here").into_response(),
    };
    let headers = response.headers_mut();
    headers.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    response
}
