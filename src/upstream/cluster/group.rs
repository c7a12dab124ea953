//! What all workers know of the endpoints of one backend.

#![expect(
    clippy::disallowed_types,
    reason = "the lock is of one endpoint, held for a few instructions, and only where that is not well"
)]

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::watch;

use super::breaker::{Breaker, State, Trial};
use super::bulkhead::{Bulkhead, Place};
use super::health::{self, Health};
use crate::upstream::Tuning;
use crate::upstream::balance::{Chance, Members, indices};
use crate::upstream::plan;
use crate::upstream::{Error, Kind};

/// Connections that break take all their calls along: that is one failure, and not one for each.
const BREAKAGE: Duration = Duration::from_millis(100);

/// See the module.
#[derive(Debug)]
pub(crate) struct Group {
    backend: String,
    stations: Box<[Station]>,
    /// The bits of the endpoints that are well.
    well: AtomicU64,
    /// Those of all.
    all: u64,
    tuning: Tuning,
    bulkhead: Bulkhead,
    breaks: AtomicBool,
    /// For how long an endpoint that is back gets fewer calls than its share.
    slow_start_ms: u64,
    /// It is started: what becomes of its process is known otherwise.
    started: bool,
    since: Instant,
}

/// One endpoint.
// On a line of its own: what calls write here, nobody who calls another endpoint waits for.
#[derive(Debug)]
#[repr(align(64))]
struct Station {
    /// Answers in the upper half, calls under way in the lower one.
    calls: AtomicU64,
    name: Box<str>,
    condition: Mutex<Condition>,
}

/// What is asked and written where an endpoint is not well.
#[derive(Debug)]
struct Condition {
    breaker: Option<Breaker>,
    /// The last trials of the breaker before, where it was off for a while.
    opened: Trial,
    /// By what it answers to being asked.
    health: Option<Health>,
    /// When a connection broke last.
    broke_ms: Option<u64>,
    /// When it came back, where it gets its calls little by little since.
    back_ms: Option<u64>,
    /// Until when it asks to be left alone.
    rests_until_ms: Option<u64>,
}

/// A call at an endpoint.
#[derive(Debug)]
pub(super) struct Taken<'a> {
    group: &'a Group,
    index: u16,
    trial: Trial,
    answered: bool,
    ended: bool,
}

/// How one endpoint stands, for whoever shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Standing {
    /// Its URL, as the topology has it.
    pub(crate) name: String,
    /// How much of the calls it gets.
    pub(crate) weight: u32,
    /// How many calls it has.
    pub(crate) under_way: u32,
    /// What its circuit breaker is at.
    pub(crate) breaking: Breaking,
    /// What it is by its answers to being asked, if it is.
    pub(crate) health: Option<health::State>,
    /// For how long it still asks to be left alone, if it does.
    pub(crate) rest: Option<Duration>,
}

/// What its circuit breaker is at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Breaking {
    /// It has none.
    Off,
    /// Calls pass.
    Closed,
    /// None does, for so long.
    Open(Duration),
    /// A few do.
    HalfOpen,
}

// === impl Breaking ===

impl Breaking {
    /// The names of those that a breaker may be at.
    pub(crate) const STATES: [&'static str; 3] = ["closed", "open", "half_open"];

    /// Its name.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::Closed => "closed",
            Self::Open(_) => "open",
            Self::HalfOpen => "half_open",
        }
    }

    /// For how many milliseconds it stays open.
    pub(crate) fn open_ms(self) -> Option<u64> {
        let Self::Open(left) = self else { return None };
        Some(milliseconds(left))
    }
}

// === impl Standing ===

impl Standing {
    /// For how many milliseconds it still asks to be left alone.
    pub(crate) fn rest_ms(&self) -> Option<u64> {
        self.rest.map(milliseconds)
    }
}

fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

// === impl Group ===

impl Group {
    pub(crate) fn new(backend: &plan::Backend, tuning: Tuning) -> Self {
        let rules = tuning.rules.now();
        let station = |name: String| Station {
            calls: AtomicU64::new(0),
            name: name.into(),
            condition: Mutex::new(Condition {
                breaker: rules.circuit_breaker.map(Breaker::new),
                opened: 0,
                health: rules.health.as_ref().map(Health::new),
                broke_ms: None,
                back_ms: None,
                rests_until_ms: None,
            }),
        };
        let endpoints = backend.transport.endpoints();
        let stations: Box<[Station]> = match endpoints {
            [] => [station(backend.name.to_string())].into(),
            several => several.iter().map(|endpoint| station(endpoint.url.to_string())).collect(),
        };
        let all = u64::MAX >> (64 - stations.len().clamp(1, 64));
        Self {
            backend: backend.name.to_string(),
            stations,
            well: AtomicU64::new(all),
            all,
            tuning,
            bulkhead: Bulkhead::new(rules.concurrency),
            breaks: AtomicBool::new(rules.circuit_breaker.is_some()),
            slow_start_ms: backend.slow_start_ms.filter(|_| endpoints.len() > 1).unwrap_or_default(),
            started: endpoints.is_empty(),
            since: Instant::now(),
        }
    }

    /// A place for a call, where there is one.
    #[inline]
    pub(super) fn enter(&self) -> Option<Place<'_>> {
        self.bulkhead.enter()
    }

    /// A place for a call as soon as it is its turn.
    pub(super) async fn queue(&self) -> Result<Place<'_>, Error> {
        self.bulkhead.queue().await
    }

    /// Whether a call would have to wait for its place.
    pub(super) fn is_full(&self) -> bool {
        self.bulkhead.is_full()
    }

    /// How many calls wait for a place.
    pub(crate) fn waiting(&self) -> u32 {
        self.bulkhead.waiting()
    }

    /// Whether no call is under way, at any endpoint.
    #[cfg(feature = "amendments")]
    pub(crate) fn is_idle(&self) -> bool {
        (0..self.stations.len()).all(|index| self.in_flight(index) == 0)
    }

    /// How each endpoint stands.
    pub(crate) fn standings(&self) -> Vec<Standing> {
        let now = self.now_ms();
        let breaking = |condition: &Condition| match condition.breaker.as_ref().map(Breaker::state) {
            None => Breaking::Off,
            Some(State::Closed) => Breaking::Closed,
            Some(State::Open { until_ms }) if until_ms > now => Breaking::Open(Duration::from_millis(until_ms - now)),
            Some(State::Open { .. } | State::HalfOpen { .. }) => Breaking::HalfOpen,
        };
        let standing = |(index, station): (usize, &Station)| {
            let condition = station.condition();
            Standing {
                name: station.name.to_string(),
                weight: self.weight(index),
                under_way: self.in_flight(index),
                breaking: breaking(&condition),
                health: condition.health.map(Health::state),
                rest: condition.rest(now),
            }
        };
        self.stations.iter().enumerate().map(standing).collect()
    }

    /// The bits of the endpoints that a call may go to, those that are back lately included.
    pub(super) fn among(&self) -> u64 {
        self.among_by(|| None)
    }

    /// The same of a call that any of them may have, where there is a chance: by it an endpoint that is back lately is one
    /// of them as often as it has its share of the calls by now.
    #[inline]
    pub(super) fn among_by<'c>(&self, chance: impl FnOnce() -> Option<&'c Chance>) -> u64 {
        let well = self.well.load(Relaxed);
        if well == self.all { well } else { self.passable(well, chance()) }
    }

    #[cold]
    fn passable(&self, well: u64, chance: Option<&Chance>) -> u64 {
        let now = self.now_ms();
        let (mut bits, mut slow) = (well, 0);
        for index in indices(self.all & !well) {
            if self.tuning.weights.of(index) == 0 {
                continue;
            }
            let mut condition = self.stations[index].condition();
            if condition.rests_until_ms.is_some_and(|until| until <= now) {
                condition.rests_until_ms = None;
                self.show(index, &condition);
            }
            if !condition.may_pass(now) {
                continue;
            }
            match condition.back_ms.map(|back| now.saturating_sub(back)) {
                // Not less than every tenth of its calls, or it would never be seen to be well.
                Some(since) if since < self.slow_start_ms => {
                    let share = since.max(self.slow_start_ms / 10);
                    let is_in = chance.is_none_or(|chance| chance.below(self.slow_start_ms) < share);
                    slow |= 1 << index;
                    bits |= u64::from(is_in) << index;
                }
                Some(_over) => {
                    condition.back_ms = None;
                    self.show(index, &condition);
                    bits |= 1 << index;
                }
                None => bits |= 1 << index,
            }
        }
        if bits == 0 { slow } else { bits }
    }

    /// Gives a call to an endpoint, unless that takes none now.
    #[inline]
    pub(super) fn take(&self, index: usize) -> Option<Taken<'_>> {
        // Who names one by its index may have known more of them.
        let station = self.stations.get(index)?;
        let trial = if self.well.load(Relaxed) & (1 << index) == 0 { self.pass(station)? } else { 0 };
        station.calls.fetch_add(1, Relaxed);
        // There are at most 64.
        let index = u16::try_from(index).ok()?;
        Some(Taken { group: self, index, trial, answered: false, ended: false })
    }

    #[cold]
    fn pass(&self, station: &Station) -> Option<Trial> {
        let (now, mut condition) = (self.now_ms(), station.condition());
        if !condition.may_pass(now) {
            return None;
        }
        condition.breaker.as_mut().map_or(Some(0), |breaker| breaker.pass(now))
    }

    /// Why no endpoint takes a call. Those that are to get none say nothing of it.
    #[cold]
    pub(super) fn refusal(&self) -> Error {
        let now = self.now_ms();
        let (all, weights) = (self.stations.iter().enumerate(), &self.tuning.weights);
        let called: Vec<_> = all.filter(|(index, _)| weights.of(*index) > 0).map(|(_, station)| station).collect();
        let is_sick = |station: &Station| station.condition().health.is_some_and(|health| !health.is_well());
        let sick = called.iter().filter(|station| is_sick(station)).count();
        let until = |station: &&Station| station.condition().left_alone_until();
        let until = called.iter().filter(|station| !is_sick(station)).filter_map(until).min();
        let wait = Duration::from_millis(until.unwrap_or(now).saturating_sub(now));
        let (one, many) = (called.len() == 1, called.len());
        let weighed = if many < self.stations.len() { " with a weight above 0" } else { "" };
        if sick == many {
            let whose =
                if one { format!("its endpoint{weighed} is") } else { format!("its {many} endpoints{weighed} are") };
            return Error::unavailable(format!("{whose} unhealthy, by its answers to health checks"));
        }
        let rests = |station: &Station| station.condition().rests_until_ms.is_some_and(|until| until > now);
        let it = if weighed.is_empty() { "it".to_owned() } else { format!("its endpoint{weighed}") };
        if called.iter().all(|station| is_sick(station) || rests(station)) {
            let whose = if one {
                format!("{it} asks")
            } else {
                format!("of its {many} endpoints{weighed}, all that are healthy ask")
            };
            let detail = format!("{whose} to be left alone (`Retry-After`)");
            return Error::new(Kind::Overloaded, false, detail).retry_after(wait);
        }
        let many = format!("its {many} endpoints{weighed}");
        let detail = match (one, sick) {
            (true, _) => format!("{it} failed too often: its circuit is open"),
            (false, 0) => format!("{many} failed too often: their circuits are open"),
            (false, _) => format!("{many} are unhealthy, or failed too often: their circuits are open"),
        };
        Error::new(Kind::CircuitOpen, false, detail).retry_after(wait)
    }

    /// For how long an endpoint still asks to be left alone.
    #[cold]
    pub(super) fn rest(&self, index: usize) -> Option<Duration> {
        self.stations.get(index)?.condition().rest(self.now_ms())
    }

    /// A call failed at an endpoint, which is not [`Taken`] any more.
    pub(super) fn failed(&self, (index, trial): (u16, Trial), kind: Kind) {
        self.note(usize::from(index), trial, kind);
    }

    #[cold]
    fn note(&self, index: usize, trial: Trial, kind: Kind) {
        if !self.breaks.load(Relaxed) || !self.counts(kind) {
            return;
        }
        let Some(station) = self.stations.get(index) else { return };
        let (now, mut condition) = (self.now_ms(), station.condition());
        if kind == Kind::OutcomeUnknown {
            let before = condition.broke_ms.replace(now);
            let together = before.is_some_and(|at| u128::from(now - at.min(now)) < BREAKAGE.as_millis());
            if together && trial == 0 {
                return;
            }
        }
        let Some(breaker) = &mut condition.breaker else { return };
        let before = breaker.state();
        breaker.failed(now, trial, station.answers());
        let after = breaker.state();
        self.broke(index, (before, after), &mut condition);
    }

    /// Whether an error says something against the endpoint. Of a child, only silence does: that one ended is known, and
    /// it is started again.
    fn counts(&self, kind: Kind) -> bool {
        match kind {
            Kind::Timeout | Kind::Protocol => true,
            Kind::Unavailable | Kind::OutcomeUnknown | Kind::Auth | Kind::Tls => !self.started,
            Kind::ResponseTooLarge | Kind::Overloaded | Kind::CircuitOpen | Kind::ClientGone => false,
        }
    }

    /// Shows what became of a breaker.
    fn broke(&self, index: usize, (before, after): (State, State), condition: &mut Condition) {
        let (backend, endpoint) = (&*self.backend, &*self.stations[index].name);
        match after {
            _ if before == after => return,
            State::Closed => {
                tracing::info!(backend, endpoint, "circuit is closed: calls are sent again");
                condition.back_ms = Some(self.now_ms()).filter(|_| self.slow_start_ms > 0);
            }
            State::Open { .. } => tracing::warn!(backend, endpoint, "circuit is open: it failed too often"),
            State::HalfOpen { .. } => {}
        }
        self.show(index, condition);
    }

    /// An endpoint was asked whether it is well: why it is not, if so.
    pub(crate) fn asked(&self, index: usize, missed: Option<&str>) {
        let Some(station) = self.stations.get(index) else { return };
        let (backend, endpoint, mut condition) = (&*self.backend, &*station.name, station.condition());
        let Some(health) = &mut condition.health else { return };
        let before = health.state();
        if missed.is_some() {
            health.missed()
        } else {
            health.answered()
        }
        let after = health.state();
        match (before, after) {
            (health::State::Healthy { .. }, health::State::Unhealthy) => {
                tracing::warn!(backend, endpoint, why = missed, "endpoint is unhealthy: it gets no calls");
            }
            (health::State::Unhealthy | health::State::Recovering { .. }, health::State::Healthy { .. }) => {
                tracing::info!(backend, endpoint, "endpoint is healthy: it gets calls again");
                condition.back_ms = Some(self.now_ms()).filter(|_| self.slow_start_ms > 0);
            }
            _ => {}
        }
        self.show(index, &condition);
    }

    /// Weights and rules may have changed.
    pub(crate) fn reconsider(&self) {
        let rules = self.tuning.rules.now();
        self.bulkhead.set(rules.concurrency);
        self.breaks.store(rules.circuit_breaker.is_some(), Relaxed);
        for (index, station) in self.stations.iter().enumerate() {
            let mut condition = station.condition();
            condition.go_by(&rules);
            self.show(index, &condition);
        }
    }

    /// Closes every circuit that is not, because somebody knows better, and says how many.
    #[cfg(feature = "admin")]
    pub(crate) fn close_circuits(&self) -> usize {
        let close = |(index, station): (usize, &Station)| {
            let mut condition = station.condition();
            let Some(breaker) = &mut condition.breaker else { return false };
            let before = breaker.state();
            breaker.close();
            let after = breaker.state();
            self.broke(index, (before, after), &mut condition);
            before != after
        };
        self.stations.iter().enumerate().map(close).filter(|closed| *closed).count()
    }

    /// What its calls go by, from now on.
    pub(crate) fn rules(&self) -> watch::Receiver<plan::Traffic> {
        self.tuning.rules.follow()
    }

    /// The same as they are now.
    pub(super) fn traffic(&self) -> plan::Traffic {
        self.tuning.rules.now()
    }

    /// Shows to those who choose whether an endpoint is well.
    fn show(&self, index: usize, condition: &Condition) {
        if condition.is_well() && self.tuning.weights.of(index) > 0 {
            self.well.fetch_or(1 << index, Relaxed);
        } else {
            self.well.fetch_and(!(1 << index), Relaxed);
        }
    }

    fn now_ms(&self) -> u64 {
        u64::try_from(self.since.elapsed().as_millis()).unwrap_or(u64::MAX)
    }
}

impl Members for Group {
    fn count(&self) -> usize {
        self.stations.len()
    }

    fn weight(&self, index: usize) -> u32 {
        self.tuning.weights.of(index)
    }

    fn in_flight(&self, index: usize) -> u32 {
        #[expect(clippy::cast_possible_truncation, reason = "the lower half is meant")]
        let under_way = self.stations[index].calls.load(Relaxed) as u32;
        under_way
    }

    fn name(&self, index: usize) -> &str {
        &self.stations[index].name
    }

    fn edition(&self) -> u32 {
        self.tuning.weights.edition()
    }
}

// === impl Station ===

impl Station {
    /// No thread panics while it holds this, and what it guards is whole at any time.
    fn condition(&self) -> MutexGuard<'_, Condition> {
        self.condition.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many answers it has given; begins anew at 2³².
    fn answers(&self) -> u32 {
        u32::try_from(self.calls.load(Relaxed) >> 32).unwrap_or_default()
    }
}

// === impl Condition ===

impl Condition {
    /// Goes by these rules from now on. What is off says nothing of the endpoint.
    fn go_by(&mut self, rules: &plan::Traffic) {
        match (&mut self.breaker, rules.circuit_breaker) {
            (Some(own), Some(settings)) => own.set(settings),
            (own, settings) => {
                self.opened = own.as_ref().map_or(self.opened, Breaker::opened);
                *own = settings.map(|settings| Breaker::after(self.opened, settings));
            }
        }
        match (&mut self.health, &rules.health) {
            (Some(own), Some(settings)) => own.set(settings),
            (own, settings) => *own = settings.as_ref().map(Health::new),
        }
    }

    /// Whether a call may go to it at this time.
    fn may_pass(&self, now_ms: u64) -> bool {
        let heals = self.health.is_none_or(Health::is_well);
        let rests = self.rests_until_ms.is_some_and(|until| until > now_ms);
        heals && !rests && self.breaker.as_ref().is_none_or(|breaker| breaker.may_pass(now_ms))
    }

    /// Whether any call may go to it at any time, until something happens.
    fn is_well(&self) -> bool {
        let closed = self.breaker.as_ref().is_none_or(|breaker| breaker.state() == State::Closed);
        closed && self.health.is_none_or(Health::is_well) && self.back_ms.is_none() && self.rests_until_ms.is_none()
    }

    /// For how long it still asks to be left alone.
    fn rest(&self, now_ms: u64) -> Option<Duration> {
        let left_ms = self.rests_until_ms?.checked_sub(now_ms).filter(|left_ms| *left_ms > 0)?;
        Some(Duration::from_millis(left_ms))
    }

    /// Until when it gets no calls, as far as that is known.
    fn left_alone_until(&self) -> Option<u64> {
        self.breaker.as_ref().and_then(Breaker::open_until).max(self.rests_until_ms)
    }
}

// === impl Taken ===

impl Taken<'_> {
    /// The index of the endpoint, and which trial of it the call is.
    pub(super) fn place(&self) -> (u16, Trial) {
        (self.index, self.trial)
    }

    /// The endpoint asks to be left alone for so long, whatever the call came to. That is no failure: what is to be done is
    /// known.
    #[cold]
    pub(super) fn rests(self, rest: Duration) {
        let Group { backend, stations, .. } = self.group;
        let station = &stations[usize::from(self.index)];
        let (backend, endpoint) = (&**backend, &*station.name);
        tracing::warn!(backend, endpoint, ?rest, "endpoint asks to be left alone: it gets no calls for so long");
        let until = self.group.now_ms() + u64::try_from(rest.as_millis()).unwrap_or(u64::MAX);
        let mut condition = station.condition();
        condition.rests_until_ms = condition.rests_until_ms.max(Some(until));
        self.group.show(usize::from(self.index), &condition);
    }

    /// The call came to this.
    #[inline]
    pub(super) fn ended(mut self, failure: Option<Kind>) {
        self.answered = failure.is_none();
        if let Some(kind) = failure {
            self.group.note(usize::from(self.index), self.trial, kind);
        }
        self.ended = self.trial == 0 || failure.is_none_or(|kind| self.group.counts(kind));
    }

    #[cold]
    fn tried(&self) {
        let station = &self.group.stations[usize::from(self.index)];
        let mut condition = station.condition();
        let Some(breaker) = &mut condition.breaker else { return };
        let before = breaker.state();
        match (self.answered, self.ended) {
            (true, _) => breaker.answered(self.trial),
            // It failed, and that was noted.
            (false, true) => return,
            (false, false) => breaker.taken_back(self.trial),
        }
        let after = breaker.state();
        self.group.broke(usize::from(self.index), (before, after), &mut condition);
    }
}

impl Drop for Taken<'_> {
    #[inline]
    fn drop(&mut self) {
        let station = &self.group.stations[usize::from(self.index)];
        // One call fewer, and with it perhaps one answer more.
        let change = if self.answered { 1 << 32 } else { 0 };
        station.calls.fetch_add(u64::wrapping_sub(change, 1), Relaxed);
        if self.trial != 0 {
            self.tried();
        }
    }
}

#[cfg(test)]
mod tests;
