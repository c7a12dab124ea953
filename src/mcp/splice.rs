//! Edits of a message by position: everything that is not edited is copied as it came. What to edit is decided
//! elsewhere, from the spans that [`super::envelope`] found.

use smallvec::SmallVec;

use super::json::Span;

/// A source and the few places where it changes. Edits may be added in any order; they must not overlap.
#[derive(Debug)]
pub struct Splice<'a> {
    source: &'a [u8],
    /// Sorted by span, so that an insertion stands before the replacement of the byte it precedes.
    edits: SmallVec<[(Span, &'a [u8]); 8]>,
}

impl<'a> Splice<'a> {
    /// No edits yet.
    #[must_use]
    pub fn new(source: &'a [u8]) -> Self {
        Self { source, edits: SmallVec::new() }
    }

    /// Puts `with` in the place of `span`.
    pub fn replace(&mut self, span: Span, with: &'a [u8]) {
        let place = (span.start, span.end);
        let index =
            self.edits.iter().rposition(|(other, _)| (other.start, other.end) <= place).map_or(0, |last| last + 1);
        debug_assert!(index == 0 || self.edits[index - 1].0.end <= span.start, "edits overlap");
        debug_assert!(self.edits.get(index).is_none_or(|(next, _)| span.end <= next.start), "edits overlap");
        self.edits.insert(index, (span, with));
    }

    /// Takes `span` away.
    pub fn cut(&mut self, span: Span) {
        self.replace(span, b"");
    }

    /// Puts `text` before the byte at `at`. Several inserts at one place keep the order in which they were added.
    pub fn insert(&mut self, at: u32, text: &'a [u8]) {
        self.replace(Span { start: at, end: at }, text);
    }

    /// How many bytes the outcome has.
    #[must_use]
    pub fn len(&self) -> usize {
        let mut len = 0;
        self.slices(|slice| len += slice.len());
        len
    }

    /// Whether the outcome has no bytes.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The outcome as consecutive slices, for a vectored write. None of them is empty.
    pub fn slices(&self, mut each: impl FnMut(&'a [u8])) {
        let mut some = |slice: &'a [u8]| {
            if !slice.is_empty() {
                each(slice);
            }
        };
        let mut copied = 0;
        for (span, with) in &self.edits {
            some(&self.source[copied..span.start as usize]);
            some(with);
            copied = span.end as usize;
        }
        some(&self.source[copied..]);
    }

    /// Appends the outcome.
    pub fn write(&self, out: &mut Vec<u8>) {
        self.slices(|slice| out.extend_from_slice(slice));
    }

    /// Appends the outcome on one line: see [`extend_line`].
    pub fn write_line(&self, out: &mut Vec<u8>) {
        self.slices(|slice| extend_line(slice, out));
    }
}

/// Appends JSON on one line: line feeds and carriage returns are left out. They can only stand between its tokens,
/// because inside a string they are escaped.
pub fn extend_line(json: &[u8], out: &mut Vec<u8>) {
    let mut copied = 0;
    for end in memchr::memchr2_iter(b'\n', b'\r', json) {
        out.extend_from_slice(&json[copied..end]);
        copied = end + 1;
    }
    out.extend_from_slice(&json[copied..]);
}

#[cfg(test)]
mod tests;
