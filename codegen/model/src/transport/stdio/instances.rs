//! How many children of one kind run side by side.

use crate::decode::{Choice, Decode, record, word, words_schema, wrong_type};
use crate::diagnostic::{Code, Problems, quoted};
use crate::json::token;
use crate::rule::Within;
use crate::yaml::{Node, Value};

const POOL: Within<usize> = Within { noun: "pool", range: 1..=64 };

record! {
    /// Several children that share their calls.
    struct Pool: "a pool" {
        /// How many.
        pool: usize where POOL,
    }
}

/// How many children of one kind run side by side.
#[derive(Clone, Debug, PartialEq)]
pub enum Instances {
    /// One for all clients.
    Shared,
    /// Several for all clients.
    Pool(Pool),
}

// === impl Instances ===

impl Instances {
    const WORDS: [Choice<()>; 1] = [("shared", (), "One for all clients.")];
    /// What others have, and this gateway does not.
    const FOREIGN: [&'static str; 2] = ["per_session", "per_principal"];

    /// How many there are.
    #[must_use]
    pub fn count(&self) -> usize {
        match self {
            Self::Shared => 1,
            Self::Pool(pool) => pool.pool,
        }
    }
}

impl Decode for Instances {
    const EXPECTED: &'static str = "`shared` or `{ pool: N }`";

    fn decode(node: &Node, problems: &mut Problems) -> Option<Self> {
        match &node.value {
            Value::String(found) if Self::FOREIGN.contains(&found.as_str()) => {
                let message = format!("{} is not {}", quoted(found), Self::EXPECTED);
                problems
                    .error(Code::InvalidValue, node.place, message)
                    .label("no child is kept for one session or principal alone")
                    .help("all clients share the children of a backend: write `shared`, or `{ pool: 4 }` for several");
                None
            }
            Value::String(_) => word(node, Self::EXPECTED, &Self::WORDS, problems).map(|()| Self::Shared),
            Value::Mapping(_) => Pool::decode(node, problems).map(Self::Pool),
            _ => {
                wrong_type(node, Self::EXPECTED, problems);
                None
            }
        }
    }

    fn schema() -> String {
        format!(r#"{{"anyOf":[{},{}]}}"#, words_schema(&Self::WORDS), Pool::schema())
    }

    fn written(&self) -> Option<String> {
        Some(match self {
            Self::Shared => token("shared"),
            Self::Pool(pool) => format!(r#"{{"pool":{}}}"#, pool.pool),
        })
    }
}
