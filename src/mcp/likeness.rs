//! What makes one request like another: the bytes of its parameters. What a request is about, and who makes it, is not
//! looked at here.

use super::envelope::Incoming;
use super::json::{Cursor, Kind};

/// Members of `_meta` that say where a request comes from and nothing of what it asks for (W3C Trace Context).
const TRACE: [&[u8]; 2] = [b"traceparent", b"tracestate"];

/// Adds what requests that are alike have in common of their parameters, which is all but the context of a trace; `None`
/// for one without parameters, or with members beside them that some server might read.
pub(crate) fn write(source: &[u8], message: &Incoming, out: &mut Vec<u8>) -> Option<()> {
    let params = message.params?.span;
    if !is_plain(source) {
        return None;
    }
    let Some(meta) = message.meta.filter(|_| message.meta_kind == Some(Kind::Object)) else {
        out.extend_from_slice(params.of(source));
        return Some(());
    };
    let own = meta.value.of(source);
    out.extend_from_slice(&source[params.start as usize..meta.value.start as usize]);
    let mut cursor = Cursor::new(own)?;
    // It was scanned as part of the message.
    let mut members = cursor.open().ok()?;
    while members.next(&mut cursor).ok()? {
        let (start, escaped, key) = (members.start as usize, members.escaped, members.key);
        cursor.value().ok()?;
        if escaped || !TRACE.contains(&key) {
            out.extend_from_slice(&own[start..cursor.offset() as usize]);
            out.push(b',');
        }
    }
    out.extend_from_slice(&source[meta.value.end as usize..params.end as usize]);
    Some(())
}

/// Whether a request has the members of its kind and no others.
fn is_plain(source: &[u8]) -> bool {
    const MEMBERS: [&[u8]; 4] = [b"jsonrpc", b"id", b"method", b"params"];
    let plain = || {
        let mut cursor = Cursor::new(source)?;
        let mut members = cursor.open().ok()?;
        while members.next(&mut cursor).ok()? {
            if members.escaped || !MEMBERS.contains(&members.key) {
                return None;
            }
            cursor.value().ok()?;
        }
        Some(())
    };
    plain().is_some()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mcp::envelope;

    fn likeness(params: &str) -> String {
        let source = format!(r#"{{"jsonrpc":"2.0","id":1,"method":"m","params":{params}}}"#);
        let message = envelope::incoming(source.as_bytes()).expect("a message");
        let mut out = Vec::new();
        write(source.as_bytes(), &message, &mut out).expect("it has parameters");
        String::from_utf8(out).expect("text")
    }

    #[test]
    fn a_request_with_other_members_is_like_none() {
        for (members, is_one) in [("", true), (r#","Params":{"b":1}"#, false), (r#","x":{}"#, false)] {
            let source = format!(r#"{{"jsonrpc":"2.0","id":1,"method":"m","params":{{"a":1}}{members}}}"#);
            let message = envelope::incoming(source.as_bytes()).expect("a message");
            assert_eq!(write(source.as_bytes(), &message, &mut Vec::new()).is_some(), is_one, "{source}");
        }
    }

    #[test]
    fn requests_are_alike_by_their_bytes_but_for_traces() {
        let one = likeness(r#"{"name":"a","_meta":{"traceparent":"00-1-1-01","v":{"x":1}},"arguments":{"b":1}}"#);
        for alike in [
            r#"{"name":"a","_meta":{"v":{"x":1},"traceparent":"00-2-2-01"},"arguments":{"b":1}}"#,
            r#"{"name":"a","_meta":{"tracestate":"x","v":{"x":1}},"arguments":{"b":1}}"#,
            r#"{"name":"a","_meta":{"v":{"x":1}},"arguments":{"b":1}}"#,
        ] {
            assert_eq!(likeness(alike), one, "{alike}");
        }
        for other in [
            r#"{"name":"a","_meta":{"v":{"x":2}},"arguments":{"b":1}}"#,
            r#"{"name":"a","_meta":{"v":{"x":1},"baggage":"t=1"},"arguments":{"b":1}}"#,
            r#"{"name":"a","_meta":{"v":{"x":1}},"arguments":{"b":1.0}}"#,
            r#"{"name":"a","_meta":{"v":{"x":1}},"arguments":{ "b":1}}"#,
            r#"{"name":"b","_meta":{"v":{"x":1}},"arguments":{"b":1}}"#,
            r#"{"name":"a","_meta":{"v":{"traceparent":1}},"arguments":{"b":1}}"#,
            r#"{"name":"a","arguments":{"b":1}}"#,
            r#"{"name":"a","_meta":{"v":{"x":1}},"arguments":{"b":1},"x":1}"#,
        ] {
            assert_ne!(likeness(other), one, "{other}");
        }
        // A member that stands twice is read by whoever gets it.
        assert_ne!(likeness(r#"{"_meta":{"v":1,"v":2}}"#), likeness(r#"{"_meta":{"v":2}}"#));
    }
}
