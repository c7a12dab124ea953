//! Topologies read from disk: which files are found, watched and reported.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::path::{Path, PathBuf};

use only1mcp_emit::{Files, module, select};
use only1mcp_model::Features;

const VALID: &str = "name: good\nbackends: { memory: { transport: { stdio: { command: memory-server } } } }\n";

/// A package of its own for one test.
fn package(name: &str, files: &[(&str, &str)]) -> PathBuf {
    let package = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    if package.exists() {
        fs::remove_dir_all(&package).unwrap();
    }
    fs::create_dir_all(package.join("topologies")).unwrap();
    for (file, text) in files {
        fs::write(package.join("topologies").join(file), text).unwrap();
    }
    package
}

#[test]
fn a_topology_that_is_not_there_is_reported_with_those_that_are() {
    let package = package("missing", &[("good.yaml", VALID), ("also.yaml", VALID), ("good.lock.json", "{}")]);
    assert_eq!(select::known(&package), ["also", "good"]);
    let problems = Files::new(&package, "topologies/nope.yaml").load(&Features::all()).unwrap_err();
    assert_eq!(problems.len(), 1);
    assert!(problems[0].starts_with("topology `topologies/nope.yaml` cannot be read: "), "{}", problems[0]);
    assert!(problems[0].ends_with("\nhelp: known topologies: `also`, `good`"), "{}", problems[0]);
    let problems = Files::new(&package, "topologies/godo.yaml").load(&Features::all()).unwrap_err();
    let expected = "\nhelp: did you mean `good`? known topologies: `also`, `good`";
    assert!(problems[0].ends_with(expected), "{}", problems[0]);
}

#[test]
fn features_that_are_off_are_told_from_other_problems() {
    let package = package("lacking", &[("good.yaml", VALID), ("bad.yaml", "name: bad\n")]);
    let lack = |name: &str, features| Files::new(&package, &format!("topologies/{name}.yaml")).lack(&features);
    assert!(lack("good", Features::of(|feature| feature == "transport-http")));
    assert!(!lack("good", Features::of(|feature| feature == "transport-stdio")));
    assert!(!lack("bad", Features::of(|feature| feature == "transport-http")), "it is refused with every feature");
}

#[test]
fn a_file_over_its_limit_or_of_another_kind_is_not_read() {
    let package = package("unread", &[("large.yaml", ""), ("odd.yaml", VALID), ("odd.lock.json", "{}")]);
    let problem = |path| Files::new(&package, path).load(&Features::all()).unwrap_err().remove(0);
    fs::File::create(package.join("topologies/large.yaml")).unwrap().set_len(100 << 20).unwrap();
    let large = problem("topologies/large.yaml");
    assert!(large.starts_with("topology `topologies/large.yaml` cannot be read: file of more than"), "{large}");
    let lock = package.join("topologies/odd.lock.json");
    fs::remove_file(&lock).unwrap();
    fs::create_dir(&lock).unwrap();
    assert_eq!(
        problem("topologies/odd.yaml"),
        "lock `topologies/odd.lock.json` cannot be read: directory where a file belongs"
    );
}

#[cfg(unix)]
#[test]
fn a_lock_that_cannot_be_looked_at_is_not_taken_for_none() {
    let package = package("dangling", &[("odd.yaml", VALID)]);
    std::os::unix::fs::symlink("nowhere.json", package.join("topologies/odd.lock.json")).unwrap();
    let problem = Files::new(&package, "topologies/odd.yaml").load(&Features::all()).unwrap_err().remove(0);
    let expected = "lock `topologies/odd.lock.json` cannot be read: ";
    assert!(problem.starts_with(expected) && problem.contains("No such file"), "{problem}");
}

#[test]
fn of_very_many_problems_some_are_shown_and_the_others_counted() {
    let keys: String = (0..200).map(|number| format!("k{number}: 1\n")).collect();
    let package = package("many", &[("many.yaml", &format!("{keys}{VALID}"))]);
    let problems = Files::new(&package, "topologies/many.yaml").load(&Features::all()).unwrap_err();
    let placed = problems.iter().filter(|problem| problem.contains(" --> topologies/many.yaml:")).count();
    assert_eq!((problems.len(), placed), (51, 50), "{problems:#?}");
    assert!(problems[50].starts_with("150 more problems are not shown\n\nfor more about this: "), "{}", problems[50]);
}

#[test]
fn the_lock_is_watched_where_it_is_and_its_directory_where_it_is_not() {
    let package = package("watched", &[("a.yaml", VALID), ("a.lock.json", "{}"), ("b.yaml", VALID)]);
    let watched = |path: &str| Files::new(&package, path).watched();
    let at = |path: &str| package.join(path);
    assert_eq!(watched("topologies/a.yaml"), [at("topologies/a.yaml"), at("topologies/a.lock.json")]);
    assert_eq!(watched("topologies/b.yaml"), [at("topologies/b.yaml"), at("topologies")]);
    assert_eq!(watched("topologies/c.yaml"), [at("topologies/c.yaml"), at("topologies")]);
    assert_eq!(watched("nowhere/c.yaml"), [at("nowhere/c.yaml")]);
}

#[test]
fn a_valid_topology_becomes_a_module() {
    let package = package("valid", &[("good.yaml", VALID)]);
    let files = Files::new(&package, "topologies/good.yaml");
    let loaded = files.load(&Features::all()).unwrap();
    assert!(loaded.warnings[0].starts_with("warning["), "{:#?}", loaded.warnings);
    let module = module(&loaded.plan, files.topology()).unwrap();
    let origin = format!(
        "// generated from topologies/good.yaml (sha256 {}); do not edit\n\n/// The topology `good`.\n",
        loaded.plan.topology_digest
    );
    assert!(module.code.starts_with(&origin), "{}", module.code);
    assert_eq!(module.items, b"");
}

#[test]
fn every_problem_is_rendered_with_its_place() {
    let package = package("invalid", &[("bad.yaml", "nmae: bad\nbackends: { a: { transport: { stdio: {} } } }\n")]);
    let problems = Files::new(&package, "topologies/bad.yaml").load(&Features::all()).unwrap_err();
    assert!(problems.len() > 1, "{problems:#?}");
    assert!(problems.iter().all(|problem| problem.starts_with("error[")), "{problems:#?}");
    assert!(problems.iter().all(|problem| problem.contains(" topologies/bad.yaml:")), "{problems:#?}");
    let hints: Vec<bool> =
        problems.iter().map(|problem| problem.contains("for more about this: only1mcp explain E00")).collect();
    assert_eq!(hints.iter().filter(|hint| **hint).count(), 1, "once, whatever there is: {problems:#?}");
    assert_eq!(hints.last(), Some(&true), "{problems:#?}");
}

#[test]
fn a_topology_needs_the_features_of_its_transports() {
    let package = package("features", &[("good.yaml", VALID)]);
    let features = Features::of(|feature| feature != "transport-stdio");
    let problems = Files::new(&package, "topologies/good.yaml").load(&features).unwrap_err();
    assert!(problems.iter().any(|problem| problem.contains("transport-stdio")), "{problems:#?}");
}
