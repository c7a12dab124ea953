//! How the calls of a backend are bounded, spread and made again where an overlay has a say: what holds then, and what is refused
//! because the topology does not allow it.

use super::BackendSettings;
use crate::diagnostic::{Code, Problems};
use crate::plan::{Backend, Traffic};
use crate::topology::Millis;
use crate::traffic::{BreakerSettings, ConcurrencySettings, HealthSettings, HedgeSettings, RetrySettings};
use crate::yaml::{Document, steps};

// === impl BackendSettings ===

impl BackendSettings {
    /// What holds for this backend: what is compiled, but for what is set otherwise.
    #[must_use]
    pub fn traffic(&self, compiled: &Backend) -> Traffic {
        let base = compiled.traffic();
        let retry = self.retry.as_ref().map(|own| own.on().map(RetrySettings::planned));
        let hedge = self.hedge.as_ref().map(|own| own.on().map(HedgeSettings::planned));
        let circuit_breaker = self.circuit_breaker.as_ref().map(|own| own.on().map(BreakerSettings::planned));
        let health = self.health.as_ref().map(|own| own.on().map(HealthSettings::planned));
        Traffic {
            concurrency: self.concurrency.as_ref().map_or(base.concurrency, ConcurrencySettings::planned),
            retry: retry.unwrap_or(base.retry),
            hedge: hedge.unwrap_or(base.hedge),
            circuit_breaker: circuit_breaker.unwrap_or(base.circuit_breaker),
            health: health.unwrap_or(base.health),
        }
    }
}

/// A bound may be lowered and not raised. A second call has to come in time. Nobody is asked whether it is well, and no call is made a second time, for whom
/// nothing of that is compiled in.
pub(super) fn check(
    (backend, settings): (&Backend, &BackendSettings),
    document: &Document<'_>,
    problems: &mut Problems,
) {
    let name = &*backend.name;
    if let Some(own) = &settings.concurrency {
        let (own, compiled) = (own.planned(), backend.concurrency);
        for (key, most, bound) in [("max", own.max, compiled.max), ("queue", own.queue, compiled.queue)] {
            if most > bound {
                let place = document.value(steps!["backends", name, "concurrency", key]);
                let message = format!(
                    "`{key}` of `concurrency` is {most}: more than the {bound} that are compiled for backend `{name}`"
                );
                let help = format!("write at most {bound}: an overlay lowers a limit and never raises it");
                problems.error(Code::InvalidValue, place, message).help(help);
            }
        }
    }
    let timeout = settings.timeout.map_or(backend.timeout_ms, |own| own.0);
    if let Some(hedge) = settings.traffic(backend).hedge.filter(|hedge| hedge.after_ms >= timeout) {
        let place = match settings.hedge {
            Some(_) => document.value(steps!["backends", name, "hedge"]),
            None => document.value(steps!["backends", name, "timeout"]),
        };
        let (timeout, after) = (Millis(timeout), Millis(hedge.after_ms));
        let message = format!("calls that take `{timeout}` at most are made a second time after `{after}`");
        let help = "write an `after` that is shorter than `timeout`, or `hedge: off`";
        problems.error(Code::InvalidValue, place, message).help(help);
    }
    let health = settings.health.as_ref().is_some_and(|own| own.on().is_some()) && backend.health.is_none();
    let hedge = settings.hedge.as_ref().is_some_and(|own| own.on().is_some()) && backend.hedge.is_none();
    for (key, what, _) in
        [("health", "health checks", health), ("hedge", "hedging", hedge)].into_iter().filter(|own| own.2)
    {
        let place = document.key(steps!["backends", name, key]);
        let message = format!("backend `{name}` has no {what} to tune");
        let help = format!("write `{key}` in the topology: what nobody uses is not compiled in");
        problems.error(Code::InvalidValue, place, message).help(help);
    }
}
