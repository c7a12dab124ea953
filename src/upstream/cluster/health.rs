//! Whether an endpoint is well, by what it answers to being asked: a state machine without clock or input.
//!
//! Who was never asked is taken to be well.

use crate::upstream::plan::HealthCheck;

/// See the module.
#[derive(Clone, Copy, Debug)]
pub(super) struct Health {
    healthy: u32,
    unhealthy: u32,
    state: State,
}

/// What an endpoint is, by the answers in a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    /// It gets calls; so many answers are missing.
    Healthy { missed: u32 },
    /// It gets none.
    Unhealthy,
    /// It gets none yet, but has answered so often.
    Recovering { answered: u32 },
}

// === impl Health ===

impl Health {
    pub(super) fn new(settings: &HealthCheck) -> Self {
        Self { healthy: settings.healthy, unhealthy: settings.unhealthy, state: State::Healthy { missed: 0 } }
    }

    /// Goes by these from now on.
    pub(super) fn set(&mut self, settings: &HealthCheck) {
        (self.healthy, self.unhealthy) = (settings.healthy, settings.unhealthy);
    }

    pub(super) fn state(self) -> State {
        self.state
    }

    /// Whether it gets calls.
    pub(super) fn is_well(self) -> bool {
        matches!(self.state, State::Healthy { .. })
    }

    /// It answered as it should.
    pub(super) fn answered(&mut self) {
        let answered = match self.state {
            State::Healthy { .. } => return self.state = State::Healthy { missed: 0 },
            State::Unhealthy => 1,
            State::Recovering { answered } => answered + 1,
        };
        self.state =
            if answered >= self.healthy { State::Healthy { missed: 0 } } else { State::Recovering { answered } };
    }

    /// It did not.
    pub(super) fn missed(&mut self) {
        self.state = match self.state {
            State::Healthy { missed } if missed + 1 < self.unhealthy => State::Healthy { missed: missed + 1 },
            _ => State::Unhealthy,
        };
    }
}

// === impl State ===

impl State {
    /// The names of all.
    pub(crate) const NAMES: [&'static str; 3] = ["healthy", "unhealthy", "recovering"];

    /// Its name.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Healthy { .. } => "healthy",
            Self::Unhealthy => "unhealthy",
            Self::Recovering { .. } => "recovering",
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const HEALTHY: usize = 2;
    const UNHEALTHY: usize = 3;

    /// The same by the whole history: what the last answers in a row were, since it was what it was.
    fn expected(history: &[bool]) -> State {
        let mut well = true;
        let mut since = 0;
        for at in 0..history.len() {
            let run = history[since..=at].iter().rev().take_while(|answered| **answered != well).count();
            if run >= if well { UNHEALTHY } else { HEALTHY } {
                well = !well;
                since = at + 1;
            }
        }
        let run = history[since..].iter().rev().take_while(|answered| **answered != well).count();
        let run = u32::try_from(run).unwrap_or(u32::MAX);
        match (well, run) {
            (true, missed) => State::Healthy { missed },
            (false, 0) => State::Unhealthy,
            (false, answered) => State::Recovering { answered },
        }
    }

    proptest! {
        #[test]
        fn it_is_what_the_last_answers_in_a_row_say(history in prop::collection::vec(any::<bool>(), 0..60)) {
            let mut health = Health { healthy: 2, unhealthy: 3, state: State::Healthy { missed: 0 } };
            for (at, answered) in history.iter().enumerate() {
                if *answered { health.answered() } else { health.missed() }
                prop_assert_eq!(health.state(), expected(&history[..=at]));
            }
        }
    }
}
