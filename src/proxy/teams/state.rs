//! Calls that answer what a modern backend asked (MCP 2026-07-28, multi round-trip requests), where several could get them:
//! they go to the one that asked. Whose a `requestState` is stands before it, in what the client is handed; the backend gets
//! its own back. So it is for all backends of a route, and for one that stands in for another: the state of a backend that
//! alone has the calls stays as it is. One without a state has all that it needs in itself, for any backend.

use super::super::bridge::{self, Caller};
use super::super::error::Refusal;
use super::super::parked;
use super::super::route::Route;
use super::super::{Erased, Post, Worker, attended};
use crate::catalog::{Era, Topology};
use crate::mcp::envelope::{self, Incoming};
use crate::mcp::json::{Kind, Span, Value};
use crate::mcp::method::CallKind;
use crate::mcp::path;
use crate::upstream::{Gone, Message};

/// What stands before the name of the backend.
const PREFIX: &str = "only1mcp@";
/// What stands between that and its state.
const END: char = ':';

/// Which states of a backend are marked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) enum Marks {
    /// None: nobody else could get the call.
    None,
    /// One that looks as if it were marked: the backend that others may stand in for has the call, and no other state of it is
    /// taken for another's.
    Alike,
    /// Every one.
    All,
}

/// A call that goes on at the backend that asked, as that is to read it.
pub(in super::super) struct Resumed {
    backend: u16,
    body: Vec<u8>,
    head: Incoming,
}

/// Whether the answer to a call may be a question whose state is to be marked, wherever in it that stands.
pub(in super::super) fn may_mark(caller: &Caller<'_>) -> bool {
    caller.era == Era::Modern && caller.kind.may_require_input()
}

/// Where in an answer the state of a backend stands, and what the client is handed in its place.
pub(in super::super) fn marked(
    marks: Marks,
    message: &Message<'_>,
    caller: &Caller<'_>,
    backend: &str,
) -> Option<(Span, String)> {
    if marks == Marks::None || !may_mark(caller) || !bridge::requires_input(message, caller.kind) {
        return None;
    }
    let state = path::find(message.source, message.head.result?, &["requestState"]).ok()??;
    let text = state.text()?.decode(message.source);
    if marks == Marks::Alike && !text.starts_with(PREFIX) {
        return None;
    }
    Some((state.span, serde_json::Value::from(format!("{PREFIX}{backend}{END}{text}")).to_string()))
}

/// The call with the state that its backend knows; `None` for one without a state, with one of the gateway's own, or with one of
/// the only backend that its route leads to.
pub(in super::super) fn resumed<'a, T: Topology>(
    post: &Post<'a>,
    caller: &Caller<'a>,
    route: &Route<'_>,
) -> Result<Option<Resumed>, Refusal<'a>> {
    let Some(params) = post.message.params.filter(|_| post.message.resumes && caller.era == Era::Modern) else {
        return Ok(None);
    };
    let found = path::find(post.body, params, &["requestState"]);
    let Some(state) = found.map_err(|path::Ambiguous| parked::INVALID)? else { return Ok(None) };
    let text = state.text().ok_or(parked::INVALID)?.decode(post.body);
    if text.starts_with(parked::PREFIX) {
        return Ok(None);
    }
    let mut asked = T::SPEC.led(route.backend, route.team).chain(route.fallbacks.iter().copied());
    let marked = text.strip_prefix(PREFIX).and_then(|text| text.split_once(END)).and_then(|(name, own)| {
        let named = T::backend(name).filter(|named| asked.any(|backend| backend == *named));
        Some((named?, own))
    });
    let Some((backend, own)) = marked else {
        return if route.team.is_some() { Err(parked::INVALID) } else { Ok(None) };
    };
    let Span { start, end } = state.span;
    let mut body = post.body.to_vec();
    body.splice(start as usize..end as usize, serde_json::Value::from(own).to_string().into_bytes());
    let head = envelope::incoming(&body).map_err(|_scanned_before| Refusal::Internal)?;
    Ok(Some(Resumed { backend, body, head }))
}

// === impl Resumed ===

impl Resumed {
    /// Sends it there.
    pub(in super::super) async fn dispatch<T: Topology>(
        self,
        worker: &Worker<T>,
        post: &Post<'_>,
        caller: &Caller<'_>,
        name: &str,
        route: Route<'_>,
        downstream: &Erased<'_>,
    ) -> Result<(), Gone> {
        let Self { backend, body, head } = self;
        let value = match caller.kind {
            CallKind::Tool | CallKind::Prompt => head.name,
            _ => head.uri,
        };
        // It was there before.
        let value = value.unwrap_or(Value { kind: Kind::String, span: head.root, escaped: false });
        let caller = Caller { source: &body, head: &head, desk: None, ..*caller };
        let route = Route { backend, pinned: true, fallbacks: &[], ..route };
        attended::dispatch_detached(worker, &caller, (value, name), &route, post.carrier.passed_on(), downstream).await
    }
}
