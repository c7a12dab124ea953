//! A client's request as the backend has to read it: only the id, the name, the progress token and the members of
//! `_meta` that belong to one era change, or say more than the backend may know; every other byte is the client's.

use std::fmt::Write as _;

use super::{Call, greeting, profiles};
use crate::catalog::Era;
use crate::mcp::envelope::Id;
use crate::mcp::header;
use crate::mcp::json::{Kind, Span};
use crate::mcp::splice::Splice;

/// Text that a splice borrows: written once per call.
#[derive(Debug, Default)]
pub(super) struct Scratch {
    id: String,
    name: String,
    meta: String,
}

/// The id of `server/discover` where several messages share a channel; minted ids begin above it.
pub(super) const DISCOVER_ID: u64 = 0;
/// The id of `initialize` there.
pub(super) const INITIALIZE_ID: u64 = 1;
const FIRST_ID: u64 = 2;

/// Ids that are unique over all workers of a gateway without a shared counter: worker `w` of `n` mints `2 + w`,
/// `2 + w + n`, …
#[derive(Debug)]
pub(super) struct Ids {
    next: std::cell::Cell<u64>,
    step: u64,
}

// === impl Ids ===

impl Ids {
    /// The ids of one worker.
    pub(super) fn new(worker: usize, workers: usize) -> Self {
        Self { next: std::cell::Cell::new(FIRST_ID + worker as u64), step: workers.max(1) as u64 }
    }

    /// The same ids once more, for another connection.
    #[cfg(feature = "transport-sse")]
    pub(super) fn anew(&self) -> Self {
        Self { next: std::cell::Cell::new(FIRST_ID + (self.next.get() - FIRST_ID) % self.step), step: self.step }
    }

    /// The worker that minted an id.
    pub(super) fn worker(id: u64, workers: usize) -> Option<usize> {
        usize::try_from(id.checked_sub(FIRST_ID)? % workers.max(1) as u64).ok()
    }

    /// The next one.
    pub(super) fn mint(&self) -> u64 {
        let id = self.next.get();
        self.next.set(id + self.step);
        id
    }
}

// === impl Scratch ===

impl Scratch {
    /// Prepares what `splice` will borrow.
    pub(super) fn prepare(&mut self, call: &Call<'_>, era: Era, id: u64) {
        self.id.clear();
        self.name.clear();
        self.meta.clear();
        let _infallible = write!(self.id, "{id}");
        if let Some(target) = call.target.filter(|target| target.renamed) {
            if target.name.bytes().all(|byte| byte >= b' ' && byte != b'"' && byte != b'\\') {
                self.name.extend(["\"", target.name, "\""]);
            } else {
                self.name = serde_json::Value::from(target.name).to_string();
            }
        }
        if (call.era, era) == (Era::Legacy, Era::Modern) {
            let (before, after) = match (call.head.params, call.head.meta) {
                // A legacy client may have written modern members by chance: the gateway's take their place.
                (Some(_), Some(meta)) if meta.members as usize == meta.cuts.iter().flatten().count() => ("", ""),
                (Some(_), Some(_)) => ("", ","),
                (Some(_), None) if call.head.params_empty => (r#""_meta":{"#, "}"),
                (Some(_), None) => (r#""_meta":{"#, "},"),
                (None, _) => (r#","params":{"_meta":{"#, "}}"),
            };
            self.meta.extend([before, greeting::META, &call.profile.and(call.asks).capabilities()]);
            if let Some(level) = call.log_level {
                let _infallible = write!(self.meta, r#","io.modelcontextprotocol/logLevel":"{}""#, level.as_str());
            }
            self.meta.push_str(after);
        } else if (call.era, era) == (Era::Modern, Era::Modern) {
            self.meta.extend(profiles::withheld(call));
        }
    }

    /// The message for the backend.
    pub(super) fn splice<'a>(&'a self, call: &'a Call<'a>, era: Era) -> Splice<'a> {
        let mut splice = Splice::new(call.source);
        if let Id::Number(span) | Id::String(span) = call.head.id {
            splice.replace(span, self.id.as_bytes());
        }
        if let Some(target) = call.target.filter(|target| target.renamed) {
            splice.replace(target.span, self.name.as_bytes());
        }
        if let Some(token) = call.head.meta.and_then(|meta| meta.progress_token) {
            splice.replace(token.span, self.id.as_bytes());
        }
        match (call.era, era) {
            (Era::Modern, Era::Legacy) => {
                cut_modern_meta(call, &mut splice);
            }
            (Era::Legacy, Era::Modern) => {
                splice.insert(meta_place(call), self.meta.as_bytes());
                cut_modern_meta(call, &mut splice);
            }
            (Era::Modern, Era::Modern) if !self.meta.is_empty() => {
                let declared = call.head.meta.and_then(|meta| meta.client_capabilities);
                declared.into_iter().for_each(|declared| splice.replace(declared.span, self.meta.as_bytes()));
            }
            _ => {}
        }
        splice
    }
}

/// Takes the members of `_meta` away that make a request modern.
fn cut_modern_meta(call: &Call<'_>, splice: &mut Splice<'_>) {
    for span in call.head.meta.iter().flat_map(|meta| meta.cut([true; 4])) {
        splice.cut(span);
    }
}

/// Where the members of `_meta` that make a request modern go in.
fn meta_place(call: &Call<'_>) -> u32 {
    match (call.head.params, call.head.meta) {
        (Some(_), Some(meta)) => meta.value.start + 1,
        (Some(params), None) => {
            debug_assert_eq!(params.kind, Kind::Object, "the proxy refused every other kind");
            params.span.start + 1
        }
        // Before the brace that ends the message, which has members: it is a request.
        (None, _) => call.head.root.end - 1,
    }
}

/// Appends the fields that a call brings along. A modern server gets `Mcp-Param-*`: those it wants, as the message has them,
/// and those it does not know, as they came (MCP 2026-07-28, custom headers from tool parameters). The context of a trace
/// (W3C) goes on to servers of both eras.
pub(super) fn push_fields(call: &Call<'_>, era: Era, request: &mut Vec<u8>) {
    let wants = if era == Era::Modern { call.headers } else { &[] };
    // The proxy refused what is ambiguous to a client; here it is a server's own idea, which it then misses.
    for (wanted, argument) in header::arguments(wants, call.source, call.head.arguments) {
        request.extend_from_slice(b"mcp-param-");
        request.extend_from_slice(wanted.as_bytes());
        request.extend_from_slice(b": ");
        header::encode(&argument, request);
        request.extend_from_slice(b"\r\n");
    }
    for (name, value) in call.passed_on {
        let is_written = || call.headers.iter().any(|wanted| header::is_param(name, &wanted.header));
        if !header::is_any_param(name) || era == Era::Modern && !is_written() {
            push_field(request, name.as_bytes(), value);
        }
    }
}

/// Appends a field.
pub(super) fn push_field(request: &mut Vec<u8>, name: &[u8], value: &[u8]) {
    request.extend_from_slice(name);
    request.extend_from_slice(b": ");
    request.extend_from_slice(value);
    request.extend_from_slice(b"\r\n");
}

/// The span of an id that can be echoed.
pub(super) fn id_span(id: Id) -> Option<Span> {
    match id {
        Id::Number(span) | Id::String(span) => Some(span),
        Id::Absent | Id::Null | Id::Invalid => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::mcp::client::Profile;
    use crate::mcp::envelope;

    fn spliced(source: &str, from: Era, to: Era) -> Value {
        let head = envelope::incoming(source.as_bytes()).expect("a message");
        let call = Call { asks: Profile::ASKABLE, ..Call::own(source.as_bytes(), &head, "tools/call", from) };
        let mut scratch = Scratch::default();
        scratch.prepare(&call, to, 7);
        let mut out = Vec::new();
        scratch.splice(&call, to).write(&mut out);
        serde_json::from_slice(&out).expect("what is spliced is JSON")
    }

    #[test]
    fn a_legacy_request_gets_the_metadata_of_a_modern_one() {
        let version = "io.modelcontextprotocol/protocolVersion";
        for (params, kept) in [
            ("", json!({})),
            (r#","params":{}"#, json!({})),
            (r#","params":{"name":"a"}"#, json!({})),
            (r#","params":{"_meta":{}}"#, json!({})),
            (r#","params":{"_meta":{"x":1}}"#, json!({ "x": 1 })),
            (r#","params":{"_meta":{"io.modelcontextprotocol/clientCapabilities":{"sampling":{}}}}"#, json!({})),
            (
                r#","params":{"_meta":{"io.modelcontextprotocol/clientCapabilities":{"sampling":{}},"x":1}}"#,
                json!({ "x": 1 }),
            ),
            (
                r#","params":{"_meta":{"x":1,"io.modelcontextprotocol/clientInfo":{},"progressToken":"t"}}"#,
                json!({ "x": 1, "progressToken": 7 }),
            ),
        ] {
            let source = format!(r#"{{"jsonrpc":"2.0","id":"c","method":"tools/call"{params}}}"#);
            let message = spliced(&source, Era::Legacy, Era::Modern);
            let meta = message["params"]["_meta"].as_object().expect("metadata");
            assert_eq!(message["id"], 7, "{source}");
            assert_eq!(meta[version], "2026-07-28", "{source}");
            assert_eq!(meta["io.modelcontextprotocol/clientCapabilities"], json!({}), "{source}");
            let own = meta.iter().filter(|(key, _)| !key.starts_with("io.modelcontextprotocol/"));
            assert_eq!(Value::Object(own.map(|(key, value)| (key.clone(), value.clone())).collect()), kept, "{source}");
        }
    }

    #[test]
    fn a_modern_request_loses_what_a_legacy_server_does_not_know() {
        let source = concat!(
            r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"_meta":{"#,
            r#""io.modelcontextprotocol/protocolVersion":"2026-07-28","x":1,"#,
            r#""io.modelcontextprotocol/clientCapabilities":{}}}}"#
        );
        assert_eq!(spliced(source, Era::Modern, Era::Legacy)["params"]["_meta"], json!({ "x": 1 }));
        assert_eq!(
            spliced(source, Era::Modern, Era::Modern)["params"],
            serde_json::from_str::<Value>(source).expect("JSON")["params"]
        );
    }
}
