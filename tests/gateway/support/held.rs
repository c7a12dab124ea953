//! A server whose calls stay under way for as long as a test wants.

use std::sync::Arc;

use tokio::sync::Semaphore;

use super::recorder::{DONE, Post, Recorder, Wire};

/// A server that answers a call when the test says so.
pub(crate) struct Held {
    pub(crate) recorder: Recorder,
    released: Arc<Semaphore>,
}

// === impl Held ===

impl Held {
    pub(crate) fn start() -> Self {
        let released = Arc::new(Semaphore::new(0));
        let permits = Arc::clone(&released);
        let recorder = Recorder::play(async move |_post: Post, wire: &mut Wire<'_>| {
            permits.acquire().await.expect("it is never closed").forget();
            wire.result(DONE).await
        });
        Self { recorder, released }
    }

    /// So many calls are answered, those that wait or the next ones.
    pub(crate) fn release(&self, calls: usize) {
        self.released.add_permits(calls);
    }
}
