//! What there is to ask: paths, methods and the bodies of answers.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Instant, SystemTime};

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Body;
use hyper::header::{ALLOW, CACHE_CONTROL, CONNECTION, CONTENT_TYPE, HeaderName, HeaderValue, WWW_AUTHENTICATE};
use hyper::{Method, Request, Response, StatusCode};
use serde_json::{Value, json};

use super::access::{Access, Denied};
use super::metrics::Metrics;
use super::overlay::OverlayStore;
use super::timestamp;
use crate::catalog::Spec;
use crate::proxy::{Counts, Foreign};
use crate::upstream::{Dropped, Group, Patient};

/// What a running gateway is: told by the endpoints, fixed when it starts.
#[derive(Debug)]
pub(crate) struct Facts {
    pub(crate) spec: &'static Spec,
    /// The URL of the MCP endpoint.
    pub(crate) mcp_url: String,
    /// The address of this listener.
    pub(crate) address: SocketAddr,
    /// What each worker counts.
    pub(crate) counts: Vec<Arc<Counts>>,
    /// Of each backend, what it said and nobody got.
    pub(crate) dropped: Vec<Dropped>,
    /// What is set otherwise than compiled.
    pub(crate) overlay: Arc<OverlayStore>,
    /// The children that it keeps.
    pub(crate) children: Vec<Patient>,
    /// How the endpoints of each backend stand, by its index.
    pub(crate) groups: Vec<Arc<Group>>,
    /// When the gateway began to serve.
    pub(crate) started: (SystemTime, Instant),
}

/// Every endpoint and who may ask it.
#[derive(Debug)]
pub(super) struct Endpoints {
    access: Access,
    facts: Arc<Facts>,
    metrics: Metrics,
}

type Answer = Response<Full<Bytes>>;

// === impl Endpoints ===

impl Endpoints {
    pub(super) fn new(access: Access, facts: Facts) -> Self {
        let facts = Arc::new(facts);
        Self { access, metrics: Metrics::new(&facts), facts }
    }

    /// Answers one request. Its body is never read: no endpoint takes one.
    pub(super) fn answer<B: Body>(&self, peer: IpAddr, request: &Request<B>) -> Answer {
        if let Err(denied) = self.access.check(peer, request) {
            return deny(denied);
        }
        let endpoint: fn(&Self) -> Answer = match request.uri().path() {
            "/api/v1/admin/system" => |own| json(StatusCode::OK, &own.facts.system()),
            "/metrics" => |own| own.metrics(),
            _ => return refuse(StatusCode::NOT_FOUND, "not_found", "no such path"),
        };
        if !matches!(*request.method(), Method::GET | Method::HEAD) {
            let answer = refuse(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", "method is not allowed here");
            return with(answer, ALLOW, "GET, HEAD");
        }
        if !request.body().is_end_stream() {
            let answer = refuse(StatusCode::PAYLOAD_TOO_LARGE, "payload_too_large", "no body is taken here");
            return with(answer, CONNECTION, "close");
        }
        endpoint(self)
    }

    fn metrics(&self) -> Answer {
        match self.metrics.text() {
            Ok(text) => body(StatusCode::OK, "text/plain; version=0.0.4; charset=utf-8", text),
            Err(error) => {
                tracing::error!(%error, "metrics cannot be written");
                refuse(StatusCode::INTERNAL_SERVER_ERROR, "internal", "metrics cannot be written")
            }
        }
    }
}

// === impl Facts ===

impl Facts {
    /// The digest of the topology.
    pub(super) fn topology_digest(&self) -> String {
        format!("sha256:{}", self.spec.topology_digest)
    }

    /// The digest of the lock, if there is one.
    pub(super) fn lock_digest(&self) -> Option<String> {
        (!self.spec.lock_digest.is_empty()).then(|| format!("sha256:{}", self.spec.lock_digest))
    }

    fn system(&self) -> Value {
        let Self { spec, started: (at, since), .. } = self;
        json!({
            "name": env!("CARGO_PKG_NAME"),
            "version": env!("CARGO_PKG_VERSION"),
            "topology": { "name": spec.name, "digest": self.topology_digest() },
            "lock": { "digest": self.lock_digest() },
            "started_at": timestamp::rfc3339(*at),
            "uptime_seconds": since.elapsed().as_secs(),
            "workers": self.counts.len(),
            "listeners": { "mcp": self.mcp_url, "admin": format!("http://{}", self.address) },
            "backends": spec.backends.len(),
            "tools": spec.tools.len(),
            "prompts": spec.prompts.len(),
            "resources": spec.resources.len(),
            "children": self.children.iter().filter(|child| child.is_there()).map(child).collect::<Vec<_>>(),
        })
    }
}

fn child(child: &Patient) -> Value {
    let vitals = child.vitals();
    json!({
        "backend": child.backend(),
        "instance": child.instance(),
        "state": vitals.state.as_str(),
        "generation": vitals.generation,
        "pid": vitals.pid,
        "last_end": vitals.last_end.as_deref(),
        "stderr": vitals.stderr.iter().map(|line| &**line).collect::<Vec<_>>(),
    })
}

fn deny(denied: Denied) -> Answer {
    match denied {
        Denied::Malformed => refuse(StatusCode::BAD_REQUEST, "invalid_request", "request names no host, or several"),
        Denied::Foreign(Foreign::Host) => {
            refuse(StatusCode::FORBIDDEN, "forbidden", "host is not allowed: name it in `listen.admin.hosts`")
        }
        Denied::Foreign(Foreign::Origin) => refuse(StatusCode::FORBIDDEN, "forbidden", "origin is not allowed"),
        Denied::Token => {
            let answer =
                refuse(StatusCode::UNAUTHORIZED, "unauthorized", "the token of `listen.admin.token` is needed");
            with(answer, WWW_AUTHENTICATE, "Bearer realm=\"only1mcp\"")
        }
    }
}

fn refuse(status: StatusCode, kind: &str, message: &str) -> Answer {
    json(status, &json!({ "error": { "kind": kind, "message": message } }))
}

fn json(status: StatusCode, value: &Value) -> Answer {
    body(status, "application/json", value.to_string())
}

fn body(status: StatusCode, content_type: &'static str, text: String) -> Answer {
    let mut answer = Response::new(Full::from(text));
    *answer.status_mut() = status;
    with(with(answer, CONTENT_TYPE, content_type), CACHE_CONTROL, "no-store")
}

fn with(mut answer: Answer, name: HeaderName, value: &'static str) -> Answer {
    answer.headers_mut().insert(name, HeaderValue::from_static(value));
    answer
}
