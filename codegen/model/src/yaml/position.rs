//! Where things stand in a text: from the reader's lines and columns to bytes, and how far what stands there reaches.

/// The tab among the leading white space of the line that holds `at`, if there is one.
pub(super) fn indenting_tab(text: &str, at: usize) -> Option<usize> {
    let line = text[..at].rfind('\n').map_or(0, |end| end + 1);
    let indent = text[line..].find(|c| c != ' ').map(|width| line + width)?;
    text[indent..].starts_with('\t').then_some(indent)
}

/// The byte offset of a line and a column, both counted in characters from one.
pub(super) fn offset(text: &str, line: usize, column: usize) -> usize {
    let start = match line.checked_sub(2) {
        // A byte order mark is no part of the first line.
        None => text.len() - text.strip_prefix('\u{feff}').unwrap_or(text).len(),
        Some(breaks) => text.match_indices('\n').nth(breaks).map_or(text.len(), |(at, _)| at + 1),
    };
    let at = text[start..].char_indices().nth(column.saturating_sub(1)).map_or(text.len(), |(at, _)| start + at);
    // Of what stands at the end of the text nothing can be shown: the end of the last line stands for it.
    at.min(text.trim_end().len())
}

/// How many bytes the node at `at` covers on its first line: a scalar whole, a bracketed collection up to its end.
pub(super) fn extent(text: &str, at: usize) -> usize {
    let start = text[..at].rfind('\n').map_or(0, |end| end + 1);
    // Behind an opening bracket commas and brackets end a scalar.
    let flow = text[start..at].contains(['[', '{']);
    let text = &text[at..];
    let line = text.lines().next().unwrap_or_default();
    let length = match line.as_bytes().first() {
        Some(quote @ (b'"' | b'\'')) => quoted_extent(line, *quote),
        Some(b'[' | b'{') => bracketed_extent(line),
        _ => plain_extent(line, flow),
    };
    length.unwrap_or(line.trim_end().len()).max(1).min(text.len())
}

fn quoted_extent(line: &str, quote: u8) -> Option<usize> {
    let mut escaped = false;
    for (at, byte) in line.bytes().enumerate().skip(1) {
        match byte {
            b'\\' if quote == b'"' => escaped = !escaped,
            byte if byte == quote && !escaped => return Some(at + 1),
            _ => escaped = false,
        }
    }
    None
}

fn bracketed_extent(line: &str) -> Option<usize> {
    let mut depth = 0_usize;
    let mut at = 0;
    while let Some(byte) = line.as_bytes().get(at) {
        match byte {
            b'[' | b'{' => depth += 1,
            b']' | b'}' => depth -= 1,
            b'"' | b'\'' => at += quoted_extent(&line[at..], *byte)? - 1,
            _ => {}
        }
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
    fn lines_and_columns_count_characters() {
        let text = "\u{feff}name: é\nключ: значение # end\n";
        let at = |line, column| &text[offset(text, line, column)..];
        assert!(at(1, 1).starts_with("name"));
        assert!(at(1, 7).starts_with('é'));
        assert!(at(2, 7).starts_with("значение"));
        assert_eq!(at(3, 1), "\n", "what stands at the end is shown at the last line");
        assert_eq!(at(99, 99), "\n");
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
            ("a: 'it''s' # z", "'it", "'it'"),
            ("a: [b, \"]\", {c: d}] # e", "[b", "[b, \"]\", {c: d}]"),
            ("a: [b,\n  c]", "[b", "[b,"),
            ("a: \"open", "\"open", "\"open"),
        ] {
            let at = text.find(start).unwrap();
            assert_eq!(&text[at..at + extent(text, at)], expected, "{text}");
        }
    }

    #[test]
    fn a_tab_among_the_leading_white_space_is_found() {
        assert_eq!(indenting_tab("a:\n  \tb: 1", 6), Some(5));
        assert_eq!(indenting_tab("a:\n  b:\t1", 7), None);
    }
}
