//! Links to backends that an overlay has added: over a transport, and with a strategy, that need not be among those of the
//! topology. What workers share of such a backend is kept here.
//!
//! **Invariant:** a call to a compiled backend pays one comparison for it, and its future is no larger.

use std::collections::{BTreeSet, HashMap};
use std::rc::Rc;
#[expect(clippy::disallowed_types, reason = "taken when a link is opened, and by whoever adds")]
use std::sync::Mutex;
use std::sync::{Arc, MutexGuard, PoisonError};

use super::any::Any;
use super::balance::{ConsistentHash, Either, LeastConnections, Members, Random, RoundRobin, Strategy, WeightedRandom};
use super::context::Account;
#[cfg(not(feature = "transport-stdio"))]
use super::no_ward::{Guest, Lodging, Ward};
use super::plan::{Backend, Balance};
#[cfg(feature = "transport-stdio")]
use super::stdio::{Guest, Lodging, Ward};
use super::{
    Call, Context, Error, Greeting, Group, Hearer, OpenError, Patient, Relay, SessionKey, Shared, Transport, Tuning,
    plan,
};
use crate::catalog::Era;
use crate::limits;

/// A link to a backend, compiled or added.
#[derive(Debug)]
pub(crate) enum Reached<U> {
    /// Over a transport of the topology.
    Compiled(U),
    /// Over another one.
    Otherwise(Box<Any>),
}

/// A strategy of the topology, or another one.
#[derive(Debug)]
pub(crate) enum Chosen<B> {
    /// Of the topology.
    Compiled(B),
    /// Another one.
    Otherwise(Box<Strategies>),
}

/// Every strategy there is.
pub(crate) type Strategies =
    Either<RoundRobin, Either<LeastConnections, Either<Random, Either<WeightedRandom, ConsistentHash>>>>;

/// What workers share of added backends.
#[derive(Debug, Default)]
pub(crate) struct Additions {
    #[expect(clippy::disallowed_types, reason = "taken when a link is opened, and by whoever adds")]
    known: Mutex<Known>,
    /// Where the children of those live that are started.
    pub(crate) ward: Ward,
}

#[derive(Debug, Default)]
struct Known {
    /// By how they are reached.
    places: HashMap<String, Addition>,
    /// How many positions were given away.
    count: usize,
    /// Those of backends that never came to be in force.
    free: Vec<usize>,
    /// Those of backends that are in force.
    in_force: Vec<usize>,
    /// Those of backends that ever were.
    used: BTreeSet<usize>,
}

/// What is kept of one of them.
#[derive(Clone, Debug)]
pub(crate) struct Addition {
    /// Its position among all that were ever added.
    pub(crate) position: usize,
    pub(crate) tuning: Tuning,
    pub(crate) group: Arc<Group>,
    pub(super) account: Account,
    /// Its links open again once they were closed.
    reopens: bool,
    /// Where its children live, if it is started.
    pub(super) lodging: Option<Arc<Lodging>>,
}

/// Backends that were entered and are not in force yet: they are kept up for as long as this is held, whatever an overlay says
/// of them. Those that do not come to be in force are forgotten with it.
#[derive(Debug)]
pub(crate) struct Trial {
    additions: Arc<Additions>,
    entered: Vec<Addition>,
}

// === impl Additions ===

impl Additions {
    /// What is kept of a backend, from now on if it is new; `None` where there were as many as may be.
    pub(crate) fn enter(&self, backend: &Backend) -> Option<Addition> {
        let mut known = self.known();
        let key = key(backend);
        if let Some(addition) = known.place(&key) {
            return Some(addition.clone());
        }
        let position = known.free.pop().unwrap_or(known.count);
        if position >= limits::ADDED_BACKENDS_EVER_MAX {
            return None;
        }
        let tuning = Tuning::new(backend);
        let account = Account { upkeep: tuning.upkeep.clone(), ..Account::default() };
        let group = Arc::new(Group::new(backend, tuning.clone()));
        let reopens = matches!(backend.transport, plan::Transport::StreamableHttp(_));
        let lodging = Lodging::new(backend, &account);
        let addition = Addition { position, tuning, group, account, reopens, lodging };
        known.count = known.count.max(position + 1);
        // In place of one that is only held: its position is used up.
        known.places.insert(key, addition.clone());
        Some(addition)
    }

    /// The positions that these would have if they were entered, one after the other; `None` where there would be more than may
    /// be.
    pub(crate) fn foresee(&self, backends: &[Backend]) -> Option<Vec<usize>> {
        let known = self.known();
        let mut next = known.free.iter().rev().copied().chain(known.count..limits::ADDED_BACKENDS_EVER_MAX);
        let position = |backend: &Backend| match known.place(&key(backend)) {
            Some(addition) => Some(addition.position),
            None => next.next(),
        };
        backends.iter().map(position).collect()
    }

    /// Forgets all but these, of those whose links do not open again once they are closed.
    pub(crate) fn keep(&self, positions: &[usize]) {
        let mut known = self.known();
        known.in_force = positions.to_vec();
        known.used.extend(positions);
        drop(known);
        self.sweep();
    }

    fn sweep(&self) {
        let Known { places, free, in_force, used, .. } = &mut *self.known();
        places.retain(|_, own| {
            let was_used = used.contains(&own.position);
            let stays = in_force.contains(&own.position) || own.reopens && was_used || own.is_held(was_used);
            if !stays && !was_used {
                free.push(own.position);
            }
            stays
        });
    }

    /// The endpoints of the one at this position, if it is kept.
    #[cfg(feature = "admin")]
    pub(crate) fn group(&self, position: usize) -> Option<Arc<Group>> {
        self.known().places.values().find(|own| own.position == position).map(|own| Arc::clone(&own.group))
    }

    /// What the one at this position said and nobody got.
    #[cfg(feature = "admin")]
    pub(crate) fn dropped(&self, position: usize) -> Option<super::Dropped> {
        self.known().places.values().find(|own| own.position == position).map(|own| own.account.dropped.clone())
    }

    /// The children of those that are in force.
    pub(crate) fn patients(&self) -> Vec<Patient> {
        let known = self.known();
        let mut own: Vec<_> = known.places.values().filter(|own| known.in_force.contains(&own.position)).collect();
        own.sort_by_key(|own| own.position);
        own.into_iter().filter_map(|own| own.lodging.as_ref()).flat_map(|own| own.patients()).collect()
    }

    /// What is kept of a backend, if it is.
    pub(super) fn of(&self, backend: &Backend) -> Option<Addition> {
        self.known().places.get(&key(backend)).cloned()
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// === impl Known ===

impl Known {
    /// That of the backend with this key, unless its links were closed for good.
    fn place(&self, key: &str) -> Option<&Addition> {
        let is_open = |own: &&Addition| {
            own.reopens || self.in_force.contains(&own.position) || !self.used.contains(&own.position)
        };
        self.places.get(key).filter(is_open)
    }
}

// === impl Addition ===

impl Addition {
    /// Whether somebody who may put it in force has it too. Links have what was in force before.
    fn is_held(&self, was_used: bool) -> bool {
        match &self.lodging {
            Some(lodging) => Arc::strong_count(lodging) > 1,
            None => !was_used && Arc::strong_count(&self.group) > 1,
        }
    }

    /// Has what is kept up look whether it is to be, wherever that is no worker's.
    pub(crate) fn nudge(&self) {
        self.lodging.iter().for_each(|own| own.nudge());
    }

    /// It as the ward has it, if it is started.
    pub(crate) fn guest(&self, backend: &Backend, shared: &Arc<Shared>, workers: usize) -> Option<Guest> {
        self.lodging.as_ref().map(|lodging| Guest::new(backend, lodging, &self.group, shared, workers))
    }
}

// === impl Trial ===

impl Trial {
    pub(crate) fn new(additions: &Arc<Additions>) -> Self {
        Self { additions: Arc::clone(additions), entered: Vec::new() }
    }

    /// Enters one more, as [`Additions::enter`] does, and has it kept up.
    pub(crate) fn enter(&mut self, backend: &Backend) -> Option<Addition> {
        let addition = self.additions.enter(backend)?;
        addition.tuning.upkeep.begin_trial();
        // Nobody has told it where it is in force and disabled.
        addition.nudge();
        self.entered.push(addition.clone());
        Some(addition)
    }
}

impl Drop for Trial {
    fn drop(&mut self) {
        for addition in self.entered.drain(..) {
            addition.tuning.upkeep.end_trial();
            addition.nudge();
        }
        self.additions.sweep();
    }
}

/// How a backend is reached, and all else that its links go by; not what it offers, nor what its calls go by, which may change
/// while they are open. Everything is named: whoever gives a backend one more member decides here what that is.
fn key(backend: &Backend) -> String {
    let Backend {
        name,
        transport,
        era,
        client_capabilities,
        balance,
        slow_start_ms,
        timeout_ms: _,
        concurrency: _,
        retry: _,
        hedge: _,
        circuit_breaker: _,
        health: _,
        locked_era: _,
        completions: _,
        tells: _,
        tasks: _,
        extensions: _,
        beyond: _,
        rewrites_uris: _,
    } = backend;
    format!("{:?}", (name, transport, era, client_capabilities, balance, slow_start_ms))
}

// === impl Reached ===

impl<U: Transport> Transport for Reached<U> {
    fn carries(transport: &plan::Transport) -> bool {
        U::carries(transport) || Any::carries(transport)
    }

    fn open(context: &Context, backend: &Backend) -> Result<Self, OpenError> {
        if U::carries(&backend.transport) {
            U::open(context, backend).map(Self::Compiled)
        } else {
            Any::open(context, backend).map(|link| Self::Otherwise(Box::new(link)))
        }
    }

    #[inline]
    async fn exchange<R: Relay>(&self, call: &Call<'_>, relay: &mut R) -> Result<(), Error> {
        match self {
            Self::Compiled(link) => link.exchange(call, relay).await,
            Self::Otherwise(link) => Box::pin(link.exchange(call, relay)).await,
        }
    }

    async fn greet(&self) -> Result<Greeting, Error> {
        match self {
            Self::Compiled(link) => link.greet().await,
            Self::Otherwise(link) => Box::pin(link.greet()).await,
        }
    }

    #[inline]
    fn era(&self) -> Option<Era> {
        match self {
            Self::Compiled(link) => link.era(),
            Self::Otherwise(link) => link.era(),
        }
    }

    async fn hear<H: Hearer>(&self, hearer: Rc<H>) -> Result<(), Error> {
        match self {
            Self::Compiled(link) => link.hear(hearer).await,
            Self::Otherwise(link) => Box::pin(link.hear(hearer)).await,
        }
    }

    fn leave(&self, session: SessionKey) {
        match self {
            Self::Compiled(link) => link.leave(session),
            Self::Otherwise(link) => link.leave(session),
        }
    }

    fn reconsider(&self) {
        match self {
            Self::Compiled(link) => link.reconsider(),
            Self::Otherwise(link) => link.reconsider(),
        }
    }

    async fn close(&self) {
        match self {
            Self::Compiled(link) => link.close().await,
            Self::Otherwise(link) => link.close().await,
        }
    }
}

// === impl Chosen ===

impl<B: Strategy> Strategy for Chosen<B> {
    fn is(balance: &Balance) -> bool {
        B::is(balance) || Strategies::is(balance)
    }

    fn open(balance: &Balance, worker: usize) -> Self {
        // Where every backend has one endpoint, the topology's takes anything.
        if B::CHOOSES && B::is(balance) {
            Self::Compiled(B::open(balance, worker))
        } else {
            Self::Otherwise(Box::new(Strategies::open(balance, worker)))
        }
    }

    #[inline]
    fn pick(&self, members: &impl Members, among: u64, key: Option<u64>) -> usize {
        match self {
            Self::Compiled(strategy) => strategy.pick(members, among, key),
            Self::Otherwise(strategies) => strategies.pick(members, among, key),
        }
    }
}

#[cfg(test)]
mod tests;
