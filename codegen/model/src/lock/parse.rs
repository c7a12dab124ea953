//! Reading a lock: strict, since nobody writes one by hand, and with a position for what merges and editors break.

use std::collections::BTreeMap;

use serde_json::value::RawValue;

use super::{Item, Json, List, Lock, Section, VERSION, era_word};
use crate::diagnostic::{Mark, quoted};
use crate::json::{LOCK_DEPTH_MAX, Tree, TreeError};
use crate::lines::Lines;
use crate::revision::Revision;

/// Why a text is no lock, and where.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message} (line {line}, column {column})")]
pub struct LockError {
    /// What kind of trouble.
    pub kind: LockErrorKind,
    /// From one.
    pub line: usize,
    /// In characters from one.
    pub column: usize,
    /// Lower case, noun first.
    pub message: String,
}

/// What can be wrong with a lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LockErrorKind {
    /// It is not what is written.
    Malformed,
    /// A later release wrote it.
    Version,
    /// An item is not the one whose digest stands beside it.
    Digest,
}

const SECTION_KEYS: [&str; 10] = [
    "transport",
    "era",
    "revision",
    "server",
    "capabilities",
    "instructions",
    "tools",
    "prompts",
    "resources",
    "templates",
];

/// Where the parts of a lock stand.
#[derive(Debug, Default)]
pub(crate) struct Marks(BTreeMap<String, SectionMarks>);

#[derive(Debug)]
struct SectionMarks {
    name: Mark,
    /// Of every list the names of its items, in their order.
    items: BTreeMap<List, Vec<Mark>>,
}

/// The text, to find positions in.
struct Reader<'a> {
    text: &'a str,
}

pub(super) fn parse(text: &str) -> Result<(Lock, Marks), LockError> {
    let reader = Reader { text };
    let raw: &RawValue = serde_json::from_str(text).map_err(|error| match foreign(text) {
        Some((part, message)) => reader.malformed(Some(part), message),
        None => syntax_error(&error),
    })?;
    let tree = Tree::read(raw, LOCK_DEPTH_MAX).map_err(|error| match error {
        TreeError::Depth => reader.malformed(None, &error.to_string()),
        TreeError::DuplicateKey(token) => reader.malformed(Some(token), &error.to_string()),
    })?;
    reader.version(&tree)?;
    reader.only_known(&tree, &["version", "backends"])?;
    let Some(Tree::Object(sections)) = tree.member("backends") else {
        return Err(reader.malformed(None, "lock has no `backends`"));
    };
    let (mut backends, mut marks) = (BTreeMap::new(), Marks::default());
    for member in sections {
        let (section, of_section) = reader.section(&member.value, member.token)?;
        backends.insert(member.key.to_string(), section);
        marks.0.insert(member.key.to_string(), of_section);
    }
    Ok((Lock { backends }, marks))
}

fn syntax_error(error: &serde_json::Error) -> LockError {
    let message = error.to_string();
    let message = message.split(" at line ").next().unwrap_or(&message);
    let message = format!("text is not JSON: {message}");
    LockError { kind: LockErrorKind::Malformed, line: error.line(), column: error.column().max(1), message }
}

/// What editors and merges put into a file that is no JSON then.
fn foreign(text: &str) -> Option<(&str, &'static str)> {
    if text.starts_with('\u{feff}') {
        return Some((text, "text begins with a byte order mark"));
    }
    let conflict = text.match_indices("<<<<<<< ").find(|(at, _)| *at == 0 || text[..*at].ends_with('\n'));
    conflict.map(|(at, _)| (&text[at..], "conflict of a merge is not resolved"))
}

// === impl Marks ===

impl Marks {
    /// The name of a section.
    pub(crate) fn section(&self, name: &str) -> Option<Mark> {
        self.0.get(name).map(|marks| marks.name)
    }

    /// The name of the item at a position of a list.
    pub(crate) fn item(&self, section: &str, list: List, position: usize) -> Option<Mark> {
        self.0.get(section)?.items.get(&list)?.get(position).copied()
    }
}

// === impl Reader ===

impl<'a> Reader<'a> {
    fn version(&self, tree: &Tree<'a>) -> Result<(), LockError> {
        let Some(member) = tree.members().iter().find(|member| member.key == "version") else {
            return Err(self.malformed(None, "lock has no `version`"));
        };
        let version = match member.value {
            Tree::Scalar(VERSION) => return Ok(()),
            Tree::Scalar(version) => version,
            _ => return Err(self.malformed(Some(member.token), "`version` of the lock is not a number")),
        };
        // Versions are counted from the one that is read.
        if version.bytes().all(|byte| byte.is_ascii_digit()) && !version.starts_with('0') {
            let message = format!("lock has version {}; this release reads version `{VERSION}`", quoted(version));
            return Err(self.error(LockErrorKind::Version, Some(version), message));
        }
        Err(self.malformed(Some(version), &format!("lock has version {}, which no release writes", quoted(version))))
    }

    fn section(&self, tree: &Tree<'a>, name: &'a str) -> Result<(Section, SectionMarks), LockError> {
        if !matches!(tree, Tree::Object(_)) {
            return Err(self.malformed(Some(name), "section is not an object"));
        }
        self.only_known(tree, &SECTION_KEYS)?;
        let string = |key: &str| match tree.member(key).and_then(Tree::string) {
            Some(string) => Ok(string),
            None => Err(self.lacks(tree, name, (key, "text"))),
        };
        let revision = string("revision")?;
        let Some(revision) = Revision::parse(revision.as_bytes()) else {
            return Err(self.malformed(Some(name), &format!("revision {} is unknown", quoted(&revision))));
        };
        if string("era")? != era_word(revision.era()) {
            return Err(self.malformed(Some(name), &format!("revision `{revision}` is of another era")));
        }
        let Some(capabilities @ Tree::Object(_)) = tree.member("capabilities") else {
            return Err(self.lacks(tree, name, ("capabilities", "an object")));
        };
        let Some(transport @ Tree::Object(_)) = tree.member("transport") else {
            return Err(self.lacks(tree, name, ("transport", "an object")));
        };
        let mut marks = SectionMarks { name: self.mark(name), items: BTreeMap::new() };
        let mut items = |list| {
            let (items, names) = self.items(tree, list, name)?;
            marks.items.insert(list, names);
            Ok(items)
        };
        let section = Section {
            transport: Json::from_tree(transport),
            revision,
            server: tree.member("server").map(Json::from_tree),
            capabilities: Json::from_tree(capabilities),
            instructions: tree.member("instructions").map(|_| string("instructions")).transpose()?.map(Into::into),
            tools: items(List::Tools)?,
            prompts: items(List::Prompts)?,
            resources: items(List::Resources)?,
            templates: items(List::Templates)?,
        };
        Ok((section, marks))
    }

    fn items(&self, section: &Tree<'a>, list: List, name: &'a str) -> Result<(Vec<Item>, Vec<Mark>), LockError> {
        let Some(Tree::Array(entries)) = section.member(list.key()) else {
            return Err(self.lacks(section, name, (list.key(), "a list")));
        };
        let mut items: Vec<Item> = Vec::with_capacity(entries.len());
        let mut names = Vec::with_capacity(entries.len());
        for entry in entries {
            self.only_known(entry, &["digest", "item"])?;
            let (Some(Tree::Scalar(token)), Some(tree)) = (entry.member("digest"), entry.member("item")) else {
                let part = entry.first_token().unwrap_or(name);
                return Err(self.malformed(Some(part), &format!("entry of `{}` has no digest or item", list.key())));
            };
            let item = Item::from_tree(tree, list)
                .ok_or_else(|| self.malformed(Some(token), &format!("item has no `{}`", list.name_key())))?;
            if entry.member("digest").and_then(Tree::string).as_deref() != Some(&*item.digest) {
                let message = format!("item {} does not have this digest", quoted(&item.name));
                return Err(self.error(LockErrorKind::Digest, Some(token), message));
            }
            if items.last().is_some_and(|last| last.name >= item.name) {
                let twice = items.last().is_some_and(|last| last.name == item.name);
                let what = if twice { "stands twice" } else { "is not in order" };
                return Err(self.malformed(Some(token), &format!("item {} {what}", quoted(&item.name))));
            }
            items.push(item);
            if let Some(Tree::Scalar(token)) = tree.member(list.name_key()) {
                names.push(self.mark(token));
            }
        }
        Ok((items, names))
    }

    /// That a section does not have a member of this kind: none at all, or another one.
    fn lacks(&self, section: &Tree<'a>, name: &'a str, (key, kind): (&str, &str)) -> LockError {
        match section.members().iter().find(|member| member.key == key) {
            None => self.malformed(Some(name), &format!("section has no `{key}`")),
            Some(member) => self.malformed(Some(member.token), &format!("`{key}` of the section is not {kind}")),
        }
    }

    fn only_known(&self, tree: &Tree<'a>, known: &[&str]) -> Result<(), LockError> {
        match tree.members().iter().find(|member| !known.contains(&member.key.as_ref())) {
            Some(member) => Err(self.malformed(Some(member.token), &format!("unknown member {}", quoted(&member.key)))),
            None => Ok(()),
        }
    }

    fn malformed(&self, part: Option<&'a str>, message: &str) -> LockError {
        self.error(LockErrorKind::Malformed, part, message.to_owned())
    }

    /// Where a part of the text stands.
    fn mark(&self, part: &'a str) -> Mark {
        // A token is a slice of the text: its address says where it stands.
        Mark(part.as_ptr().addr().saturating_sub(self.text.as_ptr().addr()))
    }

    /// An error at a part of the text, or at its beginning.
    fn error(&self, kind: LockErrorKind, part: Option<&'a str>, message: String) -> LockError {
        let (line, column) = Lines::of_json(self.text).line_and_column(part.map_or(0, |part| self.mark(part).0));
        LockError { kind, line, column, message }
    }
}
