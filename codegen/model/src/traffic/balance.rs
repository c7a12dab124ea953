//! Which endpoint of several a call goes to.

use std::fmt;

use crate::constant::constant;
use crate::decode::{Choice, Decode, Key, Record, object_schema, record, word, words_schema, wrong_type};
use crate::diagnostic::{Code, Problems, quoted};
use crate::json::token;
use crate::plan::{Table, Text};
use crate::rule::{Filled, Rule, text_schema};
use crate::yaml::{Node, Value};

constant! {
    /// Which endpoint of several a call goes to.
    pub enum Balance {
        /// One after the other, each as often as its weight says.
        RoundRobin,
        /// Of two by chance the one that has fewer calls for its weight.
        LeastConnections,
        /// Any, all alike.
        Random,
        /// Any, each as often as its weight says.
        WeightedRandom,
        /// The same one for the same key, for as long as it is there.
        ConsistentHash(HashKey),
    }
}

constant! {
    /// What decides where a call goes that is to find the same endpoint again.
    pub enum HashKey {
        /// The session of its client.
        Session,
        /// The name of the tool, prompt or resource.
        Tool,
        /// The argument that these keys lead to, each inside of what the one before leads to.
        Argument(Table<Text>),
        /// The header of the client's request with this name, in lower case.
        Header(Text),
    }
}

impl fmt::Display for Balance {
    /// For people.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::RoundRobin => f.write_str("round_robin"),
            Self::LeastConnections => f.write_str("least_connections"),
            Self::Random => f.write_str("random"),
            Self::WeightedRandom => f.write_str("weighted_random"),
            Self::ConsistentHash(HashKey::Session) => f.write_str("consistent_hash by session"),
            Self::ConsistentHash(HashKey::Tool) => f.write_str("consistent_hash by tool"),
            Self::ConsistentHash(HashKey::Argument(path)) => {
                write!(f, "consistent_hash by argument {}", path.join("."))
            }
            Self::ConsistentHash(HashKey::Header(name)) => write!(f, "consistent_hash by header {name}"),
        }
    }
}

/// Which endpoint of several a call goes to, as the topology says it.
#[derive(Clone, Debug, PartialEq)]
pub struct BalanceSettings(pub Balance);

record! {
    /// What decides where a call goes that is to find the same endpoint again.
    default struct HashSettings: "settings of a consistent hash" where one_of_them {
        /// `session`, `tool`, or `{ header: NAME }` with a header of the client's request.
        key: Option<KeySettings> = None,
        /// An argument of the call; points stand between the keys that lead to it.
        argument: Option<String> where ARGUMENT = None,
    }
}

const ARGUMENT: Filled = Filled { noun: "argument" };

/// What decides where a call goes, beside its arguments.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeySettings {
    /// The session of its client.
    Session,
    /// The name of the tool, prompt or resource.
    Tool,
    /// A header of the client's request.
    Header(String),
}

record! {
    /// A header of the client's request that decides where a call goes.
    struct HeaderSettings: "a key" {
        /// Its name, in either case. Calls without it go anywhere.
        header: String where HEADER | { "x".to_owned() },
    }
}

/// A header that a key may be.
pub(crate) struct KeyHeader;

const HEADER: KeyHeader = KeyHeader;

/// Settings without a choice.
struct Nothing;

/// What else the schema says: one of the keys.
fn one_of_them() -> String {
    r#","minProperties":1,"allOf":[{"maxProperties":1}]"#.to_owned()
}

/// Whether nothing stands in the only entry of a mapping.
fn is_empty(node: &Node) -> bool {
    let Value::Mapping(entries) = &node.value else { return false };
    entries.iter().all(|(_, settings)| matches!(&settings.value, Value::Mapping(entries) if entries.is_empty()))
}

// === impl KeySettings ===

impl KeySettings {
    const WORDS: [Choice<HashWord>; 2] = [
        ("session", HashWord::Session, "The session of its client. Calls without one go anywhere."),
        ("tool", HashWord::Tool, "The name of the tool, prompt or resource."),
    ];
}

impl Decode for KeySettings {
    const EXPECTED: &'static str = "`session`, `tool` or `{ header: … }`";

    fn decode(node: &Node, problems: &mut Problems) -> Option<Self> {
        match &node.value {
            Value::String(_) => word(node, Self::EXPECTED, &Self::WORDS, problems).map(|word| match word {
                HashWord::Session => Self::Session,
                HashWord::Tool => Self::Tool,
            }),
            Value::Mapping(_) => HeaderSettings::decode(node, problems).map(|settings| Self::Header(settings.header)),
            _ => {
                wrong_type(node, Self::EXPECTED, problems);
                None
            }
        }
    }

    fn schema() -> String {
        format!(r#"{{"anyOf":[{},{}]}}"#, words_schema(&Self::WORDS), <HeaderSettings as Decode>::schema())
    }

    fn keys() -> &'static [Key] {
        HeaderSettings::KEYS
    }

    fn written(&self) -> Option<String> {
        Some(match self {
            Self::Session => token("session"),
            Self::Tool => token("tool"),
            Self::Header(name) => format!(r#"{{"header":{}}}"#, token(name)),
        })
    }
}

/// The keys that need no settings.
#[derive(Clone, Copy)]
enum HashWord {
    Session,
    Tool,
}

// === impl KeyHeader ===

impl KeyHeader {
    /// Headers about one connection: proxies in front make them anew, and some of them no request of HTTP/2 has.
    const OF_CONNECTIONS: [&'static str; 9] = [
        "connection",
        "content-length",
        "keep-alive",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
        "expect",
    ];
}

impl Rule<String> for KeyHeader {
    fn check(&self, value: &String, node: &Node, problems: &mut Problems) {
        let is_token = !value.is_empty() && value.bytes().all(is_token);
        if !is_token {
            problems
                .error(Code::InvalidValue, node.place, format!("{} is no name of a header", quoted(value)))
                .help("names of headers are letters, digits and some of `-_.!#$%&'*+^|~`: `X-Tenant`");
        } else if Self::OF_CONNECTIONS.iter().any(|name| name.eq_ignore_ascii_case(value)) {
            problems
                .error(Code::InvalidValue, node.place, format!("header {} is about the connection", quoted(value)))
                .help("write a header that tells clients apart, such as `X-Tenant`");
        }
    }

    fn schema(&self, _of_type: String) -> String {
        text_schema("^[-0-9A-Za-z!#$%&'*+.^_`|~]+$", "not the name of a header")
    }
}

/// Whether names of headers may have it (RFC 9110, section 5.6.2).
fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

// === impl Nothing ===

impl Decode for Nothing {
    const EXPECTED: &'static str = "`{}`";

    fn decode(node: &Node, problems: &mut Problems) -> Option<Self> {
        match &node.value {
            Value::Mapping(entries) if entries.is_empty() => Some(Self),
            Value::Mapping(_) => {
                problems.error(Code::InvalidValue, node.owner, "settings where none belong").help("write `{}`");
                None
            }
            _ => {
                wrong_type(node, Self::EXPECTED, problems);
                None
            }
        }
    }

    fn schema() -> String {
        object_schema("settings", &[], "")
    }
}

// === impl HashSettings ===

impl HashSettings {
    fn planned(self) -> Option<HashKey> {
        Some(match (self.key, self.argument) {
            (Some(KeySettings::Session), None) => HashKey::Session,
            (Some(KeySettings::Tool), None) => HashKey::Tool,
            (Some(KeySettings::Header(name)), None) => HashKey::Header(name.to_ascii_lowercase().into()),
            (None, Some(path)) => {
                HashKey::Argument(path.split('.').map(|key| key.to_owned().into()).collect::<Vec<Text>>().into())
            }
            _ => return None,
        })
    }
}

// === impl BalanceSettings ===

impl BalanceSettings {
    const WORDS: [Choice<Simple>; 4] = [
        ("round_robin", Simple::RoundRobin, "One after the other, each as often as its weight says."),
        (
            "least_connections",
            Simple::LeastConnections,
            "Of two by chance the one that has fewer calls for its weight.",
        ),
        ("random", Simple::Random, "Any, all alike."),
        ("weighted_random", Simple::WeightedRandom, "Any, each as often as its weight says."),
    ];
    const KEYS: &'static [Key] = &[
        Key::new::<Nothing>("round_robin", "One after the other, each as often as its weight says."),
        Key::new::<Nothing>("least_connections", "Of two by chance the one that has fewer calls for its weight."),
        Key::new::<Nothing>("random", "Any, all alike."),
        Key::new::<Nothing>("weighted_random", "Any, each as often as its weight says."),
        Key::new::<HashSettings>("consistent_hash", "The same one for the same key, for as long as it is there."),
    ];

    fn only(record: &Record<'_>, name: &str, node: &Node, problems: &mut Problems) -> Option<Balance> {
        if name == "consistent_hash" {
            let settings: HashSettings = record.required(name, &[], problems)?;
            // What could not be read has been reported.
            let refused = settings == HashSettings::default() && !is_empty(node);
            let key = settings.planned();
            if key.is_none() && !refused {
                problems
                    .error(Code::InvalidValue, node.owner, "consistent hash of not exactly one key")
                    .help("write `{ key: session }`, `{ key: tool }`, `{ key: { header: X-Tenant } }` or `{ argument: user.id }`");
            }
            return key.map(Balance::ConsistentHash);
        }
        record.required::<Nothing>(name, &[], problems)?;
        Self::WORDS.iter().find(|(word, ..)| *word == name).map(|(_, simple, _)| simple.planned())
    }
}

impl Decode for BalanceSettings {
    const EXPECTED: &'static str =
        "`round_robin`, `least_connections`, `random`, `weighted_random` or `{ consistent_hash: { key: … } }`";

    fn decode(node: &Node, problems: &mut Problems) -> Option<Self> {
        match &node.value {
            Value::String(found) if found == "consistent_hash" => {
                problems
                    .error(Code::InvalidValue, node.place, format!("{} without a key", quoted(found)))
                    .help("write `{ consistent_hash: { key: session } }`");
                None
            }
            Value::String(_) => word(node, Self::EXPECTED, &Self::WORDS, problems).map(|simple| Self(simple.planned())),
            Value::Mapping(_) => {
                let record = Record::open(node, "a way of balancing", Self::KEYS, problems)?;
                match record.present()[..] {
                    [name] => Self::only(&record, name, node, problems).map(Self),
                    // The unknown key that stands in its place is reported.
                    [] if !record.is_empty() => None,
                    ref present => {
                        let message = format!("{} ways of balancing where one belongs", present.len());
                        problems
                            .error(Code::InvalidValue, node.owner, message)
                            .help("write one of them, such as `round_robin`");
                        None
                    }
                }
            }
            _ => {
                wrong_type(node, Self::EXPECTED, problems);
                None
            }
        }
    }

    fn schema() -> String {
        let mapping = object_schema("a way of balancing", Self::KEYS, &one_of_them());
        format!(r#"{{"anyOf":[{},{mapping}]}}"#, words_schema(&Self::WORDS))
    }

    fn keys() -> &'static [Key] {
        Self::KEYS
    }

    fn written(&self) -> Option<String> {
        let Balance::ConsistentHash(key) = &self.0 else {
            let mut simple = Self::WORDS.iter().filter(|(_, simple, _)| simple.planned() == self.0);
            return simple.next().map(|(word, ..)| token(word));
        };
        let (name, value) = match key {
            HashKey::Session => ("key", KeySettings::Session.written()?),
            HashKey::Tool => ("key", KeySettings::Tool.written()?),
            HashKey::Header(name) => ("key", KeySettings::Header(name.to_string()).written()?),
            HashKey::Argument(path) => ("argument", token(&path.join("."))),
        };
        Some(format!(r#"{{"consistent_hash":{{"{name}":{value}}}}}"#))
    }
}

/// The ways that need no settings.
#[derive(Clone, Copy)]
enum Simple {
    RoundRobin,
    LeastConnections,
    Random,
    WeightedRandom,
}

// === impl Simple ===

impl Simple {
    fn planned(self) -> Balance {
        match self {
            Self::RoundRobin => Balance::RoundRobin,
            Self::LeastConnections => Balance::LeastConnections,
            Self::Random => Balance::Random,
            Self::WeightedRandom => Balance::WeightedRandom,
        }
    }
}
