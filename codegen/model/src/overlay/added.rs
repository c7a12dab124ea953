//! What an overlay may hold, as it is written: settings of backends, and backends and views that it adds, each with the keys
//! that a topology has for it. Whether what is added goes with what is compiled is checked in [`super::base`].

use super::setting::of_node;
use super::{BackendSettings, Overlay};
use crate::decode::{Decode, Entries, Key, object_schema, record};
use crate::diagnostic::Problems;
use crate::topology::{Backend, VIEWS, View};
use crate::yaml::{Node, Value};

/// What an overlay adds, with how it is written.
#[derive(Clone, Debug, PartialEq)]
pub struct Added<T> {
    /// It.
    pub value: T,
    /// The same as JSON.
    pub json: String,
}

record! {
    /// An overlay.
    struct Written: "an overlay" {
        /// Settings of compiled backends, and whole backends besides, by name.
        backends: Entries<Either> = Entries::default(),
        /// Views besides the compiled ones, by name.
        views: Entries<Added<View>> where VIEWS = Entries::default(),
    }
}

/// What stands at the name of a backend: settings of a compiled one, or one that is added, which says how to reach it.
#[derive(Clone, Debug, PartialEq)]
pub struct Either {
    settings: BackendSettings,
    added: Option<Added<Backend>>,
}

/// Keys of settings that an added backend has beside those of a topology.
const ALSO_ADDED: [&str; 3] = ["disabled", "drain", "weights"];

// === impl Added ===

impl<T> Added<T> {
    /// What stands between the braces of [`json`](Self::json).
    pub(super) fn members(&self) -> &str {
        self.json.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')).unwrap_or_default()
    }
}

impl<T: Decode> Decode for Added<T> {
    const EXPECTED: &'static str = T::EXPECTED;

    fn decode(node: &Node, problems: &mut Problems) -> Option<Self> {
        T::decode(node, problems).map(|value| Self { value, json: of_node(node) })
    }

    fn schema() -> String {
        T::schema()
    }

    fn keys() -> &'static [Key] {
        T::keys()
    }
}

// === impl Either ===

impl Decode for Either {
    const EXPECTED: &'static str = BackendSettings::EXPECTED;

    fn decode(node: &Node, problems: &mut Problems) -> Option<Self> {
        let is = |key: &Node, names: &[&str]| matches!(&key.value, Value::String(name) if names.contains(&&**name));
        let Value::Mapping(entries) = &node.value else {
            return BackendSettings::decode(node, problems).map(|settings| Self { settings, added: None });
        };
        if !entries.iter().any(|(key, _)| is(key, &["transport"])) {
            return BackendSettings::decode(node, problems).map(|settings| Self { settings, added: None });
        }
        let (own, topology) = entries.iter().cloned().partition(|(key, _)| is(key, &ALSO_ADDED));
        let part = |entries| Node { value: Value::Mapping(entries), ..node.clone() };
        let settings = BackendSettings::decode(&part(own), problems);
        let added = Added::decode(&part(topology), problems);
        Some(Self { settings: settings?, added: Some(added?) })
    }

    fn schema() -> String {
        let own = BackendSettings::KEYS.iter().filter(|key| ALSO_ADDED.contains(&key.name));
        let keys: Vec<Key> = Backend::KEYS.iter().chain(own).copied().collect();
        let added = object_schema("an added backend", &keys, "");
        format!(r#"{{"anyOf":[{},{added}]}}"#, BackendSettings::schema())
    }
}

// === impl Overlay ===

impl Decode for Overlay {
    const EXPECTED: &'static str = Written::EXPECTED;

    fn decode(node: &Node, problems: &mut Problems) -> Option<Self> {
        let Written { backends, views } = Written::decode(node, problems)?;
        let added = backends.filter_map(|own| own.added.clone());
        Some(Self { backends: backends.filter_map(|own| Some(own.settings.clone())), added, views })
    }

    fn schema() -> String {
        Written::schema()
    }

    fn keys() -> &'static [Key] {
        Written::keys()
    }
}
