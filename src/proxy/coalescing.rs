//! Calls that only read, are alike and are under way at once: one is made for all of them, by a task that belongs to no
//! client. It goes on for as long as anybody waits for it, and each client reads the answer under an id of its own.
//!
//! What is told to one client alone has no place in such a call: one with a progress token, or whose client asked for log
//! messages, goes its own way from the beginning. Where a backend asks something, or what it says is good once, all of them
//! do: a call that only reads may be made again.

use std::cell::{Cell, RefCell};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};

use super::bridge::{Caller, URL_ELICITATION};
use super::flights::{Aloft, Flight, Joined, Landing, Told};
use super::route::Route;
use super::target::Named;
use super::{Answer, Downstream, Erased, Left, Post, Worker, attended, dispatch, parked};
use crate::catalog::plan::{Backend, Balance, HashKey, Transport};
use crate::catalog::{Era, Revision, Topology, View};
use crate::limits;
use crate::mcp::client::{Profile, SessionKey};
use crate::mcp::envelope::{self, Id};
use crate::mcp::json::Value;
use crate::mcp::likeness;
use crate::mcp::method::CallKind;
use crate::upstream::Gone;
use crate::upstream::balance::HeaderKeys;

/// Waits for the call that is like this one, which is made unless it is under way. `None` where this one goes its own way.
pub(super) async fn call<T: Topology>(
    worker: &Worker<T>,
    post: &Post<'_>,
    caller: &Caller<'_>,
    (named, name): (Named, &str),
    route: &Route<'_>,
    downstream: &Erased<'_>,
) -> Option<Result<(), Gone>> {
    let flights = &worker.shared.flights;
    let likeness = likeness(worker, post, caller, route)?;
    let (mut seat, is_first) = match flights.join(&likeness) {
        Joined::First(seat) => (seat, true),
        Joined::Later(seat) => (seat, false),
        Joined::Full => return None,
    };
    if is_first {
        let (own, flight) = (worker.own.upgrade()?, seat.flight());
        let shared = Shared::of(worker, post, caller, named.value, name, route);
        tokio::task::spawn_local(async move { shared.make(&own, flight).await });
    }
    let mut landing = Landing::Apart;
    let landed = async {
        landing = seat.landing().await;
        Ok(())
    };
    if dispatch::stay(worker, landed, caller, downstream).await.is_err() {
        return Some(Err(Gone));
    }
    let Landing::Answer(told) = landing else { return None };
    if let Some(counts) = worker.counts.of(usize::from(route.backend)).filter(|_| !is_first) {
        counts.coalesced.add(1);
    }
    Some(tell(&told, caller.id, downstream).await)
}

/// What makes another call the same as this one; `None` where none can be. Numbers are as the process has them: it never
/// leaves that.
fn likeness<T: Topology>(
    worker: &Worker<T>,
    post: &Post<'_>,
    caller: &Caller<'_>,
    route: &Route<'_>,
) -> Option<Vec<u8>> {
    let (coalesce, head) = (&T::SPEC.coalesce, caller.head);
    let led = || T::SPEC.led(route.backend, route.team);
    let is_meant = match caller.kind {
        CallKind::Tool => {
            led().all(|own| coalesce.has_tool(own, &route.upstream) && !T::SPEC.requires_task(own, &route.upstream))
        }
        CallKind::Resource => coalesce.resources,
        CallKind::Prompt => coalesce.prompts,
        CallKind::Completion | CallKind::Task(_) | CallKind::Beyond => false,
    };
    let too_long = head.params.is_none_or(|params| params.span.of(post.body).len() > limits::COALESCED_BYTES_MAX);
    if !is_meant || caller.tells_one_alone() || too_long {
        return None;
    }
    let places = || led().chain(route.fallbacks.iter().copied());
    let by_session = places().any(|own| is_of_session(worker, own)) || is_led_by_session(worker, route);
    let session = caller.session.filter(|_| by_session);
    let fields = || post.carrier.passed_on().iter().filter(|(name, _)| !is_trace(name));
    let mut likeness = Vec::with_capacity(256);
    likeness.extend_from_slice(&std::ptr::from_ref(caller.view).addr().to_ne_bytes());
    likeness.extend_from_slice(&route.backend.to_ne_bytes());
    likeness.extend_from_slice(&route.team.map_or(u32::MAX, u32::from).to_ne_bytes());
    // Which place a call finds may depend on them; a topology says which there are.
    caller.header_keys.iter().for_each(|own| likeness.extend_from_slice(&own.bits()));
    likeness.extend_from_slice(&caller.header_keys.len().to_ne_bytes());
    likeness.extend_from_slice(&[caller.revision as u8, caller.profile.bits(), u8::from(session.is_some())]);
    likeness.extend_from_slice(session.as_ref().map_or(&[][..], |session| session.bits()));
    likeness.extend_from_slice(&fields().count().to_ne_bytes());
    // With their lengths, so that no part can be taken for another.
    let named = [caller.kind.as_str().as_bytes()];
    for part in named.into_iter().chain(fields().flat_map(|(name, value)| [name.as_bytes(), value])) {
        likeness.extend_from_slice(&part.len().to_ne_bytes());
        likeness.extend_from_slice(part);
    }
    likeness::write(post.body, head, &mut likeness)?;
    Some(likeness)
}

/// Whether a field says where a call comes from, and nothing of what it asks for. The first one's goes on.
fn is_trace(name: &str) -> bool {
    ["traceparent", "tracestate"].iter().any(|own| name.eq_ignore_ascii_case(own))
}

/// Whether calls of different sessions may find different places of a backend, which may know different things.
fn is_of_session<T: Topology>(worker: &Worker<T>, backend: u16) -> bool {
    let Some(Backend { transport, balance, .. }) = T::SPEC.backends.get(usize::from(backend)) else { return true };
    let by_session = matches!(balance, Balance::ConsistentHash(HashKey::Session));
    let several = match transport {
        Transport::Stdio(stdio) if stdio.sessions > 0 => return true,
        Transport::Stdio(stdio) => stdio.instances > 1,
        other => other.endpoints().len() > 1,
    };
    several && (by_session || parked::era(worker, backend) != Some(Era::Modern))
}

/// Whether calls of different sessions may find different backends of a route to several.
fn is_led_by_session<T: Topology>(worker: &Worker<T>, route: &Route<'_>) -> bool {
    let Some(team) = route.team.and_then(|team| T::SPEC.teams.get(usize::from(team))) else { return false };
    let is_legacy = |own| parked::era(worker, own) != Some(Era::Modern);
    matches!(team.balance, Balance::ConsistentHash(HashKey::Session))
        || T::SPEC.led(route.backend, route.team).any(is_legacy)
}

/// Writes the answer to one of them.
async fn tell(told: &Told, id: &[u8], downstream: &Erased<'_>) -> Result<(), Gone> {
    let body: &[&[u8]] = &[&told.before, id, &told.after];
    if downstream.streaming() {
        downstream.event(body).await?;
        return downstream.finish().await;
    }
    downstream.answer(&Answer { status: told.status, fields: &told.fields, body, close: false }).await
}

/// A call that is made for all of them: that of the first, without what is its own.
struct Shared {
    view: &'static View,
    era: Era,
    revision: Revision,
    kind: CallKind,
    body: Vec<u8>,
    /// Where its name stands, and that decoded.
    value: Value,
    name: String,
    route: Route<'static>,
    passed_on: Vec<(String, Vec<u8>)>,
    session: Option<SessionKey>,
    header_keys: HeaderKeys,
    profile: Profile,
}

/// Who waits for its answer: nobody in particular.
struct Capture {
    told: RefCell<Option<(u16, String, Vec<u8>)>>,
    deserted: RefCell<Pin<Box<dyn Future<Output = ()>>>>,
}

// === impl Shared ===

impl Shared {
    /// The id of its answer, until that has the one of who reads it.
    const ID: &[u8] = b"0";

    fn of<T: Topology>(
        worker: &Worker<T>,
        post: &Post<'_>,
        caller: &Caller<'_>,
        value: Value,
        name: &str,
        route: &Route<'_>,
    ) -> Self {
        let passed_on = post.carrier.passed_on().iter().map(|(name, value)| ((*name).to_owned(), value.to_vec()));
        // As if it were served where its client can be asked something.
        let profile = match parked::is_served(worker, caller, route) {
            true => parked::declared(caller.source, caller.head),
            false => caller.profile,
        };
        Self {
            view: caller.view,
            era: caller.era,
            revision: caller.revision,
            kind: caller.kind,
            body: post.body.to_vec(),
            value,
            name: name.to_owned(),
            route: Route { upstream: route.upstream.to_string().into(), ..*route },
            passed_on: passed_on.collect(),
            session: caller.session,
            header_keys: caller.header_keys.into(),
            profile,
        }
    }

    async fn make<T: Topology>(self, worker: &Rc<Worker<T>>, flight: Arc<Flight>) {
        let aloft = worker.shared.flights.make(flight);
        if let Some(told) = self.answer(worker, &aloft).await {
            aloft.land(Landing::Answer(Arc::new(told)));
        }
    }

    /// Its answer, if there is one that is for all of them.
    async fn answer<T: Topology>(&self, worker: &Worker<T>, aloft: &Aloft<'_>) -> Option<Told> {
        let &Self { view, era, revision, kind, session, profile, .. } = self;
        // It was scanned before.
        let head = &envelope::incoming(&self.body).ok()?;
        let apart = Cell::new(false);
        let catalog = worker.catalog();
        let caller = Caller {
            catalog,
            view: catalog.view(view),
            era,
            revision,
            source: &self.body,
            head,
            id: Self::ID,
            kind,
            log_level: None,
            accepts_stream: false,
            quiet: limits::KEEP_ALIVE,
            session,
            header_keys: &self.header_keys,
            profile,
            desk: None,
            apart: Some(&apart),
        };
        let passed_on: Vec<(&str, &[u8])> = self.passed_on.iter().map(|(name, value)| (&**name, &**value)).collect();
        let capture = Capture { told: RefCell::default(), deserted: RefCell::new(Box::pin(aloft.deserted())) };
        let (name, downstream) = ((self.value, &*self.name), Erased::new(&capture));
        attended::dispatch_detached(worker, &caller, name, &self.route, &passed_on, &downstream).await.ok()?;
        let (status, fields, body) = capture.told.take().filter(|_| !apart.get())?;
        Told::of(status, fields, &body)
    }
}

// === impl Told ===

impl Told {
    /// An answer without its id; `None` for one that is not for everybody who asked.
    fn of(status: u16, fields: String, body: &[u8]) -> Option<Self> {
        let head = envelope::outgoing(body).ok()?;
        let is_complete = |value: Value| value.text().is_some_and(|text| text.is(body, "complete"));
        let asks = head.error_code.is_some_and(|code| code.span.of(body) == URL_ELICITATION.to_string().as_bytes());
        if asks || !head.result_type.is_none_or(is_complete) {
            return None;
        }
        let (Id::Number(id) | Id::String(id)) = head.id else { return None };
        let (before, after) = (&body[..id.start as usize], &body[id.end as usize..]);
        Some(Self { status, fields, before: before.to_vec(), after: after.to_vec() })
    }
}

// === impl Capture ===

impl Downstream for Capture {
    async fn answer(&self, answer: &Answer<'_>) -> Result<(), Gone> {
        self.told.replace(Some((answer.status, answer.fields.to_owned(), answer.body.concat())));
        Ok(())
    }

    async fn event(&self, _message: &[&[u8]]) -> Result<(), Gone> {
        // It reads no stream.
        Err(Gone)
    }

    fn poll_left(&self, cx: &mut Context<'_>) -> Poll<Left> {
        self.deserted.borrow_mut().as_mut().poll(cx).map(|()| Left::Cancelled)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_good_for_one_alone_is_told_to_nobody() {
        let told = |result: &str| Told::of(200, String::new(), format!(r#"{{"id":0,{result}}}"#).as_bytes());
        for for_all in [
            r#""result":{}"#,
            r#""result":{"resultType":"complete"}"#,
            r#""error":{"code":-32602,"message":"m"}"#,
            r#""error":{"code":-32603,"message":"m","data":{"kind":"overloaded"}}"#,
        ] {
            let own = told(for_all).unwrap_or_else(|| panic!("{for_all} is for all"));
            assert_eq!(
                [own.before, own.after].map(String::from_utf8),
                [Ok(r#"{"id":"#.into()), Ok(format!(",{for_all}}}"))]
            );
        }
        for for_one in [
            r#""result":{"resultType":"input_required","requestState":"s"}"#,
            r#""result":{"resultType":"task"}"#,
            r#""error":{"code":-32042,"message":"m"}"#,
        ] {
            assert!(told(for_one).is_none(), "{for_one}");
        }
    }
}
