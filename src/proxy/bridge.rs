//! The answers and notifications of a backend as the client has to read them: its own id and token, the result shape of
//! its era (protocol differences of MCP 2026-07-28 against the legacy revisions), and edits that others have found to be
//! made in it; every other byte is the backend's.

use std::cell::Cell;
use std::time::Duration;

use only1mcp_model::SERVER_INFO;
use smallvec::SmallVec;

use super::edition::Edits;
use super::parked::Desk;
use super::tasks;
use crate::catalog::{Catalog, Era, Revision, View};
use crate::mcp::client::{Profile, SessionKey};
use crate::mcp::envelope::{Cut, Id, Incoming, Outgoing};
use crate::mcp::json::{Kind, Span, Text, Value};
use crate::mcp::method::{CallKind, Level};
use crate::mcp::splice::Splice;
use crate::mcp::{parts, path};
use crate::upstream::balance::HeaderKey;
use crate::upstream::{Error, Message};

/// The client's side of one call.
#[derive(Debug)]
pub(crate) struct Caller<'a> {
    /// The catalog that its call is about.
    pub(crate) catalog: Catalog,
    /// What it sees of that.
    pub(crate) view: &'static View,
    /// The era it speaks.
    pub(crate) era: Era,
    /// Which revision of that.
    pub(crate) revision: Revision,
    /// Its message.
    pub(crate) source: &'a [u8],
    /// Where its parts stand.
    pub(crate) head: &'a Incoming,
    /// Its id as written.
    pub(crate) id: &'a [u8],
    /// What it asked.
    pub(crate) kind: CallKind,
    /// The least severity of log messages it wants with this call; `None` for none at all.
    pub(crate) log_level: Option<Level>,
    /// Whether it can read an event stream.
    pub(crate) accepts_stream: bool,
    /// After which time without an answer its stream begins, if it can read one.
    pub(crate) quiet: Duration,
    /// The session that a legacy client speaks in.
    pub(crate) session: Option<SessionKey>,
    /// What a legacy client said it can do when that began.
    pub(crate) profile: Profile,
    /// What of its headers decides where the call goes.
    pub(crate) header_keys: &'a [HeaderKey],
    /// Where a modern client is asked things that its backend wants to know meanwhile, if it can be.
    pub(crate) desk: Option<&'a Desk<'a>>,
    /// The call is made for several clients: set where its backend asks them something, which ends it.
    pub(crate) apart: Option<&'a Cell<bool>>,
}

// === impl Caller ===

impl Caller<'_> {
    /// Whether something of the call, or told with it, is for this client alone: progress, log messages, a task, and what
    /// goes on with an earlier call.
    pub(crate) fn tells_one_alone(&self) -> bool {
        let head = self.head;
        // What sessions begin with is no wish for log messages.
        let wants_log = match self.era {
            Era::Modern => self.log_level.is_some(),
            Era::Legacy => self.log_level.is_some_and(|level| level != Level::DEFAULT),
        };
        let wants_progress = head.meta.is_some_and(|meta| meta.progress_token.is_some());
        wants_log || wants_progress || head.resumes || head.task.is_some()
    }
}

const COMPLETE: &[u8] = br#""resultType":"complete""#;
const COMPLETE_AND: &[u8] = br#""resultType":"complete","#;
const UNCACHED: &[u8] = br#""ttlMs":0,"cacheScope":"private","#;
/// The key of [`SERVER_INFO`].
const SERVER_INFO_KEY: &str = "io.modelcontextprotocol/serverInfo";
/// What a legacy server says of a resource it does not have, and what a modern one says.
const RESOURCE_NOT_FOUND: i64 = -32002;
const INVALID_PARAMS: &[u8] = b"-32602";
const INTERNAL_ERROR: &[u8] = b"-32603";
const HEADER_MISMATCH: &[u8] = b"-32020";
/// Legacy servers have a client open a page by it, modern ones have another way.
pub(super) const URL_ELICITATION: i64 = -32042;

/// The answer for the client, with these edits of its result, and the HTTP status under which a modern client gets it.
///
/// # Errors
/// When the backend's answer is none that it may give.
pub(crate) fn answer<'a>(
    message: &Message<'a>,
    caller: &Caller<'a>,
    edits: &'a Edits,
) -> Result<(Splice<'a>, u16), Error> {
    let mut splice = Splice::new(message.source);
    let status = match message.head.error {
        Some(_) => error(message, caller, edits, &mut splice)?,
        None => {
            result(message, caller, edits, &mut splice)?;
            200
        }
    };
    if let Id::Number(span) | Id::String(span) = message.head.id {
        splice.replace(span, caller.id);
    }
    Ok((splice, status))
}

fn result<'a>(
    message: &Message<'a>,
    caller: &Caller<'_>,
    edits: &'a Edits,
    splice: &mut Splice<'a>,
) -> Result<(), Error> {
    let Message { source, head, era } = *message;
    let result = head.result.ok_or_else(|| Error::protocol(format!("its {}", parts::TooDeep)))?;
    if result.kind != Kind::Object {
        return Err(Error::protocol("its result is no object"));
    }
    if caller.kind == CallKind::Beyond {
        return Ok(());
    }
    let result_type = head.result_type.map(|value| value.text().ok_or(value));
    let is = |name| matches!(result_type, Some(Ok(text)) if Text::is(text, source, name));
    let complete = result_type.is_none() || is("complete");
    if era == Era::Modern && !complete {
        // Only who declared that it answers is asked, and only who declared that it follows tasks is given one.
        let may_ask = caller.era == Era::Modern && caller.kind.may_require_input();
        let asks_or_goes_on = is("input_required") && may_ask || is("task") && tasks::may_begin(caller);
        return match asks_or_goes_on {
            true => Ok(()),
            false if is("task") => Err(Error::protocol("it begins a task that nobody declared to follow")),
            false if is("input_required") => Err(Error::protocol("it asks for input that nobody declared to give")),
            false => Err(Error::protocol("its result is of an unknown `resultType`")),
        };
    }
    replace(edits, splice);
    match (era, caller.era) {
        (Era::Legacy, Era::Modern) => modernize(message, result, caller, splice),
        (Era::Modern, Era::Legacy) => {
            let mut cuts: SmallVec<[Cut; 4]> = edits.cut.iter().copied().chain(head.result_type_cut).collect();
            cuts.sort_unstable_by_key(|cut| cut.span.start);
            Cut::together(&cuts).into_iter().for_each(|span| splice.cut(span));
        }
        (Era::Legacy, Era::Legacy) | (Era::Modern, Era::Modern) => {
            if !edits.cut.is_empty() {
                Cut::together(&edits.cut).into_iter().for_each(|span| splice.cut(span));
            }
        }
    }
    Ok(())
}

fn replace<'a>(edits: &'a Edits, splice: &mut Splice<'a>) {
    for (span, text) in &edits.replaced {
        splice.replace(*span, text.as_bytes());
    }
}

/// Gives a result what every one of the modern era has.
fn modernize<'a>(message: &Message<'a>, result: Value, caller: &Caller<'_>, splice: &mut Splice<'a>) {
    let Message { source, head, .. } = *message;
    let inside = result.span.start + 1;
    let cacheable = caller.kind == CallKind::Resource && head.ttl_ms.is_none() && head.cache_scope.is_none();
    if cacheable && !head.result_empty {
        splice.insert(inside, UNCACHED);
    }
    match head.result_meta {
        // Behind it is what is inserted next, where there is nothing else.
        None => [r#""_meta":{"#, SERVER_INFO, "},"].into_iter().for_each(|text| splice.insert(inside, text.as_bytes())),
        Some(meta) if meta.kind == Kind::Object && path::find(source, meta, &[SERVER_INFO_KEY]) == Ok(None) => {
            let after = if head.result_meta_empty { "" } else { "," };
            [SERVER_INFO, after].into_iter().for_each(|text| splice.insert(meta.span.start + 1, text.as_bytes()));
        }
        Some(_) => {}
    }
    match (head.result_type, head.result_empty) {
        (Some(_), _) => {}
        (None, true) => splice.insert(inside, COMPLETE),
        (None, false) => splice.insert(inside, COMPLETE_AND),
    }
}

fn error<'a>(
    message: &Message<'a>,
    caller: &Caller<'a>,
    edits: &'a Edits,
    splice: &mut Splice<'a>,
) -> Result<u16, Error> {
    let Message { source, head, .. } = *message;
    let code = head.error_code.filter(|code| code.kind == Kind::Number);
    let (Some(error), Some(code)) = (head.error.filter(|error| error.kind == Kind::Object), code) else {
        return Err(Error::protocol("its error has no code"));
    };
    let number = std::str::from_utf8(code.span.of(source)).ok().and_then(|digits| digits.parse::<i64>().ok());
    let number = number.ok_or_else(|| Error::protocol("its error's code is no integer"))?;
    replace(edits, splice);
    if !matches!(head.id, Id::Number(_) | Id::String(_)) {
        // An HTTP-level refusal has no id, or null: it gets the one of the request that it refuses.
        let length = u32::try_from(source.len()).unwrap_or(u32::MAX);
        splice.replace(Span { start: 0, end: error.span.start }, br#"{"jsonrpc":"2.0","id":"#);
        splice.insert(error.span.start, caller.id);
        splice.insert(error.span.start, br#","error":"#);
        splice.replace(Span { start: error.span.end, end: length }, b"}");
    }
    if caller.era == Era::Legacy {
        return Ok(200);
    }
    if caller.kind == CallKind::Beyond {
        return Ok(super::error::relayed_status(number));
    }
    // Codes of the modern era, where they cannot be about what the client sent: the gateway spoke for itself.
    let untrue = match number {
        -32022 | URL_ELICITATION => true,
        -32020 => message.era == Era::Legacy,
        _ => false,
    };
    if untrue {
        splice.replace(code.span, INTERNAL_ERROR);
        return Ok(200);
    }
    if number == RESOURCE_NOT_FOUND {
        splice.replace(code.span, INVALID_PARAMS);
        if let (None, Some(uri)) = (head.error_data, caller.head.uri) {
            splice.insert(error.span.end - 1, br#","data":{"uri":"#);
            splice.insert(error.span.end - 1, uri.span.of(caller.source));
            splice.insert(error.span.end - 1, b"}");
        }
        return Ok(200);
    }
    Ok(super::error::relayed_status(number))
}

/// The id, as written, of the request that a backend takes back.
pub(crate) fn cancelled<'a>(message: &Message<'a>) -> Option<&'a [u8]> {
    let is_cancelled = message.head.method?.is(message.source, "notifications/cancelled");
    message.head.request_id.filter(|_| is_cancelled).map(|id| id.span.of(message.source))
}

/// Whether a backend answers a call by asking for input that a client of its own era would give.
pub(crate) fn requires_input(message: &Message<'_>, kind: CallKind) -> bool {
    let result_type = message.head.result_type.and_then(Value::text);
    let may_ask = message.era == Era::Modern && kind.may_require_input();
    may_ask && result_type.is_some_and(|text| text.is(message.source, "input_required"))
}

/// Whether a modern backend refuses the headers of a tool's call, which it then has not executed (MCP 2026-07-28, server
/// validation).
pub(crate) fn refuses_headers(message: &Message<'_>, kind: CallKind) -> bool {
    message.era == Era::Modern && kind == CallKind::Tool && is_header_mismatch(message.source, message.head)
}

/// Whether a message says that the headers of the request are not as its receiver wants them.
pub(crate) fn is_header_mismatch(source: &[u8], head: &Outgoing) -> bool {
    head.error_code.is_some_and(|code| code.span.of(source) == HEADER_MISMATCH)
}

/// A notification for the client; `None` when it is none that this client asked for.
pub(crate) fn notification<'a>(message: &Message<'a>, caller: &Caller<'a>) -> Option<Splice<'a>> {
    let Message { source, head, .. } = *message;
    let method = head.method?;
    let meta = caller.head.meta;
    let mut splice = Splice::new(source);
    if method.is(source, "notifications/progress") {
        splice.replace(head.progress_token?.span, meta?.progress_token?.span.of(caller.source));
        return Some(splice);
    }
    if method.is(source, "notifications/message") {
        let level = head.level?.text().and_then(|level| Level::parse(&level.decode(source)))?;
        return (level >= caller.log_level?).then_some(splice);
    }
    if method.is(source, "notifications/tasks/status") && tasks::is_about(caller) {
        return Some(splice);
    }
    None
}

#[cfg(test)]
mod tests;
