//! The lines of a text as its reader counts them: from bytes to lines and columns, and back.
//!
//! What stands on them, and how it is shown, is not decided here.

use std::ops::Range;

/// What ends a line of YAML; a carriage return and a line feed are one end.
const YAML_BREAKS: &[char] = &['\n', '\r', '\u{85}', '\u{2028}', '\u{2029}'];
/// What ends a line of JSON.
const JSON_BREAKS: &[char] = &['\n'];

/// The lines of a text. A byte order mark is no part of the first.
#[derive(Debug)]
pub(crate) struct Lines<'t> {
    text: &'t str,
    breaks: &'static [char],
    /// Where each begins.
    starts: Vec<usize>,
}

// === impl Lines ===

impl<'t> Lines<'t> {
    /// The lines of a topology.
    pub(crate) fn of_yaml(text: &'t str) -> Self {
        Self::split(text, YAML_BREAKS)
    }

    /// The lines of a lock.
    pub(crate) fn of_json(text: &'t str) -> Self {
        Self::split(text, JSON_BREAKS)
    }

    fn split(text: &'t str, breaks: &'static [char]) -> Self {
        let mut at = text.len() - text.strip_prefix('\u{feff}').unwrap_or(text).len();
        let mut starts = vec![at];
        while let Some(end) = text[at..].find(breaks) {
            at += end;
            let rest = &text[at..];
            at += if rest.starts_with("\r\n") { 2 } else { rest.chars().next().map_or(0, char::len_utf8) };
            starts.push(at);
        }
        Self { text, breaks, starts }
    }

    /// The line and the column of a byte, both from one; the column in characters.
    pub(crate) fn line_and_column(&self, offset: usize) -> (usize, usize) {
        let line = self.number(offset);
        let before = self.text.get(self.starts[line]..offset).unwrap_or_default();
        (line + 1, before.chars().count() + 1)
    }

    /// The byte at a line and a column, both from one; the end of the text for what is beyond.
    pub(crate) fn offset(&self, line: usize, column: usize) -> usize {
        let start = self.starts.get(line.saturating_sub(1)).copied().unwrap_or(self.text.len());
        let column = self.text[start..].char_indices().nth(column.saturating_sub(1));
        column.map_or(self.text.len(), |(at, _)| start + at)
    }

    /// The whole line that holds a byte, without its end.
    pub(crate) fn line(&self, offset: usize) -> Range<usize> {
        let line = self.number(offset);
        let start = self.starts[line];
        let next = self.starts.get(line + 1).copied().unwrap_or(self.text.len());
        start..start + self.text[start..next].trim_end_matches(self.breaks).len()
    }

    /// A part of the text as terminals show it: every line ends with a line feed.
    pub(crate) fn shown(&self, part: Range<usize>) -> String {
        self.text[part].replace("\r\n", "\n").replace(self.breaks, "\n")
    }

    /// The position among the lines of the one that holds a byte.
    fn number(&self, offset: usize) -> usize {
        self.starts.partition_point(|start| *start <= offset).saturating_sub(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_yaml_end_where_its_reader_ends_them() {
        let text = "\u{feff}é\r\nb\rc\u{85}d\u{2028}e\u{2029}f\n";
        let lines = Lines::of_yaml(text);
        let found = "ébcdef".chars().map(|c| lines.line_and_column(text.find(c).expect("it is there")));
        assert_eq!(found.collect::<Vec<_>>(), [(1, 1), (2, 1), (3, 1), (4, 1), (5, 1), (6, 1)]);
        assert_eq!((0, 0), (lines.line(0).start - 3, lines.number(0)), "the mark is on the first line, not of it");
        assert_eq!(lines.shown(3..text.len()), "é\nb\nc\nd\ne\nf\n");
    }

    #[test]
    fn lines_of_json_end_with_line_feeds_alone() {
        let text = "\"a\u{2028}b\"\r\n1";
        let lines = Lines::of_json(text);
        assert_eq!(lines.line_and_column(text.find('b').expect("it is there")), (1, 4));
        assert_eq!(lines.line_and_column(text.len()), (2, 2));
    }

    #[test]
    fn columns_count_characters() {
        let text = "\u{feff}name: é\nключ: значение # end\n";
        let lines = Lines::of_yaml(text);
        for (line, column, expected) in [(1, 1, "name"), (1, 7, "é"), (2, 7, "значение"), (9, 1, "")] {
            let at = lines.offset(line, column);
            assert!(text[at..].starts_with(expected), "{line}:{column}");
            assert!(expected.is_empty() || lines.line_and_column(at) == (line, column), "{line}:{column}");
        }
        assert_eq!(&text[lines.line(5)], "name: é");
    }
}
