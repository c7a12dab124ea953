//! Every path that administrators may ask, with its methods: what each takes and gives, and which function answers. The
//! document that describes the interface is made of this table.

use hyper::Method;

use super::answers::{catalog, config, health, levels, metrics, routing, servers, sessions, system};
use super::declined::Declined;
use super::endpoint::Endpoints;
use super::openapi;
use super::petition::Petition;
use super::told::Told;

/// Where everything stands but what collectors and orchestrators look for elsewhere.
pub(super) const BASE: &str = "/api/v1/admin";

/// One path. A segment in braces stands for any one.
#[derive(Debug)]
pub(super) struct Path {
    /// Behind [`BASE`].
    pub(super) path: &'static str,
    /// The whole path under which it is served as well.
    pub(super) alias: Option<&'static str>,
    pub(super) operations: &'static [Operation],
}

/// The methods that there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verb {
    Get,
    Put,
}

/// One method of a path.
#[derive(Debug)]
pub(super) struct Operation {
    pub(super) verb: Verb,
    pub(super) id: &'static str,
    pub(super) summary: &'static str,
    pub(super) query: &'static [Parameter],
    /// The schema of the body, for those that take one: these change something.
    pub(super) takes: Option<&'static str>,
    pub(super) gives: Gives,
    /// Another status under which the same is given.
    pub(super) also: Option<u16>,
    pub(super) answer: fn(&Endpoints, &Petition) -> Result<Told, Declined>,
}

/// What an operation gives.
#[derive(Clone, Copy, Debug)]
pub(super) enum Gives {
    /// JSON of this schema.
    Json(&'static str),
    /// Text of this type.
    Text(&'static str),
}

/// One parameter behind the `?`.
#[derive(Debug)]
pub(super) struct Parameter {
    pub(super) name: &'static str,
    pub(super) meaning: &'static str,
    /// Its JSON Schema.
    pub(super) schema: &'static str,
}

const SERVER: Parameter =
    Parameter { name: "server", meaning: "Only what leads to this server.", schema: r#"{"type":"string"}"# };
const VIEW: Parameter =
    Parameter { name: "view", meaning: "Only what this view shows.", schema: r#"{"type":"string"}"# };
const SUBJECT: Parameter = Parameter {
    name: "subject",
    meaning: "Only what is a name of one of these.",
    schema: r##"{"$ref":"#/components/schemas/Subject"}"##,
};
const LIMIT: Parameter = Parameter {
    name: "limit",
    meaning: "How many items at most.",
    schema: r#"{"type":"integer","minimum":0,"maximum":10000,"default":1000}"#,
};
const OFFSET: Parameter = Parameter {
    name: "offset",
    meaning: "How many items to leave out: `next` of the answer before.",
    schema: r#"{"type":"integer","minimum":0,"default":0}"#,
};

/// An operation that only tells.
const fn get(
    id: &'static str,
    summary: &'static str,
    query: &'static [Parameter],
    schema: &'static str,
    answer: fn(&Endpoints, &Petition) -> Result<Told, Declined>,
) -> Operation {
    Operation { verb: Verb::Get, id, summary, query, takes: None, gives: Gives::Json(schema), also: None, answer }
}

const fn path(path: &'static str, operations: &'static [Operation]) -> Path {
    Path { path, alias: None, operations }
}

/// All of them. No path of two with segments in common is matched by both.
pub(super) static ROUTES: [Path; 14] = [
    path("/system", &[get("system", "What runs here, since when, built from what.", &[], "System", system::system)]),
    path("/servers", &[get("servers", "Every server behind the gateway.", &[LIMIT, OFFSET], "Servers", servers::list)]),
    path("/servers/{name}", &[get("server", "One server behind the gateway.", &[], "Server", servers::one)]),
    path(
        "/tools",
        &[get("tools", "Every tool that clients can call.", &[SERVER, VIEW, LIMIT, OFFSET], "Tools", catalog::tools)],
    ),
    path(
        "/routes",
        &[get(
            "routes",
            "Every rule that leads a name to a server, in the order in which they are asked.",
            &[SUBJECT, SERVER, VIEW, LIMIT, OFFSET],
            "Routes",
            catalog::routes,
        )],
    ),
    path(
        "/routes/{name}",
        &[get(
            "explain",
            "Where a name, or a URI, leads, and by which rule.",
            &[VIEW],
            "Explanation",
            routing::explain,
        )],
    ),
    path("/health", &[get("health", "How every server fares.", &[], "Health", health::health)]),
    Path {
        path: "/live",
        alias: Some("/healthz/live"),
        operations: &[get("live", "That the process runs.", &[], "Live", health::live)],
    },
    Path {
        path: "/ready",
        alias: Some("/healthz/ready"),
        operations: &[Operation {
            also: Some(503),
            ..get("ready", "Whether clients may be sent here.", &[], "Ready", health::ready)
        }],
    },
    path("/config", &[get("config", "Every setting in force, and who set it.", &[], "Config", config::config)]),
    path("/sessions", &[get("sessions", "What is kept of sessions of clients.", &[], "Sessions", sessions::sessions)]),
    Path {
        path: "/metrics",
        alias: Some("/metrics"),
        operations: &[Operation {
            gives: Gives::Text(metrics::TYPE),
            ..get("metrics", "What is counted, for Prometheus.", &[], "", metrics::metrics)
        }],
    },
    path(
        "/log-level",
        &[
            get("log_level", "How much is logged.", &[], "LogLevel", levels::level),
            Operation {
                verb: Verb::Put,
                takes: Some("NewLogLevel"),
                ..get("set_log_level", "Log more or less from now on.", &[], "LogLevel", levels::set)
            },
        ],
    ),
    path("/openapi.json", &[get("openapi", "This document.", &[], "OpenApi", |_, _| Ok(openapi::answer()))]),
];

// === impl Path ===

impl Path {
    /// What stands in the path where its template has a name; empty where it has none. `None` for another path.
    fn name_in<'p>(&self, path: &'p str) -> Option<&'p str> {
        if self.alias == Some(path) {
            return Some("");
        }
        let path = path.strip_prefix(BASE)?;
        match self.path.strip_suffix("{name}") {
            None => (path == self.path).then_some(""),
            Some(before) => path.strip_prefix(before).filter(|name| !name.is_empty() && !name.contains('/')),
        }
    }

    /// Its methods, as the field `Allow` has them.
    pub(super) fn allowed(&self) -> String {
        let words = self.operations.iter().flat_map(|operation| match operation.verb {
            Verb::Get => &["GET", "HEAD"][..],
            Verb::Put => &["PUT"][..],
        });
        words.copied().collect::<Vec<_>>().join(", ")
    }

    /// What a method does here.
    pub(super) fn operation(&self, method: &Method) -> Option<&'static Operation> {
        let verb = match *method {
            // The server of HTTP keeps the body back.
            Method::GET | Method::HEAD => Verb::Get,
            Method::PUT => Verb::Put,
            _ => return None,
        };
        self.operations.iter().find(|operation| operation.verb == verb)
    }

    /// Whether its template has a name.
    pub(super) fn is_named(&self) -> bool {
        self.path.ends_with("{name}")
    }
}

/// The route of a path, and what stands in it where the template has a name.
pub(super) fn find(path: &str) -> Option<(&'static Path, &str)> {
    ROUTES.iter().find_map(|route| Some((route, route.name_in(path)?)))
}
