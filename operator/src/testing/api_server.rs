//! An API server in memory: objects of any kind by the path that they are reached at.

use std::{
    collections::BTreeMap,
    convert::Infallible,
    sync::{Arc, Mutex, MutexGuard},
};

use http::{Method, Request, Response, StatusCode};
use http_body_util::BodyExt;
use kube::{Client, client::Body};
use serde_json::{Value, json};

use super::{Fuse, merge};

/// A time that all objects are made at, a second apart.
const EPOCH_S: i64 = 1_700_000_000;

/// An API server; clones share it.
#[derive(Clone, Default)]
pub(crate) struct ApiServer(Arc<Mutex<Store>>);

#[derive(Default)]
struct Store {
    objects: BTreeMap<String, Stored>,
    version: u64,
    made: i64,
    log: Vec<String>,
    refused: Vec<String>,
}

#[derive(Clone, Default)]
struct Stored {
    object: Value,
    /// By manager and subresource.
    applied: BTreeMap<String, Value>,
}

/// A request in parts.
struct Call {
    method: Method,
    /// Without the subresource.
    path: String,
    status: bool,
    /// Whether a patch is applied, and not only merged: events are.
    applied: bool,
    query: String,
    body: Value,
}

impl ApiServer {
    /// A client that reaches it without end.
    pub(crate) fn client(&self) -> Client {
        self.client_until(Fuse::never())
    }

    /// A client that reaches it until the fuse is blown.
    pub(crate) fn client_until(&self, fuse: Fuse) -> Client {
        let server = self.clone();
        let service = tower::service_fn(move |request: Request<Body>| {
            let (server, fuse) = (server.clone(), fuse.clone());
            async move {
                let call = Call::read(request).await;
                let allowed = if call.method == Method::GET { fuse.is_whole() } else { fuse.write() };
                if !allowed {
                    return Ok(answer(StatusCode::SERVICE_UNAVAILABLE, &failure(503, "cut off")));
                }
                Ok::<_, Infallible>(server.store().handle(call))
            }
        });
        Client::new(service, "default")
    }

    /// Makes or changes an object as somebody else than the operator; gives it as it is stored.
    pub(crate) fn put(&self, path: &str, object: Value) -> Value {
        self.store().put(path, object)
    }

    /// Changes an object in place.
    pub(crate) fn edit(&self, path: &str, edit: impl FnOnce(&mut Value)) {
        let mut object = self.get(path).unwrap_or_else(|| panic!("no {path}"));
        edit(&mut object);
        self.put(path, object);
    }

    /// Asks for an object's deletion: it goes at once, or when its finalizers are gone.
    pub(crate) fn delete(&self, path: &str) {
        self.edit(path, |object| object["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z"));
        self.store().collect(path);
    }

    /// An object.
    pub(crate) fn get(&self, path: &str) -> Option<Value> {
        self.store().objects.get(path).map(|stored| stored.object.clone())
    }

    /// All objects whose path holds this.
    pub(crate) fn all(&self, part: &str) -> Vec<(String, Value)> {
        let store = self.store();
        let found = store.objects.iter().filter(|(path, _)| path.contains(part));
        found.map(|(path, stored)| (path.clone(), stored.object.clone())).collect()
    }

    /// What was written through clients since the last time: verb and path.
    pub(crate) fn take_log(&self) -> Vec<String> {
        std::mem::take(&mut self.store().log)
    }

    /// Answers 403 for paths that hold this.
    pub(crate) fn refuse(&self, part: &str) {
        self.store().refused.push(part.to_owned());
    }

    fn store(&self) -> MutexGuard<'_, Store> {
        self.0.lock().unwrap()
    }
}

impl Call {
    async fn read(request: Request<Body>) -> Self {
        let (parts, body) = request.into_parts();
        let bytes = body.collect().await.unwrap().to_bytes();
        let path = parts.uri.path().to_owned();
        let (path, status) = path.strip_suffix("/status").map_or((path.clone(), false), |path| (path.to_owned(), true));
        let kind = parts.headers.get(http::header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
        Self {
            method: parts.method,
            path,
            status,
            applied: kind.is_some_and(|kind| kind.starts_with("application/apply-patch")),
            query: parts.uri.query().unwrap_or_default().to_owned(),
            body: serde_json::from_slice(&bytes).unwrap_or_default(),
        }
    }
}

impl Store {
    fn handle(&mut self, call: Call) -> Response<Body> {
        if self.refused.iter().any(|part| call.path.contains(part.as_str())) {
            return answer(StatusCode::FORBIDDEN, &failure(403, "forbidden here"));
        }
        if call.method != Method::GET {
            self.log.push(format!("{} {}{}", call.method, call.path, if call.status { "/status" } else { "" }));
        }
        match call.method {
            Method::GET => self.read(&call),
            Method::POST => self.create(call),
            Method::PUT => self.replace(call),
            Method::PATCH if call.applied => self.apply(call),
            Method::PATCH => self.merge(call),
            Method::DELETE => self.remove(&call),
            _ => panic!("{} {}", call.method, call.path),
        }
    }

    fn read(&self, call: &Call) -> Response<Body> {
        if let Some(stored) = self.objects.get(&call.path) {
            return answer(StatusCode::OK, &stored.object);
        }
        // Names are the last part; of a collection it is a kind in the plural.
        if call.query.contains("labelSelector") || call.path.ends_with('s') && !is_named(&call.path) {
            let below = format!("{}/", call.path);
            let items: Vec<_> =
                self.objects.iter().filter(|(path, _)| path.starts_with(&below)).map(|(_, s)| &s.object).collect();
            return answer(
                StatusCode::OK,
                &json!({"kind": "List", "apiVersion": "v1", "metadata": {}, "items": items}),
            );
        }
        answer(StatusCode::NOT_FOUND, &failure(404, "not found"))
    }

    fn create(&mut self, call: Call) -> Response<Body> {
        let path = format!("{}/{}", call.path, call.body["metadata"]["name"].as_str().unwrap_or_default());
        if self.objects.contains_key(&path) {
            return answer(StatusCode::CONFLICT, &failure(409, "there already"));
        }
        answer(StatusCode::CREATED, &self.put(&path, call.body))
    }

    fn replace(&mut self, call: Call) -> Response<Body> {
        let Some(stored) = self.objects.get(&call.path) else {
            return answer(StatusCode::NOT_FOUND, &failure(404, "not found"));
        };
        if stored.object["metadata"]["resourceVersion"] != call.body["metadata"]["resourceVersion"] {
            return answer(StatusCode::CONFLICT, &failure(409, "changed meanwhile"));
        }
        answer(StatusCode::OK, &self.put(&call.path, call.body))
    }

    fn remove(&mut self, call: &Call) -> Response<Body> {
        let Some(stored) = self.objects.get_mut(&call.path) else {
            return answer(StatusCode::NOT_FOUND, &failure(404, "not found"));
        };
        assert_eq!(call.body["preconditions"]["uid"], stored.object["metadata"]["uid"], "{}", call.path);
        stored.object["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
        self.collect(&call.path);
        answer(StatusCode::OK, &json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success"}))
    }

    fn merge(&mut self, call: Call) -> Response<Body> {
        let Some(stored) = self.objects.get(&call.path) else {
            return answer(StatusCode::NOT_FOUND, &failure(404, "not found"));
        };
        let mut object = stored.object.clone();
        merge::apply(&mut object, None, &call.body);
        answer(StatusCode::OK, &self.put(&call.path, object))
    }

    fn apply(&mut self, call: Call) -> Response<Body> {
        assert!(call.query.contains("fieldManager=barrage-operator"), "{}", call.query);
        let mut stored = match self.objects.get(&call.path) {
            Some(stored) => stored.clone(),
            None if call.status => return answer(StatusCode::NOT_FOUND, &failure(404, "not found")),
            None if call.body["metadata"]["uid"].is_string() => {
                return answer(StatusCode::CONFLICT, &failure(409, "gone"));
            }
            None => Stored::default(),
        };
        let mut wanted = call.body;
        if call.status {
            wanted = json!({"status": wanted["status"]});
        } else if let Some(object) = wanted.as_object_mut() {
            object.remove("status");
        }
        let manager = if call.status { "status" } else { "object" }.to_owned();
        let mut object = stored.object.clone();
        merge::apply(&mut object, stored.applied.get(&manager), &wanted);
        let object = self.put(&call.path, object);
        if let Some(now) = self.objects.get_mut(&call.path) {
            stored.applied.insert(manager, wanted);
            now.applied = stored.applied;
        }
        self.collect(&call.path);
        answer(StatusCode::OK, &object)
    }

    fn put(&mut self, path: &str, mut object: Value) -> Value {
        let before = self.objects.get(path);
        let old = before.map(|stored| stored.object.clone());
        let applied = before.map(|stored| stored.applied.clone()).unwrap_or_default();
        add_defaults(&mut object);
        if old.as_ref() == Some(&object) {
            return object;
        }
        self.version += 1;
        match &old {
            Some(old) => {
                let generation = old["metadata"]["generation"].as_i64().unwrap_or(1);
                object["metadata"]["generation"] = json!(generation + i64::from(old["spec"] != object["spec"]));
                for kept in ["uid", "creationTimestamp"] {
                    object["metadata"][kept] = old["metadata"][kept].clone();
                }
            }
            None => {
                self.made += 1;
                let made = k8s_openapi::jiff::Timestamp::from_second(EPOCH_S + self.made).unwrap();
                object["metadata"]["generation"] = json!(1);
                object["metadata"]["uid"] = json!(format!("uid-{:04}", self.made));
                object["metadata"]["creationTimestamp"] = json!(made.to_string());
            }
        }
        object["metadata"]["resourceVersion"] = json!(self.version.to_string());
        self.objects.insert(path.to_owned(), Stored { object: object.clone(), applied });
        object
    }

    /// Removes an object that nothing holds any more, and all that it owns.
    fn collect(&mut self, path: &str) {
        let Some(stored) = self.objects.get(path) else { return };
        let held = stored.object["metadata"]["finalizers"].as_array().is_some_and(|all| !all.is_empty());
        if stored.object["metadata"]["deletionTimestamp"].is_null() || held {
            return;
        }
        let uid = stored.object["metadata"]["uid"].clone();
        self.objects.remove(path);
        let owned = |stored: &Stored| stored.object["metadata"]["ownerReferences"][0]["uid"] == uid;
        let children: Vec<_> = self.objects.iter().filter(|(_, s)| owned(s)).map(|(path, _)| path.clone()).collect();
        for child in children {
            if let Some(stored) = self.objects.get_mut(&child) {
                stored.object["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
            }
            self.collect(&child);
        }
    }
}

/// Whether the last part of a path is a name: the one before it is a kind in the plural then.
fn is_named(path: &str) -> bool {
    let parts: Vec<_> = path.split('/').collect();
    let at = parts.iter().position(|part| *part == "namespaces").unwrap_or_default();
    parts.len() > at + 3
}

/// Some of what a real one adds.
fn add_defaults(object: &mut Value) {
    if object["spec"]["template"]["spec"].is_object() {
        object["spec"]["template"]["spec"]["restartPolicy"] = json!("Always");
        object["spec"]["template"]["spec"]["containers"][0]["imagePullPolicy"] = json!("IfNotPresent");
    }
}

fn failure(code: u16, message: &str) -> Value {
    let reason = match code {
        403 => "Forbidden",
        404 => "NotFound",
        409 => "Conflict",
        _ => "ServiceUnavailable",
    };
    json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "message": message, "reason": reason, "code": code})
}

fn answer(status: StatusCode, body: &Value) -> Response<Body> {
    Response::builder().status(status).body(Body::from(body.to_string().into_bytes())).unwrap()
}
