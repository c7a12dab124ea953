//! The schema of a topology: what the YAML may say, as types. Every key is defined, documented and read in one place.
//!
//! Whether the values make sense together is checked in `crate::check`; what they amount to is a [`crate::plan::Plan`].

use std::fmt;
use std::ops::RangeInclusive;

use crate::address::EndpointUrl;
use crate::decode::{Choice, DURATION, Decode, Key, Spot, Told, record, text, word, words, words_schema, wrong_type};
use crate::diagnostic::{Code, Problems, quoted};
use crate::json::token;
use crate::names::LENGTH_MAX;
use crate::plan::{self, ClientCapability, Reference};
use crate::revision::Era;
use crate::rule::{InFile, Keyed, Within, Word, numbers_to, text_schema};
use crate::traffic::{SLOW_START, WEIGHT};
use crate::yaml::{Node, Value};

pub use crate::decode::Entries;
pub use crate::limit::{ConnectionSettings, InFlightSettings, LimitSettings};
pub use crate::merge::{BatchingSettings, CoalesceSettings};
pub use crate::traffic::{
    BalanceSettings, BreakerSettings, ConcurrencySettings, HealthSettings, HedgeSettings, HttpProbeSettings,
    MemberSettings, Optional, Percent, RetrySettings, Span, TeamSettings,
};
pub use crate::transport::{
    Confinement, Instances, Profile, Sandbox, Several, Size, Start, StdioSettings, StreamableHttpSettings,
    TransportSettings,
};

/// What a topology is called.
const NAME: Word = Word {
    noun: "name",
    code: Code::InvalidName,
    letters: &['a'..='z', '0'..='9', '-'..='-'],
    said: "of `a` to `z`, `0` to `9`, `-`",
    digit_first: true,
    chars_max: Some(32),
};
/// What a backend is called.
pub(crate) const BACKEND_NAME: Word = Word { noun: "backend", chars_max: Some(24), ..NAME };
/// What stands between names.
const SEPARATOR: Word = Word {
    noun: "separator",
    code: Code::InvalidValue,
    letters: &['A'..='Z', 'a'..='z', '0'..='9', '_'..='_', '-'..='-'],
    said: "letters, digits, `_`, `-`",
    digit_first: true,
    chars_max: Some(8),
};
/// What an environment variable is called.
pub(crate) const VARIABLE: Word = Word {
    noun: "variable",
    code: Code::InvalidValue,
    letters: &['A'..='Z', 'a'..='z', '0'..='9', '_'..='_'],
    said: "letters, digits and `_`",
    digit_first: false,
    chars_max: None,
};
const BACKENDS: Keyed =
    Keyed { name: BACKEND_NAME, empty: Some("topology without backends"), snippet: TransportSettings::first_snippet };
pub(crate) const VIEWS: Keyed = Keyed { name: Word { noun: "view", ..NAME }, empty: None, snippet: || None };
const CERTIFICATE: InFile = InFile { said: "certificate is" };
const PRIVATE_KEY: InFile = InFile { said: "private key is" };
const CLIENT_AUTHORITIES: InFile = InFile { said: "authorities of clients are" };
const NAME_LENGTH: Within<usize> = Within { noun: "name length", range: 48..=128 };
const PAGE_ITEMS: Within<usize> = Within { noun: "page length", range: 1..=10_000 };
pub(crate) const TIMEOUT: Within<Millis> = Within { noun: "timeout", range: Millis(1)..=Millis(600_000) };
const TTL: Within<Millis> = Within { noun: "time to live", range: Millis(0)..=Millis(24 * 3_600_000) };

record! {
    /// A whole topology.
    struct Topology: "a topology" {
        /// What it is called, up to 32 of `a` to `z`, `0` to `9` and `-`.
        name: String where NAME | { "NAME".to_owned() },
        /// Where clients connect.
        listen: Listen = Listen::default(),
        /// How sessions of clients are kept.
        sessions: Sessions = Sessions::default(),
        /// How the names of tools and prompts are exposed.
        names: Names = Names::default(),
        /// What backends have unless they say otherwise.
        defaults: Defaults = Defaults::default(),
        /// What the gateway takes on at once.
        limits: LimitSettings = LimitSettings::default(),
        /// Which calls become one where they are alike and under way at once.
        coalesce: CoalesceSettings = CoalesceSettings::default(),
        /// For how long changes of lists are collected before a client is told of them; it is told at once without it.
        batching: Option<BatchingSettings> = None,
        /// How lists are answered.
        catalog: Catalog = Catalog::default(),
        /// The MCP servers behind the gateway, by name.
        backends: Entries<Backend> where BACKENDS | { Entries::default() },
        /// Which backend a name leads to where that is not the one it comes from.
        routes: Vec<Route> = Vec::new(),
        /// Parts of the catalog, each served under its own path, by name.
        views: Entries<View> where VIEWS = Entries::default(),
        /// Codes of warnings that are known and meant: they are not reported.
        allow: Vec<Code> = Vec::new(),
    }
}

record! {
    /// Where clients connect.
    default struct Listen: "listeners" {
        /// The listener for MCP.
        mcp: McpListener = McpListener::default(),
        /// The listener for administration and metrics; none unless it is written.
        admin: Option<AdminListener> = None,
    }
}

record! {
    /// The listener for MCP.
    default struct McpListener: "a listener" {
        /// `host:port`, `unix:/path` of a socket, or `env:NAME`.
        address: Reference = Reference::Literal("127.0.0.1:8080".into()),
        /// What clients are shown over TLS; without it they are served in plain.
        tls: Option<ListenerTls> = None,
        /// The path of the MCP endpoint.
        path: String = "/mcp".to_owned(),
        /// Origins allowed besides those of the listener itself and loopback ones.
        origins: Vec<String> = Vec::new(),
        /// Host names allowed besides loopback names and the address listened on. On a Unix socket every name is, unless
        /// some are written.
        hosts: Vec<String> = Vec::new(),
        /// Whether each backend is also served alone, under a path that ends in its name.
        backends: bool = true,
    }
}

record! {
    /// What a listener shows over TLS. Files that change are read anew while it serves.
    struct ListenerTls: "TLS settings" {
        /// The certificate in PEM, followed by those that lead to its authority: `file:PATH`.
        cert: Reference where CERTIFICATE | { Reference::File("".into()) },
        /// Its private key in PEM: `file:PATH`.
        key: Reference where PRIVATE_KEY | { Reference::File("".into()) },
        /// Authorities in PEM, one of which has issued the certificate that each client has to show: `file:PATH`. Without it
        /// clients show none.
        client_ca: Option<Reference> where CLIENT_AUTHORITIES = None,
    }
}

record! {
    /// The listener for administration and metrics.
    struct AdminListener: "an admin listener" {
        /// `host:port`, or `env:NAME`.
        address: Reference,
        /// The bearer token that clients on other machines show: `env:NAME` or `file:PATH`.
        token: Option<Reference> = None,
        /// Host names allowed besides loopback names and the address listened on.
        hosts: Vec<String> = Vec::new(),
    }
}

record! {
    /// How sessions of clients are kept.
    default struct Sessions: "session settings" {
        /// The keys that session ids are sealed with, so that they outlive the process and other replicas know them:
        /// `env:NAME` or `file:PATH`. 32 bytes in hex or base64, several separated by commas: the first one seals.
        seal_key: Option<Reference> = None,
    }
}

record! {
    /// How an exposed name is made from a backend's name and its own.
    default struct Prefixed: "rules for names" {
        /// What stands between the backend's name and its own name of a tool.
        separator: String where SEPARATOR = "__".to_owned(),
        /// The longest name that clients take; longer ones are shortened.
        max_length: usize where NAME_LENGTH = LENGTH_MAX,
    }
}

record! {
    /// What backends have unless they say otherwise.
    default struct Defaults: "defaults" {
        /// The longest a call may take.
        timeout: Millis where TIMEOUT = Millis(30_000),
        /// How many calls there may be at once.
        concurrency: ConcurrencySettings = ConcurrencySettings::default(),
        /// When a call that failed is made again, or `off`.
        retry: Optional<RetrySettings> = Optional::On(RetrySettings::default()),
        /// When a call that only reads is made a second time elsewhere, or `off`; never without it.
        hedge: Optional<HedgeSettings> = Optional::Off,
        /// When an endpoint that fails is left alone, or `off`.
        circuit_breaker: Optional<BreakerSettings> = Optional::On(BreakerSettings::default()),
        /// How endpoints are asked whether they are well; not at all without it.
        health: Optional<HealthSettings> = Optional::Off,
    }
}

record! {
    /// How lists are answered.
    default struct Catalog: "catalog settings" {
        /// How many items a page of a list holds at most.
        page_items: usize where PAGE_ITEMS = 500,
        /// How long a client may keep a list.
        ttl: Millis where TTL = Millis(300_000),
    }
}

record! {
    /// One MCP server.
    struct Backend: "a backend" where TransportSettings::snippets {
        /// How to reach it: `stdio`, `streamable_http`, `legacy_sse` or `websocket`.
        transport: TransportSettings,
        /// Where it is, for transports that connect.
        endpoints: Vec<Endpoint> = Vec::new(),
        /// Which of several endpoints a call goes to.
        balance: Option<BalanceSettings> = None,
        /// For how long an endpoint that is back gets fewer calls than its share; at once all of them without it.
        slow_start: Option<Millis> where SLOW_START = None,
        /// Which era of the protocol it speaks.
        era: EraChoice = EraChoice::Auto,
        /// What it may ask of clients, and is told that they can do: everything unless this is written.
        client_capabilities: Vec<ClientCapability> = ClientCapability::ALL.to_vec(),
        /// The longest a call to it may take.
        timeout: Option<Millis> where TIMEOUT = None,
        /// How many calls to it there may be at once.
        concurrency: Option<ConcurrencySettings> = None,
        /// When a call to it that failed is made again, or `off`.
        retry: Option<Optional<RetrySettings>> = None,
        /// When a call to it that only reads is made a second time elsewhere, or `off`.
        hedge: Option<Optional<HedgeSettings>> = None,
        /// When an endpoint that fails is left alone, or `off`.
        circuit_breaker: Option<Optional<BreakerSettings>> = None,
        /// How its endpoints are asked whether they are well, or `off`.
        health: Option<Optional<HealthSettings>> = None,
        /// Which of its tools are exposed, and how.
        tools: Tools = Tools::default(),
        /// How its resources are exposed.
        resources: Resources = Resources::default(),
        /// Backends that take over the calls it cannot take, the first one first.
        fallback: Vec<String> = Vec::new(),
    }
}

record! {
    /// One place of a backend.
    struct Endpoint: "an endpoint" {
        /// Its `http://` or `https://` URL, or `env:NAME`.
        url: Reference where EndpointUrl | { Reference::Literal("".into()) },
        /// How much of the calls it gets, compared with the others.
        weight: usize where WEIGHT = 1,
    }
}

record! {
    /// Which tools of a backend are exposed, and how.
    default struct Tools: "tool settings" {
        /// Tools to hide, by their own name; `*` stands for any run of characters.
        deny: Vec<String> = Vec::new(),
        /// New names, without prefix, by a tool's own name.
        rename: Entries<String> = Entries::default(),
    }
}

record! {
    /// How the resources of a backend are exposed.
    default struct Resources: "resource settings" {
        /// Under which URIs.
        uris: Uris = Uris::Keep,
    }
}

record! {
    /// Which backends a name leads to. Exactly one of `tools`, `prompts` and `resources` is there.
    struct Route: "a route" where one_subject {
        /// An exposed tool name; `*` stands for any run of characters.
        tools: Option<String> = None,
        /// An exposed prompt name; `*` stands for any run of characters.
        prompts: Option<String> = None,
        /// A resource URI; `*` stands for any run of characters.
        resources: Option<String> = None,
        /// The name of the backend, or a list of several that take its calls between them.
        to: TeamSettings | { TeamSettings::default() },
        /// Which of several backends a call goes to; one after the other without it.
        balance: Option<BalanceSettings> = None,
    }
}

/// The keys of which a route has exactly one.
pub(crate) const SUBJECTS: [&str; 3] = ["tools", "prompts", "resources"];

/// What a message and the schema say of [`SUBJECTS`].
pub(crate) fn subject_expected() -> String {
    let [first @ .., last] = SUBJECTS.map(|key| format!("`{key}`"));
    format!("exactly one of {} and {last}", first.join(", "))
}

fn one_subject() -> String {
    let message = token(&format!("a route has {}", subject_expected()));
    let alternative = |key| format!(r#"{{"required":[{}],"errorMessage":{message}}}"#, token(key));
    format!(r#","oneOf":[{}]"#, SUBJECTS.map(alternative).join(","))
}

record! {
    /// A part of the catalog. Patterns are about exposed names of tools and prompts, resource URIs and URI templates.
    struct View: "a view" {
        /// What it shows; `*` stands for any run of characters.
        include: Vec<String> | { Vec::new() },
        /// What it does not show although `include` names it.
        exclude: Vec<String> = Vec::new(),
        /// How many tokens of a model's context its tools may take, by estimate.
        budget: Option<Tokens> = None,
    }
}

/// How the names of tools and prompts are exposed.
#[derive(Clone, Debug, PartialEq)]
pub enum Names {
    /// As the only backend has them.
    None,
    /// Behind the name of their backend.
    Prefixed(Prefixed),
}

/// Which era of the protocol a backend speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EraChoice {
    /// Whichever it answers in.
    Auto,
    /// This one.
    Pinned(Era),
}

/// Under which URIs the resources of a backend are exposed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Uris {
    /// As the backend has them.
    Keep,
    /// With its name behind the scheme.
    Rewrite,
}

/// A number of tokens of a model's context.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Tokens(pub usize);

/// A span of time in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Millis(pub u64);

// === impl Topology ===

impl Topology {
    /// Whether a route leads to a backend and to others as well.
    pub(crate) fn is_one_of_several(&self, name: &str) -> bool {
        let mut teams = self.routes.iter().map(|route| &route.to).filter(|to| to.members.len() > 1);
        teams.any(|team| team.names().any(|member| member == name))
    }
}

// === impl Names ===

impl Default for Names {
    fn default() -> Self {
        Self::Prefixed(Prefixed::default())
    }
}

impl Names {
    const WORDS: [Choice<Self>; 1] = [("none", Self::None, "As the only backend has them.")];
}

impl Decode for Names {
    const EXPECTED: &'static str = "`none` or a mapping";

    fn decode(node: &Node, problems: &mut Problems) -> Option<Self> {
        match &node.value {
            Value::String(_) => word(node, Self::EXPECTED, &[("none", (), "")], problems).map(|()| Self::None),
            Value::Mapping(_) => Prefixed::decode(node, problems).map(Self::Prefixed),
            _ => {
                wrong_type(node, Self::EXPECTED, problems);
                None
            }
        }
    }

    fn schema() -> String {
        format!(r#"{{"anyOf":[{},{}]}}"#, words_schema(&Self::WORDS), Prefixed::schema())
    }

    fn keys() -> &'static [Key] {
        Prefixed::KEYS
    }

    fn tell(&self, spot: &Spot<'_>, told: &mut Told) {
        match self {
            Self::None => told.add(spot, token("none")),
            Self::Prefixed(own) => own.tell(spot, told),
        }
    }
}

// === impl EraChoice ===

impl EraChoice {
    const WORDS: [Choice<Self>; 3] = [
        ("auto", Self::Auto, "Whichever it answers in: asked once, recorded in the lock."),
        ("modern", Self::Pinned(Era::Modern), "2026-07-28: no handshake, no sessions."),
        ("legacy", Self::Pinned(Era::Legacy), "2024-11-05 to 2025-11-25: `initialize`, sessions."),
    ];
}

words!(EraChoice: "`auto`, `modern` or `legacy`");

// === impl Endpoint ===

impl Endpoint {
    pub(crate) fn planned(&self) -> plan::Endpoint {
        // What is out of range has been reported.
        plan::Endpoint { url: self.url.clone(), weight: u32::try_from(self.weight).unwrap_or(u32::MAX) }
    }
}

// === impl Uris ===

impl Uris {
    const WORDS: [Choice<Self>; 2] = [
        ("keep", Self::Keep, "As the backend has them."),
        ("rewrite", Self::Rewrite, "`scheme://rest` as `scheme://BACKEND/rest`; `https://` and `http://` as they are."),
    ];
}

words!(Uris: "`keep` or `rewrite`");

// === impl ClientCapability ===

impl ClientCapability {
    /// Everything.
    pub const ALL: [Self; 3] = [Self::Roots, Self::Sampling, Self::Elicitation];
    const WORDS: [Choice<Self>; 3] = [
        ("roots", Self::Roots, "`roots/list`: which directories or URIs its client works on."),
        ("sampling", Self::Sampling, "`sampling/createMessage`: what the model of its client says."),
        ("elicitation", Self::Elicitation, "`elicitation/create`: what the user says."),
    ];
}

words!(ClientCapability: "`roots`, `sampling` or `elicitation`");

// === impl Millis ===

impl Millis {
    /// The largest first.
    const UNITS: [(&str, u64); 4] = [("h", 3_600_000), ("m", 60_000), ("s", 1000), ("ms", 1)];

    pub(crate) fn parse(text: &str) -> Option<Self> {
        let unit = text.find(|c: char| !c.is_ascii_digit())?;
        let count: u64 = text[..unit].parse().ok()?;
        let (_, millis) = Self::UNITS.into_iter().find(|(name, _)| *name == &text[unit..])?;
        count.checked_mul(millis).map(Self)
    }

    /// The regular expression of a duration. Of what lies below a range it leaves out only zero.
    pub(crate) fn expression(range: Option<&RangeInclusive<Self>>) -> String {
        let of_unit = |(unit, millis): (&str, u64)| match range {
            None => Some(format!("[0-9]+{unit}")),
            Some(range) => {
                let zero = (range.start().0 == 0).then(|| "0".to_owned());
                let counts: Vec<String> = zero.into_iter().chain(numbers_to(range.end().0 / millis)).collect();
                (!counts.is_empty()).then(|| format!("0*({}){unit}", counts.join("|")))
            }
        };
        let units: Vec<String> = Self::UNITS.into_iter().filter_map(of_unit).collect();
        format!("^({})$", units.join("|"))
    }
}

impl fmt::Display for Millis {
    /// As a topology writes it, in the largest unit that it is a whole number of.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let whole = |(_, millis): &&(&str, u64)| self.0 > 0 && self.0.is_multiple_of(*millis);
        let (unit, millis) = Self::UNITS.iter().find(whole).unwrap_or(&("ms", 1));
        write!(f, "{}{unit}", self.0 / millis)
    }
}

impl Decode for Millis {
    const EXPECTED: &'static str = "a duration such as `30s`";

    fn decode(node: &Node, problems: &mut Problems) -> Option<Self> {
        let found = match &node.value {
            Value::String(found) => found.clone(),
            Value::Int(number) => number.to_string(),
            _ => {
                wrong_type(node, Self::EXPECTED, problems);
                return None;
            }
        };
        let millis = Self::parse(&found);
        if millis.is_none() {
            problems
                .error(Code::InvalidValue, node.place, format!("{} is not {}", quoted(&found), Self::EXPECTED))
                .help(DURATION);
        }
        millis
    }

    fn schema() -> String {
        text_schema(&Self::expression(None), &format!("not {}", Self::EXPECTED))
    }

    fn written(&self) -> Option<String> {
        Some(token(&self.to_string()))
    }
}

// === impl Tokens ===

impl Tokens {
    fn parse(text: &str) -> Option<Self> {
        let count = text.strip_suffix("tokens").or_else(|| text.strip_suffix("token"))?.trim_end();
        let (digits, unit) = match count.strip_suffix('k') {
            Some(thousands) => (thousands, 1000),
            None => (count, 1),
        };
        if !digits.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        let count: usize = digits.parse().ok()?;
        count.checked_mul(unit).filter(|count| *count > 0).map(Self)
    }
}

impl fmt::Display for Tokens {
    /// As a topology may write it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} tokens", self.0)
    }
}

impl Decode for Tokens {
    const EXPECTED: &'static str = "a number of tokens such as `20k tokens`";

    fn decode(node: &Node, problems: &mut Problems) -> Option<Self> {
        let found = match &node.value {
            Value::String(found) => found.clone(),
            Value::Int(number) => number.to_string(),
            _ => {
                wrong_type(node, Self::EXPECTED, problems);
                return None;
            }
        };
        let tokens = Self::parse(&found);
        if tokens.is_none() {
            problems
                .error(Code::InvalidValue, node.place, format!("{} is not {}", quoted(&found), Self::EXPECTED))
                .help("budgets are a whole number from 1 and the word: `800 tokens`, `20k tokens`");
        }
        tokens
    }

    fn schema() -> String {
        text_schema("^[0-9]*[1-9][0-9]*k? *tokens?$", &format!("not {}", Self::EXPECTED))
    }

    fn written(&self) -> Option<String> {
        Some(token(&self.to_string()))
    }
}

impl Reference {
    const HELP: &'static str = "write `env:NAME` with an environment variable, or `file:PATH` with a path";
}

impl Decode for Reference {
    const EXPECTED: &'static str = "text, `env:NAME` or `file:PATH`";

    fn decode(node: &Node, problems: &mut Problems) -> Option<Self> {
        let found = text(node, Self::EXPECTED, problems)?;
        let (reference, valid) = if let Some(name) = found.strip_prefix("env:") {
            (Self::Env(name.to_owned().into()), VARIABLE.holds(name))
        } else if let Some(path) = found.strip_prefix("file:") {
            (Self::File(path.to_owned().into()), !path.is_empty() && !path.contains('\0'))
        } else {
            (Self::Literal(found.to_owned().into()), true)
        };
        if !valid {
            problems
                .error(Code::InvalidValue, node.place, format!("reference {} names nothing", quoted(found)))
                .help(Self::HELP);
        }
        valid.then_some(reference)
    }

    fn schema() -> String {
        let pattern = format!("^(env:{}$|file:[\\s\\S]|(?!env:|file:))", VARIABLE.expression());
        text_schema(&pattern, Self::HELP)
    }

    fn written(&self) -> Option<String> {
        Some(token(&self.to_string()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_is_shown_as_it_is_written() {
        for text in ["50ms", "30s", "90s", "5m", "2h", "1500ms", "0ms"] {
            assert_eq!(Millis::parse(text).map(|millis| millis.to_string()).as_deref(), Some(text));
        }
        assert_eq!(Millis(120_000).to_string(), "2m");
    }
}
