//! What the engine runs on, resolved and constructible in a `const`: the emitter writes these values into generated
//! code, the lock and the overlay build the same values at run time. No defaults are left open here.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::fmt;

use crate::constant::constant;
use crate::json::token;
use crate::names::matches;
use crate::overlay::Compiled;
use crate::revision::Era;
use crate::tokens::tokens;
use crate::uri::Uri;

pub use crate::limit::Limits;
pub use crate::merge::{Batching, Coalesce, CoalescedTool};
pub use crate::traffic::{
    Balance, CircuitBreaker, Concurrency, HashKey, HealthCheck, Hedge, HttpProbe, Member, Retry, Team, Traffic,
};
pub use crate::transport::{
    Access, Auth, Basic, Confined, Credentials, Header, HttpVersion, LegacySse, Life, Program, Proxy, Stdio,
    StreamableHttp, Transport, User, Variable, WebSocket,
};

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
        /// `host:port`, `unix:/path`, or `env:NAME`.
        pub address: Reference,
        /// What clients are shown over TLS; in plain without.
        pub tls: Option<ListenerTls>,
        /// The path of the MCP endpoint, exact, with its leading slash.
        pub path: Text,
        /// Origins allowed besides those of the listener itself and loopback ones.
        pub origins: Table<Text>,
        /// Host names allowed besides loopback names and the address listened on. On a Unix socket every name is, unless
        /// there are some.
        pub hosts: Table<Text>,
        /// Whether each backend is also served alone, under a path that ends in its name.
        pub backends: bool,
        /// The listener for administration and metrics.
        pub admin: Option<AdminListener>,
    }
}

constant! {
    /// What a listener shows over TLS.
    pub struct ListenerTls {
        /// The certificate in PEM, followed by those that lead to its authority.
        pub cert: Reference,
        /// Its private key in PEM.
        pub key: Reference,
        /// Authorities in PEM, one of which has issued the certificate that each client has to show.
        pub client_ca: Option<Reference>,
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
    /// How sessions of clients are kept.
    pub struct Sessions {
        /// The keys that session ids are sealed with, see [`crate::seal_keys`]; never stated.
        pub seal_key: Option<Reference>,
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
        /// Whether it completes arguments, by its lock; `None` where that cannot say: the backend is not in it, or spoke a
        /// revision that has no word for it.
        pub completions: Option<bool>,
        /// What it tells by itself, by its lock.
        pub tells: Table<Changing>,
        /// Whether it runs tools as tasks of 2025-11-25, by its lock.
        pub tasks: bool,
        /// The extensions that it declares, by its lock.
        pub extensions: Table<Extension>,
        /// The capabilities that it declares beside those that the protocol has a meaning for, by its lock: `experimental`,
        /// and members that no revision has.
        pub beyond: Table<Extension>,
        /// What it may ask of clients, where it is of the legacy era.
        pub client_capabilities: Table<ClientCapability>,
        /// Whether the URIs of its resources bear its name, see [`Backend::exposed_uri`].
        pub rewrites_uris: bool,
        /// Which of several endpoints a call goes to.
        pub balance: Balance,
        /// For how long an endpoint that is back gets fewer calls than its share, in milliseconds.
        pub slow_start_ms: Option<u64>,
        /// How many calls to it there may be at once.
        pub concurrency: Concurrency,
        /// When a call to it that failed is made again.
        pub retry: Option<Retry>,
        /// When a call to it that only reads is made a second time.
        pub hedge: Option<Hedge>,
        /// When an endpoint that fails is left alone.
        pub circuit_breaker: Option<CircuitBreaker>,
        /// How its endpoints are asked whether they are well.
        pub health: Option<HealthCheck>,
    }
}

constant! {
    /// One place of a backend.
    pub struct Endpoint {
        /// Its URL, or `env:NAME`.
        pub url: Reference,
        /// How much of the calls it gets, compared with the others.
        pub weight: u32,
    }
}

constant! {
    /// Something beyond the protocol that a server declares.
    pub struct Extension {
        /// Its name.
        pub name: Text,
        /// What is declared of it, as JSON: an object, where it is an extension.
        pub settings: Text,
    }
}

constant! {
    /// Something of a server that may change.
    #[derive(Copy)]
    pub enum Changing {
        /// Its list of tools.
        Tools,
        /// Its list of prompts.
        Prompts,
        /// Its lists of resources and templates.
        Resources,
        /// A resource.
        Contents,
    }
}

constant! {
    /// Something that a server may ask of its client.
    #[derive(Copy)]
    pub enum ClientCapability {
        /// `roots/list`
        Roots,
        /// `sampling/createMessage`
        Sampling,
        /// `elicitation/create`
        Elicitation,
    }
}

constant! {
    /// A part of the catalog, served under its own path.
    pub struct View {
        /// Its name, which is the last segment of its path.
        pub name: Text,
        /// Patterns of what it shows, see [`crate::names::matches`].
        pub include: Table<Text>,
        /// Patterns of what it does not show nevertheless.
        pub exclude: Table<Text>,
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
        /// The index of the backend it leads to, of several the first.
        pub backend: u16,
        /// The index in [`Plan::teams`] of the backends that take its calls between them, where it leads to several.
        pub team: Option<u16>,
        /// Of each of its backends the name and the separator: taken off the front of a name that begins so. Empty for
        /// resources.
        pub prefixes: Table<Text>,
        /// Patterns of own names that its backends do not take. Empty but for tools.
        pub deny: Table<Text>,
    }
}

impl WildcardRoute {
    /// What the backend calls a name that this route matches; `None` where that is denied, which is no name then.
    #[must_use]
    pub fn upstream<'n>(&self, name: &'n str) -> Option<&'n str> {
        let upstream = self.stripped(name);
        let denied = self.deny.iter().any(|pattern| matches(pattern, upstream));
        (!denied).then_some(upstream)
    }

    /// The same, whether it is denied or not.
    pub(crate) fn stripped<'n>(&self, name: &'n str) -> &'n str {
        self.prefixes.iter().find_map(|prefix| name.strip_prefix(&**prefix)).unwrap_or(name)
    }
}

constant! {
    /// An argument that a tool wants to see as a header as well (`x-mcp-header`).
    pub struct ParamHeader {
        /// Behind `Mcp-Param-`.
        pub header: Text,
        /// The keys that lead to it in the arguments, each inside of what the one before leads to.
        pub path: Table<Text>,
    }
}

constant! {
    /// All such arguments of one tool.
    pub struct ToolHeaders {
        /// The index of the backend.
        pub backend: u16,
        /// The tool by the backend's own name for it.
        pub tool: Text,
        /// At least one.
        pub headers: Table<ParamHeader>,
    }
}

constant! {
    /// A tool of a legacy server that runs as a task or not at all.
    pub struct TaskTool {
        /// The index of the backend.
        pub backend: u16,
        /// The tool by the backend's own name for it.
        pub tool: Text,
    }
}

/// One exposed tool, prompt, resource or template.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exposed {
    /// The name (URI, URI template) that clients use.
    pub name: String,
    /// The name (URI, URI template) that the backend uses.
    pub upstream: String,
    /// The name (URI, URI template) under which its backend alone shows it: its own, or what it is renamed to.
    pub own: String,
    /// Index in [`Plan::backends`] of the backend that has it.
    pub origin: u16,
    /// Index in [`Plan::backends`] of the backend it leads to, which a route may have chosen; of several the first.
    pub backend: u16,
    /// Index in [`Plan::teams`] of those that take its calls between them, where a route leads to several.
    pub team: Option<u16>,
    /// The list item as one line of JSON, byte for byte as the lock holds it but for the exposed name.
    pub item: String,
    /// The list item as its backend alone shows it, where more than the name of a tool or prompt differs.
    pub alone: Option<String>,
    /// `annotations.readOnlyHint` of a tool, wherever its calls may go by a route.
    pub read_only: bool,
    /// `annotations.idempotentHint` of a tool, likewise.
    pub idempotent: bool,
    /// Indices in [`Plan::backends`] of those that take over where `backend` cannot take a call, the first one first. By
    /// its lock each has an item with the same upstream name.
    pub fallbacks: Vec<u16>,
}

/// The instructions of one backend.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Instructions {
    /// Index in [`Plan::backends`].
    pub backend: u16,
    /// The name of the backend, where there may be several.
    pub title: Option<String>,
    /// The text.
    pub text: String,
}

/// What one backend offers alone, beside what the catalog holds of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Alone {
    /// What stands before its own names of tools and prompts in those of the catalog.
    pub prefix: String,
    /// What it declares in its capabilities, although its list may be empty: (tools, prompts, resources).
    pub offers: (bool, bool, bool),
    /// Tools that the whole catalog shows once for all backends of a route, under the name of another one.
    pub tools: Vec<Exposed>,
    /// Prompts of which that is so.
    pub prompts: Vec<Exposed>,
    /// Resources with URIs that lead to what another backend has under them, where the whole catalog is asked.
    pub resources: Vec<Exposed>,
    /// Templates of which that is so.
    pub templates: Vec<Exposed>,
}

/// How much of the catalog somebody sees.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Size {
    /// Tools listed.
    pub tools: usize,
    /// Prompts listed.
    pub prompts: usize,
    /// Resources listed.
    pub resources: usize,
    /// Resource templates listed.
    pub templates: usize,
    /// What the tools take of a model's context, as [`crate::tokens::tokens`] estimates it.
    pub tokens: usize,
}

/// What a plan was made of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sources {
    /// The text of the topology.
    pub topology: String,
    /// The text of its lock, where there is one.
    pub lock: Option<String>,
}

/// One setting of a topology as it is in force.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stated {
    /// Its keys, as in `backends.math.timeout` or `routes[0].to`.
    pub path: String,
    /// Its value as JSON; a reference as it is written.
    pub value: String,
    /// The line that says so; none for what nobody wrote.
    pub line: Option<usize>,
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
    /// Both texts.
    pub sources: Sources,
    /// Whether the gateway itself may change its lists while it runs.
    pub relists: bool,
    /// Where clients connect.
    pub listen: Listen,
    /// How sessions of clients are kept.
    pub sessions: Sessions,
    /// What the gateway takes on at once.
    pub limits: Limits,
    /// Which calls become one where they are alike and under way at once.
    pub coalesce: Coalesce,
    /// For how long changes of lists are collected before a client is told of them.
    pub batching: Option<Batching>,
    /// Every backend, in topology order.
    pub backends: Vec<Backend>,
    /// The backends of each route that leads to several, in topology order.
    pub teams: Vec<Team>,
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
    /// What tools want to see as headers, by backend and tool, in this order. Those that ask for what they may not have
    /// are not in it.
    pub tool_headers: Vec<ToolHeaders>,
    /// Tools of legacy servers that run as tasks or not at all, by backend and tool, in this order.
    pub task_tools: Vec<TaskTool>,
    /// What some backend declares in its capabilities, although its list may be empty: (tools, prompts, resources).
    pub offers: (bool, bool, bool),
    /// Each backend alone, by its index; empty where none is served so.
    pub alone: Vec<Alone>,
    /// The longest name of a tool or prompt that clients take; longer ones were shortened.
    pub name_bytes_max: usize,
    /// Instructions for clients: those of the backends that have any, in topology order.
    pub instructions: Vec<Instructions>,
    /// The views, at most [`View::COUNT_MAX`], in the order of the topology.
    pub views: Vec<View>,
    /// The cargo features without which a build cannot carry it, in the order of [`Features::known`].
    ///
    /// [`Features::known`]: crate::Features::known
    pub features: Vec<&'static str>,
    /// Every setting, in the order of the schema.
    pub settings: Vec<Stated>,
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

// === impl Listen ===

impl Listen {
    /// The path of a view, or of a backend alone.
    #[must_use]
    pub fn view_path(&self, name: &str) -> String {
        format!("{}/{name}", self.path.trim_end_matches('/'))
    }
}

// === impl View ===

impl View {
    /// How many there may be: with the whole catalog, which is one too, each has a bit of 64.
    pub const COUNT_MAX: usize = 63;

    /// Whether it shows what clients know by this name, URI or URI template.
    #[must_use]
    pub fn shows(&self, name: &str) -> bool {
        self.admits(|pattern| matches(pattern, name))
    }

    /// Whether it shows what a URI leads to that no list holds, however the URI is spelled. One that does not say
    /// plainly where it leads might lead past a pattern.
    #[must_use]
    pub fn shows_unlisted(&self, uri: &Uri) -> bool {
        uri.is_plain() && self.admits(|pattern| uri.matches(pattern))
    }

    fn admits(&self, matched: impl Fn(&Text) -> bool) -> bool {
        self.include.iter().any(&matched) && !self.exclude.iter().any(matched)
    }
}

/// The backends that something leads to: this one, or the team that it is the first of.
pub(crate) fn led(teams: &[Team], backend: u16, team: Option<u16>) -> impl Iterator<Item = u16> {
    let team = team.and_then(|team| teams.get(usize::from(team)));
    let members = team.map_or(&[][..], |team| &team.members).iter().map(|member| member.backend);
    members.chain(Some(backend).filter(|_| team.is_none()))
}

// === impl Plan ===

impl Plan {
    /// What overlays set otherwise.
    #[must_use]
    pub fn compiled(&self) -> Compiled<'_> {
        Compiled { backends: &self.backends, teams: &self.teams }
    }

    /// The backends that something leads to: this one, or the team that it is the first of.
    pub fn led(&self, backend: u16, team: Option<u16>) -> impl Iterator<Item = u16> {
        led(&self.teams, backend, team)
    }

    /// Whether calls of an item may go to a backend, by what leads there.
    #[must_use]
    pub fn leads(&self, item: &Exposed, backend: u16) -> bool {
        self.led(item.backend, item.team).any(|led| led == backend)
    }

    /// Every setting as one list in JSON: of objects with `path`, `value` and `line`.
    #[must_use]
    pub fn settings_json(&self) -> String {
        let object = |Stated { path, value, line }: &Stated| {
            let line = line.map_or_else(|| "null".to_owned(), |line| line.to_string());
            format!(r#"{{"path":{},"value":{value},"line":{line}}}"#, token(path))
        };
        format!("[{}]", self.settings.iter().map(object).collect::<Vec<_>>().join(","))
    }

    /// How much of the catalog a view shows; without one, how much there is.
    #[must_use]
    pub fn size(&self, view: Option<&View>) -> Size {
        let shown = |items: &[Exposed]| visible(items, view).count();
        Size {
            tools: shown(&self.tools),
            prompts: shown(&self.prompts),
            resources: shown(&self.resources),
            templates: shown(&self.templates),
            tokens: visible(&self.tools, view).map(tokens).sum(),
        }
    }

    /// What clients of a view are told how to use it: the instructions of the backends it shows something of. Without
    /// a view, all of them.
    #[must_use]
    pub fn instructions(&self, view: Option<&View>) -> Option<String> {
        let items = || [&self.tools, &self.prompts, &self.resources, &self.templates].into_iter().flatten();
        let concerns = |backend| view.is_none_or(|view| items().any(|i| self.leads(i, backend) && view.shows(&i.name)));
        let texts: Vec<String> =
            self.instructions.iter().filter(|own| concerns(own.backend)).map(Instructions::titled).collect();
        (!texts.is_empty()).then(|| texts.join("\n\n"))
    }
}

impl Instructions {
    fn titled(&self) -> String {
        let Self { title, text, .. } = self;
        title.as_ref().map_or_else(|| text.clone(), |title| format!("# {title}\n\n{text}"))
    }
}

/// The headers of clients that calls go by where there are several endpoints, or backends, to choose from: in lower case, each
/// once.
pub fn key_headers<'a>(backends: &'a [Backend], teams: &'a [Team]) -> BTreeSet<&'a str> {
    let of = |balance: &'a Balance| match balance {
        Balance::ConsistentHash(HashKey::Header(name)) => Some(&**name),
        _ => None,
    };
    balances(backends, teams).filter_map(of).collect()
}

/// How calls are spread, wherever there are several to choose from.
pub fn balances<'a>(backends: &'a [Backend], teams: &'a [Team]) -> impl Iterator<Item = &'a Balance> {
    let several = backends.iter().filter(|backend| backend.transport.endpoints().len() > 1);
    several.map(|backend| &backend.balance).chain(teams.iter().map(|team| &team.balance))
}

/// The items that one backend has, whatever they lead to.
pub fn of_backend(items: &[Exposed], backend: u16) -> impl Iterator<Item = &Exposed> {
    items.iter().filter(move |item| item.origin == backend)
}

/// The items that a view shows; without one, all of them.
pub fn visible<'a>(items: &'a [Exposed], view: Option<&'a View>) -> impl Iterator<Item = &'a Exposed> {
    items.iter().filter(move |item| view.is_none_or(|view| view.shows(&item.name)))
}
