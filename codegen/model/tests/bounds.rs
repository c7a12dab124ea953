//! Topologies and locks that mean harm, or nothing: every one is answered, in bounded time.

use std::fmt::Write;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use only1mcp_model::diagnostic::{Code, Diagnostic, render};
use only1mcp_model::lock::Lock;
use only1mcp_model::{Features, LOCK_BYTES_MAX, Source, TOPOLOGY_BYTES_MAX, load};
use proptest::prelude::*;

/// What the slowest of these may take in an unoptimised build on a busy machine; optimised ones take a tenth.
const PATIENCE: Duration = Duration::from_secs(30);

fn topology(text: String) -> Source {
    Source { path: "hostile.yaml".to_owned(), text }
}

fn refused(text: String) -> Vec<Diagnostic> {
    let start = Instant::now();
    let source = topology(text);
    let diagnostics = load(&source, None, &Features::all()).expect_err("hostile topologies are refused");
    let shown = render(&diagnostics, &source, true);
    assert!(!diagnostics.is_empty() && !shown.is_empty());
    assert!(start.elapsed() < PATIENCE, "{:?} for {}", start.elapsed(), diagnostics[0].message);
    diagnostics
}

fn first_code(text: String) -> Code {
    refused(text)[0].code
}

#[test]
fn an_alias_bomb_is_refused() {
    let mut bomb = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n");
    for level in 1..40 {
        let aliases = vec![format!("*a{}", level - 1); 10].join(", ");
        writeln!(bomb, "a{level}: &a{level} [{aliases}]").unwrap();
    }
    assert_eq!(first_code(bomb), Code::OverBounds);
    assert_eq!(first_code("a: &a [*a]\n".to_owned()), Code::OverBounds, "an alias of itself");
}

/// Runs the rest of a test in a process of its own, which may take so much memory; says whether this is that process.
fn within_memory(test: &str, mebibytes_max: usize) -> bool {
    const ALONE: &str = "ONLY1MCP_TEST_ALONE";
    if std::env::var_os(ALONE).is_some() {
        return true;
    }
    let program = std::env::current_exe().expect("tests are a program");
    let mut alone = std::process::Command::new(program);
    let output = alone.args(["--exact", "--nocapture", test]).env(ALONE, "1").output().expect("it starts");
    let text = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{text}");
    let peak = text.lines().find_map(|line| line.strip_prefix("peak: ")?.parse::<usize>().ok());
    assert!(peak.is_none_or(|kibibytes| kibibytes < mebibytes_max << 10), "{peak:?} KiB");
    assert!(peak.is_some() || !cfg!(target_os = "linux"), "the peak is measured: {text}");
    false
}

/// Prints the most memory that this process ever had, where the system tells.
fn print_peak() {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    if let Some(peak) = status.lines().find_map(|line| line.strip_prefix("VmHWM:")?.trim().strip_suffix(" kB")) {
        let line = format!("\npeak: {peak}\n");
        std::io::Write::write_all(&mut std::io::stdout(), line.as_bytes()).expect("it is read");
    }
}

#[test]
fn aliases_of_one_long_text_are_refused_before_they_fill_the_memory() {
    if within_memory("aliases_of_one_long_text_are_refused_before_they_fill_the_memory", 100) {
        let text = "a".repeat(800_000);
        let args = format!("[&x \"{text}\" {}]", ", *x".repeat(1000));
        let backend = format!("{{ transport: {{ stdio: {{ command: self, args: {args} }} }} }}");
        assert_eq!(first_code(format!("name: a\nbackends:\n  m: {backend}\n")), Code::OverBounds);
        print_peak();
    }
}

#[test]
fn a_text_that_many_aliases_stand_for_is_read() {
    let text = "a".repeat(1000);
    let args = format!("[&x \"{text}\" {}]", ", *x".repeat(1000));
    let text = format!("name: a\nbackends: {{ m: {{ transport: {{ stdio: {{ command: x, args: {args} }} }} }} }}\n");
    assert!(load(&topology(text), None, &Features::all()).is_ok(), "a megabyte is not too much");
}

#[test]
fn aliases_of_one_long_number_are_refused() {
    for number in [format!("0.{}", "1".repeat(900_000)), format!("0x{}", "0".repeat(900_000)), "9".repeat(900_000)] {
        let text = format!("x: &x {number}\ny: [{}]\n", "*x, ".repeat(20_000));
        assert_eq!(first_code(text), Code::OverBounds);
    }
}

#[test]
fn nesting_of_every_kind_is_refused() {
    for opening in ["[", "{a: ", "- ", "? ", "[{a: "] {
        for levels in [33, 1000, 100_000] {
            let code = first_code(format!("a: {}", "\n").trim_end().to_owned() + "\n" + &opening.repeat(levels));
            assert!(matches!(code, Code::OverBounds | Code::Syntax), "{opening} {levels}: {code}");
        }
    }
    let block: String = (0..40).map(|level| format!("{}a:\n", " ".repeat(level))).collect();
    assert_eq!(first_code(block), Code::OverBounds);
}

#[test]
fn a_file_over_the_limit_is_refused_unread() {
    assert_eq!(first_code(format!("name: {}\n", "x".repeat(1 << 20))), Code::OverBounds);
}

/// A directory for one test, empty.
fn directory(test: &str) -> PathBuf {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(test);
    if path.exists() {
        fs::remove_dir_all(&path).expect("what an earlier run left can be removed");
    }
    fs::create_dir_all(&path).expect("the directory can be written");
    path
}

/// Why a file is not read, which is said in bounded time.
fn unread(path: &Path, bytes_max: usize) -> String {
    let start = Instant::now();
    let error = Source::read(path, bytes_max).expect_err("no such file is read");
    assert!(start.elapsed() < PATIENCE, "{:?} for {}", start.elapsed(), path.display());
    error.to_string()
}

#[test]
fn a_file_of_a_hundred_megabytes_is_not_read() {
    let path = directory("large").join("large.yaml");
    File::create(&path).expect("a file").set_len(100 << 20).expect("a sparse file takes no space");
    assert_eq!(unread(&path, TOPOLOGY_BYTES_MAX), "file of more than 1048576 bytes");
    assert_eq!(unread(&path, LOCK_BYTES_MAX), "file of more than 67108864 bytes");
}

#[test]
fn a_file_of_exactly_the_limit_is_read() {
    let path = directory("exact").join("exact.yaml");
    fs::write(&path, "x".repeat(10)).expect("a file");
    assert_eq!(Source::read(&path, 10).expect("it fits").text.len(), 10);
    assert_eq!(unread(&path, 9), "file of more than 9 bytes");
}

#[test]
fn only_files_of_text_are_read() {
    let directory = directory("kinds");
    assert_eq!(unread(&directory, 10), "directory where a file belongs");
    assert!(unread(&directory.join("absent"), 10).contains("No such file"));
    let path = directory.join("latin1.yaml");
    fs::write(&path, b"name: prod\n# caf\xe9 \xe9\n").expect("a file");
    assert_eq!(unread(&path, 100), "text is not UTF-8 at line 2, column 6");
    fs::write(&path, "name: é\u{feff}\r\n").expect("a file");
    assert_eq!(Source::read(&path, 100).expect("text").text, "name: é\u{feff}\r\n");
}

#[cfg(unix)]
#[test]
fn a_pipe_or_a_device_is_not_opened() {
    let pipe = directory("pipe").join("pipe.yaml");
    assert!(std::process::Command::new("mkfifo").arg(&pipe).status().expect("mkfifo").success());
    assert_eq!(unread(&pipe, 10), "pipe or device where a file belongs");
    assert_eq!(unread(Path::new("/dev/zero"), 10), "pipe or device where a file belongs");
}

#[test]
fn routes_that_overlap_in_every_way_are_checked_in_bounded_time() {
    let start = Instant::now();
    let long = "a".repeat(400);
    let routes: String = (0..1024)
        .map(|number| {
            format!(
                "  - {{ tools: \"{}*{long}*{}b\", to: {} }}\n",
                &long[..number % 200],
                number,
                ["x", "y"][number % 2]
            )
        })
        .collect();
    let command = "{ transport: { stdio: { command: self } } }";
    let text = format!("name: a\nbackends:\n  x: {command}\n  y: {command}\nroutes:\n{routes}");
    let loaded = load(&topology(text), None, &Features::all());
    assert!(loaded.is_ok());
    assert!(start.elapsed() < PATIENCE, "{:?}", start.elapsed());
}

#[test]
fn a_file_at_the_limit_full_of_problems_is_refused() {
    let line = |number: usize| format!("k{number}: 1\n");
    let keys: String = (0..40_000).map(line).collect();
    assert_eq!(refused(keys).len(), 40_000 + 2, "each unknown key, and two that are missing");
    let same = "same: 1\n".repeat(40_000);
    assert!(refused(same).len() > 40_000);
    let backends: String = (0..40_000).map(|number| format!("  B{number}: 1\n")).collect();
    assert_eq!(first_code(format!("name: a\nbackends:\n{backends}")), Code::OverBounds);
    let routes: String = (0..20_000).map(|_| "  - { tools: \"a*\", to: b }\n").collect();
    assert_eq!(first_code(format!("name: a\nbackends:\n  b: 1\nroutes:\n{routes}")), Code::OverBounds);
    let quotes = format!("name: {}", "'".repeat(1_000_000));
    refused(quotes);
}

#[test]
fn every_problem_that_is_shown_has_its_place_however_long_the_file() {
    let filler = "# a line that is long and says nothing\n".repeat(25_000);
    let keys: String = (0..60).map(|number| format!("k{number}: 1\n")).collect();
    let lists: String = (0..20).map(|_| "  - [x]\n").collect();
    for text in [format!("{filler}{keys}"), format!("{filler}name: a\nbackends: {{}}\nroutes:\n{lists}")] {
        let found = refused(text);
        let placed = found.iter().take_while(|found| found.primary.is_some()).count();
        assert_eq!(placed, found.len().min(50), "{:?}", found[placed.min(found.len() - 1)]);
    }
}

#[test]
fn a_character_that_means_something_all_over_a_file_is_refused() {
    for piece in
        ["\t", "&a ", "*a ", "!", "- ", "? ", ": ", "|\n", "\"", "%", "#", "<<: ", "\n---", "&a [*a], ", "\r", "é\t"]
    {
        let text = format!("name: prod\nbackends:\n{}", piece.repeat(400_000 / piece.len()));
        refused(text);
    }
}

#[test]
fn a_long_name_is_not_compared_with_every_other() {
    let backends: String =
        (0..500).map(|number| format!("  b{number}: {{ transport: {{ stdio: {{ command: self }} }} }}\n")).collect();
    let text = format!("name: a\nbackends:\n{backends}routes: [{{ tools: x, to: {} }}]\n", "c".repeat(500_000));
    assert_eq!(first_code(text), Code::UnknownBackend);
}

/// Backends, each with its fallbacks by their numbers.
fn fallbacks(count: usize, of: impl Fn(usize) -> Vec<usize>) -> String {
    let backend = |number: usize| {
        let named: Vec<String> = of(number).iter().map(|other| format!("b{other}")).collect();
        let transport = "{ stdio: { command: self } }";
        format!("  b{number}: {{ transport: {transport}, fallback: [{}] }}\n", named.join(", "))
    };
    format!("name: a\nbackends:\n{}", (0..count).map(backend).collect::<String>())
}

#[test]
fn backends_that_all_fall_back_to_each_other_are_refused_in_little_memory() {
    if within_memory("backends_that_all_fall_back_to_each_other_are_refused_in_little_memory", 100) {
        let found = refused(fallbacks(300, |own| (0..300).filter(|other| *other != own).collect()));
        assert!(found.iter().all(|found| found.code == Code::FallbackCycle) && found.len() == 100, "{}", found.len());
        print_peak();
    }
}

#[test]
fn a_circle_of_very_many_fallbacks_is_one_problem_with_its_place() {
    let text = format!("{}{}", "# a line\n".repeat(4000), fallbacks(1000, |own| vec![(own + 1) % 1000]));
    let found = refused(text.clone());
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].message, "fallbacks lead in a circle: `b0` → `b1` → `b2` → `b3` → `b4` → 995 more → `b0`");
    let shown = |range: &std::ops::Range<usize>| text[..range.end].lines().next_back().unwrap().trim().to_owned();
    assert!(found[0].primary.as_ref().is_some_and(|label| shown(&label.range).starts_with("b999:")), "{found:?}");
    assert_eq!(found[0].secondary.len(), 5);
}

#[test]
fn a_lock_nested_deep_is_refused() {
    let nested = format!("{}{}", "[".repeat(200_000), "]".repeat(200_000));
    assert!(Lock::parse(&nested).is_err());
    assert!(Lock::parse(&format!(r#"{{"version":1,"backends":{{"a":{nested}}}}}"#)).is_err());
    assert!(Lock::parse(&"{\"a\":".repeat(200_000)).is_err());
}

/// Texts that are nearly topologies: parts of good ones, cut, doubled and mixed with characters that mean something.
fn nearly_topologies() -> impl Strategy<Value = String> {
    let fixtures = [
        include_str!("fixtures/pass/full.yaml"),
        include_str!("fixtures/pass/block_style.yaml"),
        include_str!("fixtures/fail/duplicate_key.yaml"),
    ];
    let edit =
        (any::<prop::sample::Index>(), 0..20_usize, "[\\[\\]{}:,#&*!|>'\"%@`?\\-\\n\\t é\u{feff}\u{85}\u{2028}]{0,4}");
    (prop::sample::select(fixtures.to_vec()), prop::collection::vec(edit, 1..6)).prop_map(|(text, edits)| {
        let mut characters: Vec<char> = text.chars().collect();
        for (at, cut, inserted) in edits {
            let start = at.index(characters.len());
            let end = (start + cut).min(characters.len());
            characters.splice(start..end, inserted.chars());
        }
        characters.into_iter().collect()
    })
}

/// Texts that are nearly locks.
fn nearly_locks() -> impl Strategy<Value = String> {
    let text = include_str!("fixtures/pass/minimal.lock.json");
    let edit = (any::<prop::sample::Index>(), 0..12_usize, "[\\[\\]{}:,\"\\\\0-9a-f.\\n é]{0,3}");
    prop::collection::vec(edit, 1..4).prop_map(|edits| {
        let mut characters: Vec<char> = text.chars().collect();
        for (at, cut, inserted) in edits {
            let start = at.index(characters.len());
            let end = (start + cut).min(characters.len());
            characters.splice(start..end, inserted.chars());
        }
        characters.into_iter().collect()
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn no_text_makes_the_reader_panic(text in prop_oneof![nearly_topologies(), any::<String>()]) {
        let source = topology(text);
        let diagnostics = match load(&source, None, &Features::all()) {
            Ok((_, warnings)) => warnings,
            Err(diagnostics) => diagnostics,
        };
        for label in diagnostics.iter().flat_map(|found| found.primary.iter().chain(&found.secondary)) {
            prop_assert!(source.text.get(label.range.clone()).is_some(), "{label:?} is a range of the text");
        }
        prop_assert_eq!(render(&diagnostics, &source, false).is_empty(), diagnostics.is_empty());
    }

    #[test]
    fn no_lock_makes_its_reader_panic_and_what_it_takes_it_writes_again(text in nearly_locks()) {
        match Lock::parse(&text) {
            Ok(lock) => prop_assert_eq!(Lock::parse(&lock.render()).unwrap(), lock),
            Err(error) => prop_assert!(error.line >= 1 && !error.message.is_empty()),
        }
    }
}
