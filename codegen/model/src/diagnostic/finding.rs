//! Diagnostics for programs and editors: the shape that `only1mcp validate --json` prints.
//!
//! Members are only ever added. How diagnostics look to people is decided in [`super::render`].

use std::ops::Range;

use serde::Serialize;

use super::{Diagnostic, Label, Severity};
use crate::Source;
use crate::lines::Lines;

/// One diagnostic.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// Its code, such as `E0301`.
    pub code: &'static str,
    /// Whether it stops the build.
    pub severity: Severity,
    /// What is wrong.
    pub message: String,
    /// Where; `null` where no place is known.
    #[serde(rename = "place")]
    pub stretch: Option<Stretch>,
    /// What to do about it.
    pub help: Option<String>,
    /// What else to know.
    pub notes: Vec<String>,
    /// Where else to look.
    pub secondary: Vec<Stretch>,
}

/// A stretch of a file. Lines and columns count characters from one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Stretch {
    /// The file's path.
    pub file: String,
    /// Where it begins.
    pub line: usize,
    /// Where it begins.
    pub column: usize,
    /// Where it ends, behind its last character; where it begins when only that is known.
    pub end_line: usize,
    /// Where it ends.
    pub end_column: usize,
    /// What stands below it; may be empty.
    pub label: String,
}

/// All diagnostics, in their order.
#[must_use]
pub fn findings(diagnostics: &[Diagnostic], source: &Source) -> Vec<Finding> {
    let lines = Lines::of_yaml(&source.text);
    diagnostics.iter().map(|diagnostic| Finding::new(diagnostic, source, &lines)).collect()
}

// === impl Finding ===

impl Finding {
    fn new(diagnostic: &Diagnostic, source: &Source, lines: &Lines<'_>) -> Self {
        let elsewhere = || {
            let origin = diagnostic.origin.as_ref()?;
            let (line, column) = (origin.line, origin.column);
            let (file, label) = (origin.path.clone(), String::new());
            Some(Stretch { file, line, column, end_line: line, end_column: column, label })
        };
        Self {
            code: diagnostic.code.as_str(),
            severity: diagnostic.severity,
            message: diagnostic.message.clone(),
            stretch: diagnostic.primary.as_ref().map(|label| Stretch::of(label, source, lines)).or_else(elsewhere),
            help: diagnostic.help.clone(),
            notes: diagnostic.notes.clone(),
            secondary: diagnostic.secondary.iter().map(|label| Stretch::of(label, source, lines)).collect(),
        }
    }
}

// === impl Stretch ===

impl Stretch {
    fn of(label: &Label, source: &Source, lines: &Lines<'_>) -> Self {
        let Range { start, end } = label.range;
        let ((line, column), (end_line, end_column)) = (lines.line_and_column(start), lines.line_and_column(end));
        Self { file: source.path.clone(), line, column, end_line, end_column, label: label.text.clone() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Features, load};

    fn found(text: &str, lock: Option<&str>) -> serde_json::Value {
        let source = |path: &str, text: &str| Source { path: path.to_owned(), text: text.to_owned() };
        let topology = source("t.yaml", text);
        let lock = lock.map(|text| source("t.lock.json", text));
        let diagnostics = match load(&topology, lock.as_ref(), &Features::all()) {
            Ok((_, warnings)) => warnings,
            Err(problems) => problems,
        };
        serde_json::to_value(findings(&diagnostics, &topology)).expect("plain data")
    }

    #[test]
    fn a_diagnostic_says_where_it_begins_and_ends_in_characters() {
        let text = "name: t # é\nbackends: { é: { transport: { stdio: { command: self } } }, é: 1 }\n";
        let found = found(text, None);
        let duplicate = found.as_array().and_then(|all| all.iter().find(|one| one["code"] == "E0004"));
        let expected = serde_json::json!({
            "code": "E0004",
            "severity": "error",
            "message": "backend `é` stands twice",
            "place": {
                "file": "t.yaml", "line": 2, "column": 61, "end_line": 2, "end_column": 62, "label": "again here",
            },
            "help": "name one of them otherwise, such as `é-2`",
            "notes": [],
            "secondary": [
                { "file": "t.yaml", "line": 2, "column": 13, "end_line": 2, "end_column": 14, "label": "first here" },
            ],
        });
        assert_eq!(duplicate, Some(&expected), "{found:#}");
    }

    #[test]
    fn a_problem_of_the_lock_has_its_place_in_the_lock() {
        let text = "name: t\nbackends: { a: { transport: { stdio: { command: self } } } }\n";
        let found = found(text, Some("{\n  nonsense\n"));
        assert_eq!((&found[0]["code"], &found[0]["place"]["file"]), (&"E0505".into(), &"t.lock.json".into()));
        assert_eq!(found[0]["place"]["line"], 2);
    }

    #[test]
    fn a_byte_order_mark_and_line_ends_are_no_characters_of_a_line() {
        let text = "\u{feff}name: é\nclé: 1\n";
        let at = |needle: &str| Lines::of_yaml(text).line_and_column(text.find(needle).expect("it is there"));
        assert_eq!((at("name"), at("é\n"), at(": 1")), ((1, 1), (1, 7), (2, 4)));
    }
}
