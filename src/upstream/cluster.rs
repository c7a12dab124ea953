//! The endpoints of one backend as one link: which of them a call goes to, how many there are at once, and which ones are
//! left alone because they fail.
//!
//! What workers share of it is a [`Group`]: a few atomics, and a lock that is only taken where an endpoint has failed.
//! While all endpoints are well, choosing one is a load, and a call is counted with two locked instructions when it
//! begins and two when it ends.
//!
//! **Invariant:** an endpoint that is not well is not chosen while another one can be. **Invariant:** no failure of a
//! client counts against an endpoint.

mod breaker;
mod bulkhead;
mod group;
mod health;
mod retry;

use std::cell::Cell;
use std::fmt;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use super::balance::{Chance, Members as _, Strategy, indices, of_session};
use super::plan::{Balance, HashKey, Hedge, Retry, Traffic};
use super::{Call, Context, Error, Greeting, Hearer, Kind, OpenError, Relay, SessionKey, Transport, plan};
use crate::catalog::Era;
use crate::clock::Clock;
pub(crate) use group::Group;
use group::Taken;
#[cfg(feature = "admin")]
pub(crate) use group::{Breaking, Standing};
#[cfg(feature = "admin")]
pub(crate) use health::State as HealthState;
use retry::Budget;

/// See the module.
pub struct Cluster<U, B> {
    /// By the index of the endpoint; one where the backend is started.
    members: Box<[U]>,
    strategy: B,
    chance: Chance,
    group: Arc<Group>,
    balance: Balance,
    /// It is known to be of the legacy era: calls of one session find the same endpoint.
    legacy: bool,
    /// The endpoint whose session is heard.
    heard: Cell<Option<u16>>,
    retry: Cell<Option<Retry>>,
    budget: Budget,
    hedge: Cell<Option<Hedge>>,
    /// Of calls that are made a second time because the first is slow.
    hedge_budget: Budget,
    clock: Clock,
}

/// Who else could take a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Others {
    /// Nobody.
    None,
    /// A backend that stands in for this one.
    Fallback,
    /// A backend that its route leads to as well.
    Equal,
}

// === impl Cluster ===

impl<U, B> fmt::Debug for Cluster<U, B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cluster").field("group", &self.group).finish_non_exhaustive()
    }
}

impl<U: Transport, B: Strategy> Transport for Cluster<U, B> {
    fn carries(transport: &plan::Transport) -> bool {
        U::carries(transport)
    }

    fn open(context: &Context, backend: &plan::Backend) -> Result<Self, OpenError> {
        let member = |endpoint| U::open(&Context { endpoint, ..context.clone() }, backend);
        let members = (0..backend.transport.endpoints().len().max(1)).map(member).collect::<Result<_, _>>()?;
        let group = context.shared.group(backend);
        // What was set while nothing of it was open holds from the beginning.
        group.reconsider();
        let Traffic { retry, hedge, .. } = group.traffic();
        let legacy = backend.era.or(backend.locked_era) == Some(Era::Legacy);
        Ok(Self {
            members,
            strategy: B::open(&backend.balance, context.worker),
            chance: Chance::new(context.worker),
            group,
            balance: backend.balance.clone(),
            legacy,
            heard: Cell::new(None),
            retry: Cell::new(retry),
            budget: Budget::new(percent(retry)),
            hedge: Cell::new(hedge),
            hedge_budget: Budget::new(hedge_percent(hedge)),
            clock: context.clock.clone(),
        })
    }

    async fn exchange<R: Relay>(&self, call: &Call<'_>, relay: &mut R) -> Result<(), Error> {
        if call.method == "subscriptions/listen" {
            // It stays for as long as anybody listens: it takes no place of a call, and shows nothing of its endpoint.
            return Box::pin(self.first()?.exchange(call, relay)).await;
        }
        if call.tried.get() == 0 {
            self.budget.earn();
        }
        let _place = match self.group.enter() {
            Some(place) => place,
            // Boxed: few calls wait.
            None => Box::pin(self.group.queue()).await?,
        };
        let taken = self.take(call)?;
        let (index, _) = taken.place();
        if self.members.len() > 1 {
            relay.taken_by(index);
        }
        call.tried.set(call.tried.get() | 1 << index);
        call.taken.set(Some(taken.place()));
        let outcome = self.members[usize::from(index)].exchange(call, relay).await;
        call.taken.set(None);
        match call.rest.take() {
            Some(rest) => taken.rests(rest),
            None => taken.ended(outcome.as_ref().err().map(|error| error.kind)),
        }
        outcome
    }

    async fn greet(&self) -> Result<Greeting, Error> {
        let mut failed = None;
        for index in indices(self.group.among()) {
            match self.members[index].greet().await {
                Ok(greeting) => return Ok(greeting),
                Err(error) => failed = Some(error),
            }
        }
        Err(failed.unwrap_or_else(|| self.group.refusal()))
    }

    fn era(&self) -> Option<Era> {
        self.members.iter().find_map(U::era)
    }

    async fn hear<H: Hearer>(&self, hearer: Rc<H>) -> Result<(), Error> {
        let index = self.first_index()?;
        self.heard.set(u16::try_from(index).ok());
        let ended = self.members[index].hear(hearer).await;
        self.heard.set(None);
        ended
    }

    fn leave(&self, session: SessionKey) {
        self.members.iter().for_each(|member| member.leave(session));
    }

    fn reconsider(&self) {
        self.group.reconsider();
        let Traffic { retry, hedge, .. } = self.group.traffic();
        self.retry.set(retry);
        self.budget.set(percent(retry));
        self.hedge.set(hedge);
        self.hedge_budget.set(hedge_percent(hedge));
        self.members.iter().for_each(U::reconsider);
    }

    async fn close(&self) {
        for member in &self.members {
            member.close().await;
        }
    }
}

impl<U: Transport, B: Strategy> Cluster<U, B> {
    /// Whether no worker has a call under way there.
    #[cfg(feature = "amendments")]
    pub(crate) fn is_idle(&self) -> bool {
        self.group.is_idle()
    }

    /// Nobody waits for a call any longer, because its time is over: the endpoint that has it has failed. One that nobody
    /// wants any more says nothing of it.
    pub(crate) fn expired(&self, call: &Call<'_>, kind: Kind) {
        if let Some(place) = call.taken.take() {
            self.group.failed(place, kind);
        }
    }

    /// Whether some endpoint may get a call now.
    pub(crate) fn takes_calls(&self) -> bool {
        self.group.among() != 0
    }

    /// Whether a call would have to wait for its turn.
    pub(crate) fn is_full(&self) -> bool {
        self.group.is_full()
    }

    /// How many calls are under way, over all endpoints and workers.
    pub(crate) fn in_flight(&self) -> u32 {
        (0..self.members.len()).map(|index| self.group.in_flight(index)).sum()
    }

    /// Whether it is known to be of the legacy era.
    pub(crate) fn is_legacy(&self) -> bool {
        self.legacy || self.era() == Some(Era::Legacy)
    }

    /// Whether a call that fails is ever made again.
    pub(crate) fn retries(&self) -> bool {
        self.retry.get().is_some_and(|retry| retry.attempts > 1)
    }

    /// After how long a call may be made again that failed like this, at these endpoints, and so many times in all; `None`
    /// where it is not. That nobody is harmed by that, its caller knows, and who else could take it.
    pub(crate) fn again(&self, failed: &Error, tried: u64, times: u32, others: Others) -> Option<Duration> {
        let retry = self.retry.get().filter(|retry| times < retry.attempts)?;
        // It would be refused again.
        if matches!(failed.kind, Kind::CircuitOpen | Kind::Overloaded) {
            return None;
        }
        let elsewhere = others == Others::Equal || self.group.among() & !tried != 0;
        if (others == Others::Fallback && !elsewhere) || !self.budget.spend(self.clock.now_ms()) {
            return None;
        }
        let delay = if elsewhere { Duration::ZERO } else { retry::delay(&retry, times, &self.chance) };
        Some(failed.retry_after.filter(|_| !elsewhere).map_or(delay, |wanted| wanted.max(delay)))
    }

    /// After how long without an answer a call that only reads is made a second time, if ever.
    #[inline]
    pub(crate) fn hedges_after(&self) -> Option<Duration> {
        self.hedge.get().map(|hedge| Duration::from_millis(hedge.after_ms))
    }

    /// A call is made that may be made a second time.
    pub(crate) fn earn_hedge(&self) {
        self.hedge_budget.earn();
    }

    /// Whether one may be made a second time now.
    pub(crate) fn spend_hedge(&self) -> bool {
        self.hedge_budget.spend(self.clock.now_ms())
    }

    /// Whether what one of the endpoints keeps for a session may be needed by its calls.
    pub(crate) fn keeps_for(&self, session: Option<SessionKey>) -> bool {
        session.is_some() && (self.is_legacy() || matches!(self.balance, Balance::ConsistentHash(HashKey::Session)))
    }

    /// Another endpoint for a call that one of them has, if it would not have to wait there.
    pub(crate) fn elsewhere(&self, call: &Call<'_>) -> Option<u16> {
        let among = self.among(call) & !call.tried.get();
        if among == 0 || call.taken.get().is_none() || self.is_full() {
            return None;
        }
        u16::try_from(self.one_of(call, among)).ok()
    }

    /// The index of the first endpoint that calls may go to.
    fn first_index(&self) -> Result<usize, Error> {
        indices(self.group.among()).next().ok_or_else(|| self.group.refusal())
    }

    /// That endpoint.
    fn first(&self) -> Result<&U, Error> {
        Ok(&self.members[self.first_index()?])
    }

    /// The endpoint for a call.
    fn take(&self, call: &Call<'_>) -> Result<Taken<'_>, Error> {
        let pinned = call.child.filter(|_| self.members.len() > 1).or_else(|| self.hears(call));
        if let Some(index) = pinned {
            let index = usize::from(index);
            let gone = || {
                let gone = Error::unavailable("the endpoint that has what it is about takes no calls now");
                Error { retry_after: self.group.rest(index), ..gone }
            };
            return self.group.take(index).ok_or_else(gone);
        }
        let (mut among, tried) = (self.among(call), call.tried.get());
        if among & !tried == 0 {
            // Rather one that is back lately than one where it was tried.
            among = self.group.among();
        }
        // Where it was tried everywhere, it may be tried again.
        if among & !tried != 0 {
            among &= !tried;
        }
        while among != 0 {
            let index = self.one_of(call, among);
            if let Some(taken) = self.group.take(index) {
                return Ok(taken);
            }
            among &= !(1 << index);
        }
        Err(self.group.refusal())
    }

    /// The endpoint that is heard, for calls that say what is to be heard.
    fn hears(&self, call: &Call<'_>) -> Option<u16> {
        let is_about = matches!(call.method, "resources/subscribe" | "resources/unsubscribe");
        self.heard.get().filter(|_| is_about && self.members.len() > 1)
    }

    /// One of the endpoints whose bits are set, of which there is one at least.
    #[inline]
    fn one_of(&self, call: &Call<'_>, among: u64) -> usize {
        if among & (among - 1) == 0 { among.trailing_zeros() as usize } else { self.pick(call, among) }
    }

    /// One of several endpoints.
    fn pick(&self, call: &Call<'_>, among: u64) -> usize {
        match self.session(call) {
            Some(session) => of_session(session, among, &*self.group),
            None => self.strategy.pick(&*self.group, among, self.key(call)),
        }
    }

    /// The bits of the endpoints that a call may go to now. One that is to find the same endpoint again finds it also where
    /// that is back lately.
    #[inline]
    fn among(&self, call: &Call<'_>) -> u64 {
        let finds = || self.session(call).is_some() || self.key(call).is_some();
        self.group.among_by(|| if finds() { None } else { Some(&self.chance) })
    }

    /// The session of a call for which a legacy server may keep something.
    fn session(&self, call: &Call<'_>) -> Option<SessionKey> {
        call.session.filter(|_| self.is_legacy())
    }

    /// The key of a call, where its endpoint is chosen by that.
    fn key(&self, call: &Call<'_>) -> Option<u64> {
        match &self.balance {
            Balance::ConsistentHash(key) => call.keys().find(key),
            _ => None,
        }
    }
}

/// How many calls of a hundred may be made again.
fn percent(retry: Option<Retry>) -> u32 {
    retry.map_or(0, |retry| retry.budget_percent)
}

/// How many may be made a second time.
fn hedge_percent(hedge: Option<Hedge>) -> u32 {
    hedge.map_or(0, |hedge| hedge.budget_percent)
}

/// The same in seconds, rounded up, for `Retry-After`: at least one, or whoever was refused is back at once.
pub(crate) fn seconds(duration: Duration) -> u64 {
    duration.as_millis().div_ceil(1000).max(1).try_into().unwrap_or(u64::MAX)
}
