//! Asks the endpoints of backends whether they are well, each at its own times.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::{JoinHandle, JoinSet};

use super::Stop;
use crate::catalog::Topology;
use crate::catalog::plan::{Backend, HealthCheck};
use crate::clock::Clock;
use crate::upstream::balance::Chance;
use crate::upstream::{Context, Group, Probe, Shared};

/// Asks from now on until the gateway stops. For a topology in which nobody is to be asked, nothing of it is linked.
pub(super) fn begin<T: Topology>(shared: Arc<Shared>, stop: &Stop) -> Option<JoinHandle<()>> {
    if T::CHECKS_HEALTH { Some(tokio::task::spawn_local(watch::<T>(shared, stop.clone()))) } else { None }
}

async fn watch<T: Topology>(shared: Arc<Shared>, stop: Stop) {
    let clock = Clock::default();
    let mut asking = JoinSet::new();
    for backend in T::SPEC.backends {
        if backend.health.is_none() {
            continue;
        }
        for endpoint in 0..backend.transport.endpoints().len() {
            let context =
                Context { worker: 0, endpoint, workers: 1, clock: clock.clone(), shared: Arc::clone(&shared) };
            asking.spawn_local(ask::<T>(context, backend, stop.clone()));
        }
    }
    drop(shared);
    if asking.is_empty() {
        return;
    }
    let ticking = tokio::task::spawn_local(clock.run());
    while asking.join_next().await.is_some() {}
    ticking.abort();
}

/// Asks one endpoint, as the rules say that are in force.
async fn ask<T: Topology>(context: Context, backend: &'static Backend, stop: Stop) {
    let group: Arc<Group> = context.shared.group(backend);
    let mut rules = group.rules();
    let chance = Chance::new(context.endpoint);
    loop {
        let check = rules.borrow_and_update().health.clone();
        // Stopped, or to be asked in another way.
        let over = async {
            tokio::select! {
                () = stop.reached() => true,
                changed = rules.wait_for(|rules| rules.health != check) => changed.is_err(),
            }
        };
        let stopped = match &check {
            Some(check) => ask_by::<T>(&context, (backend, check), &group, &chance, over).await,
            None => over.await,
        };
        if stopped {
            return;
        }
    }
}

/// Asks in this way until that is over, and says what came of it.
async fn ask_by<T: Topology>(
    context: &Context,
    (backend, check): (&Backend, &HealthCheck),
    group: &Group,
    chance: &Chance,
    over: impl Future<Output = bool>,
) -> bool {
    let probe = match Probe::<T::Upstream>::open(context, backend, check) {
        Ok(probe) => probe,
        // The workers opened the same: they have refused it.
        Err(error) => {
            tracing::error!(%error, "endpoint cannot be asked whether it is well");
            return over.await;
        }
    };
    let mut over = pin!(over);
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
        group.asked(context.endpoint, asked.err().as_deref());
    };
    probe.close().await;
    stopped
}
