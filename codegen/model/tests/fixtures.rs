//! Topologies that are accepted and topologies that are refused, each with the exact text of its diagnostics.
//!
//! `BLESS=1 cargo test -p only1mcp-model` writes the expected texts anew.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use only1mcp_model::diagnostic::{Code, Diagnostic, explain, render};
use only1mcp_model::plan::Plan;
use only1mcp_model::{Features, Source, load, lock_path};

type Outcome = Result<(Plan, Vec<Diagnostic>), Vec<Diagnostic>>;

fn fixtures(kind: &str) -> Vec<PathBuf> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(kind);
    let entries = fs::read_dir(&directory)
        .expect("the directory is part of the tree")
        .map(|entry| entry.expect("entries can be read").path());
    let mut paths: Vec<PathBuf> = entries.filter(|path| path.extension().is_some_and(|end| end == "yaml")).collect();
    paths.sort();
    assert!(!paths.is_empty(), "{} holds fixtures", directory.display());
    paths
}

/// A file under its bare name, so that the expected texts are the same everywhere.
fn source(path: &Path) -> Source {
    let text = fs::read_to_string(path).expect("fixtures are text");
    Source { path: path.file_name().unwrap_or_default().to_string_lossy().into_owned(), text }
}

/// Loads a fixture. A first line such as `# without: tls` says what the build leaves out, and `# without: tls, by:
/// topology-prod` which feature selected the topology.
fn load_fixture(path: &Path) -> (Source, Outcome) {
    let topology = source(path);
    let first = topology.text.lines().next().unwrap_or_default();
    let without = first.strip_prefix("# without: ").unwrap_or_default();
    let (without, by) = without.split_once(", by: ").map_or((without, None), |(without, by)| (without, Some(by)));
    let features = Features::of(|feature| !without.contains(feature)).in_line_of(by.map(str::to_owned));
    let lock = lock_path(path);
    let lock = lock.exists().then(|| source(&lock));
    let outcome = load(&topology, lock.as_ref(), &features);
    (topology, outcome)
}

/// Compares the diagnostics with the file beside the fixture; no file stands for none.
fn check_text(path: &Path, topology: &Source, diagnostics: &[Diagnostic]) -> Result<(), String> {
    let actual = render(diagnostics, topology, false);
    let expected_path = path.with_extension("stderr");
    if std::env::var_os("BLESS").is_some() {
        if actual.is_empty() {
            fs::remove_file(&expected_path).ok();
        } else {
            fs::write(&expected_path, &actual).expect("the directory can be written");
        }
        return Ok(());
    }
    let expected = fs::read_to_string(&expected_path).unwrap_or_default();
    if actual == expected {
        return Ok(());
    }
    Err(format!("{}\n--- expected\n{expected}\n--- actual\n{actual}", path.display()))
}

#[test]
fn good_topologies_are_accepted_with_exactly_the_expected_warnings() {
    let mut failures = Vec::new();
    for path in fixtures("pass") {
        let (topology, outcome) = load_fixture(&path);
        let outcome = match &outcome {
            Ok((_, warnings)) => check_text(&path, &topology, warnings),
            Err(diagnostics) => Err(render(diagnostics, &topology, false)),
        };
        failures.extend(outcome.err());
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

#[test]
fn bad_topologies_are_refused_with_exactly_the_expected_text() {
    let mut failures = Vec::new();
    for path in fixtures("fail") {
        let (topology, outcome) = load_fixture(&path);
        let outcome = match &outcome {
            Ok(_) => Err(format!("{} is accepted", path.display())),
            Err(diagnostics) => check_text(&path, &topology, diagnostics),
        };
        failures.extend(outcome.err());
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

#[test]
fn every_code_has_a_fixture() {
    let paths = fixtures("pass").into_iter().chain(fixtures("fail"));
    let codes: BTreeSet<Code> = paths
        .flat_map(|path| match load_fixture(&path).1 {
            Ok((_, warnings)) => warnings,
            Err(diagnostics) => diagnostics,
        })
        .map(|diagnostic| diagnostic.code)
        .collect();
    let missing: Vec<&Code> = Code::ALL.iter().filter(|code| !codes.contains(code)).collect();
    assert!(missing.is_empty(), "codes without a fixture: {missing:?}");
}

#[test]
fn every_code_is_explained_with_an_example_and_found_by_its_text() {
    for code in Code::ALL {
        assert!(explain(*code).contains("\n\n    "), "{code} has an example");
        assert_eq!(Code::parse(&code.as_str().to_lowercase()), Some(*code));
    }
    assert_eq!(Code::parse("E9999"), None);
}

#[test]
fn every_expected_text_belongs_to_a_fixture() {
    for kind in ["pass", "fail"] {
        let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(kind);
        for entry in fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            let stem = path.file_name().unwrap().to_string_lossy().split('.').next().unwrap().to_owned();
            assert!(path.with_file_name(stem + ".yaml").exists(), "{} belongs to a fixture", path.display());
        }
    }
}
