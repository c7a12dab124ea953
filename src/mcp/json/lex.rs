//! The grammar of RFC 8259 over slices: every function takes what is left of the source and gives back what is left
//! after one token or one value. No recursion, no allocation. Nothing here knows where the source began.

use super::{DEPTH_MAX, Kind};

/// A problem and where it shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::mcp) struct Fault {
    pub(in crate::mcp) flaw: Flaw,
    /// How much of the source was left.
    pub(in crate::mcp) left: usize,
}

/// What is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::mcp) enum Flaw {
    Syntax,
    Depth,
}

/// What was noticed on the way.
#[derive(Debug, Default)]
pub(super) struct Notes {
    /// Line feeds or carriage returns stood between tokens.
    pub(super) multiline: bool,
    /// All that is left is known to be UTF-8: checked when the first byte beyond ASCII shows.
    utf8: bool,
}

/// The arrays (0) and objects (1) that are open inside a value, the innermost in the lowest bit.
type Nesting = u128;
const _: () = assert!(Nesting::BITS as usize == DEPTH_MAX);

/// Bytes of a string looked at together.
const WORD: usize = 8;
/// Runs of a string that are longer than so many words are searched by [`memchr`]. Its setup does not pay for shorter
/// ones.
const SHORT_WORDS: usize = 4;

// === impl Fault ===

impl Fault {
    #[cold]
    pub(super) fn syntax(rest: &[u8]) -> Self {
        Self { flaw: Flaw::Syntax, left: rest.len() }
    }
}

/// Skips white space.
#[inline]
pub(super) fn space<'a>(mut rest: &'a [u8], notes: &mut Notes) -> &'a [u8] {
    while let [byte @ ..=b' ', after @ ..] = rest {
        match byte {
            b' ' | b'\t' => {}
            b'\n' | b'\r' => notes.multiline = true,
            _ => break,
        }
        rest = after;
    }
    rest
}

/// Skips white space where some must stand.
#[inline(never)]
fn some_space<'a>(rest: &'a [u8], notes: &mut Notes) -> Result<&'a [u8], Fault> {
    let after = space(rest, notes);
    if after.len() == rest.len() { Err(Fault::syntax(rest)) } else { Ok(after) }
}

/// Takes `byte`, which white space may precede.
#[inline(always)]
fn expect<'a>(byte: u8, rest: &'a [u8], notes: &mut Notes) -> Result<&'a [u8], Fault> {
    match rest {
        [found, after @ ..] if *found == byte => Ok(after),
        _ => match space(rest, notes) {
            [found, after @ ..] if *found == byte => Ok(after),
            rest => Err(Fault::syntax(rest)),
        },
    }
}

/// Takes an array or object whole that stands inside `outside` others.
pub(super) fn nested<'a>(mut rest: &'a [u8], outside: usize, notes: &mut Notes) -> Result<&'a [u8], Fault> {
    let mut depth = outside;
    let mut nesting: Nesting = 0;
    'value: loop {
        if let [b'"', after @ ..] = rest {
            rest = string(after, notes)?.0;
        } else if let [open @ (b'{' | b'['), after @ ..] = rest {
            if depth == DEPTH_MAX {
                return Err(Fault { flaw: Flaw::Depth, left: rest.len() });
            }
            depth += 1;
            let object = *open == b'{';
            nesting = nesting << 1 | Nesting::from(object);
            rest = space(after, notes);
            if !matches!(rest, [b'}' | b']', ..]) {
                if object {
                    rest = key(rest, notes)?;
                }
                continue 'value;
            }
        } else if let [..=b' ', ..] = rest {
            rest = some_space(rest, notes)?;
            continue 'value;
        } else {
            rest = scalar(rest)?.0;
        }
        // A value ended. Close what ends with it.
        loop {
            let object = nesting & 1 == 1;
            match rest {
                [b',', after @ ..] => {
                    rest = if object { key(after, notes)? } else { after };
                    continue 'value;
                }
                [close @ (b'}' | b']'), after @ ..] if object == (*close == b'}') => {
                    rest = after;
                    nesting >>= 1;
                    depth -= 1;
                    if depth == outside {
                        return Ok(rest);
                    }
                }
                _ => rest = some_space(rest, notes)?,
            }
        }
    }
}

/// Takes a key that nobody looks at, and its colon.
#[inline(always)]
fn key<'a>(rest: &'a [u8], notes: &mut Notes) -> Result<&'a [u8], Fault> {
    let rest = expect(b'"', rest, notes)?;
    let (rest, _) = string(rest, notes)?;
    expect(b':', rest, notes)
}

/// Takes a number, `true`, `false` or `null`.
#[inline(always)]
pub(super) fn scalar(rest: &[u8]) -> Result<(&[u8], Kind), Fault> {
    match rest {
        [b'-' | b'0'..=b'9', ..] => Ok((number(rest)?, Kind::Number)),
        [b't', b'r', b'u', b'e', rest @ ..] => Ok((rest, Kind::Bool)),
        [b'f', b'a', b'l', b's', b'e', rest @ ..] => Ok((rest, Kind::Bool)),
        [b'n', b'u', b'l', b'l', rest @ ..] => Ok((rest, Kind::Null)),
        _ => Err(Fault::syntax(rest)),
    }
}

#[inline(always)]
fn number(rest: &[u8]) -> Result<&[u8], Fault> {
    let mut rest = match rest {
        [b'-', rest @ ..] => rest,
        _ => rest,
    };
    rest = match rest {
        // No digit follows a leading zero.
        [b'0', rest @ ..] => rest,
        _ => digits(rest)?,
    };
    match rest {
        [b'.' | b'e' | b'E', ..] => fraction(rest),
        _ => Ok(rest),
    }
}

/// Takes what may follow the whole part of a number.
fn fraction(mut rest: &[u8]) -> Result<&[u8], Fault> {
    if let [b'.', after @ ..] = rest {
        rest = digits(after)?;
    }
    if let [b'e' | b'E', b'+' | b'-', after @ ..] | [b'e' | b'E', after @ ..] = rest {
        rest = digits(after)?;
    }
    Ok(rest)
}

/// Takes one digit or more.
#[inline(always)]
fn digits(rest: &[u8]) -> Result<&[u8], Fault> {
    let [b'0'..=b'9', rest @ ..] = rest else { return Err(Fault::syntax(rest)) };
    let mut rest = rest;
    while let [b'0'..=b'9', after @ ..] = rest {
        rest = after;
    }
    Ok(rest)
}

/// Takes a string from behind its opening quote. Returns whether it holds an escape.
#[inline(always)]
pub(super) fn string<'a>(mut rest: &'a [u8], notes: &mut Notes) -> Result<(&'a [u8], bool), Fault> {
    for _ in 0..SHORT_WORDS {
        let Some(word) = rest.first_chunk() else { break };
        if let Some(plain) = first_special(*word) {
            if let [b'"', rest @ ..] = &rest[plain..] {
                return Ok((rest, false));
            }
            break;
        }
        rest = &rest[WORD..];
    }
    long_string(rest, notes)
}

/// Takes the rest of a string that is long or holds more than plain characters.
#[inline(never)]
fn long_string<'a>(mut rest: &'a [u8], notes: &mut Notes) -> Result<(&'a [u8], bool), Fault> {
    let mut escaped = false;
    loop {
        rest = plain_run(rest, notes)?;
        rest = match rest {
            [b'"', rest @ ..] => return Ok((rest, escaped)),
            [b'\\', b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't', rest @ ..] => {
                escaped = true;
                rest
            }
            [b'\\', b'u', a, b, c, d, rest @ ..] if [a, b, c, d].into_iter().all(u8::is_ascii_hexdigit) => {
                escaped = true;
                rest
            }
            [0x80..=0xff, ..] => beyond_ascii(rest, notes)?,
            _ => return Err(Fault::syntax(rest)),
        };
    }
}

/// Skips the characters of a string that stand for themselves, of those beyond ASCII only some.
#[inline(always)]
fn plain_run<'a>(mut rest: &'a [u8], notes: &mut Notes) -> Result<&'a [u8], Fault> {
    for _ in 0..SHORT_WORDS {
        let Some(word) = rest.first_chunk() else {
            let plain = rest.iter().position(|&byte| !matches!(byte, b' '..0x80) || matches!(byte, b'"' | b'\\'));
            return Ok(&rest[plain.unwrap_or(rest.len())..]);
        };
        if let Some(plain) = first_special(*word) {
            return Ok(&rest[plain..]);
        }
        rest = &rest[WORD..];
    }
    let Some(length) = memchr::memchr2(b'"', b'\\', rest) else { return Err(Fault::syntax(&[])) };
    let (run, rest_after) = rest.split_at(length);
    if run.iter().fold(0, |most, byte| most.max(byte.wrapping_sub(b' '))) > 0x7f - b' ' {
        if run.iter().fold(b' ', |least, &byte| least.min(byte)) < b' ' {
            return Err(Fault::syntax(rest));
        }
        validate_utf8(rest, notes)?;
    }
    Ok(rest_after)
}

/// Skips the bytes beyond ASCII that stand here.
fn beyond_ascii<'a>(rest: &'a [u8], notes: &mut Notes) -> Result<&'a [u8], Fault> {
    validate_utf8(rest, notes)?;
    let length = rest.iter().position(u8::is_ascii).unwrap_or(rest.len());
    Ok(&rest[length..])
}

/// Checks all that is left, once. Before `rest` no byte beyond ASCII stood, because outside strings it is an error.
fn validate_utf8(rest: &[u8], notes: &mut Notes) -> Result<(), Fault> {
    if !notes.utf8 {
        std::str::from_utf8(rest).map_err(|error| Fault::syntax(&rest[error.valid_up_to()..]))?;
        notes.utf8 = true;
    }
    Ok(())
}

/// The first byte that is not plain: a control character, `"`, `\`, or beyond ASCII.
#[inline(always)]
fn first_special(word: [u8; WORD]) -> Option<usize> {
    const fn all(byte: u8) -> u64 {
        u64::from_ne_bytes([byte; WORD])
    }
    let word = u64::from_le_bytes(word);
    // Flipping bit 1 moves `"` (0x22) right behind the control characters: both are now up to 0x20. In ASCII bytes the
    // sums then have their high bit set where the byte is plain, and do not carry. Bytes beyond ASCII do carry, but only
    // into later ones, and only the first matters.
    let above_quote = (word ^ all(0x02)).wrapping_add(all(0x7f - b' '));
    let no_backslash = (word ^ all(b'\\')).wrapping_add(all(0x7f));
    let special = (!(above_quote & no_backslash) | word) & all(0x80);
    (special != 0).then(|| (special.trailing_zeros() / 8) as usize)
}
