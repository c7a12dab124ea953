//! Whether an endpoint is tried: a state machine without clock or input.
//!
//! Closed, it counts failures; so many within the window, and no fewer than there were answers meanwhile, open it. Open, it
//! lets nothing pass. After a while it is half open: a few trials pass, and decide.

use std::collections::VecDeque;

use crate::upstream::plan::CircuitBreaker;

/// See the module.
#[derive(Debug)]
pub(super) struct Breaker {
    settings: CircuitBreaker,
    state: State,
    /// When the last failures were, and how many answers there had been.
    failures: VecDeque<(u64, u32)>,
    /// How often it opened: the number of the trials that follow.
    opened: Trial,
}

/// Which time of being half open a call is a trial of; 0 for a call that is none.
pub(super) type Trial = u32;

/// What it is at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// Everything passes.
    Closed,
    /// Nothing does, until then.
    Open { until_ms: u64 },
    /// Trials do: so many are under way, so many were answered.
    HalfOpen { trials: u32, answered: u32 },
}

// === impl Breaker ===

impl Breaker {
    pub(super) fn new(settings: CircuitBreaker) -> Self {
        Self { settings, state: State::Closed, failures: VecDeque::new(), opened: 0 }
    }

    /// One that takes over from another: no trial of that is one of its own.
    pub(super) fn after(before: Trial, settings: CircuitBreaker) -> Self {
        Self { opened: before, ..Self::new(settings) }
    }

    /// The number of the trials that were last.
    pub(super) fn opened(&self) -> Trial {
        self.opened
    }

    /// Goes by these from now on. What it is at stays: an open one stays open for as long as it was to be.
    pub(super) fn set(&mut self, settings: CircuitBreaker) {
        self.settings = settings;
    }

    pub(super) fn state(&self) -> State {
        self.state
    }

    /// Whether a call may pass at this time: one that passes while it is not closed is a trial.
    pub(super) fn may_pass(&self, now_ms: u64) -> bool {
        match self.state {
            State::Closed => true,
            State::Open { until_ms } => until_ms <= now_ms,
            State::HalfOpen { trials, .. } => trials < self.settings.half_open,
        }
    }

    /// When it lets something pass again, if it is open.
    pub(super) fn open_until(&self) -> Option<u64> {
        match self.state {
            State::Open { until_ms } => Some(until_ms),
            State::Closed | State::HalfOpen { .. } => None,
        }
    }

    /// Lets a call pass that may. If it is a trial, it ends with one of [`Self::answered`], [`Self::failed`] and
    /// [`Self::taken_back`].
    pub(super) fn pass(&mut self, now_ms: u64) -> Option<Trial> {
        if !self.may_pass(now_ms) {
            return None;
        }
        self.state = match self.state {
            State::Closed => return Some(0),
            State::Open { .. } => State::HalfOpen { trials: 1, answered: 0 },
            State::HalfOpen { trials, answered } => State::HalfOpen { trials: trials + 1, answered },
        };
        Some(self.opened)
    }

    /// A trial was answered.
    pub(super) fn answered(&mut self, trial: Trial) {
        let State::HalfOpen { trials, answered } = self.state else { return };
        if trial != self.opened {
            return;
        }
        self.state = if answered + 1 >= self.settings.half_open {
            self.failures.clear();
            State::Closed
        } else {
            State::HalfOpen { trials: trials.saturating_sub(1), answered: answered + 1 }
        };
    }

    /// Nobody waits for a trial any more.
    pub(super) fn taken_back(&mut self, trial: Trial) {
        if let State::HalfOpen { trials, answered } = self.state
            && trial == self.opened
        {
            self.state = State::HalfOpen { trials: trials.saturating_sub(1), answered };
        }
    }

    /// A call failed at this time, of an endpoint that had given so many answers until then. One that began before the
    /// breaker opened says nothing new.
    pub(super) fn failed(&mut self, now_ms: u64, trial: Trial, answers: u32) {
        match self.state {
            State::Closed => {}
            State::HalfOpen { .. } if trial == self.opened => return self.open(now_ms),
            State::HalfOpen { .. } | State::Open { .. } => return,
        }
        let most = usize::try_from(self.settings.failures).unwrap_or(usize::MAX);
        self.failures.push_back((now_ms, answers));
        while self.failures.len() > most {
            self.failures.pop_front();
        }
        let Some((first_ms, before)) = self.failures.front().copied().filter(|_| self.failures.len() == most) else {
            return;
        };
        if now_ms - first_ms <= self.settings.window_ms && answers.wrapping_sub(before) <= self.settings.failures {
            self.open(now_ms);
        }
    }

    /// Closes, whatever it is at. Trials that are under way are none any more.
    #[cfg(feature = "admin")]
    pub(super) fn close(&mut self) {
        self.failures.clear();
        self.state = State::Closed;
    }

    fn open(&mut self, now_ms: u64) {
        self.failures.clear();
        self.opened = self.opened.wrapping_add(1).max(1);
        self.state = State::Open { until_ms: now_ms + self.settings.open_ms };
    }
}

#[cfg(test)]
mod tests;
