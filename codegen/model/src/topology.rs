//! The schema of a topology: what the YAML may say, as types. Every key is defined, documented and read in one place.
//!
//! Whether the values make sense together is checked in `crate::check`; what they amount to is a [`crate::plan::Plan`].

use std::fmt;

use crate::decode::{Decode, record, text, word, words_schema, wrong_type};
use crate::diagnostic::{Code, Problems, quoted};
use crate::json::token;
use crate::plan::Reference;
use crate::revision::Era;
use crate::yaml::{Node, Value};

pub use crate::decode::Entries;
pub use crate::transport::{StdioSettings, StreamableHttpSettings, TransportSettings};

record! {
    /// A whole topology.
    struct Topology: "a topology" {
        /// What it is called, up to 32 of `a` to `z`, `0` to `9` and `-`.
        name: String,
        /// Where clients connect.
        listen: Listen = Listen::default(),
        /// How the names of tools and prompts are exposed.
        names: Names = Names::default(),
        /// What backends have unless they say otherwise.
        defaults: Defaults = Defaults::default(),
        /// How lists are answered.
        catalog: Catalog = Catalog::default(),
        /// The MCP servers behind the gateway, by name.
        backends: Entries<Backend>,
        /// Which backend a name leads to where that is not the one it comes from.
        routes: Vec<Route> = Vec::new(),
        /// Parts of the catalog, each served under its own path, by name.
        views: Entries<View> = Entries::default(),
    }
}

record! {
    /// Where clients connect.
    default struct Listen: "listeners" {
        /// The listener for MCP.
        mcp: McpListener = McpListener::default(),
    }
}

record! {
    /// The listener for MCP.
    default struct McpListener: "a listener" {
        /// `host:port`, or `env:NAME`.
        address: Reference = Reference::Literal("127.0.0.1:8080".into()),
        /// The path of the MCP endpoint.
        path: String = "/mcp".to_owned(),
        /// Origins allowed besides those of the listener itself and loopback ones.
        origins: Vec<String> = Vec::new(),
        /// Host names allowed besides loopback names and the address listened on.
        hosts: Vec<String> = Vec::new(),
    }
}

record! {
    /// How an exposed name is made from a backend's name and its own.
    default struct Prefixed: "`none` or a mapping" {
        /// What stands between the backend's name and its own name of a tool.
        separator: String = "__".to_owned(),
        /// The longest name that clients take; longer ones are shortened.
        max_length: usize = 64,
    }
}

record! {
    /// What backends have unless they say otherwise.
    default struct Defaults: "defaults" {
        /// The longest a call may take.
        timeout: Millis = Millis(30_000),
    }
}

record! {
    /// How lists are answered.
    default struct Catalog: "catalog settings" {
        /// How many items a page of a list holds at most.
        page_items: usize = 500,
        /// How long a client may keep a list.
        ttl: Millis = Millis(300_000),
    }
}

record! {
    /// One MCP server.
    struct Backend: "a backend" {
        /// How to reach it: `stdio` or `streamable_http`.
        transport: TransportSettings,
        /// Where it is, for transports that connect.
        endpoints: Vec<Endpoint> = Vec::new(),
        /// Which era of the protocol it speaks.
        era: EraChoice = EraChoice::Auto,
        /// The longest a call to it may take.
        timeout: Option<Millis> = None,
        /// Which of its tools are exposed, and how.
        tools: Tools = Tools::default(),
        /// Backends that take over the calls it cannot take, the first one first.
        fallback: Vec<String> = Vec::new(),
    }
}

record! {
    /// One place of a backend.
    struct Endpoint: "an endpoint" {
        /// Its `http://` or `https://` URL, or `env:NAME`.
        url: Reference,
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
    /// Which backend a name leads to. Exactly one of `tools`, `prompts` and `resources` is there.
    struct Route: "a route" {
        /// An exposed tool name; `*` stands for any run of characters.
        tools: Option<String> = None,
        /// An exposed prompt name; `*` stands for any run of characters.
        prompts: Option<String> = None,
        /// A resource URI; `*` stands for any run of characters.
        resources: Option<String> = None,
        /// The name of the backend.
        to: String,
    }
}

record! {
    /// A part of the catalog. Patterns are about exposed names of tools and prompts, resource URIs and URI templates.
    struct View: "a view" {
        /// What it shows; `*` stands for any run of characters.
        include: Vec<String>,
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

/// A number of tokens of a model's context.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Tokens(pub usize);

/// A span of time in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Millis(pub u64);

// === impl Names ===

impl Default for Names {
    fn default() -> Self {
        Self::Prefixed(Prefixed::default())
    }
}

impl Decode for Names {
    const EXPECTED: &'static str = Prefixed::EXPECTED;

    fn decode(node: &Node, problems: &mut Problems) -> Option<Self> {
        match &node.value {
            Value::String(_) => word(node, Self::EXPECTED, &[("none", ())], problems).map(|()| Self::None),
            _ => Prefixed::decode(node, problems).map(Self::Prefixed),
        }
    }

    fn schema() -> String {
        format!(r#"{{"anyOf":[{{"const":"none"}},{}]}}"#, Prefixed::schema())
    }
}

// === impl EraChoice ===

impl EraChoice {
    const WORDS: [(&str, Self); 3] =
        [("auto", Self::Auto), ("modern", Self::Pinned(Era::Modern)), ("legacy", Self::Pinned(Era::Legacy))];
}

impl Decode for EraChoice {
    const EXPECTED: &'static str = "`auto`, `modern` or `legacy`";

    fn decode(node: &Node, problems: &mut Problems) -> Option<Self> {
        word(node, Self::EXPECTED, &Self::WORDS, problems)
    }

    fn schema() -> String {
        words_schema(&Self::WORDS)
    }

    fn written(&self) -> Option<String> {
        Self::WORDS.iter().find(|(_, choice)| choice == self).map(|(word, _)| token(word))
    }
}

// === impl Millis ===

impl Millis {
    fn parse(text: &str) -> Option<Self> {
        let unit = text.find(|c: char| !c.is_ascii_digit())?;
        let count: u64 = text[..unit].parse().ok()?;
        let millis = match &text[unit..] {
            "ms" => 1,
            "s" => 1000,
            "m" => 60_000,
            "h" => 3_600_000,
            _ => return None,
        };
        count.checked_mul(millis).map(Self)
    }

    /// As it is written, in the largest unit that needs no fraction.
    fn text(self) -> String {
        let Self(millis) = self;
        let units = [(3_600_000, "h"), (60_000, "m"), (1000, "s")];
        let unit = units.into_iter().find(|(unit, _)| millis > 0 && millis % unit == 0);
        let (unit, name) = unit.unwrap_or((1, "ms"));
        format!("{}{name}", millis / unit)
    }
}

impl fmt::Display for Millis {
    /// In the largest unit that needs no fraction, in backticks: as a message shows it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}`", self.text())
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
                .help("durations are a whole number and a unit: `50ms`, `30s`, `5m`, `2h`");
        }
        millis
    }

    fn schema() -> String {
        r#"{"type":"string","pattern":"^[0-9]+(ms|s|m|h)$"}"#.to_owned()
    }

    fn written(&self) -> Option<String> {
        Some(token(&self.text()))
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
        r#"{"type":"string","pattern":"^[0-9]*[1-9][0-9]*k? *tokens?$"}"#.to_owned()
    }
}

impl Decode for Reference {
    const EXPECTED: &'static str = "text, `env:NAME` or `file:PATH`";

    fn decode(node: &Node, problems: &mut Problems) -> Option<Self> {
        let found = text(node, Self::EXPECTED, problems)?;
        let (reference, valid) = if let Some(name) = found.strip_prefix("env:") {
            (Self::Env(name.to_owned().into()), is_variable_name(name))
        } else if let Some(path) = found.strip_prefix("file:") {
            (Self::File(path.to_owned().into()), !path.is_empty() && !path.contains('\0'))
        } else {
            (Self::Literal(found.to_owned().into()), true)
        };
        if !valid {
            problems
                .error(Code::InvalidValue, node.place, format!("reference {} names nothing", quoted(found)))
                .help("write `env:NAME` with an environment variable, or `file:PATH` with a path");
        }
        valid.then_some(reference)
    }

    fn schema() -> String {
        r#"{"type":"string"}"#.to_owned()
    }

    fn written(&self) -> Option<String> {
        Some(token(&self.to_string()))
    }
}

/// Whether a name can be that of an environment variable.
pub(crate) fn is_variable_name(name: &str) -> bool {
    let mut bytes = name.bytes();
    bytes.next().is_some_and(|first| first.is_ascii_alphabetic() || first == b'_')
        && bytes.all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}
