//! What the text of a string is, whatever its escapes.

use super::*;

fn text(inside: &str) -> (String, Text) {
    let end = u32::try_from(inside.len()).unwrap();
    (inside.to_owned(), Text { span: Span { start: 0, end }, escaped: inside.contains('\\') })
}

#[test]
fn a_text_without_escapes_is_borrowed() {
    let (source, text) = text("tools/call");
    assert!(matches!(text.decode(source.as_bytes()), std::borrow::Cow::Borrowed("tools/call")));
}

#[test]
fn half_a_surrogate_pair_decodes_to_the_replacement_character_and_equals_nothing() {
    for inside in [r"\ud800", r"\udc00", r"\ud800a", r"\ud800\ud800", r"\ud800\n", r"\udc00\ud800"] {
        let (source, text) = text(inside);
        assert!(!text::is_well_formed(inside.as_bytes()), "{inside}");
        let decoded = text.decode(source.as_bytes());
        assert!(decoded.contains('\u{fffd}'), "{inside}");
        assert!(!text.is(source.as_bytes(), &decoded), "{inside}");
    }
}

#[test]
fn surrogate_pairs_decode_to_one_character() {
    let (source, text) = text(r"\ud83d\ude00\uDBFF\uDFFF\u0000");
    assert!(text::is_well_formed(source.as_bytes()));
    assert_eq!(text.decode(source.as_bytes()), "😀\u{10ffff}\0");
}

#[test]
fn texts_decode_as_serde_json_decodes_them() {
    for inside in [r"", r"a\u0062c", r#"\"\\\/\b\f\n\r\t"#, r"\u00e9é", "日本\\u8a9e", r"\\u0041", r"\\\u0041"] {
        let (source, text) = text(inside);
        let expected: String = serde_json::from_str(&format!("\"{inside}\"")).unwrap();
        assert_eq!(text.decode(source.as_bytes()), expected);
        assert!(text.is(source.as_bytes(), &expected), "{inside}");
        assert!(!text.is(source.as_bytes(), &format!("{expected}x")), "{inside}");
    }
}

#[test]
fn only_a_string_is_a_text() {
    let span = Span { start: 1, end: 4 };
    let value = Value { kind: Kind::String, span, escaped: false };
    assert_eq!(value.text(), Some(Text { span: Span { start: 2, end: 3 }, escaped: false }));
    assert_eq!(Value { kind: Kind::Number, ..value }.text(), None);
}
