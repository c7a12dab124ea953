//! Mappings from names that the user chooses.

use std::collections::HashSet;

use super::{Decode, LENGTH_MAX, Spot, Told, within_bounds, wrong_type};
use crate::diagnostic::Problems;
use crate::yaml::{Node, Value};

/// A mapping from names that the user chooses, in the order of the file.
#[derive(Clone, Debug, PartialEq)]
pub struct Entries<T> {
    entries: Vec<(String, T)>,
    /// Names whose value has a problem of its own: they exist, or every use of them would be another problem.
    refused: Vec<String>,
}

// === impl Entries ===

impl<T> Default for Entries<T> {
    fn default() -> Self {
        Self { entries: Vec::new(), refused: Vec::new() }
    }
}

impl<T> Entries<T> {
    /// The value of a name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&T> {
        self.entries.iter().find(|(known, _)| known == name).map(|(_, value)| value)
    }

    /// Names and values in the order of the file.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &T)> {
        self.entries.iter().map(|(name, value)| (name.as_str(), value))
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Those of which something is left, in the same order.
    pub(crate) fn filter_map<U>(&self, map: impl Fn(&T) -> Option<U>) -> Entries<U> {
        let entries = self.iter().filter_map(|(name, value)| Some((name.to_owned(), map(value)?))).collect();
        Entries { entries, refused: self.refused.clone() }
    }

    /// The value of a name, to be changed.
    pub(crate) fn get_mut(&mut self, name: &str) -> Option<&mut T> {
        self.entries.iter_mut().find(|(known, _)| known == name).map(|(_, value)| value)
    }

    /// One more, behind all others.
    pub(crate) fn push(&mut self, name: &str, value: T) {
        self.entries.push((name.to_owned(), value));
    }

    /// Every name, also of values that were refused.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.entries.iter().map(|(name, _)| name).chain(&self.refused).map(String::as_str)
    }
}

impl<T: Decode> Decode for Entries<T> {
    const EXPECTED: &'static str = "a mapping";

    fn decode(node: &Node, problems: &mut Problems) -> Option<Self> {
        let Value::Mapping(nodes) = &node.value else {
            wrong_type(node, Self::EXPECTED, problems);
            return None;
        };
        within_bounds(node, nodes.len(), problems)?;
        let mut entries = Self::default();
        let mut known = HashSet::new();
        for (key, node) in nodes {
            let Value::String(name) = &key.value else {
                wrong_type(key, "a name", problems);
                continue;
            };
            // A name that stands twice is reported for the whole document.
            if !known.insert(name) {
                continue;
            }
            match T::decode(node, problems) {
                Some(value) => entries.entries.push((name.clone(), value)),
                None => entries.refused.push(name.clone()),
            }
        }
        Some(entries)
    }

    fn tell(&self, spot: &Spot<'_>, told: &mut Told) {
        if self.is_empty() {
            told.add(spot, "{}".to_owned());
        }
        self.iter().for_each(|(name, value)| value.tell(&spot.key(name), told));
    }

    fn schema() -> String {
        format!(r#"{{"type":"object","additionalProperties":{},"maxProperties":{LENGTH_MAX}}}"#, T::schema())
    }
}
