//! A call that only reads and is slow to be answered, made a second time elsewhere: the first answer counts, and the other
//! call is cancelled (Dean and Barroso, "The tail at scale").
//!
//! **Invariant:** a tool that does not only read, by the lock, is never called a second time here.

use std::cell::Cell;
use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::task::{Context, Poll};
use std::time::Duration;

use super::super::bridge::Caller;
use super::super::relay::ClientRelay;
use super::super::route::Route;
use super::super::{Downstream, Link, Worker};
use super::course::Course;
use super::leg::{Leg, Stake, Which};
use super::{Journey, Place, drive};
use crate::catalog::{Era, Topology};
use crate::mcp::method::CallKind;
use crate::upstream::{Call, Error, Kind, Transport as _};

/// What became of the second call, if there was one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Second {
    Unmade,
    Made,
    Over(Which),
}

/// Where the second call is made.
struct Elsewhere<'j, T: Topology> {
    place: Place<'j, T>,
    /// Of the same backend another endpoint.
    endpoint: Option<u16>,
}

/// How far the two have come.
struct Race<'j, T: Topology> {
    /// Whose outcome it will be.
    place: Cell<Place<'j, T>>,
    second: Cell<Second>,
    /// Something of either call may have reached its backend.
    sent: Cell<bool>,
}

/// Whether a call may ever be made a second time: it only reads, and nothing is told with it to its client alone.
pub(in super::super) fn may_hedge(caller: &Caller<'_>, route: &Route<'_>) -> bool {
    caller.kind == CallKind::Tool
        && route.read_only
        && !route.pinned
        && route.child.is_none()
        && !caller.tells_one_alone()
}

/// Whether any backend that its route leads to wants that. Those that stand in may do more than read.
pub(in super::super) fn hedges<T: Topology>(worker: &Worker<T>, route: &Route<'_>) -> bool {
    let mut places = T::SPEC.led(route.backend, route.team);
    // Of one that was not needed so far it is found out later.
    places.any(|backend| worker.links.of(backend).is_none_or(|link| link.hedges_after().is_some()))
}

// === impl Journey ===

impl<'j, T: Topology> Journey<'j, T> {
    /// After how long the call is made a second time if it gets no answer at this backend; `None` where it is not.
    pub(super) fn hedges_after(&self, (backend, link): (u16, &Link<T>)) -> Option<Duration> {
        let after = link.hedges_after()?;
        let is_led = || T::SPEC.led(self.route.backend, self.route.team).any(|led| led == backend);
        let may = !self.hedged.get() && !self.asked.get() && may_hedge(self.caller, self.route) && is_led();
        (may && !link.keeps_for(self.caller.session)).then_some(after)
    }

    /// Makes the call, and once more elsewhere where it gets no answer in time. `place` becomes where the outcome is from.
    pub(super) async fn hedge<D: Downstream>(
        &self,
        first: &Call<'_>,
        place: &mut Place<'j, T>,
        (course, after): (&mut Course<'_>, Duration),
        relay: &mut ClientRelay<'_, D>,
    ) -> Result<(), Error> {
        let (backend, link) = (place.backend, place.link);
        let race = Race { place: Cell::new(*place), second: Cell::new(Second::Unmade), sent: Cell::new(false) };
        let wait = self.wait(relay, self.share(course.others(self.worker)), &race.sent);
        let accepts_stream = relay.accepts_stream();
        wait.quiet.set(relay.quiet());
        link.earn_hedge();
        let work = self.race(&race, (first, after), course, relay);
        let outcome = drive(work, &wait, accepts_stream, first.era == Era::Legacy).await;
        *place = race.place.get();
        if let Err(error) = &outcome
            && error.kind != Kind::ClientGone
        {
            // The second one did not have all its time: nothing is held against its endpoint.
            link.expired(first, error.kind);
        }
        let won = match race.second.get() {
            Second::Unmade => return outcome,
            Second::Over(which) if outcome.is_ok() => Some(which),
            Second::Made | Second::Over(_) => None,
        };
        if let Some(counts) = self.worker.counts.of(usize::from(backend)) {
            counts.hedged(won.map(|which| which == Which::Second));
        }
        outcome
    }

    async fn race<D: Downstream>(
        &self,
        race: &Race<'j, T>,
        (first, after): (&Call<'_>, Duration),
        course: &mut Course<'_>,
        relay: &mut ClientRelay<'_, D>,
    ) -> Result<(), Error> {
        let Place { backend, link, .. } = race.place.get();
        let (left, began) = (relay.left(), relay.began());
        let stake = Stake::new(relay);
        let mut leg = self.leg(Which::First, backend, &stake);
        let mut one = pin!(Some(link.exchange(first, &mut leg)));
        if let Some(outcome) = race.alone(one.as_mut(), first, &stake, Some(after)).await {
            return outcome;
        }
        // Nobody would read the answer of one that is made for a client that left.
        let elsewhere = if left.get() { None } else { self.elsewhere(first, (backend, link), course) };
        let Some(Elsewhere { place: other, endpoint }) = elsewhere else {
            let outcome = race.alone(one, first, &stake, None).await;
            return outcome.unwrap_or_else(|| Err(Error::client_gone()));
        };
        let other = Place { since: began.elapsed(), ..other };
        self.made_twice(race, (backend, other.backend));
        let relisted = self.worker.relisted.headers(other.backend, &self.route.upstream);
        let headers = relisted.as_deref().unwrap_or_else(|| self.locked_headers(other.backend));
        let call = self.call((other.backend, headers), self.caller.source, self.caller.head, self.name.0);
        let second = match endpoint {
            Some(_) => Call { child: endpoint, tried: first.tried.clone(), ..call },
            None => Call { tried: Cell::new(0), ..call },
        };
        let places = [race.place.get(), other];
        let mut leg = self.leg(Which::Second, other.backend, &stake);
        let mut two = pin!(Some(other.link.exchange(&second, &mut leg)));
        let mut failed: Option<Error> = None;
        let outcome = poll_fn(|cx| {
            for which in [Which::First, Which::Second] {
                let ended = match which {
                    Which::First => step(one.as_mut(), cx),
                    Which::Second => step(two.as_mut(), cx),
                };
                race.sent.set(race.sent.get() || first.sent.get() || second.sent.get());
                // Dropped, it is cancelled, and its place is free.
                match stake.holder() {
                    Some(Which::First) => two.set(None),
                    Some(Which::Second) => {
                        one.set(None);
                        // Whatever becomes of the other, it is none of its endpoint's doing.
                        first.taken.set(None);
                    }
                    None => {}
                }
                let Some(outcome) = ended else { continue };
                let (own, others) = (places[which as usize], places[1 - which as usize]);
                match (outcome, failed.take()) {
                    (Err(error), None) if stake.holder().is_none() && error.kind != Kind::ClientGone => {
                        self.fell_behind(&own, &error, began.elapsed());
                        race.place.set(others);
                        failed = Some(error);
                    }
                    (outcome, earlier) => {
                        race.place.set(own);
                        race.second.set(Second::Over(which));
                        let sent = earlier.is_some_and(|earlier| earlier.sent);
                        return Poll::Ready(outcome.map_err(|error| Error { sent: error.sent || sent, ..error }));
                    }
                }
            }
            Poll::Pending
        });
        let outcome = outcome.await;
        if endpoint.is_some() {
            first.tried.set(first.tried.get() | second.tried.get());
        }
        outcome
    }

    fn leg<'s, 'r, 'a, D: Downstream>(
        &self,
        which: Which,
        backend: u16,
        stake: &'s Stake<'r, 'a, D>,
    ) -> Leg<'s, 'r, 'a, D> {
        let named = (self.caller.catalog.name_of::<T>(backend), self.asks(backend));
        Leg::new(which, stake, named, self.marks(backend))
    }

    /// The call is made at the second of these backends, while the first has it.
    fn made_twice(&self, race: &Race<'_, T>, (backend, other): (u16, u16)) {
        self.hedged.set(true);
        race.second.set(Second::Made);
        let (catalog, name) = (self.caller.catalog, &*self.route.upstream);
        let (backend, other) = (catalog.name_of::<T>(backend), catalog.name_of::<T>(other));
        tracing::debug!(backend, other, name, "call has no answer yet: it is made a second time");
    }

    /// Where the call is made a second time: at another endpoint of its backend, or at another backend of its route where there
    /// is none. Neither where it would have to wait, or as many are made a second time as may be.
    fn elsewhere(
        &self,
        first: &Call<'_>,
        (backend, link): (u16, &'j Link<T>),
        course: &mut Course<'_>,
    ) -> Option<Elsewhere<'j, T>> {
        // Its era may be known only now.
        if link.keeps_for(self.caller.session) {
            return None;
        }
        let since = Duration::ZERO;
        if let Some(endpoint) = link.elsewhere(first) {
            let elsewhere = Elsewhere { place: Place { backend, link, since }, endpoint: Some(endpoint) };
            return link.spend_hedge().then_some(elsewhere);
        }
        let (index, other) = course.beside(self)?;
        let settings = self.worker.shared.tuned.of(other)?;
        if !settings.is_open() || self.needs_task(other) {
            return None;
        }
        let other_link = self.worker.links.for_call(self.caller.catalog, usize::from(other)).ok()?;
        if other_link.is_full() || other_link.keeps_for(self.caller.session) || !link.spend_hedge() {
            return None;
        }
        course.pass_by(index);
        Some(Elsewhere { place: Place { backend: other, link: other_link, since }, endpoint: None })
    }

    /// One of two calls failed, and the other one is under way.
    fn fell_behind(&self, place: &Place<'_, T>, error: &Error, elapsed: Duration) {
        let (backend, name) = (self.caller.catalog.name_of::<T>(place.backend), &*self.route.upstream);
        tracing::warn!(backend, name, %error, sent = error.sent, "call got no answer, and is under way elsewhere");
        if let Some(counts) = self.worker.counts.of(usize::from(place.backend)) {
            counts.tried(Some(error.kind), elapsed.saturating_sub(place.since));
        }
    }
}

// === impl Race ===

impl<T: Topology> Race<'_, T> {
    /// Waits for the first call alone, for so long unless it has begun to answer; `None` where it is not over then.
    async fn alone<D, F: Future<Output = Result<(), Error>>>(
        &self,
        mut call: Pin<&mut Option<F>>,
        first: &Call<'_>,
        stake: &Stake<'_, '_, D>,
        patience: Option<Duration>,
    ) -> Option<F::Output> {
        let mut timer = pin!(patience.map(tokio::time::sleep));
        poll_fn(|cx| {
            let ended = step(call.as_mut(), cx);
            self.sent.set(first.sent.get());
            match (ended, timer.as_mut().as_pin_mut()) {
                (Some(outcome), _) => Poll::Ready(Some(outcome)),
                (None, Some(timer)) if stake.holder().is_none() => timer.poll(cx).map(|()| None),
                (None, _) => Poll::Pending,
            }
        })
        .await
    }
}

/// Polls a call that is under way; what it comes to is its end.
fn step<F: Future>(mut call: Pin<&mut Option<F>>, cx: &mut Context<'_>) -> Option<F::Output> {
    let Poll::Ready(outcome) = call.as_mut().as_pin_mut()?.poll(cx) else { return None };
    call.set(None);
    Some(outcome)
}
