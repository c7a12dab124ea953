//! How many children of one kind run side by side, and for whom.

use crate::decode::{Choice, Decode, record, word, words_schema, wrong_type};
use crate::diagnostic::{Code, Problems, quoted};
use crate::json::token;
use crate::rule::Within;
use crate::yaml::{Node, Value};

const POOL: Within<usize> = Within { noun: "pool", range: 1..=64 };
const SESSIONS: Within<usize> = Within { noun: "number of sessions", range: 1..=256 };
/// How many sessions have a child of their own where none is written.
const SESSIONS_DEFAULT: usize = 16;

record! {
    /// Several children.
    default struct Several: "`{ pool: N }` or `{ per_session: N }`" where one_of_them {
        /// So many that share the calls of all clients.
        pool: Option<usize> where POOL = None,
        /// One for each session of a client, for so many sessions at once.
        per_session: Option<usize> where SESSIONS = None,
    }
}

/// How many children of one kind run side by side, and for whom.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Instances {
    /// One for all clients.
    Shared,
    /// So many for all clients.
    Pool(usize),
    /// One for each session, for so many at once, and one for all clients without a session.
    PerSession(usize),
}

/// What else the schema says of several children: one way of them.
fn one_of_them() -> String {
    r#","minProperties":1,"allOf":[{"maxProperties":1}]"#.to_owned()
}

// === impl Instances ===

impl Instances {
    const WORDS: [Choice<Self>; 2] = [
        ("shared", Self::Shared, "One for all clients."),
        ("per_session", Self::PerSession(SESSIONS_DEFAULT), "One for each session of a client, for 16 at once."),
    ];
    /// What others have, and this gateway does not.
    const FOREIGN: &'static str = "per_principal";

    /// How many there are for all clients.
    #[must_use]
    pub fn shared(self) -> usize {
        match self {
            Self::Shared | Self::PerSession(_) => 1,
            Self::Pool(pool) => pool,
        }
    }

    /// How many sessions may have one of their own; 0: none has.
    #[must_use]
    pub fn sessions(self) -> usize {
        match self {
            Self::Shared | Self::Pool(_) => 0,
            Self::PerSession(sessions) => sessions,
        }
    }
}

impl Decode for Instances {
    const EXPECTED: &'static str = "`shared`, `per_session`, `{ pool: N }` or `{ per_session: N }`";

    fn decode(node: &Node, problems: &mut Problems) -> Option<Self> {
        match &node.value {
            Value::String(found) if found == Self::FOREIGN => {
                let message = format!("{} is not {}", quoted(found), Self::EXPECTED);
                problems
                    .error(Code::InvalidValue, node.place, message)
                    .label("no child is kept for one principal alone")
                    .help("write `per_session` for a child that one session has to itself");
                None
            }
            Value::String(_) => word(node, Self::EXPECTED, &Self::WORDS, problems),
            Value::Mapping(_) => match Several::decode(node, problems)? {
                Several { pool: Some(pool), per_session: None } => Some(Self::Pool(pool)),
                Several { pool: None, per_session: Some(sessions) } => Some(Self::PerSession(sessions)),
                Several { pool: None, per_session: None } if has_entries(node) => None,
                several => {
                    let ways = usize::from(several.pool.is_some()) + usize::from(several.per_session.is_some());
                    problems
                        .error(Code::InvalidValue, node.owner, format!("{ways} kinds of children where one belongs"))
                        .help("write `{ pool: 4 }` or `{ per_session: 16 }`");
                    None
                }
            },
            _ => {
                wrong_type(node, Self::EXPECTED, problems);
                None
            }
        }
    }

    fn schema() -> String {
        format!(r#"{{"anyOf":[{},{}]}}"#, words_schema(&Self::WORDS), Several::schema())
    }

    fn written(&self) -> Option<String> {
        Some(match self {
            Self::Shared => token("shared"),
            Self::Pool(pool) => format!(r#"{{"pool":{pool}}}"#),
            Self::PerSession(sessions) => format!(r#"{{"per_session":{sessions}}}"#),
        })
    }
}

/// Whether something stands in a mapping: then what of it could not be read has been reported.
fn has_entries(node: &Node) -> bool {
    matches!(&node.value, Value::Mapping(entries) if !entries.is_empty())
}
