//! How much of the calls each endpoint of a backend gets. Whoever decides writes it, what chooses reads it, and is told by
//! [`reconsider`](super::Transport::reconsider) that it may have changed.

use std::sync::Arc;
use std::sync::atomic::{
    AtomicU32,
    Ordering::{Acquire, Relaxed, Release},
};

use super::plan::Backend;

/// See the module. All clones say the same.
#[derive(Clone, Debug)]
pub(crate) struct Weights(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    /// By the index of the endpoint; one for a backend that is started.
    weights: Box<[AtomicU32]>,
    /// Counts changes.
    edition: AtomicU32,
}

// === impl Weights ===

impl Weights {
    /// As they are compiled.
    pub(crate) fn new(backend: &Backend) -> Self {
        let endpoints = backend.transport.endpoints();
        let weights = match endpoints {
            [] => [AtomicU32::new(1)].into(),
            several => several.iter().map(|endpoint| AtomicU32::new(endpoint.weight)).collect(),
        };
        Self(Arc::new(Inner { weights, edition: AtomicU32::new(0) }))
    }

    /// Sets them as somebody says, or as they are compiled.
    pub(crate) fn set(&self, backend: &Backend, weights: Option<&[usize]>) {
        let compiled = backend.transport.endpoints();
        let said =
            |index: usize| weights.and_then(|said| said.get(index)).and_then(|weight| u32::try_from(*weight).ok());
        let mut changed = false;
        for (index, (weight, endpoint)) in self.0.weights.iter().zip(compiled).enumerate() {
            let now = said(index).unwrap_or(endpoint.weight);
            changed |= weight.swap(now, Relaxed) != now;
        }
        if changed {
            self.0.edition.fetch_add(1, Release);
        }
    }

    /// That of one endpoint.
    pub(super) fn of(&self, index: usize) -> u32 {
        self.0.weights.get(index).map_or(0, |weight| weight.load(Relaxed))
    }

    /// Grows with every change.
    pub(super) fn edition(&self) -> u32 {
        // Who reads weights after it reads those that it counts.
        self.0.edition.load(Acquire)
    }
}
