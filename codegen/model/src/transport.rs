//! The transports: what a topology says of each, what the engine is given of it, how both are checked and recorded.
//!
//! Each has a file of its own; this one registers them. `codegen/README.md` says what else a new one needs.

mod credentials;
mod http_version;
mod legacy_sse;
mod proxy;
mod reach;
mod recorded;
mod stdio;
mod streamable_http;
mod websocket;

use crate::check::{Check, Form};
use crate::constant::constant;
use crate::decode::{Decode, Key, Record, Spot, Told, object_schema};
use crate::diagnostic::{Code, Problems};
use crate::json::token;
use crate::plan::{Endpoint, Reference};
use crate::topology::Backend;
use crate::yaml::{Node, Step};

pub use credentials::{
    Auth, AuthSettings, Basic, BasicSettings, Credentials, Header, check_field_value, check_password, check_username,
};
pub use http_version::HttpVersion;
pub use legacy_sse::{LegacySse, LegacySseSettings};
pub use proxy::Proxy;
pub(crate) use recorded::{Difference, Recorded};
pub use stdio::{
    Access, Confined, Confinement, Instances, Life, Profile, Program, Sandbox, Several, Size, Start, Stdio,
    StdioSettings, User, Variable,
};
pub use streamable_http::{StreamableHttp, StreamableHttpSettings};
pub use websocket::{WebSocket, WebSocketSettings};

/// One kind of transport.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kind {
    /// Its key in a topology, which is also the module of its links.
    pub key: &'static str,
    /// The name of its type of links.
    pub link: &'static str,
    /// What it is, as a sentence.
    pub meaning: &'static str,
    /// The cargo feature that compiles it in.
    pub feature: &'static str,
}

/// What the file of a transport says of its part of the schema.
pub(crate) trait Settings: Decode {
    /// What the engine is given.
    type Planned: Planned;
    /// The least that can be written.
    const EXAMPLE: &'static str;
    /// A whole backend as editors propose it, as JSON: `${2:text}` is where the user writes, from 2 on, and what follows
    /// a `^` stands as it is.
    const SNIPPET: &'static str;

    /// Every check of a backend with these settings.
    fn check(&self, name: &str, backend: &Backend, check: &mut Check<'_>);

    /// The values that may be left to the process, each with its keys below the transport's own and what it has to be.
    fn references(&self) -> Vec<(Vec<Step<'_>>, &Reference, Form)>;

    /// The cargo features that a backend with these settings needs beside that of the transport.
    fn needs(&self, backend: &Backend) -> Vec<&'static str>;

    /// What the engine is given of a backend that passed.
    fn planned(&self, backend: &Backend) -> Self::Planned;
}

/// What the file of a transport says of what the engine is given.
pub(crate) trait Planned {
    /// Everything that decides which server is reached, by the key that says it in the topology.
    fn recorded(&self) -> Vec<(&'static str, Recorded)>;

    /// Where the server is, in a few words. Values of references are not shown.
    fn place(&self) -> String;

    /// What may be left to the process that starts, each with its name in a sentence.
    fn references(&self) -> Vec<(String, &Reference)>;

    /// How long a connection has to come up in milliseconds, where the topology says it.
    fn connect_timeout_ms(&self) -> Option<u64> {
        None
    }

    /// Where the server is, if it is reached and not started.
    fn endpoints(&self) -> &[Endpoint] {
        &[]
    }
}

/// Registers the transports.
macro_rules! transports {
    ($(#[doc = $meaning:literal] $Link:ident($Settings:ident): $key:literal, $feature:literal;)+) => {
        /// How to reach a backend, as the topology says it.
        #[derive(Clone, Debug, PartialEq)]
        pub enum TransportSettings {
            $(#[doc = $meaning] $Link($Settings),)+
        }

        constant! {
            /// How bytes move to a backend.
            pub enum Transport {
                $(#[doc = $meaning] $Link($Link),)+
            }
        }

        /// Every transport there is.
        pub const KINDS: &[Kind] = &[$(Kind {
            key: $key,
            link: stringify!($Link),
            meaning: $meaning.trim_ascii(),
            feature: $feature,
        }),+];

        impl TransportSettings {
            pub(crate) const KEYS: &'static [Key] = &[$(Key::new::<$Settings>($key, $meaning)),+];
            const EXAMPLES: &'static [&'static str] = &[$($Settings::EXAMPLE),+];
            const SNIPPETS: &'static [&'static str] = &[$($Settings::SNIPPET),+];

            /// Which kind it is.
            #[must_use]
            pub fn kind(&self) -> &'static Kind {
                let link = match self { $(Self::$Link(_) => stringify!($Link),)+ };
                kind(link)
            }

            pub(crate) fn check(&self, name: &str, backend: &Backend, check: &mut Check<'_>) {
                match self { $(Self::$Link(settings) => settings.check(name, backend, check),)+ }
            }

            pub(crate) fn references(&self) -> Vec<(Vec<Step<'_>>, &Reference, Form)> {
                match self { $(Self::$Link(settings) => settings.references(),)+ }
            }

            /// The cargo features that a backend needs.
            pub(crate) fn needs(&self, backend: &Backend) -> Vec<&'static str> {
                let mut needs = match self { $(Self::$Link(settings) => settings.needs(backend),)+ };
                needs.push(self.kind().feature);
                needs
            }

            pub(crate) fn planned(&self, backend: &Backend) -> Transport {
                match self { $(Self::$Link(settings) => Transport::$Link(settings.planned(backend)),)+ }
            }

            fn tell_only(&self, spot: &Spot<'_>, told: &mut Told) {
                match self { $(Self::$Link(settings) => settings.tell(&spot.key($key), told),)+ }
            }

            fn decode_only(record: &Record<'_>, key: &str, problems: &mut Problems) -> Option<Self> {
                match key {
                    $($key => record.required($key, &[], problems).map(Self::$Link),)+
                    _ => None,
                }
            }
        }

        impl Transport {
            /// Which kind it is.
            #[must_use]
            pub fn kind(&self) -> &'static Kind {
                let link = match self { $(Self::$Link(_) => stringify!($Link),)+ };
                kind(link)
            }

            /// Where the server is, in a few words. Values of references are not shown.
            #[must_use]
            pub fn place(&self) -> String {
                match self { $(Self::$Link(planned) => planned.place(),)+ }
            }

            /// What may be left to the process that starts, each with its name in a sentence.
            #[must_use]
            pub fn references(&self) -> Vec<(String, &Reference)> {
                match self { $(Self::$Link(planned) => planned.references(),)+ }
            }

            pub(crate) fn connect_timeout_ms(&self) -> Option<u64> {
                match self { $(Self::$Link(planned) => planned.connect_timeout_ms(),)+ }
            }

            pub(crate) fn recorded(&self) -> Vec<(&'static str, Recorded)> {
                match self { $(Self::$Link(planned) => planned.recorded(),)+ }
            }

            /// Where the server is, at most [`ENDPOINTS_MAX`](crate::traffic::ENDPOINTS_MAX) places; none of one that is
            /// started.
            #[must_use]
            pub fn endpoints(&self) -> &[Endpoint] {
                match self { $(Self::$Link(planned) => planned.endpoints(),)+ }
            }
        }
    };
}

transports! {
    /// A child process.
    Stdio(StdioSettings): "stdio", "transport-stdio";
    /// A server reached by Streamable HTTP.
    StreamableHttp(StreamableHttpSettings): "streamable_http", "transport-http";
    /// A server reached by HTTP+SSE, the transport of MCP 2024-11-05.
    LegacySse(LegacySseSettings): "legacy_sse", "transport-sse";
    /// A server reached by WebSocket.
    WebSocket(WebSocketSettings): "websocket", "transport-ws";
}

fn kind(link: &str) -> &'static Kind {
    KINDS.iter().find(|kind| kind.link == link).expect("both enums have the variants that are registered")
}

// === impl TransportSettings ===

impl TransportSettings {
    /// What the schema of a backend says besides: a proposal of each kind.
    pub(crate) fn snippets() -> String {
        let snippet = |(kind, body): (&Kind, &&str)| {
            let (label, about) = (token(&format!("{} backend", kind.key)), token(kind.meaning));
            format!(r#"{{"label":{label},"description":{about},"body":{body}}}"#)
        };
        let snippets: Vec<String> = KINDS.iter().zip(Self::SNIPPETS).map(snippet).collect();
        format!(r#","defaultSnippets":[{}]"#, snippets.join(","))
    }

    /// A whole backend of the first kind.
    pub(crate) fn first_snippet() -> Option<String> {
        Self::SNIPPETS.first().map(|body| (*body).to_owned())
    }
}

impl Decode for TransportSettings {
    const EXPECTED: &'static str = "a transport";

    fn decode(node: &Node, problems: &mut Problems) -> Option<Self> {
        let record = Record::open(node, Self::EXPECTED, Self::KEYS, problems)?;
        match record.present()[..] {
            [key] => Self::decode_only(&record, key, problems),
            // The unknown key that stands in its place is reported.
            [] if !record.is_empty() => None,
            ref present => {
                let examples: Vec<String> = Self::EXAMPLES.iter().map(|example| format!("`{example}`")).collect();
                problems
                    .error(Code::InvalidValue, node.owner, format!("{} transports where one belongs", present.len()))
                    .help(format!("write one of {}", examples.join(", ")));
                None
            }
        }
    }

    fn keys() -> &'static [Key] {
        Self::KEYS
    }

    fn tell(&self, spot: &Spot<'_>, told: &mut Told) {
        self.tell_only(spot, told);
    }

    fn schema() -> String {
        // Beside the properties, the upper bound would keep editors from proposing any.
        object_schema(Self::EXPECTED, Self::KEYS, r#","minProperties":1,"allOf":[{"maxProperties":1}]"#)
    }
}
