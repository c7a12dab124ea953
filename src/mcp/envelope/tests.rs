//! Messages as tables of what the scan says of them, and against a second reading of the same text (`oracle`).

use super::super::json::{DEPTH_MAX, ScanErrorKind};
use super::*;
use crate::limits::ID_BYTES_MAX;
use oracle::{check_incoming, check_outgoing};

mod messages;
mod oracle;

use proptest::prelude::*;

/// What a scan says at the JSON-RPC level.
#[derive(Debug, PartialEq)]
enum Verdict {
    Syntax,
    NotObject,
    Depth,
    Duplicate(&'static str),
    Is(Shape),
}
use Verdict::{Depth, Duplicate, Is, NotObject, Syntax};

fn verdict(source: &[u8]) -> Verdict {
    match incoming(source) {
        Ok(message) => Is(message.shape),
        Err(error) => match error.kind {
            ScanErrorKind::Syntax => Syntax,
            ScanErrorKind::NotObject => NotObject,
            ScanErrorKind::Depth => Depth,
            ScanErrorKind::DuplicateKey(name) => Duplicate(name),
        },
    }
}

/// A call whose arguments nest so that the whole message is `levels` deep.
fn nested(levels: usize) -> String {
    let inside = levels - 2;
    format!(r#"{{"method":"tools/call","id":1,"params":{{"arguments":{}{}}}}}"#, "[".repeat(inside), "]".repeat(inside))
}

#[test]
fn hostile_sources_are_judged_as_the_table_says() {
    let table: &[(&str, &[u8], Verdict)] = &[
        ("an empty source", b"", Syntax),
        ("an opening brace alone", b"{", Syntax),
        ("white space alone", b" \t\r\n ", Syntax),
        ("an empty array", b"[]", NotObject),
        ("a batch of two", br#"[{"id":1,"method":"a"},{"id":2,"method":"b"}]"#, NotObject),
        ("members in an array", br#"["2.0",1,"tools/call",{"name":"x"}]"#, NotObject),
        ("a string", br#""tools/list""#, NotObject),
        ("garbage after the message", br#"{"id":1,"method":"ping"} garbage"#, Syntax),
        ("two messages", br#"{"id":1,"method":"ping"}{"id":2,"method":"ping"}"#, Syntax),
        ("a byte order mark", b"\xef\xbb\xbf{\"id\":1,\"method\":\"ping\"}", Syntax),
        ("an id that is NaN", br#"{"id":NaN,"method":"ping"}"#, Syntax),
        ("a lone surrogate as id", br#"{"id":"\ud800","method":"ping"}"#, Syntax),
        ("lone surrogates as name", br#"{"id":1,"method":"tools/call","params":{"name":"\udfff\ud800"}}"#, Syntax),
        ("a lone surrogate as key", br#"{"id":1,"method":"ping","\ud800":1}"#, Syntax),
        (
            "a lone surrogate in arguments",
            br#"{"id":1,"method":"ping","params":{"arguments":"\ud800"}}"#,
            Is(Shape::Request),
        ),
        ("a doubled method", br#"{"id":1,"method":"ping","method":"ping"}"#, Duplicate("method")),
        ("a doubled method, once escaped", br#"{"id":1,"method":"ping","meth\u006fd":"ping"}"#, Duplicate("method")),
        ("a doubled method before garbage", br#"{"id":1,"method":"a","method":"b"} x"#, Syntax),
        ("a doubled name", br#"{"params":{"name":"safe","name":"dangerous"}}"#, Duplicate("params.name")),
        ("doubled params", br#"{"params":{},"params":[]}"#, Duplicate("params")),
        (
            "a doubled progress token",
            br#"{"params":{"_meta":{"progressToken":1,"progressToken":2}}}"#,
            Duplicate("params._meta.progressToken"),
        ),
        (
            "doubled members that decide nothing",
            br#"{"id":1,"method":"m","x":1,"x":2,"params":{"y":1,"y":2}}"#,
            Is(Shape::Request),
        ),
        ("an escaped method", br#"{"id":1,"method":"tools\u002fcall"}"#, Is(Shape::Request)),
        ("no method", br#"{"jsonrpc":"2.0","id":1}"#, Is(Shape::Invalid)),
        ("a method that is a number", br#"{"jsonrpc":"2.0","id":1,"method":7}"#, Is(Shape::Invalid)),
        ("an empty method", br#"{"jsonrpc":"2.0","id":1,"method":""}"#, Is(Shape::Request)),
        ("an id that is null", br#"{"id":null,"method":"tools/call"}"#, Is(Shape::Request)),
        ("no id", br#"{"method":"tools/call"}"#, Is(Shape::Notification)),
        ("a result", br#"{"id":1,"result":{}}"#, Is(Shape::Response)),
        ("an error", br#"{"id":1,"error":{"code":1,"message":""}}"#, Is(Shape::Response)),
        ("a method and a result", br#"{"id":1,"method":"ping","result":{}}"#, Is(Shape::Invalid)),
        ("an error and a result", br#"{"id":1,"error":{},"result":{}}"#, Is(Shape::Invalid)),
        ("a number beyond any float", br#"{"id":1,"method":"m","params":{"arguments":1e999}}"#, Is(Shape::Request)),
        ("a NUL in the name", br#"{"id":1,"method":"m","params":{"name":"\u0000"}}"#, Is(Shape::Request)),
        ("keys of prototypes", br#"{"__proto__":1,"constructor":2,"id":1,"method":"m"}"#, Is(Shape::Request)),
    ];
    for (row, source, expected) in table {
        assert_eq!(verdict(source), *expected, "{row}");
    }
}

#[test]
fn large_and_deep_sources_are_judged_as_the_table_says() {
    let utf16 = r#"{"id":1}"#.encode_utf16().flat_map(u16::to_le_bytes).collect();
    let long = format!(r#"{{"id":1,"method":"{}"}}"#, "x".repeat(1 << 20));
    let open_and_closed = format!("{}{}", "[".repeat(DEPTH_MAX + 1), "]".repeat(DEPTH_MAX + 1));
    let table: [(&str, Vec<u8>, Verdict); 7] = [
        ("a source in UTF-16", utf16, Syntax),
        ("as deep as may be", nested(DEPTH_MAX).into_bytes(), Is(Shape::Request)),
        ("one level deeper", nested(DEPTH_MAX + 1).into_bytes(), Depth),
        ("100,000 levels", nested(100_000).into_bytes(), Depth),
        ("4 MiB of levels that never end", vec![b'['; 4 << 20], Depth),
        ("an array one level too deep", open_and_closed.into_bytes(), Depth),
        ("a method of 1 MB", long.into_bytes(), Is(Shape::Request)),
    ];
    for (row, source, expected) in table {
        assert_eq!(verdict(&source), expected, "{row}");
    }
}

#[test]
fn tokens_that_json_does_not_know_are_refused() {
    let wrong = [
        "01",
        "-",
        "+1",
        ".5",
        "1.",
        "1e",
        "1e+",
        "0x1",
        "1_0",
        "tru",
        "truee",
        "True",
        "nul",
        "Infinity",
        "'a'",
        "\"a",
        "\"\\x\"",
        "\"\\u12g4\"",
        "\"\\u12\"",
        "\"\t\"",
        "\"\n\"",
        "\"\0\"",
        "[1,]",
        "[,1]",
        "[1 2]",
        "[1",
        "[}",
        "{]",
        "{\"a\"}",
        "{\"a\":}",
        "{\"a\":1,}",
        "{,}",
        "{a:1}",
        "{1:1}",
        "{\"a\" 1}",
        "//",
        "/**/1",
        "\u{a0}1",
        "\u{b}1",
        "\"\\ud83d",
        "\"\\",
        "\"\\u",
    ];
    for value in wrong {
        for source in [
            format!("{{\"x\":{value}}}"),
            format!("{{\"params\":{{\"arguments\":[{value}]}}}}"),
            format!("{{\"x\":{value}"),
            value.to_owned(),
        ] {
            assert_eq!(verdict(source.as_bytes()), Syntax, "{source}");
        }
    }
}

#[test]
fn bytes_that_are_not_utf8_are_refused_wherever_they_stand() {
    for wrong in [&b"\x80"[..], b"\xc3", b"\xc0\xaf", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"\xff"] {
        for padding in [0, 1, 7, 8, 9, 31, 64, 200] {
            let mut source = br#"{"x":""#.to_vec();
            source.extend(std::iter::repeat_n(b'a', padding));
            source.extend_from_slice(wrong);
            source.extend(std::iter::repeat_n(b'a', padding));
            source.extend_from_slice(br#""}"#);
            assert_eq!(verdict(&source), Syntax, "{wrong:?} behind {padding}");
        }
    }
    let valid = format!(r#"{{"x":"é","y":"{}","z":"\u2028\u2029😀"}}"#, "日本語".repeat(50));
    assert_eq!(verdict(valid.as_bytes()), Is(Shape::Invalid));
}

#[test]
fn control_characters_are_refused_anywhere_in_a_string() {
    for length in 1..100 {
        for place in 0..length {
            for wrong in [0, 9, 10, 13, 31] {
                let mut source = br#"{"x":""#.to_vec();
                source.extend((0..length).map(|index| if index == place { wrong } else { b' ' }));
                source.extend_from_slice(br#""}"#);
                assert_eq!(verdict(&source), Syntax, "{wrong} at {place} of {length}");
            }
        }
    }
}

#[test]
fn ids_are_told_apart_as_they_are_written() {
    let at = |source: &str, raw: &str| {
        let start = u32::try_from(source.find(raw).unwrap()).unwrap();
        Span { start, end: start + u32::try_from(raw.len()).unwrap() }
    };
    let longest = format!("\"{}\"", "i".repeat(ID_BYTES_MAX - 2));
    let too_long = format!("\"{}\"", "i".repeat(ID_BYTES_MAX - 1));
    let digits = "9".repeat(ID_BYTES_MAX + 1);
    type Expected = fn(Span) -> Id;
    let table: &[(&str, Expected)] = &[
        ("null", |_| Id::Null),
        ("7", Id::Number),
        ("-7", Id::Number),
        ("1.0", Id::Number),
        ("1.00", Id::Number),
        ("18446744073709551616", Id::Number),
        ("1.5", |_| Id::Invalid),
        ("1e2", |_| Id::Invalid),
        ("1.0e2", |_| Id::Invalid),
        ("true", |_| Id::Invalid),
        ("{}", |_| Id::Invalid),
        ("[1]", |_| Id::Invalid),
        ("\"\"", Id::String),
        ("\"42\"", Id::String),
        ("\"\\u0041\"", Id::String),
        (&longest, Id::String),
        (&too_long, |_| Id::Invalid),
        (&digits, |_| Id::Invalid),
    ];
    for (raw, id) in table {
        let source = format!(r#"{{"method":"m", "id" : {raw} }}"#);
        assert_eq!(incoming(source.as_bytes()).unwrap().id, id(at(&source, raw)), "{raw}");
        let answer = format!(r#"{{"result":[],"id":{raw}}}"#);
        assert_eq!(outgoing(answer.as_bytes()).unwrap().id, id(at(&answer, raw)), "{raw}");
    }
    assert_eq!(incoming(br#"{"method":"m"}"#).unwrap().id, Id::Absent);
}

#[test]
fn an_error_carries_the_id_that_was_read_before_it() {
    let id = |source: &str| incoming(source.as_bytes()).unwrap_err().id;
    assert_eq!(id(r#"{"id":7,"method":}"#), Id::Number(Span { start: 6, end: 7 }));
    assert_eq!(id(r#"{"method":,"id":7}"#), Id::Absent);
    assert_eq!(id(r#"{"method":"a","method":"b","id":null}"#), Id::Null);
    assert_eq!(id(r#"{"id":1,"id":2}"#), Id::Invalid);
}

#[test]
fn escaped_and_plain_spellings_are_the_same_text() {
    let source =
        br#"{"meth\u006fd":"tools\u002fcall","\u0070arams":{"n\u0061me":"\ud83d\ude00\"\\\/\b\f\n\r\t\u00e9"}}"#;
    let message = incoming(source).unwrap();
    let method = message.method.unwrap();
    assert!(method.is(source, "tools/call"));
    assert!(!method.is(source, "tools/calls") && !method.is(source, "tools/cal"));
    assert_eq!(method.decode(source), "tools/call");
    let name = message.name.and_then(Value::text).unwrap();
    assert_eq!(name.decode(source), "😀\"\\/\u{8}\u{c}\n\r\té");
    assert!(name.is(source, "😀\"\\/\u{8}\u{c}\n\r\té"));
}

#[test]
fn the_version_must_be_the_string_2_0() {
    let ok = |source: &str| incoming(source.as_bytes()).unwrap().version_ok;
    assert!(ok(r#"{"jsonrpc":"2.0"}"#));
    assert!(ok(r#"{"jsonrpc":"2\u002e0"}"#));
    for wrong in
        [r"{}", r#"{"jsonrpc":"1.0"}"#, r#"{"jsonrpc":2.0}"#, r#"{"jsonrpc":"2.0 "}"#, r#"{"jsonrpc":["2.0"]}"#]
    {
        assert!(!ok(wrong), "{wrong}");
    }
}

#[test]
fn a_request_that_resumes_another_is_known_by_its_params_alone() {
    let resumes = |source: &str| incoming(source.as_bytes()).unwrap().resumes;
    for source in [
        r#"{"params":{"name":"x","requestState":"s"}}"#,
        r#"{"params":{"inputResponses":{"a":{}},"name":"x"}}"#,
        r#"{"params":{"inputResponses":{},"requestState":""}}"#,
        r#"{"params":{"inputResponses":null}}"#,
        r#"{"params":{"request\u0053tate":null}}"#,
    ] {
        assert!(resumes(source), "{source}");
    }
    for source in [
        r#"{"requestState":"s","inputResponses":{},"params":{}}"#,
        r#"{"params":{"inputResponses":{ },"name":"x"}}"#,
        r#"{"params":{"arguments":{"requestState":"s"},"_meta":{"inputResponses":{}},"requestStates":"requestState"}}"#,
    ] {
        assert!(!resumes(source), "{source}");
    }
}

#[test]
fn line_breaks_between_tokens_are_told() {
    let multiline = |source: &str| incoming(source.as_bytes()).unwrap().multiline;
    assert!(!multiline(r#"{"method" : "a\nb\r", "params":	{}} "#));
    for source in ["\n{}", "{}\r\n", "{\n}", "{\"params\":\n{}}", "{\"params\":{\"arguments\":[1,\r2]}}"] {
        assert!(multiline(source), "{source:?}");
    }
}

#[test]
fn progress_notifications_name_their_token_before_the_metadata_does() {
    let token =
        |source: &'static str| outgoing(source.as_bytes()).unwrap().progress_token.unwrap().span.of(source.as_bytes());
    assert_eq!(token(r#"{"method":"m","params":{"progressToken":1}}"#), b"1");
    assert_eq!(token(r#"{"method":"m","params":{"_meta":{"progressToken":"t"}}}"#), b"\"t\"");
    assert_eq!(token(r#"{"method":"m","params":{"_meta":{"progressToken":2},"progressToken":1}}"#), b"1");
}

#[test]
fn two_million_levels_are_refused_at_the_first_too_many() {
    let source = format!(r#"{{"id":1,"x":{}"#, "[".repeat(4 << 20));
    let error = incoming(source.as_bytes()).unwrap_err();
    assert_eq!(error.kind, ScanErrorKind::Depth);
    assert_eq!(error.at, 12 + 127);
    assert_eq!(error.id, Id::Number(Span { start: 6, end: 7 }));
}

#[test]
fn any_place_to_end_a_valid_message_is_refused() {
    for source in messages::EXAMPLES {
        check_incoming(source.as_bytes());
        check_outgoing(source.as_bytes());
        for end in 0..source.len() {
            assert_eq!(verdict(&source.as_bytes()[..end]), Syntax, "{}", &source[..end]);
        }
    }
}

proptest! {
    #[test]
    fn messages_are_read_as_serde_json_reads_them(source in messages::message()) {
        check_incoming(source.as_bytes());
        check_outgoing(source.as_bytes());
    }

    #[test]
    fn damaged_messages_are_read_as_serde_json_reads_them(source in messages::damaged()) {
        check_incoming(&source);
        check_outgoing(&source);
    }

    #[test]
    fn random_tokens_are_read_as_serde_json_reads_them(source in messages::tokens()) {
        check_incoming(&source);
        check_outgoing(&source);
    }

    #[test]
    fn random_bytes_are_read_as_serde_json_reads_them(source in proptest::collection::vec(any::<u8>(), 0..64)) {
        check_incoming(&source);
        check_outgoing(&source);
    }
}
