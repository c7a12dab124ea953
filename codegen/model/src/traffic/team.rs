//! The backends that take the calls of a route between them.

use super::{ENDPOINTS_MAX, WEIGHT, narrow};
use crate::constant::constant;
use crate::decode::{Decode, Key, record, wrong_type};
use crate::diagnostic::{Code, Problems};
use crate::json::token;
use crate::plan::{Balance, Table};
use crate::yaml::{Node, Value};

constant! {
    /// Backends that take the calls of a route between them.
    pub struct Team {
        /// At least two.
        pub members: Table<Member>,
        /// Which of them a call goes to.
        pub balance: Balance,
    }
}

constant! {
    /// A backend of a team.
    #[derive(Copy)]
    pub struct Member {
        /// The index of the backend.
        pub backend: u16,
        /// How much of the calls it gets, compared with the others.
        pub weight: u32,
    }
}

/// Where a route leads, as the topology says it: to one backend, or to several.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TeamSettings {
    /// In their order; none where that could not be read.
    pub members: Vec<MemberSettings>,
}

/// One of the backends of a route.
#[derive(Clone, Debug, PartialEq)]
pub struct MemberSettings {
    /// Its name.
    pub backend: String,
    /// How much of the calls it gets, compared with the others.
    pub weight: usize,
}

record! {
    /// One of the backends of a route, with its share of the calls.
    struct Weighted: "a backend of a route" {
        /// The name of the backend.
        backend: String | { String::new() },
        /// How much of the calls it gets, compared with the others.
        weight: usize where WEIGHT = 1,
    }
}

// === impl Team ===

impl Team {
    /// Whether a backend is one of its members.
    #[must_use]
    pub fn has(&self, backend: u16) -> bool {
        self.members.iter().any(|member| member.backend == backend)
    }
}

// === impl TeamSettings ===

impl TeamSettings {
    /// The names of its backends.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.members.iter().map(|member| &*member.backend)
    }
}

impl Decode for TeamSettings {
    const EXPECTED: &'static str = "the name of a backend or a list of them";

    fn decode(node: &Node, problems: &mut Problems) -> Option<Self> {
        let members = match &node.value {
            Value::String(_) => vec![MemberSettings::decode(node, problems)?],
            Value::Sequence(_) => Vec::decode(node, problems)?,
            _ => {
                wrong_type(node, Self::EXPECTED, problems).help("write `to: NAME`, or `to: [ONE, OTHER]`");
                return None;
            }
        };
        match members.len() {
            0 => {
                let problem = problems.error(Code::InvalidValue, node.owner, "route to no backend".to_owned());
                problem.help("write `to: NAME`, or `to: [ONE, OTHER]`");
            }
            1..=ENDPOINTS_MAX => {}
            count => {
                let message = format!("{count} backends of a route are over the limit of {ENDPOINTS_MAX}");
                problems.error(Code::OverBounds, node.owner, message);
            }
        }
        Some(Self { members })
    }

    fn schema() -> String {
        let (name, member) = (String::schema(), MemberSettings::schema());
        let list = format!(r#"{{"type":"array","items":{member},"minItems":1,"maxItems":{ENDPOINTS_MAX}}}"#);
        format!(r#"{{"anyOf":[{name},{list}]}}"#)
    }

    fn keys() -> &'static [Key] {
        Weighted::KEYS
    }

    fn written(&self) -> Option<String> {
        let members: Option<Vec<String>> = self.members.iter().map(MemberSettings::written).collect();
        match &members?[..] {
            [only] => Some(only.clone()),
            several => Some(format!("[{}]", several.join(","))),
        }
    }
}

// === impl MemberSettings ===

impl MemberSettings {
    pub(crate) fn planned(&self, backend: u16) -> Member {
        Member { backend, weight: narrow(self.weight) }
    }
}

impl Decode for MemberSettings {
    const EXPECTED: &'static str = "the name of a backend";

    fn decode(node: &Node, problems: &mut Problems) -> Option<Self> {
        match &node.value {
            Value::String(name) => Some(Self { backend: name.clone(), weight: 1 }),
            Value::Mapping(_) => {
                let Weighted { backend, weight } = Weighted::decode(node, problems)?;
                Some(Self { backend, weight })
            }
            _ => {
                wrong_type(node, Self::EXPECTED, problems).help("write its name, or `{ backend: NAME, weight: 2 }`");
                None
            }
        }
    }

    fn schema() -> String {
        format!(r#"{{"anyOf":[{},{}]}}"#, String::schema(), Weighted::schema())
    }

    fn keys() -> &'static [Key] {
        Weighted::KEYS
    }

    fn written(&self) -> Option<String> {
        let Self { backend, weight } = self;
        let backend = token(backend);
        Some(if *weight == 1 { backend } else { format!(r#"{{"backend":{backend},"weight":{weight}}}"#) })
    }

    fn stand_in() -> Option<Self> {
        Some(Self { backend: String::new(), weight: 1 })
    }
}
