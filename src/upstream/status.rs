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
    /// A call will start it.
    Asleep,
    /// The gateway stops.
    Closed,
}

/// How long to wait before the next start: grows fourfold from the first to the longest.
#[derive(Debug)]
pub(crate) struct Backoff {
    delay: Duration,
    first: Duration,
    longest: Duration,
    failures: u64,
}

// === impl Status ===

impl Status {
    /// Waits while it comes up, wakes it if it is asleep; fails at once while it is down.
    pub(super) async fn ready(status: &watch::Receiver<Self>, wake: impl Fn()) -> Result<(u64, Arc<Greeting>), Error> {
        if let Some(known) = status.borrow().settled() {
            return known;
        }
        let mut status = status.clone();
        loop {
            {
                let now = status.borrow_and_update();
                if let Some(known) = now.settled() {
                    return known;
                }
                if matches!(*now, Self::Asleep) {
                    wake();
                }
            }
            if status.changed().await.is_err() {
                return Err(Error::unavailable("the gateway stops"));
            }
        }
    }

    /// Waits until it is ready in this generation no more; why.
    pub(super) async fn gone(mut status: watch::Receiver<Self>, generation: u64) -> Error {
        let stands = |status: &Self| matches!(status, Self::Ready { generation: own, .. } if *own == generation);
        match status.wait_for(|status| !stands(status)).await.as_deref() {
            Ok(Self::Down(error)) => error.clone(),
            Ok(_) => Error::unavailable("its session is over"),
            Err(_closed) => Error::unavailable("the gateway stops"),
        }
    }

    fn settled(&self) -> Option<Result<(u64, Arc<Greeting>), Error>> {
        match self {
            Self::Ready { generation, greeting } => Some(Ok((*generation, Arc::clone(greeting)))),
            Self::Down(error) => Some(Err(error.clone())),
            Self::Closed => Some(Err(Error::unavailable("the gateway stops"))),
            Self::Starting | Self::Asleep => None,
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
    pub(crate) fn new((first, longest): (Duration, Duration)) -> Self {
        Self { delay: Duration::ZERO, first, longest, failures: 0 }
    }

    /// The next delay, after a connection that served for this long.
    pub(crate) fn after(&mut self, served: Duration) -> Duration {
        (self.delay, self.failures) = if served >= SETTLED {
            (Duration::ZERO, 0)
        } else {
            ((self.delay * 4).clamp(self.first, self.longest), self.failures + 1)
        };
        self.delay
    }

    /// How many connections in a row did not last.
    pub(super) fn failures(&self) -> u64 {
        self.failures
    }
}
