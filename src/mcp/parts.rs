//! An answer too long to hold: what comes before its result is scanned, the result passes by, what comes after it is
//! scanned again. Of the result itself only strings and brackets are looked at, to find its end.

use super::envelope::{self, Outgoing};
use super::json::{DEPTH_MAX, ScanError, Span};

/// How much may stand before and after the result.
pub const AROUND_BYTES_MAX: usize = 32 << 10;

/// Stands in for a result that is not at hand when what surrounds it is scanned.
const STAND_IN: &[u8] = b"{}";

/// Follows a result to its end, over any cuts of the source.
#[derive(Clone, Copy, Debug, Default)]
pub struct Follow {
    depth: usize,
    in_string: bool,
    escaped: bool,
}

/// The result nests deeper than [`DEPTH_MAX`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("result nests deeper than {DEPTH_MAX} levels")]
pub struct TooDeep;

impl Follow {
    /// Takes more of the result, from its `{` on. `Some(length)`: it ended after so many bytes of `part`.
    ///
    /// # Errors
    /// It nests too deep.
    pub fn take(&mut self, part: &[u8]) -> Result<Option<usize>, TooDeep> {
        let mut at = 0;
        while at < part.len() {
            if std::mem::take(&mut self.escaped) {
                at += 1;
            } else if self.in_string {
                let Some(found) = memchr::memchr2(b'"', b'\\', &part[at..]) else { return Ok(None) };
                at += found + 1;
                self.in_string = part[at - 1] == b'\\';
                self.escaped = self.in_string;
            } else {
                match part[at] {
                    b'"' => self.in_string = true,
                    b'{' | b'[' if self.depth == DEPTH_MAX => return Err(TooDeep),
                    b'{' | b'[' => self.depth += 1,
                    b'}' | b']' => {
                        self.depth = self.depth.saturating_sub(1);
                        if self.depth == 0 {
                            return Ok(Some(at + 1));
                        }
                    }
                    _ => {}
                }
                at += 1;
            }
        }
        Ok(None)
    }
}

/// Scans what stands before a result, which is an object and begins where `before` ends.
///
/// # Errors
/// It is not the beginning of a message.
pub fn opening(before: &[u8]) -> Result<Outgoing, ScanError> {
    envelope::outgoing(&[before, STAND_IN, b"}"].concat())
}

/// Scans what surrounds a result. Spans count in `before`, then two bytes for the result, then `after`.
///
/// # Errors
/// The two are not a message around a result.
pub fn around(before: &[u8], after: &[u8]) -> Result<Outgoing, ScanError> {
    envelope::outgoing(&[before, STAND_IN, after].concat())
}

/// A span that [`around`] gave, as it lies in `after`, if it does.
#[must_use]
pub fn span_after(span: Span, before: &[u8]) -> Option<Span> {
    let skipped = u32::try_from(before.len() + STAND_IN.len()).ok()?;
    Some(Span { start: span.start.checked_sub(skipped)?, end: span.end.checked_sub(skipped)? })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mcp::envelope::Id;

    #[test]
    fn a_result_is_followed_to_its_end_over_any_cuts() {
        let result = br#"{"text":"a \"}\" b \\","list":[{"x":[1,2]},"]"],"e":{}}"#;
        let source = [result, br#","id":7}"#.as_slice()].concat();
        for step in 1..=source.len() {
            let (mut follow, mut taken, mut end) = (Follow::default(), 0, None);
            for part in source.chunks(step) {
                if let Some(length) = follow.take(part).expect("shallow") {
                    end = Some(taken + length);
                    break;
                }
                taken += part.len();
            }
            assert_eq!(end, Some(result.len()), "step {step}");
        }
    }

    #[test]
    fn depth_is_bounded() {
        assert_eq!(Follow::default().take(&b"[".repeat(DEPTH_MAX)), Ok(None));
        assert_eq!(Follow::default().take(&b"[".repeat(DEPTH_MAX + 1)), Err(TooDeep));
    }

    #[test]
    fn what_surrounds_a_result_is_scanned_without_it() {
        let before = br#"{"jsonrpc":"2.0","result":"#;
        assert_eq!(opening(before).expect("a beginning").id, Id::Absent);
        let after = br#","id":7}"#;
        let Id::Number(span) = around(before, after).expect("a message").id else { panic!("a number") };
        assert_eq!(span_after(span, before).map(|span| span.of(after)), Some(b"7".as_slice()));
        assert!(around(before, b"}}").is_err());
        assert!(around(br#"{"jsonrpc":"2.0","id":1,"result":"#, after).is_err(), "two ids");
    }
}
