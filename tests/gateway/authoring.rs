//! The commands about topologies as people and programs run them. Those that ask backends are in `command_line`.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use crate::support::ledger::Directory;
use crate::support::program::{Ran, run, run_in};

const GOOD: &str = "name: some
backends:
  math:
    transport: { stdio: { command: self, args: [demo-server, math] } }
";

fn write(path: impl AsRef<Path>, text: &str) {
    fs::write(path, text).expect("a directory of this test");
}

/// A directory with a topology of this text, and its path.
fn topology(text: &str) -> (Directory, String) {
    let directory = Directory::new();
    let path = directory.path("some.yaml");
    write(&path, text);
    (directory, path.display().to_string())
}

fn json_of(ran: &Ran) -> Value {
    serde_json::from_str(&ran.stdout).unwrap_or_else(|error| panic!("{error} in {ran:?}"))
}

#[test]
fn every_command_shows_an_example() {
    let topology = ["lock", "diff", "explain"].map(|command| ["topology", command]);
    let commands = [&["validate"][..], &["explain"]].into_iter().chain(topology.iter().map(|command| &command[..]));
    for arguments in commands {
        let help = run(&[arguments, &["--help"]].concat());
        let example = format!("`only1mcp {}", arguments.join(" "));
        assert!(help.code == Some(0) && help.stdout.contains(&example), "{example} in {}", help.stdout);
    }
}

#[test]
fn a_code_is_explained_with_an_example() {
    let one = run(&["explain", "e0301"]);
    assert_eq!(one.code, Some(0), "{one:?}");
    assert!(one.stdout.starts_with("E0301 (error): Two items are exposed under one name.\n\n"), "{}", one.stdout);
    assert!(one.stdout.contains("\n    tools: { rename: { add: sum, plus: sum } }"), "{}", one.stdout);
    let two = run(&["explain", "E0301", "E0501"]);
    assert!(two.stdout.starts_with(&one.stdout) && two.stdout.contains("\nE0501 (warning): "), "{}", two.stdout);
}

#[test]
fn without_a_code_all_are_listed() {
    let all = run(&["explain"]);
    assert_eq!(all.code, Some(0), "{all:?}");
    assert!(all.stdout.starts_with("E0001  error    The text is not YAML.\n"), "{}", all.stdout);
    assert!(all.stdout.contains("\nE0501  warning  There is no lock.\n"), "{}", all.stdout);
}

#[test]
fn a_code_that_does_not_exist_is_not_understood() {
    for (code, hint) in [("e301", "did you mean `E0301`?"), ("nonsense", "`only1mcp explain` lists those that do")] {
        let ran = run(&["explain", code]);
        assert_eq!((ran.code, ran.stdout.as_str()), (Some(2), ""), "{ran:?}");
        assert_eq!(ran.stderr, format!("error: code `{code}` does not exist; {hint}\n"));
    }
}

#[test]
fn validate_tells_good_topologies_from_bad_ones() {
    let (_directory, path) = topology(GOOD);
    let good = run(&["validate", &path]);
    assert_eq!(good.code, Some(0), "{good:?}");
    assert!(good.stdout.contains("some.yaml: ok · 1 backends"), "{}", good.stdout);
    write(&path, "name: some\nbackends:\n  math:\n    transport: { stdio: { comand: self } }\n");
    let bad = run(&["validate", &path]);
    assert_eq!((bad.code, bad.stdout.as_str()), (Some(3), ""));
    assert!(bad.stderr.contains("some.yaml:4:") && bad.stderr.contains("`comand`"), "{}", bad.stderr);
    assert!(bad.stderr.ends_with("\n\nfor more about this: only1mcp explain E0006 E0005\n"), "{}", bad.stderr);
}

#[test]
fn what_does_not_exist_is_named_with_what_to_do() {
    let directory = Directory::new();
    for command in [&["validate"][..], &["topology", "lock"], &["topology", "diff"]] {
        let absent = run_in(&directory.path(""), &[command, &["prod"]].concat());
        assert_eq!(absent.code, Some(1), "{absent:?}");
        let expected =
            "error: topology `topologies/prod.yaml` does not exist; `only1mcp topology new prod` writes it\n";
        assert_eq!(absent.stderr, expected, "{command:?}");
    }
    let known = run(&["validate", "prod"]);
    assert!(known.stderr.contains("known are `default`, "), "{}", known.stderr);
    let overlay = run(&["validate", "--overlay", "absent.yaml"]);
    assert_eq!(overlay.code, Some(1), "{overlay:?}");
    assert!(overlay.stderr.contains("overlay `absent.yaml` cannot be read"), "{}", overlay.stderr);
}

#[test]
fn strict_takes_no_warnings() {
    let (_directory, path) = topology(GOOD);
    assert_eq!(run(&["validate", &path]).code, Some(0), "no lock is a warning");
    let strict = run(&["validate", "--strict", &path]);
    assert_eq!((strict.code, strict.stdout.as_str()), (Some(3), ""), "{strict:?}");
    assert!(strict.stderr.contains("warning[E0501]"), "{}", strict.stderr);
    assert!(strict.stderr.ends_with("error: 1 warnings, of which `--strict` takes none\n"), "{}", strict.stderr);
    assert_eq!(run(&["validate", "--strict", "default"]).code, Some(0));
}

#[test]
fn validate_prints_for_programs_what_it_found_and_where() {
    let (_directory, path) = topology("name: some\nbackends: {}\nextra: 1\n");
    let ran = run(&["validate", "--json", &path]);
    assert_eq!((ran.code, ran.stderr.as_str()), (Some(3), ""));
    let found = json_of(&ran);
    let head = ["ok", "topology", "lock", "overlay", "errors", "warnings"].map(|key| found[key].clone());
    assert_eq!(head, [json!(false), json!(path), Value::Null, Value::Null, json!(2), json!(0)], "{found:#}");
    let unknown = &found["diagnostics"][1];
    assert_eq!((&unknown["code"], &unknown["severity"]), (&json!("E0005"), &json!("error")), "{found:#}");
    let place = json!({ "file": path, "line": 3, "column": 1, "end_line": 3, "end_column": 6, "label": "" });
    assert_eq!(unknown["place"], place);

    let good = json_of(&run(&["validate", "--json", "default"]));
    assert_eq!((&good["ok"], &good["diagnostics"]), (&json!(true), &json!([])));
    assert_eq!(good["lock"], "topologies/default.lock.json");

    write(&path, GOOD);
    let warned = run(&["validate", "--json", "--strict", &path]);
    assert_eq!(warned.code, Some(3), "{warned:?}");
    assert_eq!((&json_of(&warned)["ok"], &json_of(&warned)["warnings"]), (&json!(false), &json!(1)));
}

#[test]
fn an_overlay_is_checked_against_the_topology() {
    let (directory, path) = topology(GOOD);
    let overlay = directory.path("overlay.yaml").display().to_string();
    write(&overlay, "backends: { math: { timeout: 5s } }\n");
    assert_eq!(run(&["validate", &path, "--overlay", &overlay]).code, Some(0));
    write(&overlay, "backends: { mth: { timeout: 5s } }\n");
    let ran = run(&["validate", &path, "--overlay", &overlay]);
    assert_eq!((ran.code, ran.stdout.as_str()), (Some(3), ""));
    let hint = "only1mcp explain E0201";
    assert!(ran.stderr.contains("overlay.yaml:1:13") && ran.stderr.contains(hint), "{}", ran.stderr);
    let found = json_of(&run(&["validate", "--json", &path, "--overlay", &overlay]));
    assert_eq!((&found["errors"], &found["warnings"]), (&json!(1), &json!(1)), "{found:#}");
    assert_eq!(found["diagnostics"][1]["place"]["file"], json!(overlay));
}

#[test]
fn a_name_is_explained_with_the_line_of_every_rule() {
    let one = run(&["topology", "explain", "math__add"]);
    assert_eq!((one.code, one.stderr.as_str()), (Some(0), ""));
    assert!(one.stdout.starts_with("tool `math__add` is `add` of backend `math`\n"), "{}", one.stdout);
    assert!(one.stdout.contains("(topologies/default.yaml:5:3)"), "{}", one.stdout);
    let other = json_of(&run(&["topology", "explain", "--json", "--topology", "mixed", "data://unlisted"]));
    let decision = &other["decisions"][0];
    assert_eq!((&decision["rule"], &decision["backend"]), (&json!("wildcard_route"), &json!("data")));
    let place = json!({ "file": "topologies/mixed.yaml", "line": 19, "column": 5 });
    assert_eq!(decision["steps"][0]["place"], place, "{other:#}");
}

#[test]
fn a_name_that_nobody_offers_is_explained_too() {
    let ran = run(&["topology", "explain", "math__ad"]);
    assert_eq!((ran.code, ran.stdout.as_str()), (Some(1), ""));
    assert!(ran.stderr.starts_with("error: `math__ad` is no name that topology `topologies/default.yaml` offers\n"));
    assert!(ran.stderr.contains("  near       `math__add`"), "{}", ran.stderr);
    let json = run(&["topology", "explain", "--json", "math__ad"]);
    assert_eq!((json.code, &json_of(&json)["near"][0]), (Some(1), &json!("math__add")));
    let (_directory, path) = topology("name: some\n");
    assert_eq!(run(&["topology", "explain", "any", "--topology", &path]).code, Some(3));
}
