//! The code itself: layers, names and files, as far as no compiler and no linter looks at them.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Component, Path, PathBuf};

/// What stands on what, lowest first, as `src/lib.rs` tells it. A module names those of lower layers and itself.
const LAYERS: [&[&str]; 9] = [
    &["limits"],
    &["clock", "file", "references", "seal", "telemetry", "http1", "http2", "mcp", "demo"],
    &["catalog", "websocket"],
    &["upstream"],
    &["proxy"],
    &["downstream"],
    &["control"],
    &["gateway"],
    &["cli"],
];
/// Where a name goes upwards, with the reason in `src/lib.rs`.
const UPWARDS: [(&str, &str); 1] = [("src/catalog.rs", "upstream")];
/// What the crate's root gives another name.
const RENAMED: [(&str, &str); 7] = [
    ("OverlayError", "control"),
    ("Gateway", "gateway"),
    ("Builder", "gateway"),
    ("Running", "gateway"),
    ("StartError", "gateway"),
    ("TlsError", "gateway"),
    ("Unresolved", "references"),
];
/// What the crate's root has of its own: macros, and a crate for generated code.
const OF_THE_ROOT: [&str; 3] = ["Dispatch", "topology", "phf"];

/// Words that say nothing of what a type is.
const EMPTY_WORDS: [&str; 8] = ["Manager", "Helper", "Util", "Common", "Handler", "Service", "Info", "Data"];
/// File names for what found no place.
const EMPTY_FILES: [&str; 5] = ["mod", "utils", "util", "common", "helpers"];
/// Where the operating system leaves no other way than `unsafe`.
const UNSAFE: [&str; 2] = ["src/gateway/sockets/activation.rs", "src/upstream/children/forked.rs"];
const ENTRY_LINES_MAX: usize = 60;

/// A Rust file of this repository.
struct File {
    /// From the root of the repository.
    path: String,
    text: String,
}

// === impl File ===

impl File {
    /// The lines that are no comments, with their numbers.
    fn code(&self) -> impl Iterator<Item = (usize, &str)> {
        (1..).zip(self.text.lines()).filter(|(_, line)| !line.trim_start().starts_with("//"))
    }

    fn stem(&self) -> &str {
        Path::new(&self.path).file_stem().and_then(|stem| stem.to_str()).expect("names are text")
    }

    /// Whether a compiler begins here rather than by a `mod`.
    fn is_root(&self) -> bool {
        let components: Vec<_> = Path::new(&self.path).components().map(Component::as_os_str).collect();
        let names: Vec<_> = components.iter().filter_map(|name| name.to_str()).collect();
        match names.as_slice() {
            [.., "build.rs" | "main.rs"] | [.., "src", "lib.rs"] => true,
            [.., "tests" | "benches" | "examples" | "fuzz_targets", _] => !self.path.starts_with("src/"),
            _ => false,
        }
    }
}

/// Every Rust file but what is expected of the generator, which is data.
fn files() -> Vec<File> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut files = Vec::new();
    let mut directories = vec![root.to_owned()];
    while let Some(directory) = directories.pop() {
        for entry in fs::read_dir(&directory).expect("a directory") {
            let path = entry.expect("an entry").path();
            let name = path.file_name().and_then(|name| name.to_str()).expect("names are text");
            if path.is_dir() {
                if !name.starts_with('.') && !["target", "node_modules", "snapshots", "fixtures"].contains(&name) {
                    directories.push(path);
                }
            } else if name.ends_with(".rs") {
                let text = fs::read_to_string(&path).expect("source is text");
                let path = path.strip_prefix(root).expect("it is below the root").to_str().expect("names are text");
                files.push(File { path: path.to_owned(), text });
            }
        }
    }
    files.sort_by(|one, other| one.path.cmp(&other.path));
    assert!(files.len() > 100, "only {} files were found", files.len());
    files
}

#[track_caller]
fn none(violations: impl IntoIterator<Item = String>) {
    let violations: Vec<_> = violations.into_iter().collect();
    assert!(violations.is_empty(), "\n{}\n", violations.join("\n"));
}

/// The modules of this crate that a text names, each with its line.
fn named(file: &File) -> Vec<(usize, String)> {
    let code: String = file.code().map(|(_, line)| format!("{line}\n")).collect();
    let lines: Vec<usize> = file.code().map(|(number, _)| number).collect();
    let mut named = Vec::new();
    for start in ["crate::", "only1mcp::"] {
        for (at, _) in code.match_indices(start) {
            // `$crate::` and `self::only1mcp::` are such paths too; `another_crate::` is not.
            if code[..at].ends_with(|before: char| before.is_alphanumeric() || before == '_') {
                continue;
            }
            let line = lines[code[..at].matches('\n').count()];
            named.extend(first_names(&code[at + start.len()..]).into_iter().map(|name| (line, name.to_owned())));
        }
    }
    named
}

/// What a path, or each path of a group in braces, begins with.
fn first_names(path: &str) -> Vec<&str> {
    let identifier =
        |text: &'_ str| text.find(|char: char| !char.is_alphanumeric() && char != '_').unwrap_or(text.len());
    let Some(group) = path.strip_prefix('{') else { return vec![&path[..identifier(path)]] };
    let (mut names, mut depth, mut begins) = (Vec::new(), 0, true);
    for (at, char) in group.char_indices() {
        match char {
            '{' => depth += 1,
            '}' if depth == 0 => break,
            '}' => depth -= 1,
            ',' if depth == 0 => begins = true,
            _ if begins && !char.is_whitespace() => {
                names.push(&group[at..at + identifier(&group[at..])]);
                begins = false;
            }
            _ => {}
        }
    }
    names
}

fn layer(module: &str) -> Option<usize> {
    LAYERS.iter().position(|modules| modules.contains(&module))
}

#[test]
fn groups_in_braces_are_read_to_their_end() {
    assert_eq!(first_names("mcp::json;"), ["mcp"]);
    assert_eq!(first_names("{Gateway, mcp::{json, sse}, limits};\nuse x::{y}"), ["Gateway", "mcp", "limits"]);
}

#[test]
fn lower_layers_never_name_higher_ones() {
    let mut violations = Vec::new();
    for file in files() {
        let Some(module) = file.path.strip_prefix("src/").and_then(|path| path.split(['/', '.']).next()) else {
            continue;
        };
        if ["lib", "main"].contains(&module) {
            continue;
        }
        let Some(own) = layer(module) else {
            violations.push(format!("{}: module `{module}` has no layer", file.path));
            continue;
        };
        for (line, name) in named(&file) {
            let renamed = RENAMED.iter().find(|(from, _)| *from == name).map_or(name.as_str(), |(_, to)| to);
            let allowed = renamed == module
                || OF_THE_ROOT.contains(&renamed)
                || UPWARDS.contains(&(&file.path, renamed))
                || layer(renamed).is_some_and(|other| other < own);
            if !allowed {
                violations.push(format!("{}:{line}: `{module}` names `{renamed}`", file.path));
            }
        }
    }
    none(violations);
}

#[test]
fn every_file_opens_by_saying_what_lives_there() {
    let files = files();
    let silent = files.iter().filter(|file| !file.text.starts_with("//! "));
    none(silent.map(|file| format!("{} does not open with `//!`", file.path)));
}

#[test]
fn every_file_belongs_to_a_module() {
    let files = files();
    let mut reached = BTreeSet::new();
    let mut open: Vec<&File> = files.iter().filter(|file| file.is_root()).collect();
    while let Some(file) = open.pop() {
        let path = Path::new(&file.path);
        let parent = path.parent().expect("a file has a directory");
        let directory = if file.is_root() { parent.to_owned() } else { parent.join(file.stem()) };
        reached.insert(file.path.clone());
        for (_, line) in file.code() {
            let module: Option<&str> = line.trim().strip_suffix(';').and_then(|line| line.split("mod ").nth(1));
            let Some(module) = module else { continue };
            let declared: PathBuf = directory.join(format!("{module}.rs"));
            open.extend(files.iter().find(|file| Path::new(&file.path) == declared));
        }
    }
    let orphans = files.iter().filter(|file| !reached.contains(&file.path));
    none(orphans.map(|file| format!("{} is no module of anything", file.path)));
}

#[test]
fn entry_points_are_short() {
    let files = files();
    let entries = files.iter().filter(|file| {
        let entry = ["src/main.rs", "build.rs", "codegen/macros/src/lib.rs"];
        entry.contains(&file.path.as_str())
    });
    let entries: Vec<_> = entries.collect();
    assert_eq!(entries.len(), 3);
    let long = entries.iter().filter(|file| file.text.lines().count() > ENTRY_LINES_MAX);
    none(long.map(|file| format!("{} has more than {ENTRY_LINES_MAX} lines", file.path)));
}

#[test]
fn names_say_something() {
    let mut violations = Vec::new();
    for file in files() {
        if EMPTY_FILES.contains(&file.stem()) {
            violations.push(format!("{}: no name for a file", file.path));
        }
        for (number, line) in file.code() {
            let mut words = line.split(|char: char| !char.is_alphanumeric() && char != '_');
            // `type` also names the associated types of other people's traits.
            let Some(_) = words.find(|word| ["struct", "enum", "trait", "union"].contains(word)) else { continue };
            let name = words.next().unwrap_or_default();
            if name.starts_with(char::is_uppercase) && EMPTY_WORDS.iter().any(|word| has_word(name, word)) {
                violations.push(format!("{}:{number}: no name for a type: `{name}`", file.path));
            }
        }
    }
    none(violations);
}

/// Whether a name in camel case has this word, rather than letters of another: `InfoLevel`, not `Informed`.
fn has_word(name: &str, word: &str) -> bool {
    name.match_indices(word).any(|(at, _)| !name[at + word.len()..].starts_with(char::is_lowercase))
}

#[test]
fn words_are_whole() {
    assert!(has_word("InfoLevel", "Info") && has_word("ToolInfo", "Info"));
    assert!(!has_word("Informed", "Info") && !has_word("Utility", "Util"));
}

#[test]
fn unsafe_code_stands_in_two_files() {
    let files = files();
    let lines = files.iter().flat_map(|file| file.code().map(move |(number, line)| (file, number, line)));
    let begins = |line: &str| {
        ["unsafe {", "unsafe fn", "unsafe impl", "unsafe extern", "unsafe trait"].iter().any(|word| line.contains(word))
    };
    let unsafe_lines: Vec<_> = lines.filter(|(file, _, line)| file.path != "tests/tidy.rs" && begins(line)).collect();
    let has_some = |path: &&str| unsafe_lines.iter().any(|(file, ..)| file.path == **path);
    none(UNSAFE.iter().filter(|path| !has_some(path)).map(|path| format!("`{path}` needs no exception any more")));
    let elsewhere = unsafe_lines.iter().filter(|(file, ..)| !UNSAFE.contains(&&*file.path));
    none(elsewhere.map(|(file, number, _)| format!("{}:{number}: unsafe code", file.path)));
}

/// What a package of `Cargo.lock` is built with, directly or not, for tests or not.
fn built_with(package: &str) -> BTreeSet<String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.lock");
    let lock = fs::read_to_string(path).expect("the lock is text");
    let packages: Vec<&str> = lock.split("[[package]]").skip(1).collect();
    let mut reached = BTreeSet::new();
    let mut open = vec![package.to_owned()];
    while let Some(package) = open.pop() {
        let named = format!("\nname = \"{package}\"\n");
        let found = packages.iter().filter(|text| text.contains(&named));
        for text in found {
            let dependencies = text.split_once("dependencies = [").map_or("", |(_, listed)| listed);
            let names = dependencies.lines().filter_map(|line| line.trim().strip_prefix('"')?.split(['"', ' ']).next());
            open.extend(names.filter(|name| reached.insert((*name).to_owned())).map(str::to_owned));
        }
    }
    reached
}

#[test]
fn the_compiler_is_built_without_runtime_and_http() {
    let engine = ["tokio", "mio", "hyper", "hyper-util", "rustls", "only1mcp"];
    // What the gateway is built with shows that the lock is read to its end.
    let gateway = built_with("only1mcp");
    none(engine[..5].iter().filter(|name| !gateway.contains(**name)).map(|name| format!("{name} is not found")));
    for package in ["only1mcp-model", "only1mcp-emit", "only1mcp-macros"] {
        let compiler = built_with(package);
        assert!(compiler.contains("serde"), "{package}: {compiler:?}");
        none(engine.iter().filter(|name| compiler.contains(**name)).map(|name| format!("{package} needs {name}")));
    }
}
