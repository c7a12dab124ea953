//! The servers behind the gateway: what each is, what it offers, how it is set, how it fares.

use serde_json::{Map, Value, json};

use super::super::declined::Declined;
use super::super::endpoint::Endpoints;
use super::super::facts::Facts;
use super::super::petition::Petition;
use super::super::timestamp;
use super::super::told::Told;
use super::window::Window;
use super::{config, system};
use crate::catalog::plan::Backend;
use crate::catalog::{Entry, Era};
use crate::proxy::{CallCounts, LastFailure};
use crate::upstream::{Breaking, HealthState, Kind, Standing, State};

/// One backend by its index, with all that is known of it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Report<'f> {
    facts: &'f Facts,
    index: usize,
    backend: &'static Backend,
}

pub(in super::super) fn list(endpoints: &Endpoints, asked: &Petition) -> Result<Told, Declined> {
    let part = Window::of(asked)?.cut(all(&endpoints.facts), |server| server.whole());
    Ok(Told::json(&part))
}

pub(in super::super) fn one(endpoints: &Endpoints, asked: &Petition) -> Result<Told, Declined> {
    let server = find(&endpoints.facts, asked.name())?;
    Ok(Told::json(&server.whole()))
}

/// The backend with this name.
pub(super) fn find<'f>(facts: &'f Facts, name: &str) -> Result<Report<'f>, Declined> {
    let server = all(facts).find(|server| server.backend.name == name);
    server.ok_or_else(|| Declined::Nothing("server", name.to_owned()))
}

/// Every backend, in the order of the topology, and behind them those that the overlay adds.
pub(super) fn all(facts: &Facts) -> impl Iterator<Item = Report<'_>> {
    facts.backends().map(move |(index, backend)| Report { facts, index, backend })
}

// === impl Report ===

impl Report<'_> {
    pub(super) fn index(&self) -> usize {
        self.index
    }

    fn whole(&self) -> Value {
        let Self { facts, backend, .. } = *self;
        let spec = facts.current();
        let templates = spec.templates.iter().filter(|own| spec.leads((own.backend, own.team), self.index)).count();
        let era = |era: Option<Era>| era.map(era_word);
        let mut server = self.health();
        let more = json!({
            "from": facts.from(self.index),
            "transport": backend.transport.kind().key,
            "place": backend.transport.place().split_whitespace().skip(1).collect::<Vec<_>>().join(" "),
            "era": { "pinned": era(backend.era), "locked": era(backend.locked_era) },
            "offers": {
                "tools": self.count(spec.tools),
                "prompts": self.count(spec.prompts),
                "resources": self.count(spec.resources),
                "templates": templates,
            },
            "timeout": config::timeout(facts, backend),
        });
        if let (Value::Object(server), Value::Object(more)) = (&mut server, more) {
            server.extend(more);
        }
        server
    }

    /// How it fares.
    pub(super) fn health(&self) -> Value {
        json!({
            "name": self.backend.name,
            "state": self.state(),
            "disabled": self.facts.tuned(&self.backend.name).disabled,
            "calls": self.calls(),
            "endpoints": self.endpoints(),
            "children": self.facts.children_of(&self.backend.name).map(|own| system::child(&own)).collect::<Vec<_>>(),
        })
    }

    /// In a word. Of one without children that nobody asks how it is, nothing is known but what its calls came to.
    fn state(&self) -> &'static str {
        let states: Vec<State> = self.facts.children_of(&self.backend.name).map(|child| child.vitals().state).collect();
        let any = |state| states.contains(&state);
        let tuned = self.facts.tuned(&self.backend.name);
        match () {
            () if tuned.disabled => "disabled",
            () if tuned.drain => "draining",
            () if any(State::Ready) => "up",
            () if any(State::Starting) => "starting",
            () if any(State::Asleep) => "asleep",
            () if !states.is_empty() => "down",
            () => self.reached(),
        }
    }

    fn count(&self, entries: &[Entry]) -> usize {
        entries.iter().filter(|own| self.facts.spec.leads((own.backend, own.team), self.index)).count()
    }

    /// The same of one that is connected to, by the endpoints that are to get calls.
    fn reached(&self) -> &'static str {
        let standings: Vec<_> = self.standings().into_iter().filter(|one| one.weight > 0).collect();
        let is_out = |one: &Standing| {
            matches!(one.breaking, Breaking::Open(_))
                || one.health.is_some_and(|health| !matches!(health, HealthState::Healthy { .. }))
        };
        match () {
            () if !standings.is_empty() && standings.iter().all(is_out) => "down",
            () if standings.iter().any(|one| one.health.is_some() && !is_out(one)) => "up",
            () => "unknown",
        }
    }

    pub(super) fn name(&self) -> &'static str {
        &self.backend.name
    }

    /// Whether the overlay adds it.
    pub(super) fn is_added(&self) -> bool {
        self.facts.from(self.index) == "overlay"
    }

    /// Closes the circuits of its endpoints that are not, and says how many.
    pub(super) fn close_circuits(&self) -> usize {
        self.facts.group(self.index).map_or(0, |group| group.close_circuits())
    }

    pub(super) fn standings(&self) -> Vec<Standing> {
        self.facts.group(self.index).map(|group| group.standings()).unwrap_or_default()
    }

    /// How each of its endpoints stands; one without URL where it is started.
    fn endpoints(&self) -> Vec<Value> {
        let told = |standing: Standing| {
            let rests_ms = standing.rest_ms();
            let Standing { name, under_way, breaking, health, .. } = standing;
            json!({
                "name": name,
                "calls_under_way": under_way,
                "breaker": breaking.as_str(),
                "open_ms": breaking.open_ms(),
                "health": health.map(HealthState::as_str),
                "rests_ms": rests_ms,
            })
        };
        self.standings().into_iter().map(told).collect()
    }

    /// What its calls came to.
    fn calls(&self) -> Value {
        let counts = || self.facts.counts.iter().filter_map(|worker| worker.of(self.index));
        let sum = |of: &dyn Fn(&CallCounts) -> u64| counts().map(of).sum::<u64>();
        let failed: Map<String, Value> = Kind::ALL
            .into_iter()
            .map(|kind| (kind.as_str().to_owned(), sum(&|worker| worker.failed(kind)).into()))
            .collect();
        let last = counts().filter_map(CallCounts::last_failure).max_by_key(|last| last.at);
        json!({
            "answered": sum(&CallCounts::answered),
            "failed": failed.values().filter_map(Value::as_u64).sum::<u64>(),
            "failed_by_kind": failed,
            "last_failure": last.map(|LastFailure { kind, at }| json!({
                "kind": kind.as_str(),
                "at": timestamp::rfc3339(at),
            })),
        })
    }
}

fn era_word(era: Era) -> &'static str {
    match era {
        Era::Legacy => "legacy",
        Era::Modern => "modern",
    }
}
