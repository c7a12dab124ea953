//! What is known of a connection that many calls share, and when it is tried again.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use super::{Error, Greeting};
use crate::limits;

/// A connection that served this long is tried again without delay.
const SETTLED: Duration = Duration::from_secs(10);

/// Of a child or a stream.
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

/// How long to wait before the next start.
#[derive(Debug, Default)]
pub(super) struct Backoff(Duration);

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

impl Backoff {
    /// The next delay, after a connection that served for this long.
    pub(super) fn after(&mut self, served: Duration) -> Duration {
        let (first, longest) = limits::RESPAWN_BACKOFF;
        self.0 = if served >= SETTLED { Duration::ZERO } else { (self.0 * 4).clamp(first, longest) };
        self.0
    }
}
