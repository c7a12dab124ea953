//! Strings as they stand in the source: comparing and decoding them. Escapes were checked by the cursor before.

use std::borrow::Cow;
use std::iter;

use super::Span;

/// A string as it stands in the source; the span is between its quotes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Text {
    /// Between the quotes.
    pub span: Span,
    /// Whether it holds at least one escape.
    pub escaped: bool,
}

/// A part of a string between its quotes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Piece<'a> {
    /// Bytes that stand for themselves.
    Plain(&'a [u8]),
    /// What an escape stands for; a surrogate pair is one.
    Escape(char),
    /// Half a surrogate pair, which is no character.
    Lone,
}

// === impl Text ===

impl Text {
    /// Whether it decodes to `other`. Allocates nothing.
    #[inline]
    #[must_use]
    pub fn is(self, source: &[u8], other: &str) -> bool {
        let raw = self.span.of(source);
        if self.escaped { is_escaped(raw, other.as_bytes()) } else { raw == other.as_bytes() }
    }

    /// The decoded string: borrowed from the source where nothing is escaped. Half a surrogate pair, which only strings
    /// that the gateway does not decide on may hold, becomes U+FFFD.
    #[must_use]
    pub fn decode(self, source: &[u8]) -> Cow<'_, str> {
        let raw = self.span.of(source);
        if !self.escaped {
            return String::from_utf8_lossy(raw);
        }
        Cow::Owned(decode(raw))
    }
}

/// Decodes what stands between quotes, as [`Text::decode`] does.
pub(super) fn decode(raw: &[u8]) -> String {
    let mut decoded = String::with_capacity(raw.len());
    for piece in pieces(raw) {
        match piece {
            Piece::Plain(bytes) => decoded.push_str(&String::from_utf8_lossy(bytes)),
            Piece::Escape(char) => decoded.push(char),
            Piece::Lone => decoded.push(char::REPLACEMENT_CHARACTER),
        }
    }
    decoded
}

/// Whether every surrogate in what stands between quotes is half of a pair.
pub(super) fn is_well_formed(raw: &[u8]) -> bool {
    pieces(raw).all(|piece| piece != Piece::Lone)
}

#[cold]
fn is_escaped(raw: &[u8], mut other: &[u8]) -> bool {
    let mut buffer = [0; 4];
    for piece in pieces(raw) {
        let rest = match piece {
            Piece::Plain(bytes) => other.strip_prefix(bytes),
            Piece::Escape(char) => other.strip_prefix(char.encode_utf8(&mut buffer).as_bytes()),
            Piece::Lone => None,
        };
        let Some(rest) = rest else { return false };
        other = rest;
    }
    other.is_empty()
}

/// Takes a string apart whose escapes are known to be complete.
fn pieces(mut raw: &[u8]) -> impl Iterator<Item = Piece<'_>> {
    iter::from_fn(move || {
        let plain = memchr::memchr(b'\\', raw).unwrap_or(raw.len());
        if plain > 0 {
            let (piece, rest) = raw.split_at(plain);
            raw = rest;
            return Some(Piece::Plain(piece));
        }
        let [_, kind, rest @ ..] = raw else { return None };
        raw = rest;
        let char = match kind {
            b'b' => '\u{8}',
            b'f' => '\u{c}',
            b'n' => '\n',
            b'r' => '\r',
            b't' => '\t',
            b'u' => return Some(unicode(&mut raw)),
            &same => char::from(same),
        };
        Some(Piece::Escape(char))
    })
}

/// Takes the hex digits after `\u`, and the second half where they are the first half of a pair.
fn unicode(raw: &mut &[u8]) -> Piece<'static> {
    let first = hex4(raw);
    if (0xd800..0xdc00).contains(&first)
        && let Some(mut after) = raw.strip_prefix(b"\\u")
        && let second @ 0xdc00..0xe000 = hex4(&mut after)
    {
        *raw = after;
        let pair = 0x1_0000 + ((first - 0xd800) << 10) + (second - 0xdc00);
        return char::from_u32(pair).map_or(Piece::Lone, Piece::Escape);
    }
    char::from_u32(first).map_or(Piece::Lone, Piece::Escape)
}

fn hex4(raw: &mut &[u8]) -> u32 {
    let (digits, rest) = raw.split_at(raw.len().min(4));
    *raw = rest;
    digits.iter().fold(0, |value, &digit| value << 4 | char::from(digit).to_digit(16).unwrap_or(0))
}
