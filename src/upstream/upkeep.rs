//! Whether a backend is to be kept up: its children, and connections that calls share. Whoever decides writes it, what
//! keeps them up reads it, and is told by [`reconsider`](super::Transport::reconsider) that it may have changed.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use super::Error;

/// That it was decided.
const DECIDED: usize = 1;
/// One trial.
#[cfg(feature = "amendments")]
const TRIAL: usize = 2;

/// See the module. All clones say the same. It is to be if that was decided, or while it is on trial, whatever was decided:
/// both are in one number, so that nobody reads the one without the other.
#[derive(Clone, Debug)]
pub(crate) struct Upkeep(Arc<AtomicUsize>);

// === impl Upkeep ===

impl Default for Upkeep {
    /// It is.
    fn default() -> Self {
        Self(Arc::new(AtomicUsize::new(DECIDED)))
    }
}

impl Upkeep {
    pub(crate) fn set(&self, due: bool) {
        if due {
            self.0.fetch_or(DECIDED, Relaxed);
        } else {
            self.0.fetch_and(!DECIDED, Relaxed);
        }
    }

    /// From now on it is on one more trial.
    #[cfg(feature = "amendments")]
    pub(super) fn begin_trial(&self) {
        self.0.fetch_add(TRIAL, Relaxed);
    }

    /// One of those is over.
    #[cfg(feature = "amendments")]
    pub(super) fn end_trial(&self) {
        self.0.fetch_sub(TRIAL, Relaxed);
    }

    pub(super) fn is_due(&self) -> bool {
        self.0.load(Relaxed) != 0
    }

    /// What a call comes to where it is not.
    pub(crate) fn disabled() -> Error {
        Error::unavailable("it is disabled by the overlay")
    }
}
