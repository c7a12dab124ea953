//! What the engine runs on, resolved and constructible in a `const`: the emitter writes these values into generated
//! code, the lock and the overlay build the same values at run time. No defaults are left open here.

use std::borrow::Cow;
use std::fmt;

use crate::constant::constant;
use crate::revision::Era;

pub use crate::transport::{Program, Stdio, StreamableHttp, Transport, Variable};

/// Text that is `'static` in generated code and owned when built at run time.
pub type Text = Cow<'static, str>;
/// A list that is `'static` in generated code and owned when built at run time.
pub type Table<T> = Cow<'static, [T]>;

constant! {
    /// A value that the topology either states or leaves to the process that starts: secrets are never stated.
    pub enum Reference {
        /// The value itself.
        Literal(Text),
        /// `env:NAME`: the environment variable at start.
        Env(Text),
        /// `file:PATH`: the content of the file at start, without the final line end.
        File(Text),
    }
}

constant! {
    /// Where clients connect.
    pub struct Listen {
        /// `host:port`, or `env:NAME`.
        pub address: Reference,
        /// The path of the MCP endpoint, exact, with its leading slash.
        pub path: Text,
        /// Origins allowed besides those of the listener itself and loopback ones.
        pub origins: Table<Text>,
        /// Host names allowed besides loopback names and the address listened on.
        pub hosts: Table<Text>,
        /// The listener for administration and metrics.
        pub admin: Option<AdminListener>,
    }
}

constant! {
    /// Where administrators and collectors of metrics connect.
    pub struct AdminListener {
        /// `host:port`, or `env:NAME`.
        pub address: Reference,
        /// The bearer token that clients on other machines show; never stated.
        pub token: Option<Reference>,
        /// Host names allowed besides loopback names and the address listened on.
        pub hosts: Table<Text>,
    }
}

constant! {
    /// One MCP server behind the gateway.
    pub struct Backend {
        /// Its name in the topology.
        pub name: Text,
        /// How to reach it.
        pub transport: Transport,
        /// The era the topology pins it to.
        pub era: Option<Era>,
        /// The era its lock recorded: assumed first, verified on contact.
        pub locked_era: Option<Era>,
        /// The longest a call may take from its arrival to its answer, in milliseconds.
        pub timeout_ms: u64,
    }
}

constant! {
    /// What kind of name a wildcard route matches.
    #[derive(Copy, Hash)]
    pub enum Subject {
        /// Exposed tool names.
        Tools,
        /// Exposed prompt names.
        Prompts,
        /// Resource URIs.
        Resources,
    }
}

constant! {
    /// A route for names that are not in the catalog: `*` stands for any run of characters, see [`crate::names::matches`].
    /// First match wins.
    pub struct WildcardRoute {
        /// What it matches.
        pub subject: Subject,
        /// The pattern, or an exact name without `*`.
        pub pattern: Text,
        /// The index of the backend it leads to.
        pub backend: u16,
        /// `backend` + separator: taken off the front of a name that begins with it. Empty for resources.
        pub prefix: Text,
    }
}

impl WildcardRoute {
    /// What the backend calls a name that this route matches.
    #[must_use]
    pub fn upstream<'n>(&self, name: &'n str) -> &'n str {
        name.strip_prefix(&*self.prefix).unwrap_or(name)
    }
}

/// One exposed tool, prompt, resource or template.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exposed {
    /// The name (URI, URI template) that clients use.
    pub name: String,
    /// The name (URI, URI template) that the backend uses.
    pub upstream: String,
    /// Index in [`Plan::backends`].
    pub backend: u16,
    /// The list item as one line of JSON, byte for byte as the lock holds it but for the exposed name.
    pub item: String,
    /// `annotations.readOnlyHint` of a tool.
    pub read_only: bool,
    /// `annotations.idempotentHint` of a tool.
    pub idempotent: bool,
}

/// A whole topology, checked and resolved: what the emitter turns into tables.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// `name:`
    pub name: String,
    /// SHA-256 of the topology's text, in hex.
    pub topology_digest: String,
    /// SHA-256 of the lock's text, in hex; empty without one.
    pub lock_digest: String,
    /// Where clients connect.
    pub listen: Listen,
    /// Every backend, in topology order.
    pub backends: Vec<Backend>,
    /// Routes for names that the catalog does not hold: exact names first, then patterns, each in topology order.
    pub wildcards: Vec<WildcardRoute>,
    /// In list order: backends in topology order, items by name.
    pub tools: Vec<Exposed>,
    /// As `tools`.
    pub prompts: Vec<Exposed>,
    /// As `tools`.
    pub resources: Vec<Exposed>,
    /// As `tools`.
    pub templates: Vec<Exposed>,
    /// What some backend declares in its capabilities, although its list may be empty: (tools, prompts, resources).
    pub offers: (bool, bool, bool),
    /// Instructions for clients: those of the backends, one paragraph each, headed by the backend's name.
    pub instructions: Option<String>,
    /// The cargo features without which a build cannot carry it, in the order of [`Features::known`].
    ///
    /// [`Features::known`]: crate::Features::known
    pub features: Vec<&'static str>,
    /// How many items a list page holds at most.
    pub page_items: usize,
    /// How long a client may keep a list, in milliseconds.
    pub ttl_ms: u64,
}

// === impl Reference ===

impl fmt::Display for Reference {
    /// As a topology writes it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Literal(value) => f.write_str(value),
            Self::Env(name) => write!(f, "env:{name}"),
            Self::File(path) => write!(f, "file:{path}"),
        }
    }
}
