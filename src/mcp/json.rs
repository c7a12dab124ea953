//! JSON without a tree: spans and kinds, and the cursor that walks over bytes exactly as RFC 8259 allows. What a message
//! means stands in [`super::envelope`].

mod cursor;
mod lex;
mod text;

pub(super) use cursor::{Cursor, Members};
pub(super) use lex::{Fault, Flaw};
pub use text::Text;

/// How deep arrays and objects may nest; the outermost object is level 1.
pub const DEPTH_MAX: usize = 128;

/// A run of bytes of the source.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Span {
    /// First byte.
    pub start: u32,
    /// One past the last.
    pub end: u32,
}

impl Span {
    /// The bytes it covers.
    #[inline]
    #[must_use]
    pub fn of(self, source: &[u8]) -> &[u8] {
        &source[self.start as usize..self.end as usize]
    }
}

/// What a value is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `{`
    Object,
    /// `[`
    Array,
    /// `"`
    String,
    /// A number.
    Number,
    /// `true` or `false`
    Bool,
    /// `null`
    Null,
}

/// A value as it stands in the source: a string's span includes its quotes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Value {
    /// What it is.
    pub kind: Kind,
    /// Where it stands.
    pub span: Span,
    /// A string that holds at least one escape; `false` otherwise.
    pub escaped: bool,
}

impl Value {
    /// The string it is, if it is one.
    #[must_use]
    pub fn text(self) -> Option<Text> {
        (self.kind == Kind::String)
            .then(|| Text { span: Span { start: self.span.start + 1, end: self.span.end - 1 }, escaped: self.escaped })
    }
}

/// Why a source is not a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ScanError {
    /// What is wrong.
    pub kind: ScanErrorKind,
    /// The offset at which it shows.
    pub at: u32,
    /// The id, where it was read before the error.
    pub id: super::envelope::Id,
}

/// What can be wrong with a source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ScanErrorKind {
    /// Not JSON: bad token, bad UTF-8, bytes after the end, or a lone surrogate in a string the gateway decides on.
    Syntax,
    /// JSON, but not an object.
    NotObject,
    /// Nested deeper than [`DEPTH_MAX`].
    Depth,
    /// This member, which decides something, stands twice. Reported only for a source that is JSON throughout.
    DuplicateKey(&'static str),
}

#[cfg(test)]
mod tests;
