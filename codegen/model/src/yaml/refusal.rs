//! Why a text is not read: what can be seen before, and what stopped the reader, each with its place and a remedy.
//!
//! What the reader itself refuses on its way is in [`super`].

use super::Place;
use super::position::{indenting_tab, offset};
use crate::diagnostic::{Code, Diagnostic, Problem, secrets_on_line};
use crate::lines::Lines;
use crate::source::TOPOLOGY_BYTES_MAX;

/// How many `[` and `{` a text may hold: the reader's work grows with the square of those it has open at once.
const FLOW_MAX: usize = 4096;
/// How many digits may stand in a row. A number is read again wherever an alias stands for it, and has no text to count.
const DIGITS_MAX: usize = 512;

/// What makes a text not worth reading, or too costly.
pub(super) fn before_reading(text: &str) -> Option<Box<Diagnostic>> {
    flaw(text).map(|refused| without_secrets(text, &Lines::of_yaml(text), *refused))
}

/// What an error of the reader says about a text.
pub(super) fn of_reader(
    text: &str,
    lines: &Lines<'_>,
    error: &serde_yaml::Error,
    refused: Option<(Code, String)>,
) -> Box<Diagnostic> {
    without_secrets(text, lines, *syntax_error(text, lines, error, refused))
}

/// What is refused, with what is not shown of its line.
fn without_secrets(text: &str, lines: &Lines<'_>, refused: Diagnostic) -> Box<Diagnostic> {
    let secrets = refused.primary.iter().flat_map(|label| secrets_on_line(text, lines, label)).collect();
    Box::new(Diagnostic { secrets, ..refused })
}

fn flaw(text: &str) -> Option<Box<Diagnostic>> {
    let refused = |code, message, at| Box::new(Problem::new(code, Place::ROOT, message).at(Some(at)));
    if text.len() > TOPOLOGY_BYTES_MAX {
        let message = format!("file of {} bytes is over the limit of {TOPOLOGY_BYTES_MAX}", text.len());
        return Some(refused(Code::OverBounds, message, 0..0));
    }
    let opened = text.bytes().enumerate().filter(|(_, byte)| matches!(byte, b'[' | b'{'));
    if let Some((at, _)) = opened.clone().nth(FLOW_MAX) {
        let message = format!("more than {FLOW_MAX} bracketed collections in one file");
        return Some(refused(Code::OverBounds, message, at..at + 1));
    }
    let mut digits = text.split(|c: char| !c.is_ascii_digit());
    if let Some(run) = digits.find(|run| run.len() > DIGITS_MAX) {
        let at = run.as_ptr().addr() - text.as_ptr().addr();
        let message = format!("more than {DIGITS_MAX} digits in a row");
        return Some(refused(Code::OverBounds, message, at..at + run.len()));
    }
    if let Some((at, found)) = text.char_indices().find(|(_, c)| c.is_control() && !"\n\r\t\u{85}".contains(*c)) {
        let message = format!("control character `{}` in the text", found.escape_default());
        return Some(refused(Code::Syntax, message, at..at + found.len_utf8()));
    }
    if text.starts_with("\u{feff}\u{feff}") {
        let message = "byte order mark stands twice at the beginning of the text".to_owned();
        let help = Some("save the file as UTF-8 without such a mark".to_owned());
        return Some(Box::new(Diagnostic { help, ..*refused(Code::Syntax, message, 3..6) }));
    }
    None
}

fn syntax_error(
    text: &str,
    lines: &Lines<'_>,
    error: &serde_yaml::Error,
    refused: Option<(Code, String)>,
) -> Box<Diagnostic> {
    let problem = |code, message| Problem::new(code, Place::ROOT, message);
    let at = match error.location() {
        Some(at) => offset(text, lines, (at.line(), at.column())),
        // The reader gives no position for this alone.
        None => text.rfind("\n---").map_or(0, |end| end + 1),
    };
    let character = at..at + text[at..].chars().next().map_or(0, char::len_utf8);
    if let Some((code, message)) = refused {
        let mut problem = problem(code, message);
        if code == Code::OverBounds {
            problem.help(
                "write values out where aliases (`*name`) stand in each other, or in themselves; nest less elsewhere",
            );
        }
        return Box::new(problem.at(Some(character)));
    }
    if let Some(tab) = indenting_tab(text, lines, at) {
        let mut problem = problem(Code::Tab, "tab in the indentation".to_owned());
        problem.help("indent with spaces");
        return Box::new(problem.at(Some(tab..tab + 1)));
    }
    let message = error.to_string();
    let message = match message.split(" at line ").next().unwrap_or(&message) {
        several if several.contains("more than one document") => "more than one document in one file".to_owned(),
        // What follows is a position, which the snippet shows.
        message => format!("text is not YAML: {message}"),
    };
    let help = remedy(text, &message);
    let mut problem = problem(Code::Syntax, message);
    if let Some(help) = help {
        problem.help(help);
    }
    Box::new(problem.at(Some(character)))
}

/// What usually lies behind an error of the reader, which names only where it gave up.
fn remedy(text: &str, message: &str) -> Option<&'static str> {
    if text.lines().any(|line| line.starts_with("<<<<<<< ")) {
        return Some("a conflict of a merge is not resolved");
    }
    let remedies = [
        ("end of stream", "a quote or a bracket further up stays open"),
        ("expected ',' or", "a bracket or brace stays open, or a comma is missing"),
        (
            "expected key",
            "keys of one mapping begin in the same column; values that begin with `*`, `&` or `{` need quotes",
        ),
        ("expected ':'", "write `key: value`, with a blank behind the colon"),
        ("mapping values", "begin every key on a line of its own, and quote text that holds `: `"),
        ("anchor", "`*name` stands for what `&name` marks further up: quote it if the star is meant as text"),
        ("alphabetic or numeric", "quote text that begins with `*` or `&`"),
        ("cannot start any token", "quote text that begins with `@`, `%` or a grave accent; indent with spaces"),
        ("more than one document", "keep one topology in a file: take `---` and what follows out"),
    ];
    remedies.iter().find(|(part, _)| message.contains(part)).map(|(_, remedy)| *remedy)
}
