//! One scan of a JSON-RPC message: what it is, and where its routable parts stand. Nothing is built; every result is a
//! span into the source. The scan accepts exactly the JSON of RFC 8259 up to [`super::json::DEPTH_MAX`] levels.

mod members;
mod scan;

use smallvec::SmallVec;

pub(super) use members::CutFinder;

use super::json::{Cursor, Kind, ScanError, Span, Text, Value};

/// The id of a message as it stands in the source.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Id {
    /// No `id` member.
    #[default]
    Absent,
    /// `"id": null`, which is not the same.
    Null,
    /// An integer (a fraction of zeros is allowed: `1.0`), echoed as written.
    Number(Span),
    /// A string, span with its quotes, echoed as written.
    String(Span),
    /// Anything else, longer than [`crate::limits::ID_BYTES_MAX`], or there twice.
    Invalid,
}

/// What a message is by its members.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Shape {
    /// `method` and `id`, whatever the id is.
    Request,
    /// `method` without `id`.
    Notification,
    /// `result` or `error`, no `method`.
    Response,
    /// None of the three, or a mixture.
    #[default]
    Invalid,
}

/// `params._meta`, as far as the gateway decides on it.
#[derive(Clone, Copy, Debug, Default)]
pub struct Meta {
    /// The whole object, with its braces.
    pub value: Span,
    /// Whether it has no members.
    pub empty: bool,
    /// How many members it has.
    pub members: u32,
    /// `io.modelcontextprotocol/protocolVersion`
    pub protocol_version: Option<Value>,
    /// `io.modelcontextprotocol/clientCapabilities`
    pub client_capabilities: Option<Value>,
    /// `io.modelcontextprotocol/clientInfo`
    pub client_info: Option<Value>,
    /// `io.modelcontextprotocol/logLevel`
    pub log_level: Option<Value>,
    /// `progressToken`
    pub progress_token: Option<Value>,
    /// Where each of the four `io.modelcontextprotocol/` members above stands, in that order: see [`Meta::cut`].
    pub cuts: [Option<Cut>; 4],
}

/// A member of an object that may be taken away, together with the one comma that then goes too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cut {
    /// From its key to the key of the next member; to the end of its value when it is the last.
    pub span: Span,
    /// The offset of the comma before it; of its key when it is the first.
    pub comma: u32,
    /// Whether it is the last member.
    pub last: bool,
}

/// A request, notification or response from a client, scanned.
#[derive(Clone, Copy, Debug, Default)]
pub struct Incoming {
    /// What it is.
    pub shape: Shape,
    /// Whether `jsonrpc` is `"2.0"`.
    pub version_ok: bool,
    /// Its id.
    pub id: Id,
    /// `method`; `None` when absent or not a string.
    pub method: Option<Text>,
    /// The message from `{` to `}`, without the white space around it.
    pub root: Span,
    /// `params`.
    pub params: Option<Value>,
    /// Whether `params` is an object without members.
    pub params_empty: bool,
    /// `params.name`
    pub name: Option<Value>,
    /// `params.uri`
    pub uri: Option<Value>,
    /// `params.cursor`
    pub cursor: Option<Value>,
    /// `params.taskId`
    pub task_id: Option<Value>,
    /// `params.requestId` (of `notifications/cancelled`)
    pub request_id: Option<Value>,
    /// `params.arguments`
    pub arguments: Option<Value>,
    /// `params.task` (of `tools/call`, legacy only)
    pub task: Option<Value>,
    /// `params.ref` (of `completion/complete`)
    pub reference: Option<Value>,
    /// Whether `params.requestState` is there, or `params.inputResponses` with anything in it: the request resumes one that was
    /// answered with a question.
    pub resumes: bool,
    /// `params._meta`; `None` when absent. When it is not an object only `value` is set and `meta_kind` says so.
    pub meta: Option<Meta>,
    /// The kind of `params._meta`.
    pub meta_kind: Option<Kind>,
    /// Line feeds or carriage returns stand between tokens: strip them before writing to anything framed by lines.
    pub multiline: bool,
}

/// A message from a backend, scanned.
#[derive(Clone, Copy, Debug, Default)]
pub struct Outgoing {
    /// What it is.
    pub shape: Shape,
    /// Whether `jsonrpc` is `"2.0"`.
    pub version_ok: bool,
    /// Its id.
    pub id: Id,
    /// `method`, of requests and notifications; `None` when absent or not a string.
    pub method: Option<Text>,
    /// The message from `{` to `}`, without the white space around it.
    pub root: Span,
    /// `params`, of requests and notifications.
    pub params: Option<Value>,
    /// `params.progressToken` (of `notifications/progress`), else `params._meta.progressToken`.
    pub progress_token: Option<Value>,
    /// `params._meta`, its member `io.modelcontextprotocol/subscriptionId`.
    pub subscription_id: Option<Value>,
    /// `params.requestId` (of `notifications/cancelled`).
    pub request_id: Option<Value>,
    /// `params.level` (of `notifications/message`).
    pub level: Option<Value>,
    /// `result`.
    pub result: Option<Value>,
    /// Whether `result` is an object without members.
    pub result_empty: bool,
    /// `result.resultType`, its value.
    pub result_type: Option<Value>,
    /// Where `result.resultType` stands as a member that may be taken away.
    pub result_type_cut: Option<Cut>,
    /// `result.ttlMs`
    pub ttl_ms: Option<Value>,
    /// `result.cacheScope`
    pub cache_scope: Option<Value>,
    /// `result._meta`
    pub result_meta: Option<Value>,
    /// Whether `result._meta` is an object without members.
    pub result_meta_empty: bool,
    /// `error`.
    pub error: Option<Value>,
    /// `error.code`
    pub error_code: Option<Value>,
    /// `error.message`
    pub error_message: Option<Value>,
    /// `error.data`
    pub error_data: Option<Value>,
    /// As in [`Incoming::multiline`].
    pub multiline: bool,
}

/// Scans a message from a client.
///
/// # Errors
/// Not JSON, not an object, too deep, or a member that decides something stands twice. `ScanError::id` carries the id
/// where it was read before the error.
pub fn incoming(source: &[u8]) -> Result<Incoming, ScanError> {
    let mut message = Incoming::default();
    scan::message(source, &mut message)?;
    Ok(message)
}

/// Scans a message from a backend.
///
/// # Errors
/// As [`incoming`].
pub fn outgoing(source: &[u8]) -> Result<Outgoing, ScanError> {
    let mut message = Outgoing::default();
    scan::message(source, &mut message)?;
    Ok(message)
}

/// Where the result of a message begins, if it is an object: `source` need not hold more of the message than that.
#[must_use]
pub fn result_offset(source: &[u8]) -> Option<usize> {
    let mut cursor = Cursor::new(source)?;
    if cursor.peek() != Some(b'{') {
        return None;
    }
    let mut members = cursor.open().ok()?;
    while members.next(&mut cursor).ok()? {
        if !members.escaped && members.key == b"result" {
            return (cursor.peek() == Some(b'{')).then(|| cursor.offset() as usize);
        }
        cursor.value().ok()?;
    }
    None
}

// === impl Meta ===

impl Meta {
    /// The runs of bytes to cut so that exactly the chosen of [`Meta::cuts`] are gone and the rest is a valid object.
    #[must_use]
    pub fn cut(&self, chosen: [bool; 4]) -> SmallVec<[Span; 4]> {
        let chosen = self.cuts.iter().zip(chosen).filter_map(|(cut, chosen)| cut.filter(|_| chosen));
        let mut cuts: SmallVec<[Cut; 4]> = chosen.collect();
        cuts.sort_unstable_by_key(|cut| cut.span.start);
        Cut::together(&cuts)
    }
}

// === impl Cut ===

impl Cut {
    /// The runs of bytes to cut so that exactly these members of one object, in the order in which they stand there, are
    /// gone and the rest is a valid object. They do not overlap.
    #[must_use]
    pub fn together(cuts: &[Self]) -> SmallVec<[Span; 4]> {
        let mut spans: SmallVec<[Span; 4]> = cuts.iter().map(|cut| cut.span).collect();
        // Each takes the comma behind it. Where the cuts reach to the end of the object without a gap, the comma before
        // the first of them would be left dangling.
        let reaches_on = |index: usize| match cuts.get(index + 1) {
            Some(next) => cuts[index].span.end == next.span.start,
            None => cuts[index].last,
        };
        let run = (0..cuts.len()).rev().take_while(|index| reaches_on(*index)).last();
        if let Some(first) = run {
            spans[first].start = cuts[first].comma;
        }
        spans
    }
}

#[cfg(test)]
mod tests;
