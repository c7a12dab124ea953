//! The grammar of RFC 8259 over slices: every function takes what is left of the source and gives back what is left
//! after one token or one value. No recursion, no allocation. Nothing here knows where the source began.

use wide::i8x16;

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
const BLOCK: usize = 16;
/// Strings of up to so many blocks are taken where they are met, longer ones by a loop elsewhere.
const SHORT_BLOCKS: usize = 4;

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
pub(super) fn expect<'a>(byte: u8, rest: &'a [u8], notes: &mut Notes) -> Result<&'a [u8], Fault> {
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
    for _ in 0..SHORT_BLOCKS {
        let Some((block, after)) = rest.split_first_chunk() else { break };
        let special = specials(*block).to_bitmask();
        if special != 0 {
            rest = &rest[special.trailing_zeros() as usize..];
            if let [b'"', after @ ..] = rest {
                return Ok((after, false));
            }
            break;
        }
        rest = after;
    }
    long_string(rest, notes)
}

/// Takes the rest of a string that is long or holds more than plain characters.
#[inline(never)]
fn long_string<'a>(mut rest: &'a [u8], notes: &mut Notes) -> Result<(&'a [u8], bool), Fault> {
    let mut escaped = false;
    loop {
        rest = plain_run(rest);
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

/// Skips the characters of a string that stand for themselves and are ASCII.
#[inline(always)]
fn plain_run(mut rest: &[u8]) -> &[u8] {
    loop {
        for _ in 0..SHORT_BLOCKS {
            let Some((block, after)) = rest.split_first_chunk() else { return plain_tail(rest) };
            let special = specials(*block).to_bitmask();
            if special != 0 {
                return &rest[special.trailing_zeros() as usize..];
            }
            rest = after;
        }
        while let Some((blocks, after)) = rest.split_first_chunk::<{ 4 * BLOCK }>() {
            let (blocks, _) = blocks.as_chunks();
            if blocks.iter().fold(i8x16::ZERO, |special, block| special | specials(*block)).to_bitmask() != 0 {
                break;
            }
            rest = after;
        }
    }
}

/// As [`plain_run`], of less than a block.
fn plain_tail(rest: &[u8]) -> &[u8] {
    let plain = |byte: &u8| matches!(byte, b' '..=0x7f) && !matches!(byte, b'"' | b'\\');
    let length = rest.iter().position(|byte| !plain(byte)).unwrap_or(rest.len());
    &rest[length..]
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

/// All bits in each byte that is not plain: control characters, `"`, `\`, and what is beyond ASCII.
#[inline(always)]
fn specials(block: [u8; BLOCK]) -> i8x16 {
    let block: i8x16 = wide::bytemuck::cast(block);
    // Flipping bit 1 moves `"` (0x22) right behind the control characters, and signed, bytes beyond ASCII are below
    // those: one comparison finds all three.
    let up_to_quote = (block ^ i8x16::splat(0x02)).simd_lt(i8x16::splat(0x21));
    let backslash = block.simd_eq(i8x16::splat(b'\\'.cast_signed()));
    up_to_quote | backslash
}
