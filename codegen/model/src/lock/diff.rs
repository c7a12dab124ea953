//! What changed between two sections, field by field.

use std::collections::BTreeSet;
use std::fmt;

use serde::Serialize;

use super::{Item, Json, List, Section, era_word, find};
use crate::json::{Tree, token};

/// How much of a value is shown.
const EXCERPT_CHARS: usize = 60;
/// How much before the first difference.
const CONTEXT_CHARS: usize = 16;

/// One change.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Change {
    /// What happened.
    pub kind: ChangeKind,
    /// To what kind of thing.
    pub subject: Subject,
    /// The name or URI of the item; empty for the server.
    pub name: String,
    /// Keys and indices from the item to what changed; empty for a whole item.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub path: String,
    /// The earlier JSON text, shortened to where it differs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub old: Option<String>,
    /// The later one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub new: Option<String>,
}

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ChangeKind {
    /// An item is new.
    Added,
    /// An item is gone.
    Removed,
    /// A field of an item, or of the server, has another value.
    Changed,
}

/// What a change is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Subject {
    /// Its era, revision, capabilities, instructions or name.
    Server,
    /// A tool.
    Tool,
    /// A prompt.
    Prompt,
    /// A resource.
    Resource,
    /// A resource template.
    Template,
}

/// What changed from one section to the other: the server first, then the lists. How it was reached does not count.
#[must_use]
pub fn diff(old: &Section, new: &Section) -> Vec<Change> {
    let mut differ = Differ { subject: Subject::Server, name: String::new(), changes: Vec::new() };
    let era = |section: &Section| token(era_word(section.era()));
    differ.texts("era", Some(era(old)), Some(era(new)));
    differ.texts("revision", Some(token(old.revision.as_str())), Some(token(new.revision.as_str())));
    let (old_server, new_server) = (old.server.as_ref().map(Json::tree), new.server.as_ref().map(Json::tree));
    differ.trees("server", old_server.as_ref(), new_server.as_ref());
    differ.trees("capabilities", Some(&old.capabilities.tree()), Some(&new.capabilities.tree()));
    let instructions = |section: &Section| section.instructions.as_deref().map(token);
    differ.texts("instructions", instructions(old), instructions(new));
    let lists = [
        (List::Tools, Subject::Tool),
        (List::Prompts, Subject::Prompt),
        (List::Resources, Subject::Resource),
        (List::Templates, Subject::Template),
    ];
    for (list, subject) in lists {
        differ.subject = subject;
        differ.lists(old.list(list), new.list(list));
    }
    differ.changes
}

struct Differ {
    subject: Subject,
    name: String,
    changes: Vec<Change>,
}

// === impl Differ ===

impl Differ {
    fn lists(&mut self, old: &[Item], new: &[Item]) {
        let names: BTreeSet<&str> = old.iter().chain(new).map(|item| item.name.as_str()).collect();
        for name in names {
            name.clone_into(&mut self.name);
            match (find(old, name), find(new, name)) {
                (None, _) => self.push(ChangeKind::Added, "", None, None),
                (_, None) => self.push(ChangeKind::Removed, "", None, None),
                (Some(before), Some(after)) if before.digest == after.digest => {}
                (Some(before), Some(after)) => {
                    self.trees("", Some(&before.json.tree()), Some(&after.json.tree()));
                }
            }
        }
    }

    fn trees(&mut self, path: &str, old: Option<&Tree<'_>>, new: Option<&Tree<'_>>) {
        match (old, new) {
            (Some(Tree::Object(before)), Some(Tree::Object(after))) => {
                let keys: BTreeSet<&str> = before.iter().chain(after).map(|member| member.key.as_ref()).collect();
                for key in keys {
                    let (old, new) = (old.and_then(|tree| tree.member(key)), new.and_then(|tree| tree.member(key)));
                    self.trees(&below(path, key), old, new);
                }
            }
            (Some(Tree::Array(before)), Some(Tree::Array(after))) if before.len() == after.len() => {
                for (index, (old, new)) in before.iter().zip(after).enumerate() {
                    self.trees(&format!("{path}[{index}]"), Some(old), Some(new));
                }
            }
            _ => self.texts(path, old.map(Tree::canonical), new.map(Tree::canonical)),
        }
    }

    fn texts(&mut self, path: &str, old: Option<String>, new: Option<String>) {
        if old != new {
            let from = first_difference(old.as_deref(), new.as_deref());
            let excerpt = |text: Option<String>| text.map(|text| excerpt(&text, from));
            self.push(ChangeKind::Changed, path, excerpt(old), excerpt(new));
        }
    }

    fn push(&mut self, kind: ChangeKind, path: &str, old: Option<String>, new: Option<String>) {
        let (subject, name, path) = (self.subject, self.name.clone(), path.to_owned());
        self.changes.push(Change { kind, subject, name, path, old, new });
    }
}

/// The path of a member: dotted where the key is a plain word.
fn below(path: &str, key: &str) -> String {
    let plain = !key.is_empty() && key.chars().all(|c| c.is_alphanumeric() || matches!(c, '_' | '-' | '$'));
    match (path.is_empty(), plain) {
        (true, true) => key.to_owned(),
        (false, true) => format!("{path}.{key}"),
        (_, false) => format!("{path}[{}]", token(key)),
    }
}

fn first_difference(old: Option<&str>, new: Option<&str>) -> usize {
    let (old, new) = (old.unwrap_or_default(), new.unwrap_or_default());
    old.chars().zip(new.chars()).take_while(|(before, after)| before == after).count()
}

/// A part of a JSON text that holds the character at `difference`, whole where it is short.
fn excerpt(text: &str, difference: usize) -> String {
    let length = text.chars().count();
    if length <= EXCERPT_CHARS {
        return text.to_owned();
    }
    let start = difference.saturating_sub(CONTEXT_CHARS).min(length - EXCERPT_CHARS);
    let part: String = text.chars().skip(start).take(EXCERPT_CHARS).collect();
    let (before, after) = (if start > 0 { "…" } else { "" }, if start + EXCERPT_CHARS < length { "…" } else { "" });
    format!("{before}{part}{after}")
}

/// Shows what a server chose: characters that are invisible, or that would steer a terminal, as escapes.
pub(crate) fn printable(text: &str) -> String {
    let shown = |c: char| match c {
        '"' | '\'' | '\\' => c.to_string(),
        _ => c.escape_debug().to_string(),
    };
    text.chars().map(shown).collect()
}

// === impl Change ===

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = match self.kind {
            ChangeKind::Added => '+',
            ChangeKind::Removed => '-',
            ChangeKind::Changed => '~',
        };
        write!(f, "{sign} {}", self.subject)?;
        if !self.name.is_empty() {
            write!(f, " {}", printable(&self.name))?;
        }
        if self.kind == ChangeKind::Changed {
            let shown = |value: &Option<String>| value.as_deref().map_or_else(|| "absent".to_owned(), printable);
            write!(f, "  {}: {} → {}", printable(&self.path), shown(&self.old), shown(&self.new))?;
        }
        Ok(())
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Server => "server",
            Self::Tool => "tool",
            Self::Prompt => "prompt",
            Self::Resource => "resource",
            Self::Template => "template",
        })
    }
}
