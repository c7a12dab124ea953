//! Edits of a text of YAML in place: one entry of a mapping is set or taken out, and comments and all else stay as they are.
//!
//! What an edit makes of the text is not believed here: whoever asks for one reads the text again. Where something stands in
//! a way that is not known here, or is written nowhere, there is no edit.

use std::ops::Range;

use super::setting::key;
use crate::yaml::{Document, Node, Step, Value};

/// A text in which this stands at the end of a path, on one line: in place of what stood there, or behind everything else
/// of its mapping. An outermost mapping that is not there is written too.
pub(super) fn set(text: &str, path: &[&str], value: &str) -> Option<String> {
    let document = Document::parse(text).ok()?;
    let (steps, (name, above)) = (steps(path), path.split_last()?);
    let entry = format!("{}: {value}", key(name));
    if document.has(&steps) {
        let mapping = Mapping::at(&document, &steps[..above.len()])?;
        return mapping.with_value(mapping.position(name)?, value);
    }
    if let Some(mapping) = Mapping::at(&document, &steps[..above.len()]) {
        return mapping.with(&entry);
    }
    let ([section], Some(root)) = (above, Mapping::at(&document, &[])) else { return None };
    match root.is_in_brackets() {
        true => root.with(&format!("{}: {{ {entry} }}", key(section))),
        false => root.with(&format!("{}:\n  {entry}", key(section))),
    }
}

/// A text in which nothing stands at the end of a path any more. A mapping that had nothing else is `{}` then.
pub(super) fn remove(text: &str, path: &[&str]) -> Option<String> {
    let document = Document::parse(text).ok()?;
    let (steps, (name, above)) = (steps(path), path.split_last()?);
    if !document.has(&steps) {
        return Some(text.to_owned());
    }
    let mapping = Mapping::at(&document, &steps[..above.len()])?;
    mapping.without(mapping.position(name)?)
}

/// A text without an outermost mapping that is empty, unless there are comments at it.
pub(super) fn remove_empty(text: &str, section: &str) -> Option<String> {
    let document = Document::parse(text).ok()?;
    let is_empty = |node: &Node| matches!(&node.value, Value::Mapping(entries) if entries.is_empty());
    if !document.node(&steps(&[section])).is_some_and(is_empty) {
        return Some(text.to_owned());
    }
    let root = Mapping::at(&document, &[])?;
    let position = root.position(section)?;
    if !root.is_flow && text[root.lines(position)?].contains('#') {
        return Some(text.to_owned());
    }
    root.without(position)
}

/// One mapping of a text.
struct Mapping<'d> {
    document: &'d Document<'d>,
    path: &'d [Step<'d>],
    entries: &'d [(Node, Node)],
    /// Where it begins: with its brace or with its first key.
    start: usize,
    /// Whether it stands in braces.
    is_flow: bool,
}

// === impl Mapping ===

impl<'d> Mapping<'d> {
    /// The one at the end of a path.
    fn at(document: &'d Document<'d>, path: &'d [Step<'d>]) -> Option<Self> {
        let node = document.node(path)?;
        let Value::Mapping(entries) = &node.value else { return None };
        let start = document.locate(node.place).start;
        let is_flow = document.text()[start..].starts_with('{');
        Some(Self { document, path, entries, start, is_flow })
    }

    fn position(&self, name: &str) -> Option<usize> {
        self.entries.iter().position(|(key, _)| matches!(&key.value, Value::String(own) if own == name))
    }

    /// Whether what is added stands in its braces: an empty one makes way for lines where it stands on one of its own.
    fn is_in_brackets(&self) -> bool {
        let before = self.document.text().get(self.document.lines().line(self.start).start..self.start);
        self.is_flow && !(self.entries.is_empty() && before.is_some_and(is_blank))
    }

    /// The text with one more entry, behind all others. Further lines of it are indented like the first.
    fn with(&self, entry: &str) -> Option<String> {
        let text = self.document.text();
        if self.is_flow && self.entries.is_empty() {
            return self.with_first(entry);
        }
        if self.is_flow {
            let end = self.document.extent(self.entries.last()?.1.place, true)?.end;
            return replaced(text, end..end, &format!(", {entry}"));
        }
        let last = self.entries.len() - 1;
        let (end, indent) = (self.lines(last)?.end, " ".repeat(self.indent(last)?));
        let (ending, entry) = (ending(text), on_lines(entry, &indent, text));
        let before = if text[..end].ends_with('\n') { "" } else { ending };
        replaced(text, end..end, &format!("{before}{entry}{ending}"))
    }

    /// The same where it has no other and stands in braces.
    fn with_first(&self, entry: &str) -> Option<String> {
        let (text, lines) = (self.document.text(), self.document.lines());
        let range = self.start..self.document.extent(self.document.value(self.path), true)?.end;
        if !self.is_in_brackets() {
            // What stands behind it stays on its line.
            let line = lines.line(range.end).end;
            let (first, rest) = entry.split_at(entry.find('\n').unwrap_or(entry.len()));
            let entry = [first, text.get(range.end..line)?, rest].concat();
            return replaced(text, range.start..line, &on_lines(&entry, "", text));
        }
        // What is listed by name has a line for each, as overlays are written.
        if let ([Step::Key(name)], Some(root)) = (self.path, Mapping::at(self.document, &[]))
            && !root.is_flow
        {
            let position = root.position(name)?;
            let (colon, indent) = (root.behind_key(position)?, " ".repeat(root.indent(position)? + 2));
            if text.get(colon..range.start).is_some_and(is_blank) {
                let line = lines.line(range.end).end;
                let entry = [text.get(range.end..line)?, ending(text), &indent, entry].concat();
                return replaced(text, colon..line, &entry);
            }
        }
        replaced(text, range, &format!("{{ {entry} }}"))
    }

    /// The text in which an entry has another value.
    fn with_value(&self, position: usize, value: &str) -> Option<String> {
        let (text, node) = (self.document.text(), &self.entries[position].1);
        let start = self.document.locate(node.place).start;
        let is_flow = match &node.value {
            Value::Null => false,
            Value::Mapping(_) | Value::Sequence(_) => text[start..].starts_with(['{', '[']),
            _ => !text[start..].starts_with(['|', '>']),
        };
        if is_flow {
            return replaced(text, self.document.extent(node.place, self.is_flow)?, value);
        }
        let (colon, lines) = (self.behind_key(position)?, self.lines(position)?);
        let line = self.document.lines().line(colon).end;
        let behind = text.get(colon..line)?;
        let behind = if is_blank(behind) || behind.trim_start().starts_with('#') { behind } else { "" };
        let end = lines.start + text[lines].trim_end_matches(['\r', '\n']).len();
        replaced(text, colon..end, &format!(" {value}{behind}"))
    }

    /// The text without an entry.
    fn without(&self, position: usize) -> Option<String> {
        let text = self.document.text();
        if self.is_flow {
            return self.without_in_brackets(position);
        }
        let lines = self.lines(position)?;
        if self.entries.len() > 1 {
            return replaced(text, lines, "");
        }
        let Some((_, above)) = self.path.split_last() else {
            return replaced(text, lines, &format!("{{}}{}", ending(text)));
        };
        let outer = Mapping::at(self.document, above)?;
        let name = self.path.last().and_then(|step| if let Step::Key(name) = step { Some(*name) } else { None })?;
        let colon = outer.behind_key(outer.position(name)?)?;
        let rest = replaced(text, lines, "")?;
        replaced(&rest, colon..colon, " {}")
    }

    /// The same where it stands in braces. A comment at the end of its line goes with it.
    fn without_in_brackets(&self, position: usize) -> Option<String> {
        let (text, lines) = (self.document.text(), self.document.lines());
        if self.entries.len() == 1 {
            let end = self.document.extent(self.document.value(self.path), true)?.end;
            return replaced(text, self.start..end, "{}");
        }
        let (key, value) = &self.entries[position];
        let start = self.document.locate(key.place).start;
        let end = self.document.extent(value.place, true)?.end;
        let (line, last) = (lines.line(start), lines.line(end));
        let behind = text.get(end..last.end)?.trim_start();
        let next = behind.strip_prefix(',');
        let behind = next.unwrap_or(behind).trim_start();
        let before = text.get(line.start..start)?.trim_end();
        if behind.is_empty() || behind.starts_with('#') {
            let whole = line.start..last.end + ending_at(text, last.end);
            if before.is_empty() {
                replaced(text, whole, "")
            } else {
                replaced(text, line.start + before.len()..last.end, "")
            }
        } else if next.is_some() {
            replaced(text, start..last.end - behind.len(), "")
        } else {
            // Nothing follows: the comma before it goes too, unless a comment stands between.
            let before = text[..start].trim_end();
            let comma =
                before.strip_suffix(',').filter(|rest| !text[lines.line(rest.len()).start..rest.len()].contains('#'));
            replaced(text, comma.map_or(start, str::len)..end, "")
        }
    }

    /// How far the key of an entry is indented, which has to be the first on its line.
    fn indent(&self, position: usize) -> Option<usize> {
        let start = self.document.locate(self.entries[position].0.place).start;
        let line = self.document.lines().line(start).start;
        let indent = self.document.text().get(line..start)?;
        is_blank(indent).then_some(indent.len())
    }

    /// Behind the colon of an entry.
    fn behind_key(&self, position: usize) -> Option<usize> {
        let key = self.document.extent(self.entries[position].0.place, self.is_flow)?;
        let rest = &self.document.text()[key.end..];
        let colon = rest.find(':').filter(|colon| is_blank(&rest[..*colon]))?;
        Some(key.end + colon + 1)
    }

    /// The lines of an entry that is not in braces, with their ends: those that hold something of it, and the comments behind
    /// them that are further in.
    fn lines(&self, position: usize) -> Option<Range<usize>> {
        let (text, lines) = (self.document.text(), self.document.lines());
        let ((key, value), indent) = (&self.entries[position], self.indent(position)?);
        let start = lines.line(self.document.locate(key.place).start).start;
        let next = value.last().place.following(1).next()?;
        // Nothing follows where it has no place.
        let next = Some(self.document.locate(next).start).filter(|next| *next > 0);
        let bound = next.map_or(text.len(), |next| lines.line(next).start);
        let (mut at, mut end) = (start, start);
        for line in text.get(start..bound)?.split_inclusive('\n') {
            at += line.len();
            let is_end = line.starts_with("...") || line.trim().is_empty();
            if !is_end && !line.trim_start().starts_with('#') {
                end = at;
            }
        }
        let behind = text[end..bound].split_inclusive('\n');
        let further = |line: &&str| line.trim_start().starts_with('#') && line.len() - line.trim_start().len() > indent;
        Some(start..end + behind.take_while(further).map(str::len).sum::<usize>())
    }
}

fn steps<'p>(path: &[&'p str]) -> Vec<Step<'p>> {
    path.iter().map(|key| Step::from(*key)).collect()
}

fn is_blank(text: &str) -> bool {
    text.chars().all(|char| char == ' ')
}

/// What ends the lines of a text.
fn ending(text: &str) -> &'static str {
    if text.contains("\r\n") { "\r\n" } else { "\n" }
}

/// How many bytes end the line that reaches up to here.
fn ending_at(text: &str, end: usize) -> usize {
    ["\r\n", "\n", "\r"].into_iter().find(|ending| text[end..].starts_with(ending)).map_or(0, str::len)
}

/// Lines, each indented so, that end as those of a text.
fn on_lines(lines: &str, indent: &str, text: &str) -> String {
    lines.split('\n').map(|line| format!("{indent}{line}")).collect::<Vec<_>>().join(ending(text))
}

/// A text with this in place of a part of it; `None` where that is none, as behind an alias that leads further up.
fn replaced(text: &str, range: Range<usize>, with: &str) -> Option<String> {
    let (before, behind) = (text.get(..range.start)?, text.get(range.end..)?);
    (range.start <= range.end).then(|| [before, with, behind].concat())
}
