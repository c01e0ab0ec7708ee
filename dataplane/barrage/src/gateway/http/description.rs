//! The OpenAPI 3.1 description, made from what makes the routes: a route cannot be served without being described.

use std::sync::Arc;

use axum::{
    Json, Router,
    http::StatusCode,
    routing::{MethodRouter, get},
};
use schemars::{JsonSchema, SchemaGenerator, generate::SchemaSettings};
use serde_json::{Map, Value, json};

use crate::gateway::{problem::Problem, state::GatewayState};

/// What any request may be answered besides what it asks for.
const ANY: [(StatusCode, &str); 6] = [
    (StatusCode::BAD_REQUEST, "The request is malformed, or a value is out of its range"),
    (StatusCode::UNAUTHORIZED, "The token is missing where one is needed, or not good for the room"),
    (StatusCode::NOT_FOUND, "No such room, or nothing of that name in it"),
    (StatusCode::REQUEST_TIMEOUT, "The request took too long"),
    (StatusCode::TOO_MANY_REQUESTS, "Too many requests; wait as long as `Retry-After` says"),
    (StatusCode::SERVICE_UNAVAILABLE, "The server cannot say or do it now; try again"),
];
/// What a moderator's request may be answered besides.
const MODERATION: [(StatusCode, &str); 1] = [(StatusCode::FORBIDDEN, "The token's role does not allow it")];
/// What a request with a body may be answered besides.
const BODY: [(StatusCode, &str); 2] = [
    (StatusCode::PAYLOAD_TOO_LARGE, "The body is too long"),
    (StatusCode::UNSUPPORTED_MEDIA_TYPE, "The body is not said to be JSON"),
];

/// Routes with their description.
pub(super) struct Described {
    router: Router<Arc<GatewayState>>,
    schemas: SchemaGenerator,
    paths: Map<String, Value>,
}

impl Described {
    pub(super) fn new() -> Self {
        let settings = SchemaSettings::draft2020_12().with(|settings| {
            settings.definitions_path = "/components/schemas".into();
            settings.meta_schema = None;
        });
        Self { router: Router::new(), schemas: settings.into_generator(), paths: Map::new() }
    }

    /// Serves an operation at a path.
    pub(super) fn route(mut self, path: &str, make: impl FnOnce(&mut SchemaGenerator) -> Operation) -> Self {
        let Operation { method, handler, mut description } = make(&mut self.schemas);
        let named = path.split('{').skip(1).filter_map(|rest| rest.split_once('}'));
        let in_path = named
            .map(|(name, _)| json!({ "name": name, "in": "path", "required": true, "schema": { "type": "string" } }));
        if let Some(parameters) = description["parameters"].as_array_mut() {
            parameters.splice(0..0, in_path);
        }
        let operations = self.paths.entry(path.to_owned()).or_insert_with(|| json!({}));
        operations[method] = description;
        self.router = self.router.route(path, handler);
        self
    }

    /// The routes, and one for their description.
    pub(super) fn finish(mut self) -> Router<Arc<GatewayState>> {
        let _ = self.schemas.subschema_for::<Problem>();
        let schemas = self.schemas.take_definitions(true);
        let description = json!({
            "openapi": "3.1.0",
            "info": {
                "title": "Barrage",
                "version": env!("CARGO_PKG_VERSION"),
                "description": "Rooms of live comments: what was said, who says how much, and moderation. 64-bit \
                                integers are decimal strings, times are Unix ms, errors are RFC 9457 problems.",
                "license": { "name": "Apache-2.0", "identifier": "Apache-2.0" },
            },
            "paths": self.paths,
            "components": {
                "schemas": schemas,
                "securitySchemes": { "bearer": { "type": "http", "scheme": "bearer", "bearerFormat": "JWT" } },
            },
        });
        self.router.route("/v1/openapi.json", get(move || std::future::ready(Json(description.clone()))))
    }
}

/// One method of a path.
pub(super) struct Operation {
    method: &'static str,
    handler: MethodRouter<Arc<GatewayState>>,
    description: Value,
}

impl Operation {
    /// A request that is answered with `A`. It needs what watching the room needs.
    pub(super) fn new<A: JsonSchema>(
        schemas: &mut SchemaGenerator,
        method: &'static str,
        handler: MethodRouter<Arc<GatewayState>>,
        summary: &str,
    ) -> Self {
        let content = json!({ "application/json": { "schema": schemas.subschema_for::<A>() } });
        let description = json!({
            "summary": summary,
            "parameters": [],
            "responses": { "200": { "description": "As asked", "content": content } },
            "security": [{}, { "bearer": [] }],
        });
        Self { method, handler, description }.refused(&ANY)
    }

    /// The answer is no JSON but of these types.
    pub(super) fn of_types(mut self, types: &[&str]) -> Self {
        let content = types.iter().map(|of| ((*of).to_owned(), json!({ "schema": { "type": "string" } })));
        self.description["responses"]["200"]["content"] = Value::Object(content.collect());
        self
    }

    /// Only moderators and hosts may.
    pub(super) fn of_moderators(mut self) -> Self {
        self.description["security"] = json!([{ "bearer": [] }]);
        self.refused(&MODERATION)
    }

    /// Its query is a `Q`.
    pub(super) fn query<Q: JsonSchema>(mut self, schemas: &mut SchemaGenerator) -> Self {
        let schema = Q::json_schema(schemas);
        let required = schema.get("required").and_then(Value::as_array).cloned().unwrap_or_default();
        let properties = schema.get("properties").and_then(Value::as_object).cloned().unwrap_or_default();
        let parameters = properties.into_iter().map(|(name, mut schema)| {
            let about = schema.as_object_mut().and_then(|schema| schema.remove("description"));
            let needed = required.contains(&json!(name));
            json!({ "name": name, "in": "query", "required": needed, "description": about, "schema": schema })
        });
        if let Some(all) = self.description["parameters"].as_array_mut() {
            all.extend(parameters);
        }
        self
    }

    /// Its body is a `B`.
    pub(super) fn body<B: JsonSchema>(mut self, schemas: &mut SchemaGenerator) -> Self {
        let content = json!({ "application/json": { "schema": schemas.subschema_for::<B>() } });
        self.description["requestBody"] = json!({ "required": true, "content": content });
        self.refused(&BODY)
    }

    fn refused(mut self, statuses: &[(StatusCode, &str)]) -> Self {
        for (status, what) in statuses {
            let content =
                json!({ "application/problem+json": { "schema": { "$ref": "#/components/schemas/Problem" } } });
            self.description["responses"][status.as_str()] = json!({ "description": what, "content": content });
        }
        self
    }
}
