//! A client's request as the backend has to read it: only the id, the name, the progress token and the members of
//! `_meta` that belong to one era change; every other byte is the client's.

use std::fmt::Write as _;

use super::{Call, greeting};
use crate::catalog::Era;
use crate::mcp::envelope::Id;
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
                (Some(_), Some(meta)) if meta.empty => ("", ""),
                (Some(_), Some(_)) => ("", ","),
                (Some(_), None) if call.head.params_empty => (r#""_meta":{"#, "}"),
                (Some(_), None) => (r#""_meta":{"#, "},"),
                (None, _) => (r#","params":{"_meta":{"#, "}}"),
            };
            self.meta.extend([before, greeting::META]);
            if let Some(level) = call.log_level {
                let _infallible = write!(self.meta, r#","io.modelcontextprotocol/logLevel":"{}""#, level.as_str());
            }
            self.meta.push_str(after);
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
                for span in call.head.meta.iter().flat_map(|meta| meta.cut([true; 4])).flatten() {
                    splice.cut(span);
                }
            }
            (Era::Legacy, Era::Modern) => splice.insert(meta_place(call), self.meta.as_bytes()),
            _ => {}
        }
        splice
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

/// The span of an id that can be echoed.
pub(super) fn id_span(id: Id) -> Option<Span> {
    match id {
        Id::Number(span) | Id::String(span) => Some(span),
        Id::Absent | Id::Null | Id::Invalid => None,
    }
}
