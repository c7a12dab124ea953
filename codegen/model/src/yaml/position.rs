//! Where things stand in a text: from the reader's lines and columns to bytes, and how far what stands there reaches.

use crate::lines::Lines;

/// The tab among the leading white space of the line that holds `at`, if there is one.
pub(super) fn indenting_tab(text: &str, lines: &Lines<'_>, at: usize) -> Option<usize> {
    let line = lines.line(at).start;
    let indent = text[line..].find(|c| c != ' ').map(|width| line + width)?;
    text[indent..].starts_with('\t').then_some(indent)
}

/// The byte offset of a line and a column, both counted in characters from one.
pub(super) fn offset(text: &str, lines: &Lines<'_>, (line, column): (usize, usize)) -> usize {
    // Of what stands at the end of the text nothing can be shown: the end of the last line stands for it.
    lines.offset(line, column).min(text.trim_end().len())
}

/// How many bytes the node at `at` covers on its first line: a scalar whole, a bracketed collection up to its end.
pub(super) fn extent(text: &str, lines: &Lines<'_>, at: usize) -> usize {
    let whole = lines.line(at);
    // Behind an opening bracket commas and brackets end a scalar.
    let flow = text[whole.start.min(at)..at].contains(['[', '{']);
    let (line, text) = (&text[at..whole.end.max(at)], &text[at..]);
    let length = match line.as_bytes().first() {
        Some(quote @ (b'"' | b'\'')) => quoted_extent(line, *quote),
        Some(b'[' | b'{') => bracketed_extent(line),
        _ => plain_extent(line, flow),
    };
    let character = text.chars().next().map_or(0, char::len_utf8);
    length.unwrap_or(line.trim_end().len()).max(character)
}

/// Where the node at `at` ends, on whichever line. Of what is neither quoted nor bracketed that is the first; `flow` says
/// whether it stands within brackets.
pub(super) fn end(text: &str, lines: &Lines<'_>, at: usize, flow: bool) -> Option<usize> {
    let rest = &text[at..];
    let length = match rest.as_bytes().first()? {
        quote @ (b'"' | b'\'') => quoted_extent(rest, *quote)?,
        b'[' | b'{' => bracketed_extent(rest)?,
        _ => {
            let line = &text[at..lines.line(at).end.max(at)];
            plain_extent(line, flow).unwrap_or(line.trim_end().len())
        }
    };
    Some(at + length)
}

fn quoted_extent(text: &str, quote: u8) -> Option<usize> {
    let mut escaped = false;
    for (at, byte) in text.bytes().enumerate().skip(1) {
        match byte {
            b'\\' if quote == b'"' => escaped = !escaped,
            // Within single quotes two of them stand for one.
            b'\'' if quote == b'\'' && !escaped && text[at + 1..].starts_with('\'') => escaped = true,
            byte if byte == quote && !escaped => return Some(at + 1),
            _ => escaped = false,
        }
    }
    None
}

fn bracketed_extent(text: &str) -> Option<usize> {
    let mut depth = 0_usize;
    let mut at = 0;
    let mut before = b' ';
    while let Some(byte) = text.as_bytes().get(at) {
        match byte {
            b'[' | b'{' => depth += 1,
            b']' | b'}' => depth -= 1,
            // Elsewhere they are characters of a word.
            b'"' | b'\'' if before.is_ascii_whitespace() || b"[{,:".contains(&before) => {
                at += quoted_extent(&text[at..], *byte)? - 1;
            }
            b'#' if before.is_ascii_whitespace() => at += text[at..].find(['\n', '\r'])?,
            _ => {}
        }
        before = text.as_bytes()[at];
        at += 1;
        if depth == 0 {
            return Some(at);
        }
    }
    None
}

fn plain_extent(line: &str, flow: bool) -> Option<usize> {
    let ends = |(at, c): (usize, char)| {
        let rest = &line[at..];
        rest.starts_with(": ")
            || rest == ":"
            || rest.starts_with(" #")
            || (flow && matches!(c, ',' | ']' | '}' | '[' | '{'))
    };
    line.char_indices().find(|found| ends(*found)).map(|(at, _)| line[..at].trim_end().len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_stands_at_the_end_is_shown_at_the_last_line() {
        let text = "name: é\nключ: значение\n";
        for end in [(3, 1), (99, 99)] {
            assert_eq!(&text[offset(text, &Lines::of_yaml(text), end)..], "\n");
        }
    }

    #[test]
    fn a_node_reaches_to_its_end_on_the_line() {
        for (text, start, expected) in [
            ("key: value", "key", "key"),
            ("key:", "key", "key"),
            ("key: two words  # comment", "two", "two words"),
            ("key: a#b:c", "a#", "a#b:c"),
            ("[one, two]", "one", "one"),
            ("{ a: one }", "one", "one"),
            ("a: one, two", "one", "one, two"),
            (r#"a: "x \" , y" # z"#, "\"x", r#""x \" , y""#),
            ("a: 'it''s' # z", "'it", "'it''s'"),
            ("a: [it's, b#c, 'd'] # e", "[it", "[it's, b#c, 'd']"),
            ("a: [b, \"]\", {c: d}] # e", "[b", "[b, \"]\", {c: d}]"),
            ("a: [b,\n  c]", "[b", "[b,"),
            ("a: \"open", "\"open", "\"open"),
        ] {
            let at = text.find(start).unwrap();
            assert_eq!(&text[at..at + extent(text, &Lines::of_yaml(text), at)], expected, "{text}");
        }
    }

    #[test]
    fn what_is_quoted_or_bracketed_ends_on_whichever_line() {
        for (text, start, expected) in [
            ("a: [b, # it's ]\n  c] # d", "[b", "[b, # it's ]\n  c]"),
            ("a: {\n  \"b}\": 'c\n }', d: it's }\n", "{\n", "{\n  \"b}\": 'c\n }', d: it's }"),
            ("a: \"b\n  \\\"c\" # d", "\"b", "\"b\n  \\\"c\""),
            ("a: b, c # d", "b", "b, c"),
        ] {
            let at = text.find(start).expect("it is there");
            let end = end(text, &Lines::of_yaml(text), at, false).expect("it ends");
            assert_eq!(&text[at..end], expected, "{text}");
        }
        let text = "{ a: b c,\n  d: e f, g: h }";
        let at = text.find("e f").expect("it is there");
        assert_eq!(end(text, &Lines::of_yaml(text), at, true), Some(at + 3));
        assert_eq!(end("{ a: [b,", &Lines::of_yaml("{ a: [b,"), 5, true), None);
    }

    #[test]
    fn a_tab_among_the_leading_white_space_is_found() {
        for (text, at, expected) in [("a:\n  \tb: 1", 6, Some(5)), ("a:\n  b:\t1", 7, None), ("a:\r\tb: 1", 4, Some(3))]
        {
            assert_eq!(indenting_tab(text, &Lines::of_yaml(text), at), expected, "{text}");
        }
    }
}
