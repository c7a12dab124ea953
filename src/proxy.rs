//! The data plane: one request of a client, from its head to its answer.
//!
//! [`handle`] is the whole way in one screen: classify → validate → route → dispatch → relay → respond. What a head
//! alone decides stands before it ([`Worker::admit`]), so that a body is only read for a request that may go on.
//!
//! **Invariant:** the data plane takes no lock that another thread can hold for long, and never waits for another
//! plane. **Invariant:** a request that is refused here has caused nothing at any backend.

mod admit;
mod attended;
mod batch;
mod beyond;
mod bridge;
mod cancellation;
mod coalescing;
mod counts;
mod dispatch;
mod downstream;
mod edition;
mod erased;
mod error;
mod flights;
mod interview;
mod legacy;
mod links;
mod load;
mod mailbox;
mod modern;
mod outputs;
mod params;
mod parked;
mod plain;
mod post;
mod relay;
mod relisting;
mod respond;
mod route;
mod session;
mod settings;
mod site;
mod subscriptions;
mod target;
mod tasks;
mod teams;
mod worker;

use std::borrow::Cow;
use std::pin::Pin;

pub(crate) use admit::{Admitted, Gate, MESSAGES_PATH, RequestKind};
pub(crate) use batch::Batch;
#[cfg(feature = "transport-http")]
pub(crate) use bridge::is_header_mismatch;
pub(crate) use cancellation::Cancellation;
pub(crate) use counts::Counts;
#[cfg(feature = "admin")]
pub(crate) use counts::{BOUNDS_MICROS, CallCounts, LastFailure, WINNERS};
pub(crate) use downstream::{Answer, Downstream, Left};
pub(crate) use erased::Erased;
pub(crate) use error::Refusal;
pub(crate) use flights::Flights;
pub(crate) use links::Links;
pub(crate) use load::Load;
pub(crate) use mailbox::{Mailbox, Mailboxes};
pub(crate) use parked::Parked;
pub(crate) use post::{Carrier, Post, header_keys};
pub(crate) use relisting::Relisted;
#[cfg(feature = "transport-http")]
pub(crate) use relisting::wanted_headers;
#[cfg(feature = "admin")]
pub(crate) use route::{Route, route};
pub use session::SessionSteps;
pub(crate) use session::{Agreement, Calls, OpenedTokens, Sessions, Tie};
pub(crate) use settings::{Settings, Tuned};
#[cfg(feature = "admin")]
pub(crate) use site::Foreign;
pub(crate) use site::Site;
pub(crate) use subscriptions::{Amends, Feeds, tell};
pub(crate) use tasks::{Errands, TaskIds};
pub(crate) use teams::Teams;
#[cfg(feature = "admin")]
pub(crate) use worker::Holdings;
pub(crate) use worker::{Drain, Link, Shared, Worker};

use crate::catalog::{Era, Revision, Topology, plan};
use crate::http1::RequestHead;
use crate::mcp::envelope::{self, Id, Incoming, Shape};
use crate::mcp::json::{Kind, ScanError, ScanErrorKind, Value};
use crate::mcp::method::{CallKind, Level, Method};
use crate::upstream::balance::HeaderKey;
use crate::upstream::{Gone, SessionKey};
use bridge::Caller;
use load::Shed;
use route::Unroutable;
use session::Session;
use target::Named;

/// What only some topologies need, behind a constant that says so. It is awaited by way of a pointer: awaited as what it is, it
/// would be linked even where nothing makes it, for the state of the waiting future that polls it is not known to be unreachable.
type Optional<'a, R> = Pin<Box<dyn Future<Output = R> + 'a>>;

/// Answers one admitted request.
pub(crate) async fn handle<T: Topology, D: Downstream>(
    worker: &Worker<T>,
    admitted: Admitted,
    head: &RequestHead<'_>,
    body: &[u8],
    downstream: &D,
) -> Result<(), Gone> {
    let Admitted { view, kind } = admitted;
    let accepts_stream = match kind {
        RequestKind::Get => return legacy::stream(worker, view, head, downstream).await,
        RequestKind::Delete => return legacy::end(worker, view, head, downstream).await,
        // Only a connection as a whole becomes one: who can hand it over has done so before.
        #[cfg(feature = "websocket")]
        RequestKind::WebSocket => return respond::refuse(downstream, &Refusal::Upgrade, Era::Modern, None).await,
        RequestKind::Plain(route) => {
            let keys = header_keys::<T>(head);
            return plain::serve(worker, view, (route, keys), body, &Erased::new(downstream)).await;
        }
        RequestKind::Post { accepts_stream } => accepts_stream,
        // The transport serves them: they belong to a connection that carries messages.
        RequestKind::Events | RequestKind::Message => {
            return respond::refuse(downstream, &Refusal::Internal, Era::Modern, None).await;
        }
    };
    match envelope::incoming(body) {
        Err(ScanError { kind: ScanErrorKind::NotObject, .. })
            if let Some(batch) = Batch::of(worker, view, Carrier::Http(head), body) =>
        {
            batch.serve(worker, &Erased::new(downstream)).await
        }
        Ok(message) => {
            let post = Post::new(view, Carrier::Http(head), body, &message);
            answer(worker, &post, accepts_stream, downstream).await
        }
        Err(error) => unreadable(error, body, downstream).await,
    }
}

/// Refuses what is no message.
pub(crate) async fn unreadable<D: Downstream>(error: ScanError, body: &[u8], downstream: &D) -> Result<(), Gone> {
    let id = id(error.id, body).ok();
    respond::refuse(downstream, &Refusal::Scan(error), Era::Modern, id).await
}

/// Answers one message.
pub(crate) async fn answer<T: Topology, D: Downstream>(
    worker: &Worker<T>,
    post: &Post<'_>,
    accepts_stream: bool,
    downstream: &D,
) -> Result<(), Gone> {
    let catalog = worker.catalog();
    let current;
    let post = if catalog.is_compiled() {
        post
    } else {
        current = post.in_catalog(catalog);
        &current
    };
    let modern = modern::is_modern(post);
    let era = if modern { Era::Modern } else { Era::Legacy };
    let refused = match classify(worker, post, modern) {
        Ok(Classified::Taken) => {
            count_unused(worker, post);
            return respond::accepted(downstream).await;
        }
        Ok(Classified::Cancelled(session, id)) => {
            worker.calls.cancel(session, id).await;
            return respond::accepted(downstream).await;
        }
        Ok(Classified::Initialize(id)) => return legacy::initialize(worker, post, id, downstream).await,
        Ok(Classified::Request(request)) => return serve(worker, post, &request, accepts_stream, downstream).await,
        Err(refusal) => refusal,
    };
    respond::refuse(downstream, &refused, era, id(post.message.id, post.body).ok()).await
}

/// Counts a notification that nothing comes of.
fn count_unused<T: Topology>(worker: &Worker<T>, post: &Post<'_>) {
    // The handshake goes on without the first; of the second, whoever knows its request took note.
    const USED: [&str; 2] = ["notifications/initialized", "notifications/cancelled"];
    let used = post.message.method.is_some_and(|method| USED.iter().any(|used| method.is(post.body, used)));
    if post.message.shape == Shape::Notification && !used {
        worker.counts.dropped_notifications.add(1);
    }
}

/// What a valid message is, in either era.
enum Classified<'a> {
    Taken,
    /// The request of a session with this id is not wanted any more.
    Cancelled(SessionKey, &'a [u8]),
    Initialize(&'a [u8]),
    Request(Request<'a>),
}

/// A valid request.
#[derive(Debug)]
struct Request<'a> {
    method: Method,
    revision: Revision,
    /// As written.
    id: &'a [u8],
    log_level: Option<Level>,
    /// The session of a legacy request.
    session: Option<Session>,
}

fn classify<'a, T: Topology>(worker: &Worker<T>, post: &Post<'a>, modern: bool) -> Result<Classified<'a>, Refusal<'a>> {
    if !post.message.version_ok {
        return Err(Refusal::InvalidRequest("`jsonrpc` must be `2.0`".into()));
    }
    if modern {
        return match modern::validate(post)? {
            modern::Valid::Notification => Ok(Classified::Taken),
            modern::Valid::Request(method) => Ok(Classified::Request(Request {
                method,
                revision: Revision::MODERN,
                id: id(post.message.id, post.body)?,
                log_level: modern::log_level(post),
                session: None,
            })),
        };
    }
    match legacy::validate(worker, post)? {
        legacy::Valid::Taken => Ok(Classified::Taken),
        legacy::Valid::Cancelled(session, id) => Ok(Classified::Cancelled(session, id)),
        legacy::Valid::Initialize => Ok(Classified::Initialize(id(post.message.id, post.body)?)),
        legacy::Valid::Request(method, session) => Ok(Classified::Request(Request {
            method,
            revision: session.revision,
            id: id(post.message.id, post.body)?,
            log_level: Some(session.log_level),
            session: Some(session),
        })),
    }
}

/// The id of a request, as written.
fn id(id: Id, body: &[u8]) -> Result<&[u8], Refusal<'static>> {
    match id {
        Id::Number(span) | Id::String(span) => Ok(span.of(body)),
        Id::Absent | Id::Null | Id::Invalid => {
            Err(Refusal::InvalidRequest("`id` must be a string or an integer of at most 256 bytes".into()))
        }
    }
}

/// The id, as written, of the request that a message cancels.
pub(crate) fn cancelled<'a>(message: &Incoming, body: &'a [u8]) -> Option<&'a [u8]> {
    let is_cancelled = message.method.is_some_and(|method| method.is(body, "notifications/cancelled"));
    let id = message.request_id.filter(|id| matches!(id.kind, Kind::Number | Kind::String))?;
    (message.shape == Shape::Notification && is_cancelled).then(|| id.span.of(body))
}

async fn serve<T: Topology, D: Downstream>(
    worker: &Worker<T>,
    post: &Post<'_>,
    request: &Request<'_>,
    accepts_stream: bool,
    downstream: &D,
) -> Result<(), Gone> {
    let spec = post.catalog.spec::<T>();
    let Request { method, revision, id, session, .. } = *request;
    // Kept until the answer is written.
    let under_way = load::begin(worker, method, post.message);
    let keys = match method {
        Method::Call(_) => post.carrier.header_keys::<T>(),
        _ => Cow::Borrowed(&[][..]),
    };
    let refused = match method {
        _ if let Err(Shed) = under_way => Refusal::Busy("as many calls are under way as may be"),
        Method::Ping => return respond::result(downstream, id, b"{}", "").await,
        Method::Discover => return respond::result(downstream, id, post.view.discover.as_bytes(), "").await,
        Method::List(kind) => match cursor(post) {
            Ok(cursor) => {
                return respond::list(downstream, spec, post.view, kind, revision, id, cursor.as_deref()).await;
            }
            Err(refusal) => refusal,
        },
        Method::Call(kind) => {
            let caller = caller(post, request, kind, accepts_stream, &keys);
            let beyond = session.filter(|_| matches!(post.carrier, Carrier::Http(_)));
            match attended::call(worker, post, &caller, beyond, downstream).await {
                Ok(outcome) => return outcome,
                Err(refusal) => refusal,
            }
        }
        Method::SetLevel => match session.map(|session| legacy::set_level(&worker.shared.sessions, session, post)) {
            Some(Ok(())) => return respond::result(downstream, id, b"{}", "").await,
            Some(Err(refusal)) => refusal,
            None => Refusal::MethodNotFound("logging/setLevel".into()),
        },
        Method::Subscribe => match session {
            // Boxed as well.
            Some(session) => {
                let erased = Erased::new(downstream);
                match Box::pin(subscriptions::subscribe(worker, post, session, id, &erased)).await {
                    Ok(outcome) => return outcome,
                    Err(refusal) => refusal,
                }
            }
            None => Refusal::MethodNotFound("resources/subscribe".into()),
        },
        Method::Unsubscribe => match session.map(|session| subscriptions::unsubscribe(worker, post, session)) {
            Some(Ok(())) => return respond::result(downstream, id, b"{}", "").await,
            Some(Err(refusal)) => refusal,
            None => Refusal::MethodNotFound("resources/unsubscribe".into()),
        },
        Method::Listen => {
            // Boxed: it would make every connection larger.
            match Box::pin(subscriptions::listen(worker, post, id, accepts_stream, &Erased::new(downstream))).await {
                Ok(outcome) => return outcome,
                Err(refusal) => refusal,
            }
        }
        Method::Initialize => Refusal::MethodNotFound("initialize".into()),
    };
    respond::refuse(downstream, &refused, revision.era(), Some(id)).await
}

/// The client's side of a call.
fn caller<'a>(
    post: &Post<'a>,
    request: &Request<'a>,
    kind: CallKind,
    accepts_stream: bool,
    header_keys: &'a [HeaderKey],
) -> Caller<'a> {
    let Request { revision, id, log_level, session, .. } = *request;
    let profile = session.map(|session| session.profile).unwrap_or_default();
    Caller {
        catalog: post.catalog,
        view: post.view,
        era: revision.era(),
        revision,
        source: post.body,
        head: post.message,
        id,
        kind,
        log_level,
        accepts_stream,
        quiet: attended::quiet(request, post.carrier),
        session: session.map(|session| session.key),
        profile,
        header_keys,
        desk: None,
        apart: None,
    }
}

/// The cursor of a list request.
fn cursor<'a>(post: &Post<'a>) -> Result<Option<std::borrow::Cow<'a, str>>, Refusal<'a>> {
    if post.message.params.is_some_and(|params| params.kind != Kind::Object) {
        return Err(Refusal::InvalidParams("`params` must be an object".into()));
    }
    match post.message.cursor.map(Value::text) {
        None => Ok(None),
        Some(Some(text)) => Ok(Some(text.decode(post.body))),
        Some(None) => Err(Refusal::InvalidParams("`params.cursor` must be a string".into())),
    }
}

/// Routes a call and sends it on.
async fn call<'a, T: Topology, D: Downstream>(
    worker: &Worker<T>,
    post: &Post<'a>,
    caller: &Caller<'a>,
    downstream: &D,
) -> Result<Result<(), Gone>, Refusal<'a>> {
    if let CallKind::Task(_) = caller.kind {
        // Boxed: few calls are about tasks.
        return Box::pin(tasks::call(worker, post, caller, &Erased::new(downstream))).await;
    }
    if caller.kind == CallKind::Beyond {
        return Box::pin(beyond::call(worker, post, caller, &Erased::new(downstream))).await;
    }
    let Named { subject, value } = target::of(post, caller.kind)?;
    let Some(text) = value.text() else {
        return Err(Refusal::InvalidParams("name must be a string".into()));
    };
    let name = text.decode(post.body);
    let what = match subject {
        plan::Subject::Tools => "tool",
        plan::Subject::Prompts => "prompt",
        plan::Subject::Resources => "resource",
    };
    let route = match caller.kind {
        CallKind::Completion => route::completion::<T>(post.catalog, post.view, subject, &name),
        _ => route::route::<T>(post.catalog, post.view, subject, &name).ok_or(Unroutable::Unknown),
    };
    let route = match route {
        Ok(route) => route,
        Err(Unroutable::Unknown) => return Err(Refusal::Unknown(what, name)),
        Err(Unroutable::NotOffered) => return Err(Refusal::MethodNotFound(caller.kind.as_str().into())),
        Err(Unroutable::NoCompletions) => return Err(Refusal::NoCompletions(what, name)),
    };
    if !route.headers.is_empty() {
        params::check(post, caller.era, route.headers)?;
    }
    if caller.head.task.is_some() {
        T::SPEC.led(route.backend, route.team).try_for_each(|own| tasks::check(worker, caller, own, &name))?;
    }
    if (T::HAS_FALLBACKS || T::HAS_TEAMS)
        && caller.head.resumes
        && (route.team.is_some() || !route.fallbacks.is_empty())
        && let Some(resumed) = teams::state::resumed::<T>(post, caller, &route)?
    {
        let erased = Erased::new(downstream);
        let dispatched: Optional<'_, _> = Box::pin(resumed.dispatch(worker, post, caller, &name, route, &erased));
        return Ok(dispatched.await);
    }
    if T::COALESCES {
        let (named, erased) = ((Named { subject, value }, &*name), Erased::new(downstream));
        let called: Optional<'_, _> = Box::pin(coalescing::call(worker, post, caller, named, &route, &erased));
        if let Some(outcome) = called.await {
            return Ok(outcome);
        }
    }
    if parked::is_served(worker, caller, &route) {
        // Boxed: few calls can be asked anything.
        return Box::pin(parked::call(
            worker,
            post,
            caller,
            (Named { subject, value }, &name),
            &route,
            &Erased::new(downstream),
        ))
        .await;
    }
    if T::HEDGES && dispatch::may_hedge(caller, &route) && dispatch::hedges(worker, &route) {
        let (passed_on, erased) = (post.carrier.passed_on(), Erased::new(downstream));
        let dispatched: Optional<'_, _> =
            Box::pin(attended::dispatch_detached(worker, caller, (value, &name), &route, passed_on, &erased));
        return Ok(dispatched.await);
    }
    Ok(dispatch::dispatch(worker, caller, (value, &name), &route, post.carrier.passed_on(), downstream).await)
}
