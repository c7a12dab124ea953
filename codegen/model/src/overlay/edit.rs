//! Edits of a text of YAML: what is set is written into it, and comments and all else stay as they are.
//!
//! What an edit makes of the text is read again by whoever asks for it.

use std::ops::Range;

use super::setting::key;
use crate::yaml::{Document, steps};

/// A text in which a backend has this setting; `None` where it holds no such backend.
pub(super) fn edit(text: &str, backend: &str, setting: &str, value: &str) -> Option<String> {
    let document = Document::parse(text).ok()?;
    let (of_backend, of_setting) = (steps!["backends", backend], steps!["backends", backend, setting]);
    if !document.has(of_backend) {
        return None;
    }
    if document.has(of_setting) {
        let range = document.locate(document.value(of_setting));
        return Some(replaced(text, range, value));
    }
    // The first key of a block mapping, or the bracket of one in a line.
    let start = document.locate(document.value(of_backend)).start;
    if text[start..].starts_with('{') {
        return Some(replaced(text, start + 1..start + 1, &format!(" {setting}: {value},")));
    }
    let line = text[..start].rfind('\n').map_or(0, |end| end + 1);
    let indent = &text[line..start];
    let is_indent = indent.chars().all(|char| char == ' ');
    is_indent.then(|| replaced(text, start..start, &format!("{setting}: {value}\n{indent}")))
}

/// A text with one more entry; `None` where there is no place for it.
pub(super) fn add(text: &str, section: &str, name: &str, value: &str) -> Option<String> {
    let document = Document::parse(text).ok()?;
    let entry = format!("{}: {value}", key(name));
    if !document.has(steps![section]) {
        let end = if text.ends_with('\n') { "" } else { "\n" };
        return Some(format!("{text}{end}{section}:\n  {entry}\n"));
    }
    let start = document.locate(document.value(steps![section])).start;
    if text[start..].starts_with('{') {
        return Some(replaced(text, start + 1..start + 1, &format!(" {entry},")));
    }
    let line = text[..start].rfind('\n').map_or(0, |end| end + 1);
    let indent = &text[line..start];
    let is_indent = indent.chars().all(|char| char == ' ');
    is_indent.then(|| replaced(text, start..start, &format!("{entry}\n{indent}")))
}

fn replaced(text: &str, range: Range<usize>, with: &str) -> String {
    [&text[..range.start], with, &text[range.end..]].concat()
}
