//! How the lock records where a backend was reached, and what differs from where the topology reaches it now.

use std::collections::{BTreeMap, BTreeSet};

use super::Transport;
use crate::json::{Tree, token};
use crate::lock::Json;
use crate::plan::Reference;
use crate::yaml::Step;

/// The value of one key of a transport.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Recorded {
    Text(String),
    List(Vec<String>),
    Map(BTreeMap<String, String>),
}

/// One field that is not as it was recorded.
#[derive(Clone, Debug)]
pub(crate) struct Difference<'a> {
    /// Where the topology says it, below the backend.
    pub(crate) steps: Vec<Step<'a>>,
    /// The field, such as `args[1]`.
    pub(crate) field: String,
    /// What the lock has; `None`: nothing.
    pub(crate) before: Option<String>,
}

// === impl Recorded ===

impl Recorded {
    pub(crate) fn reference(reference: &Reference) -> Self {
        Self::Text(reference.to_string())
    }

    fn json(&self) -> String {
        match self {
            Self::Text(text) => token(text),
            Self::List(items) => format!("[{}]", items.iter().map(|item| token(item)).collect::<Vec<_>>().join(",")),
            Self::Map(entries) => {
                let entries: Vec<String> =
                    entries.iter().map(|(key, value)| format!("{}:{}", token(key), token(value))).collect();
                format!("{{{}}}", entries.join(","))
            }
        }
    }
}

// === impl Transport ===

impl Transport {
    /// What a lock records of it: everything that decides which server is reached; references by their name.
    #[must_use]
    pub fn record(&self) -> Json {
        let fields: Vec<String> =
            self.recorded().iter().map(|(key, value)| format!("{}:{}", token(key), value.json())).collect();
        Json::composed(format!(r#"{{{}:{{{}}}}}"#, token(self.kind().key), fields.join(",")))
    }

    /// The fields that are not as a lock recorded them.
    pub(crate) fn differences(&self, record: &Json) -> Vec<Difference<'static>> {
        let key = self.kind().key;
        let record = record.tree();
        let Some(recorded) = record.member(key) else {
            let before = record.members().first().map(|member| member.key.to_string());
            return vec![Difference { steps: vec![Step::Key("transport")], field: "transport".to_owned(), before }];
        };
        let now = self.recorded();
        let gone = recorded.members().iter().filter(|member| now.iter().all(|(key, _)| *key != member.key));
        let gone = gone.map(|member| Difference {
            steps: vec![Step::Key("transport"), Step::Key(key)],
            field: member.key.to_string(),
            before: Some(shown(&member.value)),
        });
        now.iter().flat_map(|(field, value)| below(key, field, value, recorded.member(field))).chain(gone).collect()
    }
}

/// What differs in one field.
fn below(
    transport: &'static str,
    field: &'static str,
    now: &Recorded,
    before: Option<&Tree<'_>>,
) -> Vec<Difference<'static>> {
    let whole = || match field {
        // The place of a server that is connected to stands outside of its transport.
        "url" => vec![Step::Key("endpoints"), Step::Index(0), Step::Key("url")],
        _ => vec![Step::Key("transport"), Step::Key(transport), Step::Key(field)],
    };
    match (now, before) {
        (Recorded::List(items), Some(Tree::Array(earlier))) if items.len() == earlier.len() => {
            let pairs = items.iter().zip(earlier).enumerate();
            let changed = pairs.filter(|(_, (now, before))| before.string().as_deref() != Some(now.as_str()));
            let difference = |(index, (_, before)): (usize, (&String, &Tree<'_>))| Difference {
                steps: [whole(), vec![Step::Index(index)]].concat(),
                field: format!("{field}[{index}]"),
                before: Some(shown(before)),
            };
            changed.map(difference).collect()
        }
        (Recorded::Map(entries), Some(earlier @ Tree::Object(members))) => {
            let keys: BTreeSet<&str> =
                entries.keys().map(String::as_str).chain(members.iter().map(|member| &*member.key)).collect();
            let same = |key: &&str| {
                let before = earlier.member(key).and_then(Tree::string);
                before.is_some() && entries.get(*key).map(String::as_str) == before.as_deref()
            };
            let changed = keys.into_iter().filter(|key| !same(key));
            let difference = |key: &str| Difference {
                steps: whole(),
                field: format!("{field}.{key}"),
                before: earlier.member(key).map(shown),
            };
            changed.map(difference).collect()
        }
        (Recorded::Text(text), Some(earlier)) if earlier.string().as_deref() == Some(text) => Vec::new(),
        _ => vec![Difference { steps: whole(), field: field.to_owned(), before: before.map(shown) }],
    }
}

/// A recorded value: text as it is, anything else as JSON.
fn shown(tree: &Tree<'_>) -> String {
    tree.string().map_or_else(|| tree.minified(), std::borrow::Cow::into_owned)
}
