//! The commands about topologies as people and programs run them. Those that ask backends are in `command_line`.

use std::fs;
use std::path::Path;

use only1mcp::catalog::Entry;
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
    serde_json::from_str(&ran.stdout).expect(&ran.stdout)
}

#[test]
fn every_command_shows_an_example() {
    let topology = ["new", "lock", "diff", "report", "explain"].map(|command| ["topology", command]);
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
    assert!(good.stdout.contains("some.yaml: ok · 1 backend · "), "{}", good.stdout);
    write(&path, "name: some\nbackends:\n  math:\n    transport: { stdio: { comand: self } }\n");
    let bad = run(&["validate", &path]);
    assert_eq!((bad.code, bad.stdout.as_str()), (Some(3), ""));
    assert!(bad.stderr.contains("some.yaml:4:") && bad.stderr.contains("`comand`"), "{}", bad.stderr);
    assert!(bad.stderr.ends_with("\n\nfor more about this: only1mcp explain E0006 E0005\n"), "{}", bad.stderr);
}

#[test]
fn what_does_not_exist_is_named_with_what_to_do() {
    let directory = Directory::new();
    for command in [&["validate"][..], &["topology", "lock"], &["topology", "diff"], &["topology", "report"]] {
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
fn a_program_reads_json_whatever_happens() {
    let (_directory, path) = topology("name: some\nbackends: {}\nextra: 1\n");
    let absent = Directory::new();
    let commands = [&["validate"][..], &["topology", "diff"], &["topology", "report"], &["topology", "explain", "x"]];
    for command in commands {
        let option: &[&str] = if command.contains(&"explain") { &["--topology"] } else { &[] };
        let ask = |directory: &Path, topology: &str| {
            let ran = run_in(directory, &[command, &["--json"], option, &[topology]].concat());
            assert_eq!(ran.stderr, "", "{command:?}");
            (ran.code, json_of(&ran))
        };
        let (code, found) = ask(&absent.path(""), "prod");
        let error = "topology `topologies/prod.yaml` does not exist; `only1mcp topology new prod` writes it";
        assert_eq!((code, found), (Some(1), json!({ "ok": false, "error": error, "diagnostics": [] })), "{command:?}");
        let (code, found) = ask(Path::new("."), &path);
        let first = &found["diagnostics"][0]["severity"];
        assert_eq!((code, &found["ok"], first), (Some(3), &json!(false), &json!("error")), "{found:#}");
    }
}

#[test]
fn a_file_that_is_not_what_was_compiled_is_told_from_it() {
    let directory = Directory::new();
    let here = directory.path("");
    for command in [&["validate"][..], &["topology", "report"], &["topology", "explain", "math__add"]] {
        let absent = run_in(&here, command);
        let expected = "topology `default` is compiled in, and `topologies/default.yaml` does not exist here";
        assert!(absent.code == Some(1) && absent.stderr.contains(expected), "{absent:?}");
    }
    fs::create_dir(directory.path("topologies")).expect("a directory of this test");
    write(directory.path("topologies/default.yaml"), GOOD);
    let note =
        "note: this is about `topologies/default.yaml`; this binary was compiled from another text of that name\n";
    assert!(run_in(&here, &["validate"]).stderr.starts_with(note));
    assert!(!run_in(&here, &["validate", "default"]).stderr.contains("note: "), "it was asked for");
    assert_eq!(run(&["validate"]).stderr, "", "here it is the same");
}

#[test]
fn help_names_a_topology_by_the_path_it_was_given() {
    let (_directory, path) = topology(GOOD);
    let ran = run(&["validate", &path]);
    assert!(ran.stderr.contains(&format!("write it with `only1mcp topology lock {path}`")), "{}", ran.stderr);
}

#[test]
fn strict_takes_no_warnings() {
    let (_directory, path) = topology(GOOD);
    assert_eq!(run(&["validate", &path]).code, Some(0), "no lock is a warning");
    let strict = run(&["validate", "--strict", &path]);
    assert_eq!((strict.code, strict.stdout.as_str()), (Some(3), ""), "{strict:?}");
    assert!(strict.stderr.contains("warning[E0501]"), "{}", strict.stderr);
    assert!(strict.stderr.ends_with("error: 1 warning, of which `--strict` takes none\n"), "{}", strict.stderr);
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
fn references_are_resolved_on_request() {
    let (directory, path) = topology(&GOOD.replace("args:", "env: { A: env:ONLY1MCP_NOT_SET, B: file:FILE }, args:"));
    let file = directory.path("secret").display().to_string();
    write(&path, &fs::read_to_string(&path).expect("it is there").replace("FILE", &file));
    assert_eq!(run(&["validate", &path]).code, Some(0));
    let found = json_of(&run(&["validate", "--references", "--json", &path]));
    assert_eq!(
        (&found["errors"], &found["warnings"], &found["ok"]),
        (&json!(2), &json!(1), &json!(false)),
        "{found:#}"
    );
    let label = &found["diagnostics"][0]["place"]["label"];
    assert_eq!(label, "environment variable `ONLY1MCP_NOT_SET` is not set", "{found:#}");
    write(&file, "secret");
    let ran = run(&["validate", "--references", &path]);
    assert!(ran.code == Some(3) && ran.stderr.matches("does not resolve").count() == 1, "{ran:?}");
    assert!(ran.stdout.is_empty(), "{ran:?}");
}

#[test]
fn what_references_stand_for_is_checked_and_never_shown() {
    let admin = "listen: { admin: { address: env:HOME, token: file:FILE } }\n";
    let (directory, path) = topology(&format!("{GOOD}{admin}"));
    let file = directory.path("token").display().to_string();
    write(&path, &fs::read_to_string(&path).expect("it is there").replace("FILE", &file));
    write(&file, "hunter 2\n");
    let ran = run(&["validate", "--references", &path]);
    assert_eq!((ran.code, ran.stdout.as_str()), (Some(3), ""));
    for part in ["`env:HOME` stands for no address to listen on", "token` stands for no token", "holds blanks"] {
        assert!(ran.stderr.contains(part), "{part} in {}", ran.stderr);
    }
    assert!(!ran.stderr.contains("hunter"), "{}", ran.stderr);
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

/// The number of the first line that begins with this.
fn line_of(path: &str, start: &str) -> usize {
    let text = fs::read_to_string(path).expect("it is in the tree");
    1 + text.lines().position(|line| line.starts_with(start)).expect("a line of it")
}

#[test]
fn a_name_is_explained_with_the_line_of_every_rule() {
    let one = run(&["topology", "explain", "math__add"]);
    assert_eq!((one.code, one.stderr.as_str()), (Some(0), ""));
    assert!(one.stdout.starts_with("tool `math__add` is `add` of backend `math`\n"), "{}", one.stdout);
    let backend = format!("(topologies/default.yaml:{}:3)", line_of("topologies/default.yaml", "  math:"));
    assert!(one.stdout.contains(&backend), "{backend} in {}", one.stdout);
    let other = json_of(&run(&["topology", "explain", "--json", "--topology", "mixed", "data://unlisted"]));
    let decision = &other["decisions"][0];
    assert_eq!((&decision["rule"], &decision["backend"]), (&json!("wildcard_route"), &json!("data")));
    let place =
        json!({ "file": "topologies/mixed.yaml", "line": line_of("topologies/mixed.yaml", "  - {"), "column": 5 });
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

#[test]
fn a_new_topology_compiles_as_it_stands_and_nothing_is_overwritten() {
    let directory = Directory::new();
    let (here, path) = (directory.path(""), directory.path("topologies/prod.yaml"));
    let nowhere = run_in(&here, &["topology", "new", "elsewhere/prod.yaml"]);
    assert_eq!(nowhere.code, Some(1), "{nowhere:?}");
    assert!(nowhere.stderr.contains("directory `elsewhere` does not exist"), "{}", nowhere.stderr);

    let new = run_in(&here, &["topology", "new", "prod"]);
    assert_eq!(new.code, Some(0), "{new:?}");
    let next = ["edit topologies/prod.yaml", "only1mcp topology lock prod", "TOPOLOGY=prod cargo build --release"];
    let schema = "topologies/topology.schema.json";
    let wrote = format!("wrote topologies/prod.yaml\nwrote {schema}, by which editors complete it\n");
    assert_eq!(new.stdout, format!("{wrote}next:\n  {}\n", next.join("\n  ")));
    let committed = fs::read_to_string(schema).expect("it is in the tree");
    assert_eq!(fs::read_to_string(directory.path(schema)).expect("it was written"), committed);
    assert_eq!(run_in(&here, &["topology", "lock", "prod"]).code, Some(0));
    assert_eq!(run_in(&here, &["validate", "--strict", "prod"]).code, Some(0));

    write(&path, "mine");
    let again = run_in(&here, &["topology", "new", "prod"]);
    assert_eq!(
        (again.code, again.stderr.as_str()),
        (Some(1), "error: `topologies/prod.yaml` exists; nothing was written\n")
    );
    assert_eq!(fs::read_to_string(&path).expect("it is there"), "mine");
    let bad = run_in(&here, &["topology", "new", "Prod"]);
    assert_eq!(bad.stderr, "error: name `Prod` is not 1 to 32 of `a` to `z`, `0` to `9`, `-`\n");
    assert_eq!(run_in(&here, &["topology", "new", "./edge.yaml"]).code, Some(0));
    assert_eq!(run_in(&here, &["validate", "./edge.yaml"]).code, Some(0));
}

#[test]
fn a_feature_is_added_and_the_rest_of_the_manifest_stays() {
    let directory = Directory::new();
    let (here, manifest) = (directory.path(""), directory.path("Cargo.toml"));
    fs::create_dir(directory.path("topologies")).expect("a directory of this test");
    let new = || run_in(&here, &["topology", "new", "--feature", "prod"]);
    let refused = |why: &str| {
        let ran = new();
        assert!(ran.code == Some(1) && ran.stderr.contains(why), "{ran:?}");
        assert!(!directory.path("topologies/prod.yaml").exists(), "nothing is written by halves");
    };
    refused("`Cargo.toml` cannot be read");
    write(&manifest, "[workspace]\n");
    refused("is not that of a package with features");
    let head = "# mine\n[package]\nname   =  \"x\"\n\n[features]\n# one\ntopology-one = [ \"tls\" ] # kept\n";
    let tail = "\n# below\n[dependencies]\n";
    write(&manifest, &format!("{head}topology-prod = []\n{tail}"));
    refused("has a feature `topology-prod`");
    write(&manifest, &format!("{head}{tail}"));

    let added = new();
    assert_eq!(added.code, Some(0), "{added:?}");
    assert!(added.stdout.contains("wrote feature topology-prod into Cargo.toml\n"), "{}", added.stdout);
    let report = json_of(&run_in(&here, &["topology", "report", "--json", "prod"]));
    let line = report["feature_line"].as_str().expect("a line");
    assert_eq!(fs::read_to_string(&manifest).expect("it is there"), format!("{head}{line}\n{tail}"));
    let before = fs::read_to_string(directory.path("topologies/prod.yaml")).expect("it is there");
    write(&manifest, &format!("{head}{tail}"));
    let later = new();
    assert_eq!(
        later.stdout, "`topologies/prod.yaml` was there; wrote feature topology-prod into Cargo.toml\n",
        "{later:?}"
    );
    assert_eq!(fs::read_to_string(&manifest).expect("it is there"), format!("{head}{line}\n{tail}"));
    assert_eq!(fs::read_to_string(directory.path("topologies/prod.yaml")).expect("it is there"), before);
    let path = run_in(&here, &["topology", "new", "--feature", "./prod.yaml"]);
    assert!(path.code == Some(1) && path.stderr.contains("give a name, not a path"), "{path:?}");
}

#[test]
fn a_new_topology_is_written_whole_or_not_at_all() {
    let directory = Directory::new();
    fs::create_dir(directory.path("topologies")).expect("a directory of this test");
    // A manifest that can be read and, since there is no room in a name for that of a temporary file, not be replaced.
    let manifest = directory.path(&"m".repeat(250));
    write(&manifest, "[package]\nname = \"x\"\n[features]\n");
    std::os::unix::fs::symlink(&manifest, directory.path("Cargo.toml")).expect("a directory of this test");
    let ran = run_in(&directory.path(""), &["topology", "new", "--feature", "prod"]);
    assert!(ran.code == Some(1) && ran.stderr.contains("`Cargo.toml` cannot be written"), "{ran:?}");
    assert_eq!(fs::read_dir(directory.path("topologies")).expect("it is there").count(), 0);
}

#[test]
fn what_a_new_topology_is_followed_by_works_as_it_stands() {
    let directory = Directory::new();
    let below = directory.path("below");
    fs::create_dir(&below).expect("a directory of this test");
    let new = run_in(&below, &["topology", "new", "../x.yaml"]);
    let path = fs::canonicalize(directory.path("x.yaml")).expect("it was written");
    let build = format!("  TOPOLOGY={} cargo build --release\n", path.display());
    assert!(new.stdout.ends_with(&build) && new.stdout.contains("  only1mcp topology lock ../x.yaml\n"), "{new:?}");

    let text = fs::read_to_string(&path).expect("it was written");
    assert!(text.contains("`only1mcp validate x.yaml`, then `only1mcp topology lock x.yaml`"), "{text}");

    for name in ["-x", "-x.yaml"] {
        let refused = run_in(&below, &["topology", "new", "--", name]);
        assert!(refused.code == Some(1) && refused.stderr.contains("taken for an option"), "{refused:?}");
    }
    assert_eq!(fs::read_dir(&below).expect("it is there").count(), 0);
}

#[test]
fn a_report_says_what_is_compiled_and_what_is_left_open() {
    let mixed = json_of(&run(&["topology", "report", "--json", "mixed"]));
    assert_eq!(
        (&mixed["name"], &mixed["catalog"]["tools"], &mixed["wildcard_routes"]),
        (&json!("mixed"), &json!(13), &json!(1))
    );
    assert_eq!((&mixed["dispatch"], &mixed["warnings"]), (&json!("enum of stdio, streamable_http"), &json!([])));
    let tools = &mixed["tables"][0];
    let number = |key: &str| tools[key].as_u64().and_then(|number| usize::try_from(number).ok()).expect("a number");
    assert_eq!(number("bytes"), 8 + 4 * number("pilots") + size_of::<Entry>() * number("slots"), "{tools:#}");
    let open: Vec<&str> =
        mixed["open"].as_array().expect("a list").iter().filter_map(|open| open["what"].as_str()).collect();
    for what in ["url of backend `data`", "resources `data://*`"] {
        assert!(open.contains(&what), "{what} in {open:?}");
    }
    let shown = run(&["topology", "report", "mixed"]);
    assert!(shown.code == Some(0) && shown.stdout.starts_with("topology mixed\n"), "{shown:?}");
    let (_directory, path) = topology("name: some\n");
    assert_eq!(run(&["topology", "report", &path]).code, Some(3));
}

#[test]
fn a_build_prints_the_report_of_what_it_compiles() {
    let output = fs::read_to_string(Path::new(env!("OUT_DIR")).join("../output")).expect("what the build script said");
    let report = run(&["topology", "report"]);
    assert_eq!(report.code, Some(0), "{report:?}");
    assert!(output.contains(&report.stdout), "{}\nin\n{output}", report.stdout);
}
