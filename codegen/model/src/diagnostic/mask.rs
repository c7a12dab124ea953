//! What is not shown, whatever the problem is: messages and snippets end in the logs of builds.
//!
//! What looks like a secret is decided in [`crate::secret`].

use std::collections::BTreeSet;
use std::ops::Range;

use super::{Code, Label, Problem, quoted};
use crate::lines::Lines;
use crate::secret::{is_confidential, suspect_argument, suspect_variable};
use crate::yaml::{Document, Node, Place, Value};

/// How many secrets are looked for; behind the last of them nothing is shown.
const SECRETS_MAX: usize = 1000;
/// How many nodes behind a secret of several lines are looked at for where it ends.
const FOLLOWING_MAX: u32 = 40;
/// What stands for a secret in a message.
const STARS: &str = "***";

/// The secrets of a document.
pub(super) struct Mask {
    /// Where they stand.
    pub(super) ranges: Vec<Range<usize>>,
    /// As messages quote them, without the quotes.
    quoted: BTreeSet<String>,
}

/// Secrets in the order of a document, each with its text.
type Secrets = Vec<(Place, String)>;

// === impl Mask ===

impl Mask {
    pub(super) fn new(document: &Document<'_>, problems: &[Problem]) -> Self {
        let mut secrets = Secrets::new();
        collect(&document.root, (None, None), &mut secrets);
        let more = secrets.get(SECRETS_MAX).map(|(place, _)| *place);
        secrets.truncate(SECRETS_MAX);
        let reported =
            problems.iter().filter(|problem| problem.code == Code::LiteralSecret).map(|problem| problem.place);
        let places: BTreeSet<Place> = secrets.iter().map(|(place, _)| *place).chain(reported).chain(more).collect();
        let located = document.locate_scalars(places);
        let text = document.text();
        let is_whole = |place: &Place, range: &Range<usize>| {
            let shown = text[range.clone()].trim_matches(['"', '\'']);
            secrets.iter().find(|(other, _)| other == place).is_none_or(|(_, secret)| shown.ends_with(secret))
        };
        let open: Vec<Place> =
            located.iter().filter(|(place, range)| !is_whole(place, range)).map(|(place, _)| *place).collect();
        let behind = document.locate_scalars(open.iter().flat_map(|place| place.following(FOLLOWING_MAX)).collect());
        let mut ranges: Vec<Range<usize>> = located.values().cloned().collect();
        for place in open {
            let start = located[&place].start;
            let end = behind.values().map(|range| range.start).filter(|end| *end > start).min();
            ranges.push(start..start + text[start..end.unwrap_or(text.len())].trim_end().len());
        }
        ranges.extend(more.and_then(|place| located.get(&place)).map(|range| range.start..text.len()));
        let quoted = secrets.iter().map(|(_, secret)| inner(secret)).filter(|secret| !secret.is_empty()).collect();
        Self { ranges, quoted }
    }

    /// Takes the secrets out of what a problem says.
    pub(super) fn apply(&self, problem: &mut Problem) {
        let texts = [&mut problem.message, &mut problem.label].into_iter().chain(&mut problem.help);
        let texts = texts.chain(&mut problem.notes).chain(problem.secondary.iter_mut().map(|(_, text)| text));
        for text in texts.filter(|_| !self.quoted.is_empty()) {
            // Nothing that is quoted holds a backtick: every second part stands between two.
            let part = |(index, part): (usize, &str)| {
                let secret = index % 2 == 1 && self.quoted.contains(part);
                if secret { STARS.to_owned() } else { part.to_owned() }
            };
            *text = text.split('`').enumerate().map(part).collect::<Vec<_>>().join("`");
        }
    }
}

/// What stands between the quotes of a message.
fn inner(secret: &str) -> String {
    quoted(secret).trim_matches('`').to_owned()
}

/// Goes through a tree; what stands before a node is its key, and the item before it.
fn collect(node: &Node, (key, before): (Option<&str>, Option<&str>), secrets: &mut Secrets) {
    if secrets.len() > SECRETS_MAX {
        return;
    }
    match &node.value {
        Value::Sequence(items) => {
            let mut before = None;
            for item in items {
                collect(item, (None, before), secrets);
                before = text(item);
            }
        }
        Value::Mapping(entries) => {
            for (key, value) in entries {
                collect(key, (None, None), secrets);
                collect(value, (text(key), None), secrets);
            }
        }
        Value::String(value) => {
            // Where a value comes from is no secret.
            let reference = value.starts_with("env:") || value.starts_with("file:");
            let suspect = is_confidential(value)
                || suspect_argument(before, value).is_some()
                || key.is_some_and(|key| !reference && suspect_variable(key, value).is_some());
            secrets.extend(suspect.then(|| (node.place, value.clone())));
        }
        Value::Int(value) => number(node.place, key, &value.to_string(), secrets),
        Value::Float(value) => number(node.place, key, &format!("{value:?}"), secrets),
        Value::Null | Value::Bool(_) => {}
    }
}

fn number(place: Place, key: Option<&str>, value: &str, secrets: &mut Secrets) {
    if key.is_some_and(|key| suspect_variable(key, value).is_some()) {
        secrets.push((place, value.to_owned()));
    }
}

fn text(node: &Node) -> Option<&str> {
    match &node.value {
        Value::String(text) => Some(text),
        _ => None,
    }
}

/// What looks like secrets on the line of a text that is no YAML.
pub(crate) fn secrets_on_line(text: &str, lines: &Lines<'_>, label: &Label) -> Vec<Range<usize>> {
    let line = lines.line(label.range.start);
    let mut secrets = Vec::new();
    let mut before: Option<&str> = None;
    for word in text[line].split(|c: char| c.is_whitespace() || "\"'`,[]{}".contains(c)).filter(|word| !word.is_empty())
    {
        let key = before.and_then(|before| before.strip_suffix(':'));
        if is_confidential(word)
            || suspect_argument(before, word).is_some()
            || key.is_some_and(|key| suspect_variable(key, word).is_some())
        {
            let start = word.as_ptr().addr() - text.as_ptr().addr();
            secrets.push(start..start + word.len());
        }
        before = Some(word);
    }
    secrets
}
