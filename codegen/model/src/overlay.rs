//! The overlay: what a process sets otherwise than its compiled topology. It tunes and restricts, it never loosens.

use crate::decode::{self, Decode, Entries, record};
use crate::diagnostic::{Code, Diagnostic, Problems, Severity};
use crate::topology::{Millis, TIMEOUT};
use crate::yaml::{Document, Node, Value, steps};
use crate::{Source, plan};

record! {
    /// An overlay.
    default struct Overlay: "an overlay" {
        /// Settings of compiled backends, by name.
        backends: Entries<BackendSettings> = Entries::default(),
    }
}

record! {
    /// Settings of one compiled backend.
    default struct BackendSettings: "backend settings" {
        /// The longest a call to it may take.
        timeout: Option<Millis> where TIMEOUT = None,
        /// Whether calls to it are refused.
        disabled: bool = false,
    }
}

impl Decode for bool {
    const EXPECTED: &'static str = "`true` or `false`";

    fn decode(node: &Node, problems: &mut Problems) -> Option<Self> {
        if let Value::Bool(value) = &node.value {
            return Some(*value);
        }
        decode::wrong_type(node, Self::EXPECTED, problems);
        None
    }

    fn schema() -> String {
        r#"{"type":"boolean"}"#.to_owned()
    }

    fn written(&self) -> Option<String> {
        Some(self.to_string())
    }
}

/// Reads an overlay for these backends.
///
/// # Errors
/// Every problem, each with its place.
pub fn load(source: &Source, backends: &[plan::Backend]) -> Result<Overlay, Vec<Diagnostic>> {
    let document = Document::parse(&source.text).map_err(|refused| vec![*refused])?;
    let mut problems = Problems::default();
    decode::duplicate_keys(&document.root, &mut problems);
    let overlay = Overlay::decode(&document.root, &mut problems);
    for (name, settings) in overlay.iter().flat_map(|overlay| overlay.backends.iter()) {
        let known = || backends.iter().map(|backend| &*backend.name);
        if !known().any(|known| known == name) {
            let place = document.key(steps!["backends", name]);
            problems.unknown_backend(place, name, known(), "not in the compiled topology");
        }
        if let Some(timeout) = settings.timeout {
            let place = document.value(steps!["backends", name, "timeout"]);
            let backend = backends.iter().find(|backend| backend.name == name);
            let connect = backend.and_then(|backend| backend.transport.connect_timeout_ms()).map(Millis);
            // What is out of range has been reported.
            let longer = |connect: &Millis| *connect > timeout && TIMEOUT.range.contains(&timeout);
            if let Some(connect) = connect.filter(longer) {
                let message = format!("timeout `{timeout}` of backend `{name}` is shorter than its connect timeout");
                let label = format!("`connect_timeout` in the compiled topology is `{connect}`");
                let help = format!("write at least `{connect}`, or compile a shorter `connect_timeout`");
                problems.error(Code::ConnectTimeout, place, message).label(label).help(help);
            }
        }
    }
    let found = problems.locate(&document, None);
    match overlay {
        Some(overlay) if found.iter().all(|found| found.severity == Severity::Warning) => Ok(overlay),
        _ => Err(found),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Overlay, String> {
        let source = Source { path: "overlay.yaml".to_owned(), text: text.to_owned() };
        let topology = Source {
            path: "t.yaml".to_owned(),
            text: concat!(
                "name: t\nbackends:\n  math: { transport: { stdio: { command: self } } }\n",
                "  data:\n    transport: { streamable_http: { connect_timeout: 2s } }\n    endpoints: [{ url: env:DATA_URL }]\n",
            )
            .to_owned(),
        };
        let (plan, _no_lock) = crate::load(&topology, None, &crate::Features::all()).expect("a good topology");
        load(&source, &plan.backends).map_err(|found| crate::diagnostic::render(&found, &source, false))
    }

    #[test]
    fn an_overlay_tunes_and_restricts() {
        let overlay = read("backends: { math: { timeout: 5s, disabled: true } }").expect("a good overlay");
        let settings: Vec<_> = overlay.backends.iter().collect();
        let expected = BackendSettings { timeout: Some(Millis(5_000)), disabled: true };
        assert_eq!(settings, [("math", &expected)]);
        assert_eq!(read("backends: {}"), Ok(Overlay::default()));
    }

    #[test]
    fn a_timeout_is_not_shorter_than_the_connect_timeout_of_the_compiled_topology() {
        let shown = read("backends: { data: { timeout: 1s } }").expect_err("too short");
        for expected in
            ["error[E0107]: timeout `1s` of backend `data`", "^^ `connect_timeout` in the compiled topology is `2s`"]
        {
            assert!(shown.contains(expected), "{expected}:\n{shown}");
        }
        assert!(read("backends: { data: { timeout: 2s }, math: { timeout: 1s } }").is_ok());
    }

    #[test]
    fn a_wrong_overlay_is_refused_with_every_problem() {
        let text = "backends:\n  mth: { timeout: 5s }\n  math: { timeot: 1s, disabled: 7 }\n";
        let shown = read(text).expect_err("three problems");
        for expected in ["unknown backend `mth`", "did you mean `math`?", "`timeot`", "`true` or `false`"] {
            assert!(shown.contains(expected), "{expected}:\n{shown}");
        }
    }
}
