//! One call to its backend and back: within its deadline, for as long as the client stays.

mod course;
mod hedge;
mod leg;
mod task;

use std::cell::Cell;
use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use super::bridge::Caller;
use super::error::Refusal;
use super::relay::ClientRelay;
use super::route::Route;
use super::tasks::Origin;
use super::teams::state::Marks;
use super::{Downstream, Erased, Left, Link, Optional, Settings, Worker, relisting, respond};
use crate::catalog::plan::ParamHeader;
use crate::catalog::{Era, Topology};
use crate::clock::Deadline;
use crate::limits;
use crate::mcp::client::Profile;
use crate::mcp::envelope::{self, Incoming};
use crate::mcp::json::Value;
use crate::mcp::method::{CallKind, TaskKind};
use crate::upstream::balance::Strategy;
use crate::upstream::{Call, Cluster, Error, Gone, Kind, Others, Target, Transport};
use course::{Course, Step};
pub(super) use hedge::{hedges, may_hedge};

/// What happened first while an exchange was waited for.
enum Turn {
    Done(Result<(), Error>),
    Expired,
    Left(Left),
    Quiet,
}

/// What an exchange is waited for with.
struct Wait<'a, D> {
    downstream: &'a D,
    /// Of the whole call.
    deadline: &'a Deadline,
    /// Of this attempt, for as long as nothing of the call was sent; `None` where nobody is left to take it over.
    share: Option<Deadline>,
    sent: &'a Cell<bool>,
    quiet: Deadline,
    left: Rc<Cell<bool>>,
}

/// A call on its way to one backend after the other.
struct Journey<'a, T: Topology> {
    worker: &'a Worker<T>,
    caller: &'a Caller<'a>,
    /// The name as the client wrote it, and decoded.
    name: (Value, &'a str),
    route: &'a Route<'a>,
    passed_on: &'a [(&'a str, &'a [u8])],
    /// Of the whole call, whoever takes it.
    deadline: &'a Deadline,
    /// The bits of the endpoints of one backend that it was tried at.
    tried: Cell<u64>,
    /// The backend asked its client for something: it is not to be asked that again.
    asked: Cell<bool>,
    /// It was made a second time because the first was slow: once is enough.
    hedged: Cell<bool>,
}

/// Who has a call, and since when of the time that the call takes.
struct Place<'a, T: Topology> {
    backend: u16,
    link: &'a Link<T>,
    since: Duration,
}

/// Sends a call to the backend its route names, or one of them, and relays what comes back. Where it is proven that nothing
/// of the call was sent, or executing it twice does no harm, others follow within the same deadline, while the client is
/// there and was told nothing.
pub(crate) async fn dispatch<T: Topology, D: Downstream>(
    worker: &Worker<T>,
    caller: &Caller<'_>,
    name: (Value, &str),
    route: &Route<'_>,
    passed_on: &[(&str, &[u8])],
    downstream: &D,
) -> Result<(), Gone> {
    let mut course = Course::of(worker, caller, route);
    let timeout = match caller.kind {
        // It waits for the task, whatever that takes.
        CallKind::Task(TaskKind::Result) => limits::CALL_MAX,
        _ => worker.shared.tuned.of(course.backend).map_or(limits::CALL_MAX, Settings::timeout),
    };
    worker.clock.refresh();
    let deadline = worker.clock.deadline();
    deadline.set(timeout);
    let journey = Journey {
        worker,
        caller,
        name,
        route,
        passed_on,
        deadline: &deadline,
        tried: Cell::new(0),
        asked: Cell::new(false),
        hedged: Cell::new(false),
    };
    let catalog = caller.catalog;
    let origin = Origin { backend: catalog.name_of::<T>(course.backend), worker: worker.index, child: None };
    let client = (caller, route.rewrites);
    let mut relay = ClientRelay::new(client, downstream, &deadline, timeout, &worker.shared, origin);
    let mut failed: Option<(u16, Error)> = None;
    let mut times = 1;
    loop {
        let backend = course.backend;
        let (at, error) = match journey.attempt(&mut course, &mut relay).await {
            Ok(()) => return Ok(()),
            Err((_, Error { kind: Kind::ClientGone, .. })) => return Err(Gone),
            Err(failed) => failed,
        };
        let (backend_name, method) = (catalog.name_of::<T>(at), journey.method());
        tracing::warn!(backend = backend_name, method, name = &*route.upstream, %error, sent = error.sent, "call got no answer");
        if relay.answered() {
            return Err(Gone);
        }
        let goes_on = journey.goes_on(&error) && !relay.told();
        let step = if goes_on { course.next(&journey, times, &error) } else { None };
        // What may have been executed is what its client has to know, whatever became of the call afterwards.
        if failed.as_ref().is_none_or(|(_, earlier)| error.sent || !earlier.sent) {
            failed = Some((at, error));
        }
        match step {
            None => break,
            Some(Step::Again(delay)) => {
                if !journey.pause(delay, &mut relay).await {
                    return Err(Gone);
                }
                tracing::info!(backend = backend_name, method, name = &*route.upstream, "call is made again");
            }
            Some(_) if relay.is_left().await => return Err(Gone),
            Some(step) => journey.turn(backend_name, step),
        }
        times = journey.counted(backend, step, times);
    }
    let Some((backend, error)) = failed else { return Err(Gone) };
    let refusal = Refusal::Upstream(catalog.name_of::<T>(backend), &error);
    if downstream.streaming() {
        downstream.event(&[&refusal.verdict(caller.era).body(Some(caller.id))]).await?;
        return downstream.finish().await;
    }
    respond::refuse(downstream, &refusal, caller.era, Some(caller.id)).await
}

/// Waits for what others do, as a client waits for its call: until it leaves, and with signs of life on its stream. How long
/// that may take is theirs to say.
pub(super) async fn stay<T: Topology>(
    worker: &Worker<T>,
    work: impl Future<Output = Result<(), Error>>,
    caller: &Caller<'_>,
    downstream: &Erased<'_>,
) -> Result<(), Error> {
    let (deadline, quiet) = (worker.clock.deadline(), worker.clock.deadline());
    let (sent, left) = (Cell::new(true), Rc::<Cell<bool>>::default());
    quiet.set(caller.quiet);
    let wait = Wait { downstream, deadline: &deadline, share: None, sent: &sent, quiet, left: Rc::clone(&left) };
    drive(work, &wait, caller.accepts_stream, caller.era == Era::Legacy).await?;
    if left.get() { Err(Error::client_gone()) } else { Ok(()) }
}

// === impl Journey ===

impl<'j, T: Topology> Journey<'j, T> {
    /// Sends the call to the backend that has it by now. What fails, fails at one, which another may have become.
    async fn attempt<D: Downstream>(
        &self,
        course: &mut Course<'_>,
        relay: &mut ClientRelay<'_, D>,
    ) -> Result<(), (u16, Error)> {
        let (worker, backend) = (self.worker, course.backend);
        let index = usize::from(backend);
        let (Some(settings), Some(counts)) = (worker.shared.tuned.of(index), worker.counts.of(index)) else {
            return Err((backend, Error::unavailable("the topology has no such backend")));
        };
        let link =
            match settings.admit(self.goes_on_there()).and_then(|()| worker.links.for_call(self.caller.catalog, index))
            {
                Ok(link) => link,
                Err(error) => {
                    counts.refused(error.kind);
                    return Err((backend, error));
                }
            };
        relay.turn_to(self.caller.catalog.name_of::<T>(backend), self.asks(backend), self.marks(backend));
        let mut place = Place { backend, link, since: relay.elapsed() };
        let mut outcome = if D::DETACHED && self.needs_task(backend) {
            // Boxed: few tools run as tasks alone.
            Box::pin(self.run_task((backend, link), self.share(course.others(worker)), relay)).await
        } else {
            self.make(&mut place, course, relay).await
        };
        let Place { backend, link, since } = place;
        if outcome.is_ok()
            && let Some(required) = relay.take_required()
        {
            self.asked.set(true);
            // Boxed: only few calls take more than one round.
            let rounds = Box::pin(self.rounds((backend, link), relay, required)).await;
            // Whatever became of a later round, the backend had the call.
            outcome = rounds.map_err(|error| Error { sent: true, ..error });
        }
        let took = relay.elapsed().saturating_sub(since);
        // Who was not there any more to read an answer was answered.
        let failure = outcome.as_ref().err().map(|error| error.kind);
        let counts = worker.counts.of(usize::from(backend)).unwrap_or(counts);
        counts.tried(failure.filter(|kind| *kind != Kind::ClientGone || !relay.answered()), took);
        outcome.map_err(|error| (backend, error))
    }

    /// Makes the call, once more where the backend wants to see other headers than those that it was made with.
    async fn make<D: Downstream>(
        &self,
        place: &mut Place<'j, T>,
        course: &mut Course<'_>,
        relay: &mut ClientRelay<'_, D>,
    ) -> Result<(), Error> {
        let (worker, caller, name) = (self.worker, self.caller, &*self.route.upstream);
        let mut relisted = worker.relisted.headers(place.backend, name);
        loop {
            let Place { backend, link, .. } = *place;
            let headers = relisted.as_deref().unwrap_or_else(|| self.locked_headers(backend));
            let call = self.call((backend, headers), caller.source, caller.head, self.name.0);
            let outcome = if T::HEDGES
                && D::DETACHED
                && let Some(after) = self.hedges_after((backend, link))
            {
                let made: Optional<'_, _> = Box::pin(self.hedge(&call, place, (course, after), relay));
                made.await
            } else {
                let wait = self.wait(relay, self.share(course.others(worker)), &call.sent);
                exchange(link, &call, relay, &wait).await
            };
            // Of another backend these would be other endpoints; what failed is looked at by where the call was first.
            let stays = place.backend == backend || outcome.is_err();
            self.tried.set(if stays { call.tried.get() } else { 0 });
            let Some(refusal) = relay.take_refusal().filter(|_| outcome.is_ok()) else { return outcome };
            let elsewhere;
            let headers = if place.backend == backend {
                headers
            } else {
                elsewhere = worker.relisted.headers(place.backend, name);
                elsewhere.as_deref().unwrap_or_else(|| self.locked_headers(place.backend))
            };
            match relisting::relist(worker, place.backend, name, headers, self.deadline).await {
                // Who left meanwhile has cancelled, unless its era has another word for that.
                Some(_) if caller.era == Era::Modern && relay.is_left().await => return Err(Error::client_gone()),
                Some(wanted) => relisted = Some(wanted),
                None => return Box::pin(relay.refuse(&refusal)).await,
            }
        }
    }

    /// Whether others could get the call that answers what a backend asks: one of several, or one that stands in.
    fn marks(&self, backend: u16) -> Marks {
        let is_one_of_several = T::HAS_TEAMS && self.route.team.is_some();
        if is_one_of_several || self.route.pinned || backend != self.route.backend {
            Marks::All
        } else if self.route.fallbacks.is_empty() {
            Marks::None
        } else {
            Marks::Alike
        }
    }

    /// Whether the call goes on with what an earlier one has begun at its backend.
    fn goes_on_there(&self) -> bool {
        matches!(self.caller.kind, CallKind::Task(_)) || self.caller.head.resumes
    }

    /// What the backend is asked for: a method that the gateway does not know stands where a name does.
    fn method(&self) -> &str {
        if self.caller.kind == CallKind::Beyond { &self.route.upstream } else { self.caller.kind.as_str() }
    }

    /// What the backend may ask of clients.
    fn asks(&self, backend: u16) -> Profile {
        self.worker.shared.tuned.of(backend).map_or(Profile::NONE, Settings::asks)
    }

    /// What the tool of the call wants to see in headers at a backend, by its lock.
    fn locked_headers(&self, backend: u16) -> &'static [ParamHeader] {
        if self.route.has_headers {
            self.caller.catalog.spec::<T>().headers_of(backend, &self.route.upstream)
        } else {
            &[]
        }
    }

    /// The call to a backend that wants these headers, with this message, in which the name stands there.
    fn call<'c>(
        &'c self,
        (backend, headers): (u16, &'c [ParamHeader]),
        source: &'c [u8],
        head: &'c Incoming,
        written: Value,
    ) -> Call<'c> {
        let (caller, name) = (self.caller, &*self.route.upstream);
        let mirrored = caller.kind != CallKind::Completion;
        let target = Target { span: written.span, name, renamed: name != self.name.1, mirrored };
        Call {
            source,
            head,
            method: self.method(),
            target: (caller.kind != CallKind::Beyond).then_some(target),
            era: caller.era,
            log_level: caller.log_level,
            passed_on: self.passed_on,
            headers,
            session: caller.session,
            profile: caller.profile,
            header_keys: caller.header_keys,
            asks: self.asks(backend),
            child: self.route.child,
            tried: Cell::new(self.tried.get()),
            rest: Cell::new(None),
            taken: Cell::new(None),
            sent: Cell::new(false),
        }
    }

    fn wait<'w, D: Downstream>(
        &'w self,
        relay: &ClientRelay<'w, D>,
        share: Option<Deadline>,
        sent: &'w Cell<bool>,
    ) -> Wait<'w, D> {
        let (downstream, left) = (relay.downstream(), relay.left());
        Wait { downstream, deadline: self.deadline, share, sent, quiet: self.worker.clock.deadline(), left }
    }

    /// Asks the client for what a backend requires and makes the call again with that, until there is an answer.
    async fn rounds<D: Downstream>(
        &self,
        (backend, link): (u16, &Link<T>),
        relay: &mut ClientRelay<'_, D>,
        mut required: Box<[u8]>,
    ) -> Result<(), Error> {
        let (caller, sent) = (self.caller, Cell::new(true));
        let relisted = self.worker.relisted.headers(backend, &self.route.upstream);
        let headers = relisted.as_deref().unwrap_or_else(|| self.locked_headers(backend));
        for round in 0..limits::INPUT_ROUNDS_MAX {
            let (wait, accepts_stream) = (self.wait(relay, None, &sent), relay.accepts_stream());
            let mut members = None;
            wait.quiet.set(limits::KEEP_ALIVE);
            let interview = async {
                members = relay.interview(&required).await?;
                if members.as_ref().is_some_and(|members| !members.contains("inputResponses")) {
                    // It asks for nothing but patience.
                    tokio::time::sleep(limits::INPUT_PAUSE * round).await;
                }
                Ok(())
            };
            // Whoever left cannot be asked.
            drive(interview, &wait, accepts_stream, false).await?;
            let Some(members) = members else { return Ok(()) };
            let mut source = caller.source.to_vec();
            let inside = caller.head.params.map_or(0, |params| params.span.start as usize + 1);
            source.splice(inside..inside, members.into_bytes());
            let head = envelope::incoming(&source)
                .map_err(|error| Error::protocol(format!("the input that it requires makes no message: {error:?}")))?;
            let name = match caller.kind {
                CallKind::Tool | CallKind::Prompt => head.name,
                CallKind::Resource => head.uri,
                // The relay lets none of them require anything.
                CallKind::Completion | CallKind::Task(_) | CallKind::Beyond => None,
            };
            let call = self.call((backend, headers), &source, &head, name.unwrap_or(self.name.0));
            exchange(link, &call, relay, &self.wait(relay, None, &call.sent)).await?;
            if let Some(refusal) = relay.take_refusal() {
                return relay.refuse(&refusal).await;
            }
            match relay.take_required() {
                Some(again) => required = again,
                None => return Ok(()),
            }
        }
        Err(Error::protocol(format!("it asked for input {} times and gave no answer", limits::INPUT_ROUNDS_MAX)))
    }

    /// Another backend has the call from now on.
    fn turn(&self, before: &str, step: Step) {
        let (Step::Passed(to) | Step::Elsewhere(to) | Step::Fallback(to)) = step else { return };
        let (method, name, to) = (self.method(), &*self.route.upstream, self.caller.catalog.name_of::<T>(to));
        match step {
            Step::Fallback(_) => tracing::info!(backend = before, fallback = to, method, name, "call fails over"),
            _ => {
                tracing::info!(backend = before, other = to, method, name, "call goes to another backend of its route")
            }
        }
        self.tried.set(0);
    }

    /// How many times the call is made with the next one, of those that count as one.
    fn counted(&self, backend: u16, step: Option<Step>, times: u32) -> u32 {
        match step {
            Some(Step::Again(_) | Step::Elsewhere(_)) => {
                if let Some(counts) = self.worker.counts.of(usize::from(backend)) {
                    counts.retries.add(1);
                }
                times + 1
            }
            // A place that it never came to.
            Some(Step::Passed(_)) => times,
            Some(Step::Fallback(_)) | None => 1,
        }
    }

    /// After how long the call may be made again that failed at a backend, and was made so many times, if it may be.
    fn again(&self, backend: u16, times: u32, error: &Error, others: Others) -> Option<Duration> {
        // An answer to what a backend asked is for one time (MCP 2026-07-28, multi round-trip requests).
        if self.asked.get() || (self.caller.head.resumes && error.sent) {
            return None;
        }
        let link = self.worker.links.of(backend)?;
        let delay = link.again(error, self.tried.get(), times, others)?;
        (delay < self.deadline.left()).then_some(delay)
    }

    /// Waits before the call is made again; `false` when its client is gone.
    async fn pause<D: Downstream>(&self, delay: Duration, relay: &mut ClientRelay<'_, D>) -> bool {
        if delay.is_zero() {
            return !relay.is_left().await;
        }
        let (sent, accepts_stream) = (Cell::new(true), relay.accepts_stream());
        let wait = self.wait(relay, None, &sent);
        wait.quiet.set(relay.quiet());
        let pause = async {
            tokio::time::sleep(delay).await;
            Ok(())
        };
        // Boxed: few calls wait.
        Box::pin(drive(pause, &wait, accepts_stream, self.caller.era == Era::Legacy)).await.is_ok()
    }

    /// How long a backend may take to get ready for the call, so that as much is left for each of the others.
    fn share(&self, others: usize) -> Option<Deadline> {
        let attempts = u32::try_from(others).ok().filter(|others| *others > 0)? + 1;
        let share = self.worker.clock.deadline();
        share.set(self.deadline.left() / attempts);
        Some(share)
    }

    /// Whether a call that failed like this may be sent to another backend: it is not sent twice unless that does no
    /// harm. An answer that is too long to pass on is an answer.
    fn goes_on(&self, error: &Error) -> bool {
        let unanswered = match error.kind {
            Kind::Unavailable
            | Kind::OutcomeUnknown
            | Kind::Overloaded
            | Kind::CircuitOpen
            | Kind::Auth
            | Kind::Tls
            | Kind::Protocol => true,
            Kind::Timeout | Kind::ResponseTooLarge | Kind::ClientGone => false,
        };
        unanswered && (!error.sent || self.route.repeatable) && !self.deadline.passed()
    }
}

// === impl Place ===

impl<T: Topology> Clone for Place<'_, T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T: Topology> Copy for Place<'_, T> {}

/// Drives the exchange until it is done, its time is over or a modern client leaves. A legacy client that leaves has not
/// cancelled (MCP 2025-11-25, streamable HTTP): the call runs to its end, and nobody reads its answer.
async fn exchange<U: Transport, B: Strategy, D: Downstream>(
    link: &Cluster<U, B>,
    call: &Call<'_>,
    relay: &mut ClientRelay<'_, D>,
    wait: &Wait<'_, D>,
) -> Result<(), Error> {
    let accepts_stream = relay.accepts_stream();
    wait.quiet.set(relay.quiet());
    let outcome = drive(link.exchange(call, relay), wait, accepts_stream, call.era == Era::Legacy).await;
    if let Err(error) = &outcome
        && error.kind != Kind::ClientGone
    {
        link.expired(call, error.kind);
    }
    outcome
}

/// Does so with any part of a call. Whether it goes on when its client went away is `outlives`.
async fn drive<D: Downstream>(
    work: impl Future<Output = Result<(), Error>>,
    wait: &Wait<'_, D>,
    accepts_stream: bool,
    outlives: bool,
) -> Result<(), Error> {
    let mut work = pin!(work);
    loop {
        match poll_fn(|cx| wait.poll(cx, work.as_mut())).await {
            Turn::Done(outcome) => return outcome,
            Turn::Expired if wait.sent.get() => {
                return Err(Error::new(Kind::Timeout, true, "no answer within the deadline"));
            }
            Turn::Expired if wait.deadline.passed() => {
                return Err(Error::unavailable("it was not ready within the deadline"));
            }
            Turn::Expired => return Err(Error::unavailable("it was not ready within its share of the deadline")),
            Turn::Left(Left::Away) if outlives => wait.left.set(true),
            Turn::Left(_) => return Err(Error::client_gone()),
            Turn::Quiet => {
                wait.quiet.set(limits::KEEP_ALIVE);
                if accepts_stream && !wait.left.get() && wait.downstream.keep_alive().await.is_err() {
                    if !outlives {
                        return Err(Error::client_gone());
                    }
                    wait.left.set(true);
                }
            }
        }
    }
}

// === impl Wait ===

impl<D: Downstream> Wait<'_, D> {
    fn poll(&self, cx: &mut Context<'_>, work: Pin<&mut impl Future<Output = Result<(), Error>>>) -> Poll<Turn> {
        if let Poll::Ready(outcome) = work.poll(cx) {
            return Poll::Ready(Turn::Done(outcome));
        }
        let share = self.share.as_ref().filter(|_| !self.sent.get());
        if self.deadline.poll(cx).is_ready() || share.is_some_and(|share| share.poll(cx).is_ready()) {
            return Poll::Ready(Turn::Expired);
        }
        match self.downstream.poll_left(cx) {
            // Whose call goes on nevertheless, until it is cancelled.
            Poll::Ready(Left::Away) if self.left.get() => {}
            Poll::Ready(why) => return Poll::Ready(Turn::Left(why)),
            Poll::Pending => {}
        }
        self.quiet.poll(cx).map(|()| Turn::Quiet)
    }
}
