//! An overlay in place of another one, as an edit of the text of that: what stays is not touched, with its comments and its
//! order.
//!
//! What an edit makes of the text is not believed but read again: it must say what the overlay says, and nothing else.

use super::{Compiled, OVERLAY_BYTES_MAX, Overlay, edit, load};
use crate::Source;
use crate::yaml::{Document, Node, Step, Value};

/// How many bytes the texts of all edits may come to: beyond that an overlay is written anew.
const EDITING_BYTES_MAX: usize = 8 << 20;
/// The keys of an overlay.
const SECTIONS: [&str; 2] = ["backends", "views"];

/// What stands at the end of a path, or nothing.
struct Edit<'n> {
    path: Vec<&'n str>,
    value: Option<&'n Node>,
}

// === impl Overlay ===

impl Overlay {
    /// As a document: the text of another overlay of what is compiled, edited where they differ. Where that cannot be
    /// edited, written anew.
    #[must_use]
    pub fn written_over(&self, text: &str, compiled: Compiled<'_>) -> String {
        self.edited(text, compiled).unwrap_or_else(|| self.to_string())
    }

    /// The same; `None` where it cannot be edited.
    fn edited(&self, text: &str, compiled: Compiled<'_>) -> Option<String> {
        let (before, after) = (written(text, compiled)?, self.to_string());
        let (before, after) = (Document::parse(&before).ok()?, Document::parse(&after).ok()?);
        let edits = edits(&before.root, &after.root);
        if edits.len().saturating_mul(text.len().max(after.text().len())) > EDITING_BYTES_MAX {
            return None;
        }
        let mut edited = text.to_owned();
        // What is set first: nothing is empty for want of what takes its place.
        for (Edit { path, .. }, value) in edits.iter().filter_map(|own| Some((own, own.value?))) {
            edited = edit::set(&edited, path, &after.text()[after.locate(value.place)])?;
        }
        for Edit { path, .. } in edits.iter().filter(|own| own.value.is_none()) {
            edited = edit::remove(&edited, path)?;
        }
        let is_left_empty = |section: &&str| {
            listed(&before.root, section).next().is_some() && listed(&after.root, section).next().is_none()
        };
        for section in SECTIONS.into_iter().filter(is_left_empty) {
            edited = edit::remove_empty(&edited, section)?;
        }
        let read = written(&edited, compiled)?;
        let is_meant = self::edits(&Document::parse(&read).ok()?.root, &after.root).is_empty();
        (is_meant && edited.len() <= OVERLAY_BYTES_MAX).then_some(edited)
    }
}

/// A text of an overlay as overlays are written, with all that it does not say itself.
fn written(text: &str, compiled: Compiled<'_>) -> Option<String> {
    let source = Source { path: String::new(), text: text.to_owned() };
    load(&source, compiled).ok().map(|overlay| overlay.to_string())
}

/// What makes one overlay of another.
fn edits<'n>(before: &'n Node, after: &'n Node) -> Vec<Edit<'n>> {
    let mut edits = Vec::new();
    for section in SECTIONS {
        let (old, new) = (listed(before, section).collect(), listed(after, section).collect());
        compare(old, new, &mut vec![section], &mut edits);
    }
    edits
}

/// What a section has by name. Backends of which nothing is said are as good as none.
fn listed<'n>(root: &'n Node, section: &str) -> impl Iterator<Item = (&'n str, &'n Node)> {
    let is_backends = section == "backends";
    let all = root.step(Step::Key(section)).into_iter().flat_map(members);
    all.filter(move |(_, value)| !is_backends || members(value).next().is_some())
}

/// What stands in a mapping.
fn members(node: &Node) -> impl Iterator<Item = (&str, &Node)> {
    let entries = if let Value::Mapping(entries) = &node.value { entries.as_slice() } else { &[] };
    entries.iter().filter_map(|(key, value)| match &key.value {
        Value::String(name) => Some((name.as_str(), value)),
        _ => None,
    })
}

/// What makes one mapping of another, at the end of a path.
fn compare<'n>(
    old: Vec<(&'n str, &'n Node)>,
    new: Vec<(&'n str, &'n Node)>,
    path: &mut Vec<&'n str>,
    edits: &mut Vec<Edit<'n>>,
) {
    let of = |all: &[(&str, &'n Node)], name: &str| all.iter().find(|(own, _)| *own == name).map(|(_, value)| *value);
    for (name, value) in &new {
        path.push(name);
        match of(&old, name) {
            Some(own) if is_same(own, value) => {}
            Some(own) if [own, value].iter().all(|node| matches!(node.value, Value::Mapping(_))) => {
                compare(members(own).collect(), members(value).collect(), path, edits);
            }
            _ => edits.push(Edit { path: path.clone(), value: Some(value) }),
        }
        path.pop();
    }
    for (name, _) in old.iter().filter(|(name, _)| of(&new, name).is_none()) {
        edits.push(Edit { path: path.iter().copied().chain([*name]).collect(), value: None });
    }
}

/// Whether two nodes say the same: the order of keys says nothing.
fn is_same(one: &Node, other: &Node) -> bool {
    match (&one.value, &other.value) {
        (Value::Mapping(own), Value::Mapping(others)) => {
            let is_in_other = |(name, value)| other.step(Step::Key(name)).is_some_and(|found| is_same(value, found));
            own.len() == others.len() && members(one).count() == own.len() && members(one).all(is_in_other)
        }
        (Value::Sequence(own), Value::Sequence(others)) => {
            own.len() == others.len() && own.iter().zip(others).all(|(own, other)| is_same(own, other))
        }
        _ => super::setting::of_node(one) == super::setting::of_node(other),
    }
}

#[cfg(test)]
mod tests;
