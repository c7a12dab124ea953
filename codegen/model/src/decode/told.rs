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

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use super::*;
    use crate::{Features, Source, load, lock_path};

    /// The path of everything that is written.
    fn leaves(node: &Node, path: &str, leaves: &mut Vec<String>) {
        match &node.value {
            Value::Mapping(entries) if !entries.is_empty() => {
                for (key, value) in entries {
                    let Value::String(key) = &key.value else { panic!("a key is text") };
                    let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
                    self::leaves(value, &path, leaves);
                }
            }
            Value::Sequence(items) => {
                for (index, item) in items.iter().enumerate() {
                    self::leaves(item, &format!("{path}[{index}]"), leaves);
                }
            }
            _ => leaves.push(path.to_owned()),
        }
    }

    #[test]
    fn all_that_is_written_is_told() {
        let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/pass");
        let mut seen = 0;
        for entry in fs::read_dir(fixtures).expect("fixtures") {
            let path = entry.expect("an entry").path();
            if path.extension().is_none_or(|extension| extension != "yaml") {
                continue;
            }
            let read = |path: &Path| fs::read_to_string(path).expect("fixtures are text");
            let source = |path: &Path| Source { path: path.display().to_string(), text: read(path) };
            let lock = Some(lock_path(&path)).filter(|lock| lock.exists()).map(|lock| source(&lock));
            let (plan, _) = load(&source(&path), lock.as_ref(), &Features::all()).expect("the fixture is accepted");
            let (text, mut written) = (read(&path), Vec::new());
            leaves(&Document::parse(&text).expect("YAML").root, "", &mut written);
            for leaf in written {
                let holds = |stated: &Stated| {
                    let below = |inner: &str, outer: &str| {
                        inner.strip_prefix(outer).is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
                    };
                    // Of `{}` what it stands for is told, which nobody wrote.
                    below(&leaf, &stated.path) && stated.line.is_some() || below(&stated.path, &leaf)
                };
                assert!(plan.settings.iter().any(holds), "{}: `{leaf}` is not told", path.display());
                seen += 1;
            }
            for stated in &plan.settings {
                serde_json::from_str::<serde_json::Value>(&stated.value).expect(&stated.path);
            }
        }
        assert!(seen > 100, "{seen}");
    }
}
