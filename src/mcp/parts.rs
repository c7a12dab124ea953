//! An answer too long to hold, or too deep to scan: what comes before its result is scanned, the result passes by, what
//! comes after it is scanned again. Of the result itself only strings and brackets are looked at, to find its end.

use super::envelope::{self, Id, Outgoing, Shape};
use super::json::{DEPTH_MAX, ScanError, ScanErrorKind, Span};

/// How much may stand before and after the result.
pub const AROUND_BYTES_MAX: usize = 32 << 10;

/// Stands in for a result that is not at hand when what surrounds it is scanned.
const STAND_IN: &[u8] = b"{}";

/// Follows a result to its end, over any cuts of the source.
#[derive(Clone, Copy, Debug)]
pub struct Follow {
    depth_max: usize,
    depth: usize,
    in_string: bool,
    escaped: bool,
}

/// The result nests deeper than [`DEPTH_MAX`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("result nests deeper than {DEPTH_MAX} levels")]
pub struct TooDeep;

/// Scans what a backend wrote. Of an answer whose result nests too deep there is all but the result: it is a response
/// with neither that nor an error.
///
/// # Errors
/// As [`envelope::outgoing`].
pub fn outgoing(source: &[u8]) -> Result<Outgoing, ScanError> {
    envelope::outgoing(source).or_else(|error| match error.kind {
        ScanErrorKind::Depth => deep(source).map(|(head, _)| head).ok_or(error),
        _ => Err(error),
    })
}

/// The result of an answer that [`outgoing`] scanned, however deep it nests: whether one that is too deep is JSON at all,
/// nobody knows.
#[must_use]
pub fn result<'s>(source: &'s [u8], head: &Outgoing) -> Option<&'s [u8]> {
    match head.result {
        Some(result) => Some(result.span.of(source)),
        None if head.shape == Shape::Response && head.error.is_none() => deep(source).map(|(_, span)| span.of(source)),
        None => None,
    }
}

/// What surrounds the result of an answer, and where that stands.
fn deep(source: &[u8]) -> Option<(Outgoing, Span)> {
    let start = envelope::result_offset(source)?;
    let length = Follow { depth_max: usize::MAX, ..Follow::default() }.take(&source[start..]).ok()??;
    let (before, after) = (&source[..start], &source[start + length..]);
    let head = around(before, after).ok().filter(|head| head.shape == Shape::Response)?;
    let skipped = u32::try_from(start + length).ok()?;
    let placed = |span: Span| match span_after(span, before) {
        Some(Span { start, end }) => Span { start: start + skipped, end: end + skipped },
        None => span,
    };
    let id = match head.id {
        Id::Number(span) => Id::Number(placed(span)),
        Id::String(span) => Id::String(placed(span)),
        other => other,
    };
    let head = Outgoing { shape: head.shape, version_ok: head.version_ok, id, ..Outgoing::default() };
    Some((head, Span { start: u32::try_from(start).ok()?, end: skipped }))
}

// === impl Follow ===

impl Default for Follow {
    /// Down to [`DEPTH_MAX`].
    fn default() -> Self {
        Self { depth_max: DEPTH_MAX, depth: 0, in_string: false, escaped: false }
    }
}

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
                    b'{' | b'[' if self.depth == self.depth_max => return Err(TooDeep),
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
    fn an_answer_that_nests_too_deep_lacks_its_result_alone() {
        let deep = format!(r#"{{"tools":[{}"}}\""{}]}}"#, "[{\"a\":".repeat(10_000), "}]".repeat(10_000));
        let id_of = |source: &str| match outgoing(source.as_bytes()).expect("an answer").id {
            Id::Number(span) | Id::String(span) => String::from_utf8_lossy(span.of(source.as_bytes())).into_owned(),
            other => panic!("{other:?}"),
        };
        for (before, after, id) in [
            (r#"{"jsonrpc":"2.0","id":17,"result":"#, "}", "17"),
            (r#"{"result": "#, r#" , "jsonrpc":"2.0","id":"a"}"#, r#""a""#),
            (r#" {"x":[{}],"jsonrpc":"2.0","result":"#, r#","id":17,"y":{"result":1}} "#, "17"),
        ] {
            let source = format!("{before}{deep}{after}");
            assert!(envelope::outgoing(source.as_bytes()).is_err());
            let head = outgoing(source.as_bytes()).expect("an answer");
            assert_eq!((head.shape, head.version_ok, id_of(&source)), (Shape::Response, true, id.to_owned()));
            assert_eq!((head.result, head.error), (None, None));
            assert_eq!(result(source.as_bytes(), &head), Some(deep.as_bytes()));
            let shallow = format!("{before}{{}}{after}");
            let head = outgoing(shallow.as_bytes()).expect("an answer");
            assert_eq!((result(shallow.as_bytes(), &head), id_of(&shallow)), (Some(b"{}".as_slice()), id.to_owned()));
        }
        for (before, after) in [
            // Not the result is too deep, or that is no message.
            (r#"{"jsonrpc":"2.0","id":1,"error":"#, "}"),
            (r#"{"jsonrpc":"2.0","id":1,"result":{},"x":"#, "}"),
            (r#"{"jsonrpc":"2.0","id":1,"method":"m","params":"#, "}"),
            (r#"{"jsonrpc":"2.0","id":1,"method":"m","result":"#, "}"),
            (r#"{"jsonrpc":"2.0","id":1,"result":"#, ""),
            (r#"{"jsonrpc":"2.0","id":1,"result":"#, "}}"),
            (r#"{"jsonrpc":"2.0","id":1,"result":[1],"result":"#, "}"),
        ] {
            let source = format!("{before}{deep}{after}");
            let error = outgoing(source.as_bytes()).expect_err("no answer");
            assert_eq!(error.kind, ScanErrorKind::Depth, "{before}");
        }
        let error = outgoing(br#"{"jsonrpc":"2.0","id":1,"error":{"code":1}}"#).expect("an error");
        assert_eq!(result(br#"{"jsonrpc":"2.0","id":1,"error":{"code":1}}"#, &error), None);
        assert_eq!(outgoing(deep.as_bytes()).expect_err("no message").kind, ScanErrorKind::Depth);
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
