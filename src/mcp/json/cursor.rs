//! The cursor: takes values, keys and braces one after the other, and knows how deep it stands.

use super::lex::{self, Fault, Flaw, Notes};
use super::{DEPTH_MAX, Kind, Span, Value, text};

/// A place in the source; everything before it is valid so far.
#[derive(Debug)]
pub(in crate::mcp) struct Cursor<'a> {
    source: &'a [u8],
    /// What was not taken yet: a tail of `source`.
    rest: &'a [u8],
    /// Arrays and objects that are open here.
    depth: usize,
    notes: Notes,
}

/// Steps through the members of one object: [`Members::next`] reads a key, the caller then reads the value.
#[derive(Debug)]
pub(in crate::mcp) struct Members<'a> {
    /// How many keys were read.
    pub(in crate::mcp) count: u32,
    /// The offset of the comma before the last key; of that key, where it is the first.
    pub(in crate::mcp) comma: u32,
    /// The offset of the last key, at its quote.
    pub(in crate::mcp) start: u32,
    /// The last key, as it stands between its quotes.
    pub(in crate::mcp) key: &'a [u8],
    /// Whether that key holds an escape.
    pub(in crate::mcp) escaped: bool,
}

/// Steps through the elements of one array: [`Elements::next`] says whether one follows, which the caller then reads.
#[derive(Debug)]
pub(in crate::mcp) struct Elements {
    first: bool,
}

// === impl Cursor ===

impl<'a> Cursor<'a> {
    /// A cursor before the first byte; none for a source of 4 GiB and more, which spans cannot address.
    pub(in crate::mcp) fn new(source: &'a [u8]) -> Option<Self> {
        u32::try_from(source.len()).is_ok().then(|| Self { source, rest: source, depth: 0, notes: Notes::default() })
    }

    #[inline(always)]
    pub(in crate::mcp) fn source(&self) -> &'a [u8] {
        self.source
    }

    /// Whether line feeds or carriage returns stood between tokens.
    pub(in crate::mcp) fn multiline(&self) -> bool {
        self.notes.multiline
    }

    /// The offset of the next byte.
    #[inline(always)]
    pub(in crate::mcp) fn offset(&self) -> u32 {
        self.offset_with_left(self.rest.len())
    }

    /// Where a problem shows.
    pub(in crate::mcp) fn offset_of(&self, fault: Fault) -> u32 {
        self.offset_with_left(fault.left)
    }

    #[inline(always)]
    #[expect(clippy::cast_possible_truncation, reason = "`new` takes no source of 4 GiB")]
    fn offset_with_left(&self, left: usize) -> u32 {
        (self.source.len() - left) as u32
    }

    /// The first byte after white space, not taken; `None` at the end.
    #[inline(always)]
    pub(in crate::mcp) fn peek(&mut self) -> Option<u8> {
        self.rest = lex::space(self.rest, &mut self.notes);
        self.rest.first().copied()
    }

    /// Checks that nothing but white space is left.
    pub(in crate::mcp) fn finish(&mut self) -> Result<(), Fault> {
        if self.peek().is_some() { Err(Fault::syntax(self.rest)) } else { Ok(()) }
    }

    /// Takes a value, whatever it is.
    #[inline(always)]
    pub(in crate::mcp) fn value(&mut self) -> Result<Value, Fault> {
        let first = self.peek();
        let start = self.offset();
        let mut escaped = false;
        let kind = match first {
            Some(b'"') => {
                escaped = self.string()?;
                Kind::String
            }
            Some(open @ (b'{' | b'[')) => {
                self.rest = lex::nested(self.rest, self.depth, &mut self.notes)?;
                if open == b'{' { Kind::Object } else { Kind::Array }
            }
            _ => {
                let (rest, kind) = lex::scalar(self.rest)?;
                self.rest = rest;
                kind
            }
        };
        Ok(Value { kind, span: self.span_from(start), escaped })
    }

    /// Takes a value that something is decided on: where it is a string, half a surrogate pair in it is an error.
    #[inline(always)]
    pub(in crate::mcp) fn decided(&mut self) -> Result<Value, Fault> {
        let value = self.value()?;
        if value.escaped {
            self.well_formed(value)?;
        }
        Ok(value)
    }

    /// Takes the `{` of an object whose members the caller wants to see.
    #[inline(always)]
    pub(in crate::mcp) fn open(&mut self) -> Result<Members<'a>, Fault> {
        let [b'{', rest @ ..] = self.rest else { return Err(Fault::syntax(self.rest)) };
        if self.depth == DEPTH_MAX {
            return Err(Fault { flaw: Flaw::Depth, left: self.rest.len() });
        }
        self.depth += 1;
        self.rest = rest;
        Ok(Members { count: 0, comma: 0, start: 0, key: b"", escaped: false })
    }

    /// Takes the `[` of an array whose elements the caller wants to see.
    pub(in crate::mcp) fn open_array(&mut self) -> Result<Elements, Fault> {
        let [b'[', rest @ ..] = self.rest else { return Err(Fault::syntax(self.rest)) };
        if self.depth == DEPTH_MAX {
            return Err(Fault { flaw: Flaw::Depth, left: self.rest.len() });
        }
        self.depth += 1;
        self.rest = rest;
        Ok(Elements { first: true })
    }

    /// The run from `start` to here.
    #[inline(always)]
    pub(in crate::mcp) fn span_from(&self, start: u32) -> Span {
        Span { start, end: self.offset() }
    }

    /// Takes the string that begins here. Returns whether it holds an escape.
    #[inline(always)]
    fn string(&mut self) -> Result<bool, Fault> {
        let [b'"', rest @ ..] = self.rest else { return Err(Fault::syntax(self.rest)) };
        let (rest, escaped) = lex::string(rest, &mut self.notes)?;
        self.rest = rest;
        Ok(escaped)
    }

    #[cold]
    fn well_formed(&self, string: Value) -> Result<(), Fault> {
        match string.text() {
            Some(text) if !text::is_well_formed(text.span.of(self.source)) => Err(Fault::syntax(self.rest)),
            _ => Ok(()),
        }
    }
}

// === impl Members ===

impl<'a> Members<'a> {
    /// Takes the next key and its colon, or the closing brace; `false` for that.
    #[inline(always)]
    pub(in crate::mcp) fn next(&mut self, cursor: &mut Cursor<'a>) -> Result<bool, Fault> {
        let mut rest = lex::space(cursor.rest, &mut cursor.notes);
        if let [b'}', after @ ..] = rest {
            cursor.rest = after;
            cursor.depth -= 1;
            return Ok(false);
        }
        self.comma = cursor.offset_with_left(rest.len());
        if self.count > 0 {
            let [b',', after @ ..] = rest else { return Err(Fault::syntax(rest)) };
            rest = lex::space(after, &mut cursor.notes);
        }
        let [b'"', inside @ ..] = rest else { return Err(Fault::syntax(rest)) };
        let (after, escaped) = lex::string(inside, &mut cursor.notes)?;
        self.count += 1;
        self.start = cursor.offset_with_left(rest.len());
        self.key = &inside[..inside.len() - after.len() - 1];
        self.escaped = escaped;
        cursor.rest = lex::expect(b':', after, &mut cursor.notes)?;
        Ok(true)
    }

    /// The last key decoded. Half a surrogate pair in it is an error.
    #[cold]
    pub(in crate::mcp) fn decoded_key(&self, cursor: &Cursor<'_>) -> Result<String, Fault> {
        if text::is_well_formed(self.key) { Ok(text::decode(self.key)) } else { Err(Fault::syntax(cursor.rest)) }
    }
}

// === impl Elements ===

impl Elements {
    /// Goes to the next element, or takes the closing bracket; `false` for that.
    pub(in crate::mcp) fn next(&mut self, cursor: &mut Cursor<'_>) -> Result<bool, Fault> {
        let mut rest = lex::space(cursor.rest, &mut cursor.notes);
        if let [b']', after @ ..] = rest {
            cursor.rest = after;
            cursor.depth -= 1;
            return Ok(false);
        }
        if !std::mem::take(&mut self.first) {
            let [b',', after @ ..] = rest else { return Err(Fault::syntax(rest)) };
            rest = after;
        }
        cursor.rest = rest;
        Ok(true)
    }
}
