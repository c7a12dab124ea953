//! What is wrong with a topology or its lock, where, and how it is shown: stable codes, spans, rustc's look.
//!
//! Which things are wrong is decided in `crate::check` and by the decoding of the schema.

mod code;
mod finding;
mod mask;

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::fmt;
use std::ops::{Range, RangeInclusive};

use annotate_snippets::{AnnotationKind, Group, Level, Origin as SnippetOrigin, Renderer, Snippet};
use serde::Serialize;

use crate::Source;
use crate::decode::near_miss;
use crate::lines::Lines;
use crate::yaml::{Document, Place};

pub use code::Code;
pub use finding::{Finding, Stretch, findings};
use mask::Mask;
pub(crate) use mask::secrets_on_line;

/// How many problems are shown; of the rest only the count.
pub const SHOWN_MAX: usize = 50;
/// How many bytes are read again to find where else to look for problems.
const REREAD_BYTES_MAX: usize = 2 << 20;

/// How many codes one hint at their explanations names.
const HINTED_MAX: usize = 5;

/// Whether a problem stops the build.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// It does.
    Error,
    /// It does not.
    Warning,
}

/// A range of the source and what to say about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Label {
    /// Bytes of the source.
    pub range: Range<usize>,
    /// May be empty.
    pub text: String,
}

/// A position in a file.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Origin {
    /// The file's path.
    #[serde(rename = "file")]
    pub path: String,
    /// From one.
    pub line: usize,
    /// In characters from one.
    pub column: usize,
}

/// A place in a text such as the lock: bytes from its beginning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Mark(pub(crate) usize);

/// One problem.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostic {
    /// Which kind of problem.
    pub code: Code,
    /// Whether it stops the build.
    pub severity: Severity,
    /// Lower case, noun first, no final stop.
    pub message: String,
    /// Where in the source.
    pub primary: Option<Label>,
    /// Where else to look.
    pub secondary: Vec<Label>,
    /// Where in another file, such as the lock.
    pub origin: Option<Origin>,
    /// What to do about it.
    pub help: Option<String>,
    /// What else to know.
    pub notes: Vec<String>,
    /// Secrets in the source, as bytes: they are not shown, whatever the problem is.
    pub secrets: Vec<Range<usize>>,
}

/// The problems as text in the look of rustc, in their order; the 51st and later are only counted.
#[must_use]
pub fn render(diagnostics: &[Diagnostic], source: &Source, color: bool) -> String {
    let renderer = if color { Renderer::styled() } else { Renderer::plain() };
    let mut text = String::new();
    let lines = Lines::of_yaml(&source.text);
    for diagnostic in diagnostics.iter().take(SHOWN_MAX) {
        text.push_str(&renderer.render(&[diagnostic.group(source, &lines)]));
        text.push_str("\n\n");
    }
    if let Some(more) = unshown(diagnostics.len()) {
        text.push_str(&more);
        text.push_str("\n\n");
    }
    text.pop();
    text
}

/// The line that counts those of so many problems that are not shown.
#[must_use]
pub fn unshown(count: usize) -> Option<String> {
    match count.saturating_sub(SHOWN_MAX) {
        0 => None,
        1 => Some("1 more problem is not shown".to_owned()),
        rest => Some(format!("{rest} more problems are not shown")),
    }
}

/// The paragraph, with an example, that says what a code means.
#[must_use]
pub fn explain(code: Code) -> &'static str {
    code.explanation()
}

/// The line below rendered problems that says where to read more about them; `None` without problems.
#[must_use]
pub fn hint(diagnostics: &[Diagnostic]) -> Option<String> {
    let mut codes: Vec<&str> = Vec::new();
    for diagnostic in diagnostics.iter().take(SHOWN_MAX) {
        let code = diagnostic.code.as_str();
        if codes.len() < HINTED_MAX && !codes.contains(&code) {
            codes.push(code);
        }
    }
    (!codes.is_empty()).then(|| format!("for more about this: only1mcp explain {}", codes.join(" ")))
}

// === impl Severity ===

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Error => "error",
            Self::Warning => "warning",
        })
    }
}

// === impl Origin ===

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.path, self.line, self.column)
    }
}

// === impl Diagnostic ===

impl Diagnostic {
    /// A problem of another file, or of none.
    pub(crate) fn elsewhere(problem: Problem, origin: Option<Origin>) -> Self {
        let Problem { code, message, help, notes, .. } = problem;
        let severity = code.severity();
        let (secondary, secrets) = (Vec::new(), Vec::new());
        Self { code, severity, message, primary: None, secondary, origin, help, notes, secrets }
    }

    /// A part of the source without its secrets: what is rendered ends in the logs of builds.
    fn mask(&self, lines: &Lines<'_>, part: Range<usize>) -> String {
        let mut text = lines.shown(part.clone());
        for secret in &self.secrets {
            let (start, end) = (secret.start.max(part.start), secret.end.min(part.end));
            if start < end {
                let within = lines.shown(part.start..start).len()..lines.shown(part.start..end).len();
                let stars: String = text[within.clone()]
                    .chars()
                    .map(|c| if c == '\n' { "\n".to_owned() } else { "*".repeat(c.len_utf8()) })
                    .collect();
                text.replace_range(within, &stars);
            }
        }
        text
    }

    fn group<'a>(&'a self, source: &'a Source, lines: &Lines<'_>) -> Group<'a> {
        let level = match self.severity {
            Severity::Error => Level::ERROR,
            Severity::Warning => Level::WARNING,
        };
        let mut group = Group::with_title(level.primary_title(self.message.as_str()).id(self.code.as_str()));
        if let Some(primary) = &self.primary {
            // Only the lines in question: the renderer walks through all it is given.
            let labels = || self.secondary.iter().chain([primary]).map(|label| &label.range);
            let first = labels().map(|range| range.start).min().unwrap_or_default();
            let last = labels().map(|range| range.end).max().unwrap_or_default();
            let (start, end) = (lines.line(first).start, lines.line(last).end.max(last));
            // The renderer knows no other ends of lines than line feeds.
            let within = |at: usize| lines.shown(start..at.max(start)).len();
            let annotation = |kind: AnnotationKind, label: &'a Label| {
                kind.span(within(label.range.start)..within(label.range.end)).label(label.text.as_str())
            };
            let secondary = self.secondary.iter().map(|label| annotation(AnnotationKind::Context, label));
            group = group.element(
                Snippet::source(self.mask(lines, start..end))
                    .line_start(lines.line_and_column(start).0)
                    .path(source.path.as_str())
                    .annotation(annotation(AnnotationKind::Primary, primary))
                    .annotations(secondary),
            );
        }
        if let Some(origin) = &self.origin {
            group =
                group.element(SnippetOrigin::path(origin.path.as_str()).line(origin.line).char_column(origin.column));
        }
        let help = self.help.iter().map(|help| Level::HELP.message(help.as_str()));
        let notes = self.notes.iter().map(|note| Level::NOTE.message(note.as_str()));
        group.elements(help).elements(notes)
    }
}

/// A problem whose places in the document are not looked up yet.
#[derive(Debug)]
pub(crate) struct Problem {
    code: Code,
    message: String,
    place: Place,
    label: String,
    secondary: Vec<(Place, String)>,
    locked: Option<Mark>,
    help: Option<String>,
    notes: Vec<String>,
}

/// Problems in the order in which they were found.
#[derive(Debug, Default)]
pub(crate) struct Problems {
    found: Vec<Problem>,
    /// For how many problems of a kind something near was looked for.
    searched: BTreeMap<Code, usize>,
    /// Where those stand that stop the build.
    errors: BTreeSet<Place>,
}

// === impl Problem ===

impl Problem {
    pub(crate) fn new(code: Code, place: Place, message: String) -> Self {
        let (label, secondary, locked, help, notes) = (String::new(), Vec::new(), None, None, Vec::new());
        Self { code, message, place, label, secondary, locked, help, notes }
    }

    pub(crate) fn label(&mut self, text: impl Into<String>) -> &mut Self {
        self.label = text.into();
        self
    }

    /// Labels it with what was probably meant.
    pub(crate) fn meant(&mut self, near: &str) -> &mut Self {
        self.label(format!("did you mean {}?", quoted(near)))
    }

    pub(crate) fn help(&mut self, text: impl Into<String>) -> &mut Self {
        self.help = Some(text.into());
        self
    }

    pub(crate) fn note(&mut self, text: impl Into<String>) -> &mut Self {
        self.notes.push(text.into());
        self
    }

    pub(crate) fn also(&mut self, place: Place, text: impl Into<String>) -> &mut Self {
        self.secondary.push((place, text.into()));
        self
    }

    /// Where it is in the lock.
    pub(crate) fn locked(&mut self, mark: Option<Mark>) -> &mut Self {
        self.locked = mark;
        self
    }

    /// The same at a range of the source that is known already.
    pub(crate) fn at(self, range: Option<Range<usize>>) -> Diagnostic {
        let primary = range.map(|range| Label { range, text: self.label.clone() });
        Diagnostic { primary, ..Diagnostic::elsewhere(self, None) }
    }

    /// The nodes it points at.
    fn places(&self) -> impl Iterator<Item = Place> {
        self.secondary.iter().map(|(place, _)| *place).chain([self.place])
    }
}

// === impl Problems ===

impl Problems {
    /// Reports a problem that stops the build. That it does is said by its code; the name here is for the reader.
    pub(crate) fn error(&mut self, code: Code, place: Place, message: impl Into<String>) -> &mut Problem {
        debug_assert_eq!(code.severity(), Severity::Error, "{code}");
        self.errors.insert(place);
        self.found.push_mut(Problem::new(code, place, message.into()))
    }

    /// Reports a problem that does not stop the build.
    pub(crate) fn warning(&mut self, code: Code, place: Place, message: impl Into<String>) -> &mut Problem {
        debug_assert_eq!(code.severity(), Severity::Warning, "{code}");
        self.found.push_mut(Problem::new(code, place, message.into()))
    }

    /// Reports a name of a backend that is none of those known.
    pub(crate) fn unknown_backend<'c>(
        &mut self,
        place: Place,
        name: &str,
        known: impl Iterator<Item = &'c str>,
        absent: &str,
    ) {
        let near = self.near_miss(Code::UnknownBackend, name, known);
        let problem = self.error(Code::UnknownBackend, place, format!("unknown backend {}", quoted(name)));
        match near {
            Some(near) => problem.meant(near),
            None => problem.label(absent),
        };
    }

    /// What was probably meant by what a problem of this kind is about. Looked for only as often as problems are shown:
    /// every search goes through all candidates.
    pub(crate) fn near_miss<'c>(
        &mut self,
        code: Code,
        given: &str,
        candidates: impl Iterator<Item = &'c str>,
    ) -> Option<&'c str> {
        let searched = self.searched.entry(code).or_default();
        *searched += 1;
        if *searched > SHOWN_MAX { None } else { near_miss(given, candidates) }
    }

    /// Whether there is one of this kind.
    pub(crate) fn has(&self, code: Code) -> bool {
        self.found.iter().any(|problem| problem.code == code)
    }

    /// Whether there is one that stops the build.
    pub(crate) fn has_errors(&self) -> bool {
        !self.errors.is_empty()
    }

    /// Whether one of these is there.
    pub(crate) fn has_error_in(&self, places: RangeInclusive<Place>) -> bool {
        self.errors.range(places).next().is_some()
    }

    /// Drops the warnings that the topology allows.
    pub(crate) fn allow(&mut self, allowed: &[Code]) {
        self.found.retain(|problem| problem.code.severity() == Severity::Error || !allowed.contains(&problem.code));
    }

    /// Looks up where they are; errors first, each kind in source order. Those that are not shown have no places.
    pub(crate) fn locate(mut self, document: &Document<'_>, lock: Option<&Source>) -> Vec<Diagnostic> {
        self.found.sort_by_key(|problem| (problem.code.severity(), problem.place));
        let mask = Mask::new(document, &self.found);
        self.found.iter_mut().for_each(|problem| mask.apply(problem));
        self.once(document);
        let shown = &self.found[..self.found.len().min(SHOWN_MAX)];
        let mut places = Places::new(document, shown);
        let primary: Vec<Range<usize>> = shown.iter().map(|problem| places.find(problem.place)).collect();
        let secondary: Vec<Vec<Label>> = shown.iter().map(|problem| places.others(problem)).collect();
        let lock = lock.filter(|_| shown.iter().any(|problem| problem.locked.is_some()));
        let lock = lock.map(|lock| (lock, Lines::of_json(&lock.text)));
        let mut located = primary.into_iter().zip(secondary);
        let locate = |problem: Problem| {
            let Some((range, secondary)) = located.next() else { return problem.at(None) };
            let origin = problem.locked.zip(lock.as_ref()).map(|(mark, (lock, lines))| {
                let (line, column) = lines.line_and_column(mark.0);
                Origin { path: lock.path.clone(), line, column }
            });
            Diagnostic { secondary, origin, secrets: mask.ranges.clone(), ..problem.at(Some(range)) }
        };
        self.found.into_iter().map(locate).collect()
    }

    /// Keeps one of several problems with one text: what is wrong in a node is found again wherever an alias stands for it.
    fn once(&mut self, document: &Document<'_>) {
        let text = |problem: &Problem| (problem.code, problem.message.clone(), problem.label.clone());
        let mut counts: HashMap<_, usize> = HashMap::new();
        self.found.iter().for_each(|problem| *counts.entry(text(problem)).or_default() += 1);
        let repeated = self.found.iter().filter(|problem| counts[&text(problem)] > 1);
        let places: BTreeSet<Place> = repeated.map(|problem| problem.place).collect();
        if places.is_empty() {
            return;
        }
        let ranges = document.locate_scalars(places);
        let mut seen = HashSet::new();
        self.found.retain(|problem| match ranges.get(&problem.place) {
            Some(range) => seen.insert((text(problem), range.clone())),
            None => true,
        });
    }
}

/// Where the nodes of a document stand that problems point at.
struct Places<'d> {
    document: &'d Document<'d>,
    known: BTreeMap<Place, Range<usize>>,
    /// How many bytes were read again, each time for one collection.
    reread_bytes: usize,
}

// === impl Places ===

impl<'d> Places<'d> {
    fn new(document: &'d Document<'d>, problems: &[Problem]) -> Self {
        let known = document.locate_scalars(problems.iter().flat_map(Problem::places).collect());
        Self { document, known, reread_bytes: 0 }
    }

    fn find(&mut self, place: Place) -> Range<usize> {
        let (known, document) = (&mut self.known, self.document);
        let range = known.entry(place).or_insert_with(|| {
            self.reread_bytes += document.text().len();
            document.locate(place)
        });
        range.clone()
    }

    /// Where else to look: as many as can be found in little time, which is all in all but very long texts.
    fn others(&mut self, problem: &Problem) -> Vec<Label> {
        let mut labels = Vec::new();
        for (place, text) in &problem.secondary {
            if self.known.contains_key(place) || self.reread_bytes <= REREAD_BYTES_MAX {
                labels.push(Label { range: self.find(*place), text: text.clone() });
            }
        }
        labels
    }
}

/// A value from a file, as a message shows it: quoted, escaped, not longer than a line.
pub(crate) fn quoted(value: &str) -> String {
    const SHOWN_CHARS: usize = 60;
    let shown: String = value.chars().take(SHOWN_CHARS).flat_map(char::escape_debug).collect();
    let rest = if value.chars().nth(SHOWN_CHARS).is_some() { "…" } else { "" };
    // escape_debug also escapes quotes, which need none between backticks; backticks do.
    let shown = shown.replace("\\'", "'").replace("\\\"", "\"").replace('`', "\\u{60}");
    format!("`{shown}{rest}`")
}

/// Names from a file, as a message shows them: the first three, and how many more.
pub(crate) fn listed<'n>(names: impl Iterator<Item = &'n str>) -> String {
    const SHOWN: usize = 3;
    let mut names: Vec<String> = names.map(quoted).collect();
    let last = match names.len() {
        0 | 1 => return names.concat(),
        count if count > SHOWN => format!("{} more", count - SHOWN),
        count => names.swap_remove(count - 1),
    };
    names.truncate(SHOWN);
    format!("{} and {last}", names.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_meant_is_looked_for_as_often_as_problems_of_a_kind_are_shown() {
        let mut problems = Problems::default();
        let mut near = |code| problems.near_miss(code, "naem", ["name"].into_iter());
        let found: Vec<_> = (0..=SHOWN_MAX).map(|_| near(Code::UnknownKey)).collect();
        assert_eq!((found[SHOWN_MAX - 1], found[SHOWN_MAX]), (Some("name"), None));
        assert_eq!(near(Code::UnknownBackend), Some("name"), "each kind for itself");
    }
}
