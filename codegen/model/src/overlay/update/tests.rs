//! Texts of overlays, what they are to say instead, and the texts that come of it.

use super::*;
use crate::plan::Plan;

const TOPOLOGY: &str = concat!(
    "name: t\nbackends:\n  math: { transport: { stdio: { command: self } } }\n",
    "  data:\n    transport: { streamable_http: {} }\n    endpoints: [{ url: env:DATA_URL }]\n    health: {}\n",
    "  \"404\": { transport: { stdio: { command: self } } }\n",
);

fn plan() -> Plan {
    let topology = Source { path: "t.yaml".to_owned(), text: TOPOLOGY.to_owned() };
    crate::load(&topology, None, &crate::Features::all()).expect("a good topology").0
}

fn read(text: &str) -> Overlay {
    let source = Source { path: "overlay.yaml".to_owned(), text: text.to_owned() };
    let read = load(&source, plan().compiled());
    read.map_err(|found| crate::diagnostic::render(&found, &source, false)).expect("a good overlay")
}

/// What becomes of a text that is to say what another one does.
fn check(before: &str, target: &str, expected: &str) {
    let target = read(target);
    let written = target.written_over(before, plan().compiled());
    assert_eq!(written, expected, "of:\n{before}");
    assert_eq!(target.edited(before, plan().compiled()).as_deref(), Some(expected), "it is edited");
    // Line ends are kept as they are.
    let crlf = |text: &str| text.replace('\n', "\r\n");
    if before.contains('\n') {
        assert_eq!(target.written_over(&crlf(before), plan().compiled()), crlf(expected));
    }
    // What is said already is not touched.
    assert_eq!(target.written_over(expected, plan().compiled()), expected);
}

/// Lines of settings, with comments wherever they may stand.
const LINES: &str = "\
# On call: Ada.
backends:
  # Slow since the move.
  math: # adds
    timeout: 2s # was 30s

    # Until Friday.
    disabled: true # really
    circuit_breaker: # gently
      failures: 9 # of ten
      open: 20s
      # more to come
  # Asked less.
  data:
    weights: [7]
    health: { interval: 5s, timeout: 1s }
  # The end.
";

#[test]
fn a_setting_is_replaced_where_it_stands() {
    let settings = "disabled: true, circuit_breaker: { failures: 9, open: 20s } }";
    let data = "data: { weights: [7], health: { interval: 5s, timeout: 1s } }";
    for (target, from, to) in [
        (format!("math: {{ timeout: 3s, {settings}, {data}"), "2s # was", "3s # was"),
        (
            format!("math: {{ timeout: 2s, disabled: true, circuit_breaker: {{ failures: 8, open: 20s }} }}, {data}"),
            "failures: 9 #",
            "failures: 8 #",
        ),
        (
            format!("math: {{ timeout: 2s, disabled: true, circuit_breaker: off }}, {data}"),
            "circuit_breaker: # gently\n      failures: 9 # of ten\n      open: 20s\n      # more to come\n",
            "circuit_breaker: off # gently\n",
        ),
        (
            format!(
                "math: {{ timeout: 2s, {settings}, data: {{ weights: [9], health: {{ interval: 6s, timeout: 1s }} }}"
            ),
            "[7]\n    health: { interval: 5s,",
            "[9]\n    health: { interval: 6s,",
        ),
        (
            format!("math: {{ timeout: 2s, {settings}, data: {{ weights: [7], health: off }}"),
            "{ interval: 5s, timeout: 1s }",
            "off",
        ),
    ] {
        check(LINES, &format!("backends: {{ {target} }}"), &LINES.replace(from, to));
    }
}

#[test]
fn a_setting_is_added_behind_the_others_and_taken_out_with_its_line() {
    let data = "data: { weights: [7], health: { interval: 5s, timeout: 1s } }";
    let settings = "disabled: true, circuit_breaker: { failures: 9, open: 20s }";
    for (target, from, to) in [
        (
            format!("math: {{ timeout: 2s, {settings}, drain: true }}, {data}"),
            "      # more to come\n",
            "      # more to come\n    drain: true\n",
        ),
        (
            format!(
                "math: {{ timeout: 2s, disabled: true, circuit_breaker: {{ failures: 9, open: 20s, window: 9s }} }}, {data}"
            ),
            "      open: 20s\n",
            "      open: 20s\n      window: 9s\n",
        ),
        (format!("math: {{ {settings} }}, {data}"), "    timeout: 2s # was 30s\n", ""),
        (
            format!("math: {{ timeout: 2s, circuit_breaker: {{ failures: 9, open: 20s }} }}, {data}"),
            "    disabled: true # really\n",
            "",
        ),
        (
            format!("math: {{ timeout: 2s, disabled: true }}, {data}"),
            "    circuit_breaker: # gently\n      failures: 9 # of ten\n      open: 20s\n      # more to come\n",
            "",
        ),
        (
            format!(
                "math: {{ timeout: 2s, {settings} }}, data: {{ weights: [7], health: {{ interval: 5s, timeout: 1s }}, retry: off }}"
            ),
            "timeout: 1s }\n",
            "timeout: 1s }\n    retry: off\n",
        ),
        (
            format!("math: {{ timeout: 2s, {settings} }}, data: {{ weights: [7] }}"),
            "    health: { interval: 5s, timeout: 1s }\n",
            "",
        ),
    ] {
        check(LINES, &format!("backends: {{ {target} }}"), &LINES.replace(from, to));
    }
}

const MORE: &str =
    r#"more: { "transport":{"streamable_http":{}},"endpoints":[{"url":"http://h:1/mcp"}], drain: true }"#;

#[test]
fn a_backend_or_a_view_is_added_behind_the_others_and_taken_out_with_its_lines() {
    let math = "math: { timeout: 2s, disabled: true, circuit_breaker: { failures: 9, open: 20s } }";
    let data = "data: { weights: [7], health: { interval: 5s, timeout: 1s } }";
    let added = LINES.replace("  # The end.\n", &format!("  {MORE}\n  # The end.\n"));
    check(LINES, &format!("backends: {{ {math}, {data}, {MORE} }}"), &added);
    check(&added, &format!("backends: {{ {math}, {data} }}"), LINES);
    let start = LINES.find("  math:").expect("it is there");
    let end = LINES.find("  # Asked").expect("it is there");
    check(LINES, &format!("backends: {{ {data} }}"), &[&LINES[..start], &LINES[end..]].concat());
    let viewed = LINES.replace("  # The end.\n", "  # The end.\nviews:\n  both: {\"include\":[\"*\"]}\n");
    check(LINES, &format!("backends: {{ {math}, {data} }}\nviews: {{ both: {{ include: [\"*\"] }} }}"), &viewed);
    check(&viewed, &format!("backends: {{ {math}, {data} }}"), LINES);
    let rest = "  # Slow since the move.\n  # Asked less.\n  # The end.\nviews:\n  both: {\"include\":[\"a\"]}\n";
    let emptied = format!("# On call: Ada.\nbackends: {{}}\n{rest}");
    check(&viewed, "views: { both: { include: [a] } }", &emptied);
}

#[test]
fn what_stands_in_braces_stays_in_braces() {
    for (before, target, expected) in [
        (
            "backends: { math: { timeout: 2s } } # one\n",
            "backends: { math: { timeout: 2s, drain: true }, data: { retry: off } }",
            "backends: { math: { timeout: 2s, drain: true }, data: { retry: off } } # one\n",
        ),
        (
            "backends: { math: { timeout: 2s, drain: true }, data: { retry: off } }\n",
            "backends: { math: { drain: true } }",
            "backends: { math: { drain: true } }\n",
        ),
        (
            "backends: { math: { timeout: 2s, drain: true } }\n",
            "backends: { math: { timeout: 2s } }",
            "backends: { math: { timeout: 2s } }\n",
        ),
        (
            "backends: {\n  # Slow.\n  math: { timeout: 2s }, # it's {\n  # Broken.\n  data: { retry: off }, # both\n}\n",
            "backends: { math: { timeout: 3s, drain: true } }",
            "backends: {\n  # Slow.\n  math: { timeout: 3s, drain: true }, # it's {\n  # Broken.\n}\n",
        ),
        (
            "backends: {\n  math: { timeout: 2s }, # slow\n  data: { retry: off } }\n",
            "backends: { data: { retry: off }, math: { drain: true } }",
            "backends: {\n  math: { drain: true }, # slow\n  data: { retry: off } }\n",
        ),
        (
            "backends: {\n  math: { timeout: 2s }, # slow\n  data: { retry: off } }\n",
            "backends: { data: { retry: off } }",
            "backends: {\n  data: { retry: off } }\n",
        ),
        (
            r#"{"backends":{"math":{"timeout":"2s"}}}"#,
            "backends: { math: { timeout: 3s } }\nviews: { both: { include: [a] } }",
            r#"{"backends":{"math":{"timeout":3s}}, views: { both: {"include":["a"]} }}"#,
        ),
        (r#"{"backends":{"math":{"timeout":"2s"}}}"#, "{}", "{}"),
    ] {
        check(before, target, expected);
    }
}

#[test]
fn the_last_entry_leaves_yaml_behind() {
    for (before, target, expected) in [
        ("backends:\n  math: { drain: true }\n", "{}", "{}\n"),
        ("# on call\nbackends:\n  math:\n    drain: true # full\n", "{}", "# on call\n{}\n"),
        (
            "backends: # of the night\n  # full\n  math: { drain: true }\n  # never\n",
            "{}",
            "backends: {} # of the night\n  # full\n  # never\n",
        ),
        (
            "backends:\n  math: { drain: true }\nviews:\n  both: { include: [a] }\n",
            "views: { both: { include: [a] } }",
            "views:\n  both: { include: [a] }\n",
        ),
        ("backends: { math: { drain: true } }\n", "{}", "{}\n"),
        ("---\nbackends:\n  math: { drain: true }\n...\n", "{}", "---\n{}\n...\n"),
        (
            "backends:\n  more:\n    transport:\n      streamable_http: {} # new\n    endpoints:\n      - url: http://h:1/mcp\n    tools:\n      deny: [a]\n",
            "backends: { more: { transport: { legacy_sse: {} }, endpoints: [{ url: http://h:1/mcp }], tools: {} } }",
            "backends:\n  more:\n    transport:\n      legacy_sse: {}\n    endpoints:\n      - url: http://h:1/mcp\n    tools: {}\n",
        ),
    ] {
        check(before, target, expected);
    }
}

#[test]
fn what_was_empty_has_a_line_for_each() {
    for (before, expected) in [
        ("{}\n", "backends:\n  math: { timeout: 2s }\n  data: { drain: true }\n"),
        (
            "# nothing yet\n{} # so far\n",
            "# nothing yet\nbackends: # so far\n  math: { timeout: 2s }\n  data: { drain: true }\n",
        ),
        ("backends: {}\n", "backends:\n  math: { timeout: 2s }\n  data: { drain: true }\n"),
        (
            "backends: {} # none\n  # never\n",
            "backends: # none\n  math: { timeout: 2s }\n  data: { drain: true }\n  # never\n",
        ),
        ("backends: { math: {} }\n", "backends: { math: { timeout: 2s }, data: { drain: true } }\n"),
        ("backends:\n  {} # none\n", "backends:\n  math: { timeout: 2s } # none\n  data: { drain: true }\n"),
        (
            "\u{feff}backends:\n  math:\n    {}\n",
            "\u{feff}backends:\n  math:\n    { timeout: 2s }\n  data: { drain: true }\n",
        ),
    ] {
        check(before, "backends: { math: { timeout: 2s }, data: { drain: true } }", expected);
    }
    check("{}", "views: { both: { include: [a] } }", "views:\n  both: {\"include\":[\"a\"]}");
    check(
        "backends:\n  math: { drain: true }",
        "backends: { math: { drain: true, timeout: 2s } }",
        "backends:\n  math: { drain: true, timeout: 2s }",
    );
}

#[test]
fn names_and_texts_stay_in_quotes() {
    let before = "backends:\n  '404': { \"timeout\": '2s' } # 'it''s\n  \"more\":\n    transport: { streamable_http: {} }\n    \
                  endpoints: [{ url: \"http://h:1/mcp\" }]\n    tools:\n      rename: { 'it''s': a, \"b, c\": d }\n";
    let more = "more: { transport: { streamable_http: {} }, endpoints: [{ url: \"http://h:1/mcp\" }]";
    check(
        before,
        &format!(
            "backends: {{ \"404\": {{ timeout: 3s }}, {more}, tools: {{ rename: {{ \"it's\": b, \"e, f\": d }} }} }} }}"
        ),
        &before.replace("'2s'", "3s").replace("'it''s': a, \"b, c\": d }", "'it''s': \"b\", \"e, f\": \"d\" }"),
    );
    check(
        "backends:\n  math: { drain: true }\n",
        "backends: { math: { drain: true }, \"404\": { drain: true } }",
        "backends:\n  math: { drain: true }\n  \"404\": { drain: true }\n",
    );
}

#[test]
fn settings_that_are_not_written_are_written_where_they_change() {
    check(
        "backends:\n  math:\n    circuit_breaker: {} # as ever\n    disabled: false\n    tools: {}\n",
        "backends: { math: { circuit_breaker: { failures: 3 }, disabled: true, tools: { deny: [\"a_*\", b] } } }",
        "backends:\n  math:\n    circuit_breaker: { failures: 3 } # as ever\n    disabled: true\n    tools: {\"deny\":[\"a_*\",\"b\"]}\n",
    );
    check(
        "backends:\n  math:\n    tools:\n      deny: # all of\n      # these\n      - a\n      - |\n        b\n  data: { drain: true }\n",
        "backends: { math: { tools: { deny: [b] } }, data: { drain: true } }",
        "backends:\n  math:\n    tools:\n      deny: [\"b\"] # all of\n  data: { drain: true }\n",
    );
    // Backends of which nothing is said may stay.
    check("backends:\n  data: {}\n  math: { drain: true }\n", "{}", "backends:\n  data: {}\n");
}

#[test]
fn what_cannot_be_edited_is_written_anew() {
    let target = read("backends: { math: { timeout: 3s }, data: { timeout: 2s } }");
    for before in [
        "backends:\n  math: { timeout: &own 2s }\n  data: { timeout: *own }\n",
        "backends:\n  math: &own { timeout: 2s }\n  data: *own\n",
        "backends:\n  math: &own\n    timeout: 2s\n  data: *own\n",
        "backends:\n  ? data\n  : timeout: 2s\n",
        "no overlay at all",
        "backends: { nobody: { timeout: 2s } }",
    ] {
        assert_eq!(target.edited(before, plan().compiled()), None, "{before}");
        assert_eq!(
            target.written_over(before, plan().compiled()),
            "backends:\n  math: { timeout: 3s }\n  data: { timeout: 2s }\n"
        );
    }
    let added = |name, tools| {
        format!(
            "  {name}:\n    transport: {{ legacy_sse: {{}} }}\n    endpoints: [{{ url: env:A }}]\n    tools: {tools}\n"
        )
    };
    let before = ["backends:\n", &added("one", "&own\n      deny: [a]"), &added("two", "*own")].concat();
    let emptied = ["backends:\n", &added("one", "{ deny: [a] }"), &added("two", "{}")].concat();
    assert_eq!(read(&emptied).edited(&before, plan().compiled()), None);
    let long = format!("backends: {{ data: {{ timeout: 2s }} }}\n#{}\n", "-".repeat(OVERLAY_BYTES_MAX - 50));
    assert!(
        read(&long).written_over(&long, plan().compiled()) == long && target.edited(&long, plan().compiled()).is_none()
    );
}
