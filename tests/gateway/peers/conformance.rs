//! The public conformance suite through the gateway, against fixtures on two published SDKs that pass all of it. What may
//! fail stands in lists beside the runner, `tests/conformance/run`.

use std::ffi::OsStr;
use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use only1mcp::Gateway;
use only1mcp::catalog::Topology;

use super::{command, peers, script, supergateway};

only1mcp::topology!(Conformance = "tests/conformance/topology.yaml");
only1mcp::topology!(Legacy = "tests/conformance/legacy.yaml");
only1mcp::topology!(Modern = "tests/conformance/modern.yaml");
only1mcp::topology!(OverStdio = "tests/conformance/stdio.yaml");
only1mcp::topology!(OverSse = "tests/conformance/sse.yaml");
only1mcp::topology!(OverWebSocket = "tests/conformance/websocket.yaml");

/// Those that have lists of their own.
const LISTED: [&str; 2] = ["2025-11-25", "2026-07-28"];
/// All that are run.
const REVISIONS: [&str; 3] = ["2025-06-18", LISTED[0], LISTED[1]];

/// The server that the suite expects, over HTTP; killed when dropped.
struct Fixture {
    process: Child,
    url: String,
}

// === impl Fixture ===

impl Fixture {
    fn start(peers: &Path, options: &[&str]) -> Self {
        let mut command = command(peers.join("python/bin/python"));
        Self::of(command.arg("tests/conformance/fixture.py").args(options))
    }

    /// The same on the TypeScript SDK.
    fn on_typescript(peers: &Path) -> Self {
        Self::of(command(peers.join("node/bin/node")).arg("tests/conformance/fixture.mjs"))
    }

    fn of(command: &mut Command) -> Self {
        let mut process = command.stdout(Stdio::piped()).spawn().expect("the fixture starts");
        let mut url = String::new();
        let mut stdout = BufReader::new(process.stdout.take().expect("a pipe"));
        stdout.read_line(&mut url).expect("the fixture says its URL");
        Self { process, url: url.trim().to_owned() }
    }
}

impl Drop for Fixture {
    fn drop(&mut self) {
        // Already gone where it failed.
        drop(self.process.kill());
        drop(self.process.wait());
    }
}

/// The suite against a gateway whose backend speaks these eras: its results, or what went wrong.
fn through_gateway(peers: &Path, fixture: &Fixture, era: &str) -> Result<PathBuf, String> {
    through::<Conformance>(peers, &fixture.url, era)
}

/// The same for a gateway of this topology.
fn through<T: Topology>(peers: &Path, url: &str, backend: &str) -> Result<PathBuf, String> {
    let builder = Gateway::<T>::builder().reference("CONFORMANCE_URL", url);
    let gateway = builder.program(peers.join("python/bin/python")).start().expect("the gateway starts");
    run(&gateway.url(), peers.join("conformance").join(backend), &["--backend", backend])
}

/// The suite against a URL, with its results in a folder.
fn run(url: &str, results: PathBuf, options: &[&str]) -> Result<PathBuf, String> {
    let mut arguments: Vec<&OsStr> = vec![url.as_ref(), "--results".as_ref(), results.as_ref()];
    arguments.extend(options.iter().map(OsStr::new));
    script("tests/conformance/run", &arguments).map(|_scenarios| results)
}

/// Fails with what was printed, as it was printed.
#[track_caller]
fn pass<T>(outcome: Result<T, String>) -> T {
    assert!(outcome.is_ok(), "{}", outcome.err().unwrap_or_default());
    outcome.expect("it was looked at")
}

/// The suite against the fixture itself, which passes all of it, and through a gateway, which does so no worse.
#[track_caller]
fn conforms_as(peers: &Path, fixture: &Fixture, backend: &str) {
    let results = peers.join("conformance").join(format!("{backend}-direct"));
    let direct = pass(run(&fixture.url, results, &["--direct"]));
    let gateway = pass(through_gateway(peers, fixture, backend));
    for revision in REVISIONS {
        let [direct, gateway] = [&direct, &gateway].map(|results| results.join(revision));
        pass(script("tests/conformance/compare", &[direct.as_ref(), gateway.as_ref()]));
    }
}

#[test]
fn the_gateway_conforms_as_its_backend_does() {
    let Some(peers) = peers() else { return };
    conforms_as(peers, &Fixture::start(peers, &[]), "both");
}

#[test]
fn the_gateway_conforms_as_its_backend_on_the_typescript_sdk_does() {
    let Some(peers) = peers() else { return };
    conforms_as(peers, &Fixture::on_typescript(peers), "typescript");
}

#[test]
fn the_gateway_conforms_in_both_eras_before_a_legacy_backend() {
    let Some(peers) = peers() else { return };
    pass(through_gateway(peers, &Fixture::start(peers, &["--era", "legacy"]), "legacy"));
}

#[test]
fn the_gateway_conforms_in_both_eras_before_a_modern_backend() {
    let Some(peers) = peers() else { return };
    pass(through_gateway(peers, &Fixture::start(peers, &["--era", "modern"]), "modern"));
}

/// The fixture would speak the other era as well, and is not asked.
#[test]
fn the_gateway_conforms_in_both_eras_before_a_backend_that_is_pinned_to_the_legacy_one() {
    let Some(peers) = peers() else { return };
    pass(through::<Legacy>(peers, &Fixture::start(peers, &[]).url, "pinned-legacy"));
}

#[test]
fn the_gateway_conforms_in_both_eras_before_a_backend_that_is_pinned_to_the_modern_one() {
    let Some(peers) = peers() else { return };
    pass(through::<Modern>(peers, &Fixture::start(peers, &[]).url, "pinned-modern"));
}

#[test]
fn the_gateway_conforms_in_both_eras_before_a_child() {
    let Some(peers) = peers() else { return };
    pass(through::<OverStdio>(peers, "", "stdio"));
}

#[test]
fn the_gateway_conforms_in_both_eras_before_a_backend_over_sse() {
    let Some(peers) = peers() else { return };
    pass(through::<OverSse>(peers, &Fixture::start(peers, &["--sse"]).url, "sse"));
}

#[test]
fn the_gateway_conforms_in_both_eras_before_a_backend_over_websocket() {
    let Some(peers) = peers() else { return };
    let server = format!("{} tests/conformance/fixture.py --stdio", peers.join("python/bin/python").display());
    let (_bridge, url) = supergateway::started_before(peers, &server);
    pass(through::<OverWebSocket>(peers, &url, "websocket"));
}

/// Checks of subscriptions, where the backend is behind a WebSocket: what stands there between gives requests ids of its
/// own, and repeats them nowhere else.
const SUBSCRIPTIONS: [&str; 7] = [
    "resources-subscribe:resources-subscribe",
    "resources-unsubscribe:resources-unsubscribe",
    "server-stateless:sep-2575-server-honors-notification-filter",
    "server-stateless:sep-2575-server-sends-prompts-list-changed-on-subscription",
    "server-stateless:sep-2575-server-sends-subscription-ack",
    "server-stateless:sep-2575-server-sends-tools-list-changed-on-subscription",
    "server-stateless:sep-2575-server-tags-subscription-id",
];
/// Scenarios of modern clients, by how they begin, where the backend is legacy: it has no word for them.
const MODERN_ONLY: [&str; 2] = ["input-required-result-", "tasks-"];

#[test]
fn only_what_is_optional_may_fail() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/conformance");
    let legacy = ["-legacy-backend", "-pinned-legacy-backend", "-sse-backend"];
    let modern = [
        "",
        "-typescript-backend",
        "-modern-backend",
        "-pinned-modern-backend",
        "-stdio-backend",
        "-websocket-backend",
    ];
    for revision in LISTED {
        for backend in legacy.iter().chain(&modern).copied() {
            let name = format!("expected-failures-{revision}{backend}.txt");
            let list = fs::read_to_string(folder.join(&name)).expect("the list is there");
            let named = list.lines().filter(|line| !line.starts_with('#'));
            let required = named.filter(|line| {
                let modern_only = MODERN_ONLY.iter().any(|scenario| line.starts_with(scenario));
                let bridged = backend == "-websocket-backend" && SUBSCRIPTIONS.contains(line);
                !(bridged || legacy.contains(&backend) && modern_only)
            });
            assert_eq!(required.collect::<Vec<_>>(), [""; 0], "{name}");
        }
    }
}
