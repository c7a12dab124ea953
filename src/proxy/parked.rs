//! Calls of modern clients to legacy backends, which may ask while they work: such a call goes on by itself. When its
//! backend asks, the client is answered `input_required`, and the call is parked until the client comes back with what
//! was asked, be it on another worker (MCP 2026-07-28, multi round-trip requests).
//!
//! What a client is handed as `requestState` are 128 random bits, good once, for the same request at the same view. They
//! name a call and say nothing of it, so that there is nothing to seal.

mod desk;
mod digest;

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::future::poll_fn;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;
use serde_json::value::RawValue;
use tokio::sync::mpsc;

use super::bridge::Caller;
use super::error::Refusal;
use super::outputs::{self, Output};
use super::route::Route;
use super::session::random_bits;
use super::target::Named;
use super::{Downstream, Erased, Post, Worker, attended, respond, route};
use crate::catalog::{Catalog, Era, Revision, Topology, View};
use crate::clock::Deadline;
use crate::limits;
use crate::mcp::client::Profile;
use crate::mcp::envelope::{self, Id, Incoming};
use crate::mcp::method::{CallKind, Level};
use crate::mcp::splice::Splice;
use crate::upstream::balance::HeaderKeys;
use crate::upstream::{Gone, Transport as _};
pub(super) use desk::Desk;
use digest::{Digest, Keys};

/// The parked calls of one gateway.
#[derive(Debug, Default)]
pub(crate) struct Parked {
    table: Arc<Table>,
    keys: Keys,
}

/// Them, without what requests are compared with.
#[derive(Debug, Default)]
struct Table {
    waiting: papaya::HashMap<Handle, Slot>,
    /// What they keep in memory, all together.
    bytes: AtomicUsize,
}

/// What one of them has there for as long as its client may come back; dropped, nobody may any more.
#[derive(Debug)]
struct Stay {
    table: Arc<Table>,
    handle: Handle,
    bytes: usize,
}

/// What names one of them.
type Handle = [u8; 16];

/// One of them.
#[derive(Debug)]
struct Slot {
    /// What the client asked: only the same request is its continuation.
    request: Asked,
    comebacks: mpsc::Sender<Comeback>,
}

/// What makes two requests the same: view, method, name and arguments, whatever the order of their members.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Asked {
    view: &'static str,
    method: &'static str,
    name: Box<str>,
    arguments: Option<Digest>,
}

/// A client that came back.
#[derive(Debug)]
struct Comeback {
    /// By the key of the question: the result, as JSON.
    responses: BTreeMap<String, String>,
    outputs: mpsc::Sender<Output>,
}

/// A client's request that resumes another.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Resumption<'a> {
    #[serde(borrow)]
    request_state: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    input_responses: BTreeMap<Cow<'a, str>, &'a RawValue>,
}

/// What it begins with.
pub(super) const PREFIX: &str = "only1mcp-";
pub(super) const INVALID: Refusal<'_> = Refusal::InvalidParams(Cow::Borrowed("`requestState` is invalid or expired"));

/// Whether a call is served here: one that may be asked something, or that answers what was asked.
pub(super) fn is_served<T: Topology>(worker: &Worker<T>, caller: &Caller<'_>, route: &Route<'_>) -> bool {
    let may_ask = caller.era == Era::Modern && caller.kind.may_require_input();
    let Some(meta) = caller.head.meta.filter(|_| may_ask) else { return false };
    let declares = meta.client_capabilities.is_some_and(|declared| declared.span.of(caller.source).len() > "{}".len());
    // Its task is cancelled when its client leaves, however that went.
    let led = || caller.catalog.spec::<T>().led(route.backend, route.team);
    let requires_task = || led().any(|backend| caller.catalog.spec::<T>().requires_task(backend, &route.upstream));
    let runs_task = || caller.kind == CallKind::Tool && (caller.head.task.is_some() || requires_task());
    (declares || caller.head.resumes || runs_task()) && led().any(|backend| era(worker, backend) != Some(Era::Modern))
}

/// The era of a backend, as far as it is known.
pub(super) fn era<T: Topology>(worker: &Worker<T>, backend: u16) -> Option<Era> {
    let index = usize::from(backend);
    let pinned = worker.catalog().backend::<T>(index).and_then(|backend| backend.era);
    pinned.or_else(|| worker.links.of(index)?.era())
}

/// What a modern client can be asked, by what it declares with its call.
pub(super) fn declared(source: &[u8], head: &Incoming) -> Profile {
    let declared = head.meta.and_then(|meta| meta.client_capabilities).map(|declared| declared.span.of(source));
    Profile::declared(&declared.and_then(|declared| serde_json::from_slice(declared).ok()).unwrap_or_default())
}

/// Serves one.
pub(super) async fn call<'a, T: Topology>(
    worker: &Worker<T>,
    post: &Post<'a>,
    caller: &Caller<'a>,
    (named, name): (Named, &str),
    route: &Route<'_>,
    downstream: &Erased<'_>,
) -> Result<Result<(), Gone>, Refusal<'a>> {
    let asked = Asked::of(&worker.shared.parked, post, caller, name);
    let (outputs, received) = outputs::channel();
    let resumption = resumption(post)?;
    if let Some(Resumption { request_state: Some(state), input_responses }) = resumption {
        if !state.starts_with(PREFIX) && era(worker, route.backend).is_none() {
            // It may be the backend's own, and that a modern one.
            let params = post.carrier.passed_on();
            let name = (named.value, name);
            return Ok(attended::dispatch_detached(worker, caller, name, route, params, downstream).await);
        }
        let back = worker.shared.parked.come_back(&state, &asked, &input_responses, outputs);
        back.inspect_err(|_refusal| worker.counts.refused_states.add(1))?;
        return Ok(attend(worker, received, caller, true, downstream).await);
    }
    let Some(own) = worker.own.upgrade() else { return Err(Refusal::Internal) };
    let detached = Detached::of(post, caller, asked, named);
    tokio::task::spawn_local(async move { detached.run(own, outputs).await });
    Ok(attend(worker, received, caller, false, downstream).await)
}

/// What a request says of the one that it resumes.
fn resumption<'a>(post: &Post<'a>) -> Result<Option<Resumption<'a>>, Refusal<'a>> {
    let Some(params) = post.message.params.filter(|_| post.message.resumes) else { return Ok(None) };
    let read = serde_json::from_slice(params.span.of(post.body)).map(Some);
    read.map_err(|_error| Refusal::InvalidParams("`requestState` or `inputResponses` is malformed".into()))
}

/// A call that needs nothing of the connection that it came on.
struct Detached {
    catalog: Catalog,
    view: &'static View,
    body: Vec<u8>,
    id: Vec<u8>,
    asked: Asked,
    named: Named,
    passed_on: Vec<(String, Vec<u8>)>,
    header_keys: HeaderKeys,
    accepts_stream: bool,
    log_level: Option<Level>,
    kind: CallKind,
    quiet: std::time::Duration,
}

// === impl Detached ===

impl Detached {
    fn of(post: &Post<'_>, caller: &Caller<'_>, asked: Asked, named: Named) -> Self {
        let passed_on = post.carrier.passed_on().iter();
        let &Caller { accepts_stream, log_level, kind, quiet, .. } = caller;
        Self {
            catalog: post.catalog,
            view: post.view,
            body: post.body.to_vec(),
            id: caller.id.to_vec(),
            asked,
            named,
            header_keys: caller.header_keys.into(),
            passed_on: passed_on.map(|(name, value)| ((*name).to_owned(), value.to_vec())).collect(),
            accepts_stream,
            log_level,
            kind,
            quiet,
        }
    }

    async fn run<T: Topology>(self, worker: Rc<Worker<T>>, outputs: mpsc::Sender<Output>) {
        let Self {
            catalog,
            view,
            body,
            id,
            asked,
            named: Named { subject, value },
            passed_on,
            header_keys,
            accepts_stream,
            log_level,
            kind,
            quiet,
        } = self;
        // It was scanned and routed before.
        let Ok(head) = envelope::incoming(&body) else { return };
        let name = asked.name.clone();
        let Some(route) = route::route::<T>(catalog, view, subject, &name) else { return };
        let parked = &worker.shared.parked;
        let desk = Desk::new(parked, (asked, body.len()), &id, outputs, worker.clock.deadline());
        let (era, session, profile) = (Era::Modern, None, declared(&body, &head));
        let (source, head, id) = (&body[..], &head, &id[..]);
        let desk = &desk;
        let caller = Caller {
            catalog,
            view,
            era,
            revision: Revision::MODERN,
            source,
            head,
            id,
            kind,
            log_level,
            accepts_stream,
            quiet,
            session,
            profile,
            header_keys: &header_keys,
            desk: Some(desk),
            apart: None,
        };
        let passed_on: Vec<(&str, &[u8])> = passed_on.iter().map(|(name, value)| (&**name, &**value)).collect();
        // Who is gone has been told, or will never come back.
        let downstream = Erased::new(desk);
        let _gone =
            attended::dispatch_detached(&worker, &caller, (value, &name), &route, &passed_on, &downstream).await;
    }
}

/// Passes on to a client what there is for it, under the id of the request that began the call, until its answer. One that is `back` made another request than the one that
/// began the call.
async fn attend<T: Topology>(
    worker: &Worker<T>,
    mut outputs: mpsc::Receiver<Output>,
    caller: &Caller<'_>,
    back: bool,
    downstream: &Erased<'_>,
) -> Result<(), Gone> {
    let quiet: Deadline = worker.clock.deadline();
    loop {
        quiet.set(limits::KEEP_ALIVE);
        let output = tokio::select! {
            output = outputs.recv() => output,
            _left = poll_fn(|cx| downstream.poll_left(cx)) => return Err(Gone),
            () = poll_fn(|cx| quiet.poll(cx)), if caller.accepts_stream => {
                downstream.keep_alive().await?;
                continue;
            }
        };
        match output {
            Some(Output::Event(message)) if caller.accepts_stream => {
                if let Some(message) = own(message, caller, back) {
                    downstream.event(&[&message]).await?;
                }
            }
            Some(Output::Event(_)) => {}
            Some(Output::Answer(status, message)) => {
                let Some(message) = own(message, caller, back) else { break };
                return outputs::answer(downstream, status, &message).await;
            }
            None => break,
        }
    }
    if downstream.streaming() {
        return Err(Gone);
    }
    // A call that ended just when its client came back for it was sent all the same.
    let refusal = if back { INVALID } else { Refusal::Internal };
    respond::refuse(downstream, &refusal, Era::Modern, Some(caller.id)).await
}

/// A message as the client that came back has to read it: its own id and progress token; `None` where it wants none.
fn own(message: Vec<u8>, caller: &Caller<'_>, back: bool) -> Option<Vec<u8>> {
    if !back {
        return Some(message);
    }
    let head = envelope::outgoing(&message).ok()?;
    let mut splice = Splice::new(&message);
    if let Id::Number(span) | Id::String(span) = head.id {
        splice.replace(span, caller.id);
    } else if let Some(token) = head.progress_token {
        let meta = caller.head.meta?;
        splice.replace(token.span, meta.progress_token?.span.of(caller.source));
    }
    let mut own = Vec::with_capacity(splice.len());
    splice.write(&mut own);
    Some(own)
}

// === impl Asked ===

impl Asked {
    fn of(parked: &Parked, post: &Post<'_>, caller: &Caller<'_>, name: &str) -> Self {
        let arguments = post.message.arguments.map(|arguments| parked.keys.digest(arguments.span.of(post.body)));
        Self { view: &post.view.patterns.name, method: caller.kind.as_str(), name: name.into(), arguments }
    }
}

// === impl Parked ===

impl Parked {
    /// How many wait for their clients.
    #[cfg(feature = "admin")]
    pub(super) fn waiting(&self) -> usize {
        self.table.waiting.len()
    }

    /// Parks a call that keeps so many bytes in memory; `None` when there are as many as may be, or no random bits.
    fn park(&self, request: &Asked, comebacks: &mpsc::Sender<Comeback>, bytes: usize) -> Option<Stay> {
        if self.table.waiting.len() >= limits::PARKED_CALLS_MAX {
            return None;
        }
        let mut stay = Stay { table: Arc::clone(&self.table), handle: random_bits().ok()?, bytes: 0 };
        if !stay.keep(bytes) {
            return None;
        }
        self.table.waiting.pin().insert(stay.handle, Slot { request: request.clone(), comebacks: comebacks.clone() });
        Some(stay)
    }

    /// Hands what a client came back with to its call.
    fn come_back(
        &self,
        state: &str,
        asked: &Asked,
        responses: &BTreeMap<Cow<'_, str>, &RawValue>,
        outputs: mpsc::Sender<Output>,
    ) -> Result<(), Refusal<'static>> {
        let handle = state.strip_prefix(PREFIX).and_then(|handle| URL_SAFE_NO_PAD.decode(handle).ok());
        let handle = handle.and_then(|bytes| Handle::try_from(bytes).ok()).ok_or(INVALID)?;
        if let Some(key) = responses.iter().find(|(_, response)| !response.get().starts_with('{')).map(|(key, _)| key) {
            return Err(Refusal::InvalidParams(format!("`inputResponses.{key}` is no result").into()));
        }
        let waiting = self.table.waiting.pin();
        let Ok(Some((_, slot))) = waiting.remove_if(&handle, |_, slot| slot.request == *asked) else {
            return Err(INVALID);
        };
        let own = |(key, response): (&Cow<'_, str>, &&RawValue)| (key.to_string(), in_one_line(response.get()));
        let comeback = Comeback { responses: responses.iter().map(own).collect(), outputs };
        slot.comebacks.try_send(comeback).map_err(|_its_call_is_over| INVALID)
    }
}

// === impl Stay ===

impl Stay {
    /// Keeps so many bytes more; `false` when all of them keep as many as may be.
    fn keep(&mut self, bytes: usize) -> bool {
        let add = |kept: usize| kept.checked_add(bytes).filter(|kept| *kept <= limits::PARKED_BYTES_MAX);
        let kept = self.table.bytes.fetch_update(Ordering::Relaxed, Ordering::Relaxed, add).is_ok();
        self.bytes += if kept { bytes } else { 0 };
        kept
    }

    /// What the client is handed to come back with.
    fn state(&self) -> String {
        PREFIX.to_owned() + &URL_SAFE_NO_PAD.encode(self.handle)
    }
}

impl Drop for Stay {
    fn drop(&mut self) {
        self.table.waiting.pin().remove(&self.handle);
        self.table.bytes.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

/// JSON without line ends, which stand between its tokens only: where each line is a message, they would end it, and
/// what follows be one of its author's choice.
fn in_one_line(json: &str) -> String {
    json.replace(['\n', '\r'], " ")
}

/// Parameters in one line, without the id of a page, which the modern era does not have.
pub(super) fn without_page_id(params: &str) -> Option<String> {
    #[derive(Deserialize)]
    struct Page<'a> {
        #[serde(borrow, rename = "elicitationId")]
        elicitation_id: Option<&'a RawValue>,
    }
    let page: Page<'_> = serde_json::from_str(params).ok()?;
    if page.elicitation_id.is_none() {
        return Some(in_one_line(params));
    }
    let mut members: BTreeMap<Cow<'_, str>, &RawValue> = serde_json::from_str(params).ok()?;
    members.remove("elicitationId");
    Some(in_one_line(&serde_json::to_string(&members).ok()?))
}
