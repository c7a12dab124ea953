//! Asks the endpoints of backends whether they are well, each at its own times: those of compiled backends, and of those that
//! the overlay adds for as long as it does.

use std::collections::HashSet;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::{JoinHandle, JoinSet};

use super::Stop;
use crate::catalog::plan::{Backend, HealthCheck};
use crate::catalog::{NOBODY, Topology};
use crate::clock::Clock;
use crate::proxy::Tuned;
#[cfg(feature = "amendments")]
use crate::upstream::any::Any;
use crate::upstream::balance::Chance;
use crate::upstream::{Context, Group, Probe, Shared, Transport};

/// One endpoint: the index of its backend, and its own.
type Place = (usize, usize);

/// What whoever asks goes by.
#[derive(Clone)]
struct Asking {
    shared: Arc<Shared>,
    tuned: Arc<Tuned>,
    clock: Clock,
    stop: Stop,
}

/// Asks from now on until the gateway stops. Where neither the topology nor an overlay can have anybody asked, nothing of it is
/// linked.
pub(super) fn begin<T: Topology>(shared: Arc<Shared>, tuned: &Arc<Tuned>, stop: &Stop) -> Option<JoinHandle<()>> {
    if T::CHECKS_HEALTH || cfg!(feature = "amendments") {
        let (tuned, clock, stop) = (Arc::clone(tuned), Clock::default(), stop.clone());
        Some(tokio::task::spawn_local(watch::<T>(Asking { shared, tuned, clock, stop })))
    } else {
        None
    }
}

async fn watch<T: Topology>(own: Asking) {
    let mut published = own.tuned.published();
    let (mut asked, mut asking) = (HashSet::new(), JoinSet::new());
    let mut ticking: Option<JoinHandle<()>> = None;
    loop {
        published.mark_unchanged();
        begin_new::<T>(&own, &mut asked, &mut asking);
        // Where nobody is asked, nothing wakes up.
        match &ticking {
            Some(clock) if asking.is_empty() => {
                clock.abort();
                ticking = None;
            }
            None if !asking.is_empty() => ticking = Some(tokio::task::spawn_local(own.clock.clone().run())),
            _ => {}
        }
        tokio::select! {
            () = own.stop.reached() => break,
            // It is kept here: there is always somebody who may publish.
            _ = published.changed() => {}
            Some(ended) = asking.join_next() => {
                // One that panicked is not asked again.
                if let Ok(place) = ended {
                    asked.remove(&place);
                }
            }
        }
    }
    while asking.join_next().await.is_some() {}
    if let Some(clock) = ticking {
        clock.abort();
    }
}

/// Has those endpoints asked that are to be and are not.
fn begin_new<T: Topology>(own: &Asking, asked: &mut HashSet<Place>, asking: &mut JoinSet<Place>) {
    let all = own.tuned.amendments.catalog().spec::<T>().backends.iter().enumerate();
    for (index, backend) in all.filter(|(_, backend)| backend.health.is_some() && backend.name != NOBODY) {
        for endpoint in 0..backend.transport.endpoints().len() {
            let place = (index, endpoint);
            if !asked.insert(place) {
                continue;
            }
            #[cfg(feature = "amendments")]
            if index >= T::SPEC.backends.len() {
                asking.spawn_local(ask::<Any>(own.clone(), backend, place));
                continue;
            }
            asking.spawn_local(ask::<T::Upstream>(own.clone(), backend, place));
        }
    }
}

/// Asks one endpoint, as the rules say that are in force.
async fn ask<U: Transport>(own: Asking, backend: &'static Backend, place: Place) -> Place {
    let Asking { shared, tuned, clock, stop } = own;
    let (index, endpoint) = place;
    let group: Arc<Group> = shared.group(backend);
    let context = Context { worker: 0, endpoint, workers: 1, clock, shared };
    let mut rules = group.rules();
    let chance = Chance::new(endpoint);
    loop {
        let check = rules.borrow_and_update().health.clone();
        // Stopped, or to be asked in another way.
        let over = async {
            tokio::select! {
                () = stop.reached() => true,
                () = tuned.is_gone(index) => true,
                changed = rules.wait_for(|rules| rules.health != check) => changed.is_err(),
            }
        };
        let stopped = match &check {
            Some(check) => {
                let opened = open::<U>(&context, (backend, check), (&tuned, index));
                ask_by(opened, (endpoint, check), &group, &chance, over).await
            }
            None => over.await,
        };
        if stopped {
            return place;
        }
    }
}

/// What asks, once the backend is not disabled, and what it is reached with is there.
async fn open<U: Transport>(
    context: &Context,
    (backend, check): (&Backend, &HealthCheck),
    (tuned, index): (&Tuned, usize),
) -> Probe<U> {
    let mut published = tuned.published();
    let mut said = String::new();
    loop {
        tuned.is_disabled(index, false).await;
        published.mark_unchanged();
        match Probe::open(context, backend, check) {
            Ok(probe) => return probe,
            Err(error) => {
                let why = error.to_string();
                if why != said {
                    let backend = &*backend.name;
                    tracing::error!(backend, error = why, "endpoint cannot be asked whether it is well");
                    said = why;
                }
                // It is kept here: there is always somebody who may publish.
                drop(published.changed().await);
            }
        }
    }
}

/// Asks in this way until that is over, and says what came of it.
async fn ask_by<U: Transport>(
    opened: impl Future<Output = Probe<U>>,
    (endpoint, check): (usize, &HealthCheck),
    group: &Group,
    chance: &Chance,
    over: impl Future<Output = bool>,
) -> bool {
    let mut over = pin!(over);
    let probe = tokio::select! {
        stopped = &mut over => return stopped,
        probe = opened => probe,
    };
    // Not all at once, nor in step with other gateways.
    let between = |from_ms: u64, to_ms: u64| Duration::from_millis(from_ms + chance.below(to_ms - from_ms + 1));
    let mut pause = between(0, check.interval_ms / 10);
    let stopped = loop {
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            stopped = &mut over => break stopped,
        }
        pause = between(check.interval_ms * 9 / 10, check.interval_ms * 11 / 10);
        if !probe.is_due() {
            continue;
        }
        let asked = tokio::select! {
            asked = probe.ask() => asked,
            stopped = &mut over => break stopped,
        };
        group.asked(endpoint, asked.err().as_deref());
    };
    probe.close().await;
    stopped
}
