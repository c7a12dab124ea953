//! What the calls to a backend go by: how many there may be at once, when one is made again, when an endpoint is left
//! alone, how it is asked whether it is well. Whoever decides writes it; links take it up when
//! [`reconsider`](super::Transport::reconsider) tells them to look, and whoever asks endpoints follows it.

use tokio::sync::watch;

use super::plan::{Backend, Traffic};

/// See the module. All clones say the same.
#[derive(Clone, Debug)]
pub(crate) struct Rules(watch::Sender<Traffic>);

// === impl Rules ===

impl Rules {
    /// As they are compiled.
    pub(crate) fn new(backend: &Backend) -> Self {
        Self(watch::Sender::new(backend.traffic()))
    }

    /// Sets them.
    pub(crate) fn set(&self, traffic: Traffic) {
        self.0.send_if_modified(|own| {
            let changes = *own != traffic;
            *own = traffic;
            changes
        });
    }

    /// As they are now.
    pub(super) fn now(&self) -> Traffic {
        self.0.borrow().clone()
    }

    /// As they are from now on.
    pub(crate) fn follow(&self) -> watch::Receiver<Traffic> {
        self.0.subscribe()
    }
}
