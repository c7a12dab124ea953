//! Topologies that are accepted and topologies that are refused, each with the exact text of its diagnostics.
//!
//! `BLESS=1 cargo test -p only1mcp-model` writes the expected texts anew.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use only1mcp_model::diagnostic::{Code, Diagnostic, explain, hint, render};
use only1mcp_model::overlay::{self, Base};
use only1mcp_model::plan::{Plan, Reference};
use only1mcp_model::{Features, Source, load, lock_path, unresolved};

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

/// Loads a fixture. A first line such as `# without: tls` says what the build leaves out, `# without: tls, by:
/// topology-prod` which feature selected the topology, `# unset: NAME` which references do not resolve, and `# set: NAME=VALUE`
/// what some resolve to. `# overlay of: NAME` makes it an overlay of that topology among those that are accepted.
fn load_fixture(path: &Path) -> (Source, Outcome) {
    let topology = source(path);
    let first = topology.text.lines().next().unwrap_or_default();
    let without = first.strip_prefix("# without: ").unwrap_or_default();
    let (without, by) = without.split_once(", by: ").map_or((without, None), |(without, by)| (without, Some(by)));
    let features = Features::of(|feature| !without.contains(feature)).in_line_of(by.map(str::to_owned));
    if let Some(of) = first.strip_prefix("# overlay of: ") {
        let (of, without) = of.split_once(", without: ").unwrap_or((of, "nothing"));
        let features = Features::of(|feature| !without.contains(feature));
        let outcome = load_overlay(&topology, &path.with_file_name(format!("../pass/{of}.yaml")), &features);
        return (topology, outcome);
    }
    let lock = lock_path(path);
    let lock = lock.exists().then(|| source(&lock));
    let mut outcome = load(&topology, lock.as_ref(), &features);
    if let Some(set) = first.strip_prefix("# set: ") {
        let found = unresolved(&topology, &|reference| {
            let reference = reference.to_string();
            let value =
                set.split(", ").filter_map(|one| one.split_once('=')).find(|(name, _)| reference.ends_with(name));
            value.map(|(_, value)| value.to_owned()).ok_or_else(|| "it is not set".to_owned())
        });
        outcome = if found.is_empty() { outcome } else { Err(found) };
    }
    if let Some(unset) = first.strip_prefix("# unset: ") {
        let found = unresolved(&topology, &|reference| match reference {
            Reference::Env(name) if unset.split(", ").any(|other| other == name) => Err("it is not set".to_owned()),
            Reference::File(path) if unset.split(", ").any(|other| other == path) => {
                Err("there is no such file".to_owned())
            }
            // A literal, which is no reference, is never asked for.
            Reference::Literal(value) => Err(format!("`{value}` is asked for")),
            _ => Ok(String::new()),
        });
        outcome = if found.is_empty() { outcome } else { Err(found) };
    }
    (topology, outcome)
}

/// What an overlay makes of a topology.
fn load_overlay(overlay: &Source, of: &Path, features: &Features) -> Outcome {
    let (topology, lock) = (source(of), lock_path(of));
    let lock = lock.exists().then(|| source(&lock));
    let (plan, _) = load(&topology, lock.as_ref(), &Features::all()).expect("a topology that is accepted");
    let base = Base::read(topology, lock, features.clone()).expect("the same");
    let read = overlay::load(overlay, plan.compiled())?;
    base.with(overlay, &read, &BTreeMap::new()).map(|plan| (plan, Vec::new()))
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

/// Everything that is found in any fixture.
fn found() -> impl Iterator<Item = Diagnostic> {
    let paths = fixtures("pass").into_iter().chain(fixtures("fail"));
    paths.flat_map(|path| match load_fixture(&path).1 {
        Ok((_, warnings)) => warnings,
        Err(diagnostics) => diagnostics,
    })
}

#[test]
fn every_problem_has_the_severity_of_its_code() {
    for diagnostic in found() {
        assert_eq!(diagnostic.severity, diagnostic.code.severity(), "{diagnostic:?}");
    }
}

#[test]
fn every_code_has_a_fixture() {
    let codes: BTreeSet<Code> = found().map(|diagnostic| diagnostic.code).collect();
    let missing: Vec<&Code> = Code::ALL.iter().filter(|code| !codes.contains(code)).collect();
    assert!(missing.is_empty(), "codes without a fixture: {missing:?}");
}

#[test]
fn every_code_is_explained_with_an_example_and_found_by_its_text() {
    for code in Code::ALL {
        let meaning = code.meaning();
        assert!(meaning.ends_with('.') && !meaning.contains('\n') && meaning == meaning.trim(), "{code}: {meaning}");
        assert!(explain(*code).contains("\n\n    "), "{code} has an example");
        assert_eq!(Code::parse(&code.as_str().to_lowercase()), Some(*code));
    }
    assert_eq!(Code::parse("E9999"), None);
    assert_eq!(Code::near("e301").map(Code::as_str), Some("E0301"));
    assert_eq!(Code::near("nonsense"), None);
}

#[test]
fn a_hint_names_each_code_once_and_few_of_them() {
    let (_, Err(many)) = load_fixture(&fixtures("fail").into_iter().find(|path| path.ends_with("many.yaml")).unwrap())
    else {
        panic!("many.yaml is refused");
    };
    let codes: BTreeSet<&str> = many.iter().map(|diagnostic| diagnostic.code.as_str()).collect();
    let hinted = hint(&many).unwrap();
    let hinted: Vec<&str> = hinted.strip_prefix("for more about this: only1mcp explain ").unwrap().split(' ').collect();
    assert_eq!(hinted.len(), codes.len().min(5), "{hinted:?}");
    assert!(hinted.iter().all(|code| codes.contains(code)), "{hinted:?}");
    assert_eq!(hint(&[]), None);
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
