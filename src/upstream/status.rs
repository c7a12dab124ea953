//! What is known of a connection that many calls share, and when it is tried again.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use super::{Error, Greeting};
use crate::limits;

/// A connection that served this long is tried again without delay.
const SETTLED: Duration = Duration::from_secs(10);

/// Of a child, a stream or a WebSocket.
#[derive(Clone, Debug)]
pub(super) enum Status {
    /// It comes up and is greeted.
    Starting,
    /// It takes calls. The generation counts its starts.
    Ready { generation: u64, greeting: Arc<Greeting> },
    /// It ended or never came up; it will be tried again.
    Down(Error),
    /// The gateway stops.
    Closed,
}

/// How long to wait before the next start: grows fourfold from the first to the longest.
#[derive(Debug)]
pub(super) struct Backoff {
    delay: Duration,
    first: Duration,
    longest: Duration,
}

// === impl Status ===

impl Status {
    /// Waits while it comes up; fails at once while it is down.
    pub(super) async fn ready(status: &watch::Receiver<Self>) -> Result<(u64, Arc<Greeting>), Error> {
        if let Some(known) = status.borrow().settled() {
            return known;
        }
        let mut status = status.clone();
        let settled = status.wait_for(|status| !matches!(status, Self::Starting)).await;
        let known = settled.ok().and_then(|status| status.settled());
        known.unwrap_or_else(|| Err(Error::unavailable("the gateway stops")))
    }

    fn settled(&self) -> Option<Result<(u64, Arc<Greeting>), Error>> {
        match self {
            Self::Ready { generation, greeting } => Some(Ok((*generation, Arc::clone(greeting)))),
            Self::Down(error) => Some(Err(error.clone())),
            Self::Closed => Some(Err(Error::unavailable("the gateway stops"))),
            Self::Starting => None,
        }
    }
}

// === impl Backoff ===

impl Default for Backoff {
    fn default() -> Self {
        Self::new(limits::RESPAWN_BACKOFF)
    }
}

impl Backoff {
    /// One that has not begun, from the first delay to the longest.
    pub(super) fn new((first, longest): (Duration, Duration)) -> Self {
        Self { delay: Duration::ZERO, first, longest }
    }

    /// The next delay, after a connection that served for this long.
    pub(super) fn after(&mut self, served: Duration) -> Duration {
        self.delay = if served >= SETTLED { Duration::ZERO } else { (self.delay * 4).clamp(self.first, self.longest) };
        self.delay
    }
}
