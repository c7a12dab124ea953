//! Every path that administrators may ask, with its methods: what each takes and gives, and which function answers. The
//! document that describes the interface is made of this table.

use hyper::Method;

use super::answers::{breakers, catalog, config, health, levels, metrics, overlay, routing, servers, sessions, system};
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
    Post,
    Put,
    Patch,
    Delete,
}

/// One method of a path.
#[derive(Debug)]
pub(super) struct Operation {
    pub(super) verb: Verb,
    pub(super) id: &'static str,
    pub(super) summary: &'static str,
    pub(super) query: &'static [Parameter],
    /// Whether it may change something.
    pub(super) changes: bool,
    /// What its body is, if it takes one.
    pub(super) takes: Option<Takes>,
    pub(super) gives: Gives,
    /// Another status under which the same is given.
    pub(super) also: Option<u16>,
    pub(super) answer: fn(&Endpoints, &Petition) -> Result<Told, Declined>,
}

/// What a body is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Takes {
    /// JSON of this schema.
    Json(&'static str),
    /// The same, or the document as YAML.
    Overlay(&'static str),
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

const SERVER: Parameter = Parameter {
    name: "server",
    meaning: "Only what is of this server, or leads to it.",
    schema: r#"{"type":"string"}"#,
};
const VIEW: Parameter =
    Parameter { name: "view", meaning: "Only what this view shows.", schema: r#"{"type":"string"}"# };
const SUBJECT: Parameter = Parameter {
    name: "subject",
    meaning: "Only what is a name of one of these.",
    schema: r##"{"$ref":"#/components/schemas/Subject"}"##,
};
const DRY_RUN: Parameter = Parameter {
    name: "dry_run",
    meaning: "Only tell what would be.",
    schema: r#"{"enum":["0","1","false","true"],"default":"0"}"#,
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
    Operation {
        verb: Verb::Get,
        id,
        summary,
        query,
        changes: false,
        takes: None,
        gives: Gives::Json(schema),
        also: None,
        answer,
    }
}

/// An operation that changes the overlay, or tries to.
const fn change(
    verb: Verb,
    id: &'static str,
    summary: &'static str,
    takes: Option<Takes>,
    answer: fn(&Endpoints, &Petition) -> Result<Told, Declined>,
) -> Operation {
    let (query, gives) = (&[DRY_RUN], Gives::Json("Outcome"));
    Operation { verb, id, summary, query, changes: true, takes, gives, also: None, answer }
}

const fn path(path: &'static str, operations: &'static [Operation]) -> Path {
    Path { path, alias: None, operations }
}

/// All of them. No path of two with segments in common is matched by both.
pub(super) static ROUTES: [Path; 19] = [
    path("/system", &[get("system", "What runs here, since when, built from what.", &[], "System", system::system)]),
    path(
        "/servers",
        &[
            get("servers", "Every server behind the gateway.", &[LIMIT, OFFSET], "Servers", servers::list),
            change(
                Verb::Post,
                "add_server",
                "Add a server to those that are compiled.",
                Some(Takes::Json("NewServer")),
                overlay::add_server,
            ),
        ],
    ),
    path(
        "/servers/{name}",
        &[
            get("server", "One server behind the gateway.", &[], "Server", servers::one),
            change(
                Verb::Patch,
                "set_server",
                "Set what the overlay has of a server; null takes it out.",
                Some(Takes::Json("ServerSettings")),
                overlay::patch_server,
            ),
            change(Verb::Delete, "remove_server", "Take a server out that was added.", None, overlay::remove_server),
        ],
    ),
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
    path(
        "/breakers",
        &[get(
            "breakers",
            "The circuit breaker of every endpoint.",
            &[SERVER, LIMIT, OFFSET],
            "Breakers",
            breakers::list,
        )],
    ),
    path(
        "/breakers/reset",
        &[Operation {
            query: &[SERVER],
            gives: Gives::Json("Reset"),
            ..change(Verb::Post, "reset_breakers", "Close every circuit that is open.", None, breakers::reset)
        }],
    ),
    path("/config", &[get("config", "Every setting in force, and who set it.", &[], "Config", config::config)]),
    path(
        "/overlay",
        &[
            get("overlay", "What is set otherwise than compiled.", &[], "Overlay", overlay::overlay),
            change(Verb::Put, "put_overlay", "Set all of it.", Some(Takes::Overlay("NewOverlay")), overlay::put),
            change(
                Verb::Patch,
                "patch_overlay",
                "Change some of it (RFC 7396): null takes something out.",
                Some(Takes::Json("NewOverlay")),
                overlay::patch,
            ),
        ],
    ),
    path(
        "/overlay/rollback",
        &[Operation {
            query: &[],
            ..change(Verb::Post, "roll_back", "Go back to the overlay before.", None, overlay::rollback)
        }],
    ),
    path("/reload", &[change(Verb::Post, "reload", "Read the file of the overlay anew.", None, overlay::reload)]),
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
                changes: true,
                takes: Some(Takes::Json("NewLogLevel")),
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
            Verb::Post => &["POST"][..],
            Verb::Put => &["PUT"][..],
            Verb::Patch => &["PATCH"][..],
            Verb::Delete => &["DELETE"][..],
        });
        words.copied().collect::<Vec<_>>().join(", ")
    }

    /// What a method does here.
    pub(super) fn operation(&self, method: &Method) -> Option<&'static Operation> {
        let verb = match *method {
            // The server of HTTP keeps the body back.
            Method::GET | Method::HEAD => Verb::Get,
            Method::POST => Verb::Post,
            Method::PUT => Verb::Put,
            Method::PATCH => Verb::Patch,
            Method::DELETE => Verb::Delete,
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
