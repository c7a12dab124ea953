//! What a document comes to, setting by setting: those that are written, with their line, and those that are not.
//! Secrets are not among them: they are written as references.

use crate::plan::Stated;
use crate::yaml::{Document, Node, Place, Value};

/// Where a setting stands: its keys, and its node if it is written.
#[derive(Clone, Debug)]
pub(crate) struct Spot<'n> {
    path: String,
    node: Option<&'n Node>,
}

/// What was told so far.
#[derive(Debug, Default)]
pub(crate) struct Told {
    /// The place is that of its key.
    settings: Vec<(String, String, Option<Place>)>,
}

// === impl Spot ===

impl<'n> Spot<'n> {
    /// The whole document.
    pub(crate) fn root(document: &'n Document<'_>) -> Self {
        Self { path: String::new(), node: Some(&document.root) }
    }

    /// What stands at a key.
    pub(crate) fn key(&self, name: &str) -> Self {
        let path = if self.path.is_empty() { name.to_owned() } else { format!("{}.{name}", self.path) };
        let node = self.node.and_then(|node| match &node.value {
            Value::Mapping(entries) => {
                entries.iter().find(|(key, _)| matches!(&key.value, Value::String(key) if key == name)).map(|e| &e.1)
            }
            _ => None,
        });
        Self { path, node }
    }

    /// The item of a list.
    pub(crate) fn item(&self, index: usize) -> Self {
        let node = self.node.and_then(|node| match &node.value {
            Value::Sequence(items) => items.get(index),
            _ => None,
        });
        Self { path: format!("{}[{index}]", self.path), node }
    }

    /// Whether one word stands there, for what may also be a mapping.
    pub(crate) fn is_word(&self) -> bool {
        self.node.is_some_and(|node| matches!(node.value, Value::String(_)))
    }
}

// === impl Told ===

impl Told {
    /// One setting and its value, as JSON.
    pub(crate) fn add(&mut self, spot: &Spot<'_>, value: String) {
        self.settings.push((spot.path.clone(), value, spot.node.map(|node| node.owner)));
    }

    /// All of them, with the lines of those that are written.
    pub(crate) fn stated(self, document: &Document<'_>) -> Vec<Stated> {
        let places = self.settings.iter().filter_map(|(_, _, place)| *place).collect();
        let ranges = document.locate_scalars(places);
        let line = |place: Place| {
            let range = ranges.get(&place).cloned().unwrap_or_else(|| document.locate(place));
            document.lines().line_and_column(range.start).0
        };
        let stated =
            |(path, value, place): (String, String, Option<Place>)| Stated { path, value, line: place.map(line) };
        self.settings.into_iter().map(stated).collect()
    }
}
