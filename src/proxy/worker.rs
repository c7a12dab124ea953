//! One worker of the data plane, and what it shares with the others.

use std::cell::Cell;
use std::rc::{Rc, Weak};
use std::sync::Arc;

use tokio::sync::Notify;
use tokio::time::Instant;

use super::{
    Admitted, Amends, Calls, Counts, Errands, Feeds, Flights, Gate, Links, Load, Mailboxes, OpenedTokens, Parked,
    Refusal, Relisted, Sessions, TaskIds, Teams, Tuned,
};
use crate::catalog::{Catalog, Topology, plan};
use crate::clock::Clock;
use crate::http1::RequestHead;
use crate::limits;
use crate::upstream::{Cluster, SessionKey, Transport as _};

/// The link of a worker to a backend.
#[cfg(not(feature = "amendments"))]
pub(crate) type Link<T> = Cluster<<T as Topology>::Upstream, <T as Topology>::Balance>;
/// The same where overlays may add some.
#[cfg(feature = "amendments")]
pub(crate) type Link<T> =
    Cluster<crate::upstream::Reached<<T as Topology>::Upstream>, crate::upstream::Chosen<<T as Topology>::Balance>>;

/// One worker: a thread, its clock, and its link to every backend.
#[derive(Debug)]
pub(crate) struct Worker<T: Topology> {
    pub(crate) clock: Clock,
    pub(crate) links: Links<T>,
    /// Who gets a call, where a route leads to several backends.
    pub(crate) teams: Teams<T::Balance>,
    pub(crate) shared: Arc<Shared>,
    pub(crate) opened: OpenedTokens,
    pub(crate) calls: Rc<Calls>,
    /// Written by this worker, read by whoever shows it.
    pub(crate) counts: Arc<Counts>,
    pub(crate) drain: Drain,
    /// What backends tell by themselves.
    pub(crate) feeds: Feeds,
    /// Who is told of lists that overlays change.
    pub(crate) amends: Rc<Amends>,
    /// What backends want otherwise than was locked.
    pub(crate) relisted: Relisted,
    /// Held by each client that listens.
    pub(crate) listeners: Rc<()>,
    /// Held by each subscription of a legacy session.
    pub(crate) subscriptions: Rc<()>,
    /// Its number among the others.
    pub(crate) index: u16,
    /// Itself, for calls that outlive the connection that they came on.
    pub(crate) own: Weak<Self>,
}

/// Whether a worker is to come to an end; of its own, so that asking touches nothing that is shared.
#[derive(Debug, Default)]
pub(crate) struct Drain {
    begun: Cell<Option<Instant>>,
    notify: Notify,
}

/// What the workers of one gateway share towards its clients.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) gate: Gate,
    pub(crate) load: Load,
    pub(crate) sessions: Sessions,
    pub(crate) mailboxes: Mailboxes,
    pub(crate) parked: Parked,
    pub(crate) flights: Flights,
    pub(crate) tasks: TaskIds,
    pub(crate) errands: Errands,
    /// Also what the control plane writes.
    pub(crate) tuned: Arc<Tuned>,
}

/// How much is kept of clients.
#[cfg(feature = "admin")]
#[derive(Clone, Copy, Debug)]
pub(crate) struct Holdings {
    /// Sessions of which something is kept.
    pub(crate) live: usize,
    /// Sessions that their clients ended, until their tokens end.
    pub(crate) ended: usize,
    /// Streams of which what was said can be said again.
    pub(crate) replays: usize,
    /// Questions of servers that clients have not answered.
    pub(crate) questions: usize,
    /// Calls that wait for their client to come back.
    pub(crate) parked: usize,
}

// === impl Drain ===

impl Drain {
    /// From now on, connections are let go.
    pub(crate) fn begin(&self) {
        self.begun.set(Some(Instant::now()));
        self.notify.notify_waiters();
    }

    /// Whether it has begun.
    pub(crate) fn has_begun(&self) -> bool {
        self.begun.get().is_some()
    }

    /// Waits until it begins.
    pub(crate) async fn begun(&self) {
        if !self.has_begun() {
            self.notify.notified().await;
        }
    }

    /// Waits until it has begun and what was on its way then has come, or had its time: for those who learn only by what
    /// is no longer answered. Asked anew after each message, it waits as long as they keep coming, up to a bound.
    pub(crate) async fn passed(&self) {
        self.begun().await;
        let begun = self.begun.get().unwrap_or_else(Instant::now);
        tokio::time::sleep_until((Instant::now() + limits::LAST_CALL).min(begun + limits::LAST_CALLS)).await;
    }
}

// === impl Shared ===

#[cfg(feature = "admin")]
impl Shared {
    /// How much is kept of clients now.
    pub(crate) fn holdings(&self) -> Holdings {
        let (live, ended, replays, questions) = self.sessions.holdings();
        Holdings { live, ended, replays, questions, parked: self.parked.waiting() }
    }
}

// === impl Worker ===

impl<T: Topology> Worker<T> {
    /// Refuses what a head alone shows to be out of place.
    pub(crate) fn admit(&self, head: &RequestHead<'_>) -> Result<Admitted, Refusal<'static>> {
        self.shared.gate.admit(head, self.catalog())
    }

    /// The catalog that is in force.
    #[inline]
    pub(crate) fn catalog(&self) -> Catalog {
        self.shared.tuned.amendments.catalog()
    }

    /// A session is over: what backends keep for it alone may go.
    pub(crate) fn leave(&self, session: SessionKey) {
        let catalog = self.catalog();
        if !catalog.is_compiled() {
            // Another worker may have made its calls to children that were added.
            let all = catalog.spec::<T>().backends.iter().enumerate().skip(T::SPEC.backends.len());
            let started = all.filter(|(_, backend)| matches!(backend.transport, plan::Transport::Stdio(_)));
            for (index, _) in started {
                if self.shared.tuned.of(index).is_some_and(|own| !own.is_disabled()) {
                    // What goes wrong has been logged.
                    drop(self.links.for_call(catalog, index));
                }
            }
        }
        self.links.iter().for_each(|link| link.leave(session));
    }
}
