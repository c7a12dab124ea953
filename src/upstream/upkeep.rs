//! Whether a backend is to be kept up: its children, and connections that calls share. Whoever decides writes it, what
//! keeps them up reads it, and is told by [`reconsider`](super::Transport::reconsider) that it may have changed.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use super::Error;

/// See the module. All clones say the same.
#[derive(Clone, Debug)]
pub(crate) struct Upkeep(Arc<AtomicBool>);

// === impl Upkeep ===

impl Default for Upkeep {
    /// It is.
    fn default() -> Self {
        Self(Arc::new(AtomicBool::new(true)))
    }
}

impl Upkeep {
    pub(crate) fn set(&self, due: bool) {
        self.0.store(due, Relaxed);
    }

    pub(super) fn is_due(&self) -> bool {
        self.0.load(Relaxed)
    }

    /// What a call comes to where it is not.
    pub(crate) fn disabled() -> Error {
        Error::unavailable("it is disabled by the overlay")
    }
}
