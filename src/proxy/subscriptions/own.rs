//! Legacy sessions: the resources that they subscribe to, and the lists of which they hear on a stream of their own.
//!
//! **Invariant:** a server is listened to for a session by the worker that took the subscription, and for lists by the one
//! that has the stream on which the session is told; the session itself is known to all of them.

use std::collections::BTreeSet;
use std::future::poll_fn;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Poll;

use super::feed::{Enrolled, Feed, Wish};
use super::{Listener, Placed, Window, wishes};
use crate::catalog::plan::{Changing, Subject};
use crate::catalog::{Catalog, Topology, View};
use crate::limits;
use crate::mcp::method::CallKind;
use crate::mcp::subscription::Filter;
use crate::proxy::error::Refusal;
use crate::proxy::session::{Hearing, Outlet, Session, Subscribed, Telling, Turn, Unsubscribable};
use crate::proxy::target;
use crate::proxy::{Carrier, Downstream, Erased, Left, Post, Worker, respond, route, teams};
use crate::upstream::{Error, Gone, Kind};

/// A stream on which a session is told.
pub(crate) struct OwnStream<'a, T: Topology> {
    worker: &'a Worker<T>,
    view: &'static View,
    outlet: Outlet,
    /// The catalog whose lists the session knew when the stream was opened.
    known: Catalog,
    /// What is listened for while the session is told on this one.
    lists: Option<Lists>,
}

/// The places of a session that hears of lists.
#[derive(Debug)]
struct Lists {
    _placed: Placed,
    _enrolled: Vec<Enrolled>,
    _counted: Option<Rc<()>>,
}

/// Answers `resources/subscribe`: once the server has acknowledged, or it is known that it does not.
pub(in crate::proxy) async fn subscribe<'a, T: Topology>(
    worker: &Worker<T>,
    post: &Post<'a>,
    session: Session,
    id: &[u8],
    downstream: &Erased<'_>,
) -> Result<Result<(), Gone>, Refusal<'a>> {
    let named = target::of(post, CallKind::Resource)?;
    let uri = named.value.text().ok_or(Refusal::InvalidParams("`params.uri` must be a string".into()))?;
    let uri = uri.decode(post.body);
    let Some(route) = route::route::<T>(post.catalog, post.view, Subject::Resources, &uri) else {
        return Err(Refusal::Unknown("resource", uri));
    };
    let hearing = hearing(worker, post.carrier, session);
    match hearing.check(&uri) {
        Err(Unsubscribable::Subscribed) => return Ok(respond::result(downstream, id, b"{}", "").await),
        checked => checked.map_err(refused)?,
    }
    let counted = Rc::clone(&worker.subscriptions);
    if Rc::strong_count(&counted) > limits::SUBSCRIPTIONS_MAX + 1 {
        return Err(Refusal::Busy("sessions are subscribed to as many resources as may be"));
    }
    let wish = Wish {
        filter: Filter { resource_subscriptions: BTreeSet::from([(*route.upstream).into()]), ..Filter::default() },
        uris: vec![((*route.upstream).into(), (*uri).into())],
        tasks: Vec::new(),
    };
    let backend = teams::heard(worker, &route);
    let listener = Rc::new(Listener::Session(Arc::clone(&hearing)));
    let cancelled = poll_fn(|cx| match downstream.poll_left(cx) {
        Poll::Ready(Left::Cancelled) => Poll::Ready(()),
        // Going away is no cancellation (MCP 2025-11-25, streamable HTTP).
        Poll::Ready(Left::Away) | Poll::Pending => Poll::Pending,
    });
    let enrolled = tokio::select! {
        () = cancelled => return Ok(Err(Gone)),
        enrolled = acknowledged(worker, backend, wish, &listener) => enrolled,
    };
    let place = match enrolled {
        Ok(place) => place,
        Err(None) => return Err(Refusal::NoSubscriptions(uri)),
        Err(Some(error)) => {
            let name = post.catalog.name_of::<T>(backend);
            let refusal = Refusal::Upstream(name, &error);
            return Ok(respond::refuse(downstream, &refusal, session.revision.era(), Some(id)).await);
        }
    };
    match hearing.subscribe(&uri) {
        Ok(subscribed) => hold(worker, (place, counted), subscribed),
        // Another request was faster.
        Err(Unsubscribable::Subscribed) => {}
        Err(unsubscribable) => return Err(refused(unsubscribable)),
    }
    Ok(respond::result(downstream, id, b"{}", "").await)
}

/// Takes `resources/unsubscribe`. What is not subscribed to is none the more so afterwards.
pub(in crate::proxy) fn unsubscribe<'a, T: Topology>(
    worker: &Worker<T>,
    post: &Post<'a>,
    session: Session,
) -> Result<(), Refusal<'a>> {
    let named = target::of(post, CallKind::Resource)?;
    let uri = named.value.text().ok_or(Refusal::InvalidParams("`params.uri` must be a string".into()))?;
    hearing(worker, post.carrier, session).unsubscribe(&uri.decode(post.body));
    Ok(())
}

fn hearing<T: Topology>(worker: &Worker<T>, carrier: Carrier<'_>, session: Session) -> Arc<Hearing> {
    match carrier {
        Carrier::Http(_) => worker.shared.sessions.hearing(session.key),
        Carrier::Connection(agreement) => agreement.hearing(),
    }
}

fn refused(unsubscribable: Unsubscribable) -> Refusal<'static> {
    match unsubscribable {
        Unsubscribable::Full => {
            Refusal::InvalidParams("the session is subscribed to as many resources as may be".into())
        }
        Unsubscribable::Over | Unsubscribable::Subscribed => Refusal::SessionUnknown,
    }
}

/// A place at the backend, which has acknowledged what is wished for; else why there is none, or nothing where the backend
/// has no subscriptions.
async fn acknowledged<T: Topology>(
    worker: &Worker<T>,
    backend: u16,
    wish: Wish,
    listener: &Rc<Listener>,
) -> Result<Enrolled, Option<Error>> {
    worker.shared.tuned.of(backend).map_or(Ok(()), |own| own.admit(false)).map_err(Some)?;
    let Some(place) = Feed::enrol(worker, backend, wish, listener) else {
        return Err(Some(Error::unavailable("the gateway stops")));
    };
    // Others may be waited for still; what is acknowledged is.
    let answered = tokio::time::timeout(limits::ACKNOWLEDGE_TIMEOUT, place.answered()).await.is_ok();
    if !answered && place.acknowledged().is_empty() {
        return Err(Some(Error::new(Kind::Timeout, true, "it has not acknowledged the subscription in time")));
    }
    if !place.acknowledged().is_empty() {
        return Ok(place);
    }
    let declares = tells::<T>(worker.catalog(), backend, Changing::Contents);
    Err(declares.then(|| Error::unavailable("it does not acknowledge the subscription")))
}

/// Whether a backend declared in the lock that it tells of this.
fn tells<T: Topology>(catalog: Catalog, backend: u16, change: Changing) -> bool {
    catalog.backend::<T>(backend).is_some_and(|backend| backend.tells.contains(&change))
}

/// Keeps a place for as long as the session is subscribed, or until the gateway stops.
fn hold<T: Topology>(worker: &Worker<T>, place: (Enrolled, Rc<()>), subscribed: Subscribed) {
    let Some(worker) = worker.own.upgrade() else { return };
    tokio::task::spawn_local(async move {
        tokio::select! {
            _ended = subscribed => {}
            () = worker.drain.begun() => {}
        }
        drop(place);
    });
}

/// Tells a session on the connection that carries it, until the gateway stops or nobody reads any more. What is collected
/// by then is told as well.
pub(crate) async fn tell<T: Topology>(
    worker: &Worker<T>,
    view: &'static View,
    hearing: &Arc<Hearing>,
    downstream: &impl Downstream,
) -> Result<(), Gone> {
    let mut own = OwnStream::open(worker, view, hearing);
    loop {
        tokio::select! {
            () = worker.drain.begun() => return own.rest().write(downstream).await,
            telling = own.next() => telling.write(downstream).await?,
        }
    }
}

// === impl OwnStream ===

impl<'a, T: Topology> OwnStream<'a, T> {
    /// A new one.
    pub(crate) fn open(worker: &'a Worker<T>, view: &'static View, hearing: &Arc<Hearing>) -> Self {
        let outlet = hearing.open(Window::new(T::SPEC.batching));
        Self { worker, view, outlet, known: worker.catalog(), lists: None }
    }

    /// What is to be told next, once there is something. Cancel safe.
    pub(crate) async fn next(&mut self) -> Telling {
        loop {
            match self.outlet.next().await {
                Turn::Carries(carries) => self.lists = carries.then(|| self.listen()),
                Turn::Tell(telling) => return telling,
            }
        }
    }

    /// All that there is to tell, also what is still collected: the stream is about to end.
    pub(crate) fn rest(&mut self) -> Telling {
        self.outlet.rest()
    }

    /// Listens for the lists of the view, at the servers that declared that they tell of theirs: others are not asked for
    /// the sake of every stream there is.
    fn listen(&self) -> Lists {
        let all = Filter {
            tools_list_changed: true,
            prompts_list_changed: true,
            resources_list_changed: true,
            ..Filter::default()
        };
        let catalog = self.worker.catalog();
        let declared = |(backend, mut wish): (u16, Wish)| {
            let filter = &mut wish.filter;
            filter.tools_list_changed &= tells::<T>(catalog, backend, Changing::Tools);
            filter.prompts_list_changed &= tells::<T>(catalog, backend, Changing::Prompts);
            filter.resources_list_changed &= tells::<T>(catalog, backend, Changing::Resources);
            (!wish.filter.is_empty()).then_some((backend, wish))
        };
        let wishes: Vec<_> = wishes(self.worker, catalog, self.view, &all).into_iter().filter_map(declared).collect();
        let listener = Rc::new(Listener::Session(Arc::clone(self.outlet.hearing())));
        let _placed = self.worker.amends.enrol((self.known, catalog), self.view, &all, &listener);
        let counted = Rc::clone(&self.worker.listeners);
        if wishes.is_empty() || Rc::strong_count(&counted) > limits::LISTENERS_MAX + 1 {
            return Lists { _placed, _enrolled: Vec::new(), _counted: None };
        }
        let enrolled = wishes.into_iter();
        let enrolled = enrolled.filter_map(|(backend, wish)| Feed::enrol(self.worker, backend, wish, &listener));
        Lists { _placed, _enrolled: enrolled.collect(), _counted: Some(counted) }
    }
}
