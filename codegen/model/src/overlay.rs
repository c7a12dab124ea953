//! The overlay: what a process sets otherwise than its compiled topology. It tunes, restricts and adds, it never loosens.
//!
//! One more setting is one more key of [`BackendSettings`] and one more line of `SETTINGS`; that it takes effect is the
//! gateway's. What is added is read in [`added`], and what it makes of the compiled topology is in [`base`]. How settings
//! become a part of the topology is in [`promote`], and of the text of another overlay in `update`.

pub mod added;
pub mod base;
mod edit;
pub mod promote;
mod setting;
mod traffic;
mod update;
mod weights;

use std::fmt;

use crate::decode::{self, Decode, Entries, record};
use crate::diagnostic::{Code, Diagnostic, Problems, Severity, quoted};
use crate::features::AMENDMENTS;
use crate::json::token;
use crate::topology::{BACKEND_NAME, Backend, Millis, TIMEOUT, View};
use crate::traffic::{
    BreakerSettings, ConcurrencySettings, HealthSettings, HedgeSettings, Optional, RetrySettings, SHARE,
};
use crate::yaml::{Document, Node, Value, steps};
use crate::{Source, plan};
pub use added::Added;
pub use base::Base;
pub use setting::Change;
use setting::{SETTINGS, key};

/// The longest text of an overlay that is read.
pub const OVERLAY_BYTES_MAX: usize = 1 << 20;

/// What is compiled, as far as overlays set it otherwise.
#[derive(Clone, Copy, Debug)]
pub struct Compiled<'a> {
    /// Every backend.
    pub backends: &'a [plan::Backend],
    /// The backends of each route that leads to several.
    pub teams: &'a [plan::Team],
}

/// An overlay.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Overlay {
    /// Settings of backends, compiled and added, by name.
    pub backends: Entries<BackendSettings>,
    /// Backends that it adds, by name.
    pub added: Entries<Added<Backend>>,
    /// Views that it adds, by name.
    pub views: Entries<Added<View>>,
}

record! {
    /// Settings of one compiled backend.
    default struct BackendSettings: "backend settings" {
        /// The longest a call to it may take.
        timeout: Option<Millis> where TIMEOUT = None,
        /// Whether all calls to it are refused. Its children end once they have no call in flight.
        disabled: bool = false,
        /// Whether new calls to it are refused, while those that go on with what was begun are not: about tasks, and with
        /// answers to what it asked. It is kept up.
        drain: bool = false,
        /// How much of the calls each of its endpoints gets, compared with the others: a number for each, in their order. One
        /// with `0` gets none.
        weights: Option<Vec<usize>> = None,
        /// How much of the calls of routes to several it gets, compared with the others, instead of what each of them says. With
        /// `0` it gets none.
        weight: Option<usize> where SHARE = None,
        /// How many calls there may be at once, instead of what is compiled, as a whole: no more than that.
        concurrency: Option<ConcurrencySettings> = None,
        /// When a call that failed is made again, instead of what is compiled, as a whole.
        retry: Option<Optional<RetrySettings>> = None,
        /// When a call that only reads is made a second time, instead of what is compiled, as a whole. Of a compiled backend
        /// only where the topology has it.
        hedge: Option<Optional<HedgeSettings>> = None,
        /// When an endpoint that fails is left alone, instead of what is compiled, as a whole.
        circuit_breaker: Option<Optional<BreakerSettings>> = None,
        /// How its endpoints are asked whether they are well, instead of what is compiled, as a whole: nobody is asked who is not by
        /// the topology.
        health: Option<Optional<HealthSettings>> = None,
        /// Which of its tools are hidden besides those that the topology hides.
        tools: Denied = Denied::default(),
    }
}

record! {
    /// Which tools of a compiled backend are hidden.
    default struct Denied: "tool settings of an overlay" {
        /// Tools to hide, by their own name; `*` stands for any run of characters.
        deny: Vec<String> = Vec::new(),
    }
}

// === impl Overlay ===

impl Overlay {
    /// What is set otherwise than in these compiled backends, in their order.
    #[must_use]
    pub fn changes(&self, backends: &[plan::Backend]) -> Vec<Change> {
        let tuned = |backend: &plan::Backend| self.backends.iter().find(|(name, _)| *name == backend.name);
        let all = backends.iter().filter_map(|backend| Some((backend, tuned(backend)?.1)));
        let set = all.flat_map(|(backend, tuned)| SETTINGS.iter().filter_map(|own| own.change(backend, tuned)));
        set.chain(self.additions()).collect()
    }

    /// What it adds.
    fn additions(&self) -> impl Iterator<Item = Change> {
        let change = |name: &str, setting, json: &str| Change {
            backend: name.to_owned(),
            setting,
            compiled: "none".to_owned(),
            overlay: json.to_owned(),
        };
        let backends = self.added.iter().map(move |(name, own)| change(name, promote::ADDED, &own.json));
        backends.chain(self.views.iter().map(move |(name, own)| change(name, promote::VIEW, &own.json)))
    }

    /// What it makes another catalog of, as text: overlays of which this is the same make the same.
    #[must_use]
    pub fn amendment(&self) -> String {
        let denies = self.backends.iter().filter(|(_, own)| !own.tools.deny.is_empty());
        let denies = denies.map(|(name, own)| format!("deny {name} {}", setting::denied(&own.tools.deny)));
        let added = self.added.iter().map(|(name, own)| format!("backend {name} {}", own.json));
        let views = self.views.iter().map(|(name, own)| format!("view {name} {}", own.json));
        denies.chain(added).chain(views).collect::<Vec<_>>().join("\n")
    }

    /// Whether it makes another catalog of what is compiled.
    #[must_use]
    pub fn amends(&self) -> bool {
        let denies = self.backends.iter().any(|(_, own)| !own.tools.deny.is_empty());
        denies || !self.added.is_empty() || !self.views.is_empty()
    }
}

impl Overlay {
    /// What it sets, in JSON.
    #[must_use]
    pub fn json(&self) -> String {
        let backend = |(name, tuned): (&str, &BackendSettings)| {
            let (settings, added) = (setting::json(tuned), self.added.get(name).map(Added::members));
            let members: Vec<&str> =
                [added.unwrap_or_default(), &settings].into_iter().filter(|own| !own.is_empty()).collect();
            format!("{}:{{{}}}", token(name), members.join(","))
        };
        let backends = self.backends.iter().map(backend).collect::<Vec<_>>().join(",");
        let views = self.views.iter().map(|(name, view)| format!("{}:{}", token(name), view.json));
        let views = views.collect::<Vec<_>>().join(",");
        let views = if views.is_empty() { views } else { format!(r#","views":{{{views}}}"#) };
        format!(r#"{{"backends":{{{backends}}}{views}}}"#)
    }
}

impl fmt::Display for Overlay {
    /// As a document.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.backends.is_empty() && self.views.is_empty() {
            return f.write_str("{}\n");
        }
        if !self.backends.is_empty() {
            f.write_str("backends:\n")?;
        }
        for (name, tuned) in self.backends.iter() {
            let added = self.added.get(name).map(|own| own.members().to_owned());
            let settings: Vec<String> = added.into_iter().chain(setting::written(tuned)).collect();
            writeln!(f, "  {}: {{ {} }}", key(name), settings.join(", "))?;
        }
        if !self.views.is_empty() {
            f.write_str("views:\n")?;
        }
        self.views.iter().try_for_each(|(name, view)| writeln!(f, "  {}: {}", key(name), view.json))
    }
}

// === impl bool ===

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

/// Reads an overlay of what is compiled. What it makes of their catalog is not looked at: see [`Base`].
///
/// # Errors
/// Every problem, each with its place.
pub fn load(source: &Source, compiled: Compiled<'_>) -> Result<Overlay, Vec<Diagnostic>> {
    let backends = compiled.backends;
    let document = Document::parse(&source.text).map_err(|refused| vec![*refused])?;
    let mut problems = Problems::default();
    decode::duplicate_keys(&document.root, &mut problems);
    let overlay = Overlay::decode(&document.root, &mut problems);
    for (name, _) in overlay.iter().flat_map(|overlay| overlay.added.iter()) {
        BACKEND_NAME.report(name, document.key(steps!["backends", name]), &mut problems);
        if backends.iter().any(|backend| backend.name == name) {
            let place = document.key(steps!["backends", name, "transport"]);
            let message = format!("backend {} is compiled, and not added once more", quoted(name));
            problems
                .error(Code::Shadowed, place, message)
                .label("how to reach it is compiled")
                .help("take `transport` out to set something of it, or name the backend otherwise");
        }
    }
    for (name, settings) in overlay.iter().flat_map(|overlay| overlay.backends.iter()) {
        let known = || backends.iter().map(|backend| &*backend.name);
        let added = overlay.as_ref().and_then(|overlay| overlay.added.get(name));
        if !known().any(|known| known == name) && added.is_none() {
            let place = document.key(steps!["backends", name]);
            problems.unknown_backend(place, name, known(), "not in the compiled topology, and without a `transport`");
        }
        if let (Some(weights), Some(Added { value, .. })) = (&settings.weights, added) {
            let place = document.value(steps!["backends", name, "weights"]);
            weights::check_endpoints((name, weights), value.endpoints.len(), place, &mut problems);
        }
        if let (Some(weights), Some(backend)) = (&settings.weights, backends.iter().find(|own| own.name == name)) {
            let place = document.value(steps!["backends", name, "weights"]);
            weights::check_endpoints((name, weights), backend.transport.endpoints().len(), place, &mut problems);
        }
        if let Some(backend) = backends.iter().find(|backend| backend.name == name) {
            traffic::check((backend, settings), &document, &mut problems);
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
    if let Some(overlay) = &overlay {
        weights::check_routes(overlay, compiled, &document, &mut problems);
    }
    let found = problems.locate(&document, None);
    match overlay {
        Some(overlay) if found.iter().all(|found| found.severity == Severity::Warning) => Ok(overlay),
        _ => Err(found),
    }
}

/// What is said of an overlay that [amends](Overlay::amends) the catalog to a build that has no means to: of the first of
/// each kind.
#[must_use]
pub fn refuse_amendments(source: &Source, overlay: &Overlay) -> Vec<Diagnostic> {
    let document = match Document::parse(&source.text) {
        Ok(document) => document,
        Err(refused) => return vec![*refused],
    };
    let mut problems = Problems::default();
    let denies = overlay.backends.iter().filter(|(_, own)| !own.tools.deny.is_empty());
    let denies = denies.map(|(name, _)| document.value(steps!["backends", name, "tools", "deny"])).take(1);
    let added = overlay.added.iter().map(|(name, _)| document.key(steps!["backends", name])).take(1);
    let views = overlay.views.iter().map(|(name, _)| document.key(steps!["views", name])).take(1);
    for place in denies.chain(added).chain(views) {
        problems
            .error(Code::AmendmentsOff, place, "overlay amends the catalog, which this build does not take")
            .help(format!("build with `--features {AMENDMENTS}`, or compile it into the topology"));
    }
    problems.locate(&document, None)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn backends() -> Vec<plan::Backend> {
        let topology = Source {
            path: "t.yaml".to_owned(),
            text: concat!(
                "name: t\nbackends:\n  math: { transport: { stdio: { command: self } } }\n",
                "  data:\n    transport: { streamable_http: { connect_timeout: 2s } }\n    endpoints: [{ url: env:DATA_URL }]\n",
            )
            .to_owned(),
        };
        let (plan, _no_lock) = crate::load(&topology, None, &crate::Features::all()).expect("a good topology");
        plan.backends
    }

    fn read(text: &str) -> Result<Overlay, String> {
        let source = Source { path: "overlay.yaml".to_owned(), text: text.to_owned() };
        load(&source, Compiled { backends: &backends(), teams: &[] })
            .map_err(|found| crate::diagnostic::render(&found, &source, false))
    }

    #[test]
    fn what_calls_go_by_is_set_as_a_whole_and_no_limit_is_raised() {
        for (text, expected) in [
            (
                "backends: { data: { concurrency: { max: 5000 } } }",
                "`max` of `concurrency` is 5000: more than the 4096 that are compiled for backend `data`",
            ),
            ("backends: { data: { concurrency: { queue: 2000 } } }", "`queue` of `concurrency` is 2000"),
            ("backends: { data: { health: { interval: 1s } } }", "backend `data` has no health checks to tune"),
            ("backends: { data: { hedge: { after: 1s } } }", "backend `data` has no hedging to tune"),
            ("backends: { data: { hedge: {} } }", "missing key `after`"),
            ("backends: { data: { retry: { attempts: 99 } } }", "number of attempts 99 is not between 1 and 10"),
            ("backends: { data: { circuit_breaker: on } }", "`on` is not `off` or a mapping"),
        ] {
            let shown = read(text).expect_err(text);
            assert!(shown.contains(expected), "{expected}:\n{shown}");
        }
        let text = "backends: { data: { concurrency: { max: 7, queue: 0 }, retry: off, circuit_breaker: { failures: 9 }, health: off } }";
        let overlay = read(text).expect("a good overlay");
        let written = concat!(
            "backends:\n  data: { concurrency: { max: 7, queue: 0, queue_timeout: 1s }, retry: off, ",
            "circuit_breaker: { failures: 9, window: 30s, open: 10s, half_open: 3 }, health: off }\n",
        );
        assert_eq!(overlay.to_string(), written);
        assert_eq!(read(written).expect("what is written can be read"), overlay);
        let changes: Vec<String> = overlay.changes(&backends()).iter().map(ToString::to_string).collect();
        let expected = [
            "data.concurrency: { max: 4096, queue: 1024, queue_timeout: 1s } -> { max: 7, queue: 0, queue_timeout: 1s }",
            "data.retry: { attempts: 2, backoff: 50ms..1s, budget: 20% } -> off",
            "data.circuit_breaker: { failures: 5, window: 30s, open: 10s, half_open: 3 } -> { failures: 9, window: 30s, open: 10s, half_open: 3 }",
        ];
        assert_eq!(changes, expected);
        let json: serde_json::Value = serde_json::from_str(&overlay.json()).expect("JSON");
        assert_eq!(json["backends"]["data"]["circuit_breaker"]["failures"], 9);
        assert_eq!(json["backends"]["data"]["retry"], "off");
        let again = read(&overlay.json()).expect("JSON is YAML");
        assert_eq!(again, overlay);
        let traffic = overlay.backends.iter().next().expect("one").1.traffic(&backends()[1]);
        assert_eq!((traffic.retry, traffic.concurrency.max), (None, 7));
    }

    #[test]
    fn an_overlay_tunes_and_restricts() {
        let overlay = read("backends: { math: { timeout: 5s, disabled: true } }").expect("a good overlay");
        let settings: Vec<_> = overlay.backends.iter().collect();
        let expected = BackendSettings { timeout: Some(Millis(5_000)), disabled: true, ..BackendSettings::default() };
        assert_eq!(settings, [("math", &expected)]);
        assert_eq!(read("backends: {}"), Ok(Overlay::default()));
        assert_eq!(read("{}"), Ok(Overlay::default()));
    }

    #[test]
    fn an_overlay_is_written_as_it_is_read() {
        for text in [
            "backends:\n  math: { timeout: 5s, disabled: true }\n  data: { drain: true }\n",
            "backends:\n  math: { timeout: 1500ms }\n",
            "{}\n",
        ] {
            assert_eq!(read(text).expect("a good overlay").to_string(), text);
        }
    }

    #[test]
    fn what_an_overlay_adds_is_written_as_it_is_read() {
        let text = concat!(
            "backends:\n  math: { tools: {\"deny\":[\"add\",\"sub_*\"]} }\n",
            "  more: { \"transport\":{\"streamable_http\":{}},\"endpoints\":[{\"url\":\"http://h:1/mcp\"}], disabled: true }\n",
            "views:\n  both: {\"include\":[\"*\"]}\n",
        );
        let overlay = read(text).expect("a good overlay");
        assert!(overlay.amends());
        assert_eq!(overlay.to_string(), text);
        assert_eq!(read(&overlay.json()), Ok(overlay.clone()));
        let changes: Vec<String> = overlay.changes(&backends()).iter().map(ToString::to_string).collect();
        let expected = [
            r#"math.tools: {"deny":[]} -> {"deny":["add","sub_*"]}"#,
            r#"more.added: none -> {"transport":{"streamable_http":{}},"endpoints":[{"url":"http://h:1/mcp"}]}"#,
            r#"both.view: none -> {"include":["*"]}"#,
        ];
        assert_eq!(changes, expected);
        assert!(!read("backends: { math: { drain: true, tools: {} } }").expect("a good overlay").amends());
    }

    #[test]
    fn an_overlay_changes_what_it_sets_to_another_value() {
        let overlay = read("backends: { math: { timeout: 30s, disabled: true }, data: { timeout: 5s, drain: false } }");
        let changes = overlay.expect("a good overlay").changes(&backends());
        let shown: Vec<String> = changes.iter().map(ToString::to_string).collect();
        assert_eq!(shown, ["math.disabled: false -> true", "data.timeout: 30s -> 5s"]);
    }

    #[test]
    fn an_overlay_in_json_is_read_as_the_same() {
        for text in ["backends: { math: { timeout: 5s, disabled: true }, data: { drain: true } }", "{}"] {
            let overlay = read(text).expect("a good overlay");
            assert_eq!(read(&overlay.json()), Ok(overlay));
        }
        let json = read("backends: { math: { timeout: 5s, drain: true } }").expect("a good overlay").json();
        assert_eq!(json, r#"{"backends":{"math":{"timeout":"5s","drain":true}}}"#);
    }

    #[test]
    fn what_says_nothing_is_no_overlay() {
        for text in ["", "# nothing\n", "---\n", "~"] {
            let shown = read(text).expect_err("half written, for all anybody knows");
            assert!(shown.contains("nothing where an overlay belongs"), "{text:?}:\n{shown}");
        }
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
