//! Clients that call the three servers that do their worst, while they are to.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use crate::client::{ask, call};

/// Clients of each of the three.
const CLIENTS: usize = 16;
/// Between two calls of one, and two looks at whether there are to be any.
const PAUSE: Duration = Duration::from_millis(20);
/// Longer than any of them takes.
const PATIENCE: Duration = Duration::from_secs(60);

/// They call between `begin` and `end`.
pub(crate) struct Trouble {
    on: Arc<AtomicBool>,
    under_way: Arc<AtomicUsize>,
}

// === impl Trouble ===

impl Trouble {
    pub(crate) fn prepare(gateway: SocketAddr) -> Self {
        let (on, under_way) = <(Arc<AtomicBool>, Arc<AtomicUsize>)>::default();
        let requests = [("hole__x", "{}"), ("reset__x", "{}"), ("slow__wait", r#"{"milliseconds":5000}"#)];
        for (tool, arguments) in requests.into_iter().flat_map(|request| [request; CLIENTS]) {
            let (on, under_way) = (Arc::clone(&on), Arc::clone(&under_way));
            thread::spawn(move || {
                let request = call(tool, arguments, "close");
                loop {
                    thread::sleep(PAUSE);
                    // Counted first: who waits for the end must not miss one that begins.
                    under_way.fetch_add(1, Ordering::SeqCst);
                    if on.load(Ordering::SeqCst) {
                        // What it comes to is the gateway's tests' to say.
                        drop(ask(gateway, &request, PATIENCE));
                    }
                    under_way.fetch_sub(1, Ordering::SeqCst);
                }
            });
        }
        Self { on, under_way }
    }

    pub(crate) fn begin(&self) {
        self.on.store(true, Ordering::SeqCst);
    }

    /// Ends it; returns when no call is under way.
    pub(crate) fn end(&self) {
        self.on.store(false, Ordering::SeqCst);
        while self.under_way.load(Ordering::SeqCst) > 0 {
            thread::sleep(Duration::from_millis(1));
        }
    }
}
