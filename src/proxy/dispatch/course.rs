//! The backends that a call goes to, one after the other: those of its route, each once, then those that stand in for them.

use std::slice;
use std::time::Duration;

use super::super::bridge::Caller;
use super::super::route::Route;
use super::super::{Link, Settings, Worker};
use super::Journey;
use crate::catalog::{Topology, plan};
use crate::upstream::balance::indices;
use crate::upstream::{Error, Kind, Others};

/// See the module.
#[derive(Debug)]
pub(super) struct Course<'a> {
    /// Those that the route leads to, where these are several.
    members: &'static [plan::Member],
    /// The bits of those that have not been asked.
    left: u64,
    fallbacks: slice::Iter<'a, u16>,
    /// Who has the call.
    pub(super) backend: u16,
}

/// What becomes of a call that failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// It is made again at the same backend, after so long.
    Again(Duration),
    /// Another backend of its route gets it, because this one takes none.
    Passed(u16),
    /// The same, because it failed there.
    Elsewhere(u16),
    /// A backend gets it that stands in.
    Fallback(u16),
}

// === impl Course ===

impl<'a> Course<'a> {
    /// Of a call: where it goes first.
    #[inline]
    pub(super) fn of<T: Topology>(worker: &Worker<T>, caller: &Caller<'_>, route: &'a Route<'_>) -> Self {
        // What answers a backend's question is for that backend alone (MCP 2026-07-28, multi round-trip requests).
        let fallbacks = if caller.head.resumes { &[][..] } else { route.fallbacks }.iter();
        let mut own = Self { members: &[], left: 0, fallbacks, backend: route.backend };
        if T::HAS_TEAMS
            && let Some(team) = route.team.filter(|_| !route.pinned)
        {
            own.join(worker, team, (caller, route));
        }
        own
    }

    fn join<T: Topology>(&mut self, worker: &Worker<T>, team: u16, call: (&Caller<'_>, &Route<'_>)) {
        self.members = T::SPEC.teams.get(usize::from(team)).map_or(&[], |team| &team.members);
        self.left = u64::MAX >> (64 - self.members.len().clamp(1, 64));
        let is_weighed =
            |member: &plan::Member| worker.shared.tuned.of(member.backend).is_some_and(Settings::is_weighed);
        let first = worker.teams.choose(worker, team, self.left, call);
        // What was set while they were looked at may have one take calls for another that was passed by then.
        let first = first.or_else(|| worker.teams.choose(worker, team, self.left, call));
        // Where none takes calls, the first one that could says why.
        self.take(first.or_else(|| self.members.iter().position(is_weighed)).unwrap_or_default());
        if call.0.head.resumes {
            self.left = 0;
        }
    }

    fn take(&mut self, index: usize) {
        self.pass_by(index);
        if let Some(member) = self.members.get(index) {
            self.backend = member.backend;
        }
    }

    /// How many others may come after this one, so that something of the deadline is left for each.
    pub(super) fn others<T: Topology>(&self, worker: &Worker<T>) -> usize {
        if !T::HAS_TEAMS || self.left == 0 || !worker.links.of(self.backend).is_some_and(Link::<T>::retries) {
            return self.fallbacks.len();
        }
        let takes_part = |index: &usize| {
            let settings = self.members.get(*index).and_then(|member| worker.shared.tuned.of(member.backend));
            settings.is_some_and(Settings::takes_part)
        };
        self.fallbacks.len() + indices(self.left).filter(takes_part).count()
    }

    /// What becomes of a call that failed, and has been made so many times.
    pub(super) fn next<T: Topology>(&mut self, journey: &Journey<'_, T>, times: u32, error: &Error) -> Option<Step> {
        let member = if T::HAS_TEAMS && self.left != 0 { self.member(journey) } else { None };
        let passed = journey.tried.get() == 0 || matches!(error.kind, Kind::CircuitOpen | Kind::Overloaded);
        if let Some(index) = member.filter(|_| passed && !error.sent) {
            self.take(index);
            return Some(Step::Passed(self.backend));
        }
        let others = match member {
            Some(_) => Others::Equal,
            None if self.fallbacks.len() > 0 => Others::Fallback,
            None => Others::None,
        };
        let again = journey.again(self.backend, times, error, others);
        match (again, member) {
            (Some(_), Some(index)) => {
                self.take(index);
                Some(Step::Elsewhere(self.backend))
            }
            (Some(delay), None) => Some(Step::Again(delay)),
            (None, _) => {
                self.backend = *self.fallbacks.next()?;
                self.left = 0;
                Some(Step::Fallback(self.backend))
            }
        }
    }

    /// Another one of the route that takes the call while the first has it, by its place there and its index.
    pub(super) fn beside<T: Topology>(&self, journey: &Journey<'_, T>) -> Option<(usize, u16)> {
        if !T::HAS_TEAMS || self.left == 0 {
            return None;
        }
        let team = T::SPEC.teams.get(usize::from(journey.route.team?))?;
        let by_session = matches!(team.balance, plan::Balance::ConsistentHash(plan::HashKey::Session));
        let index = self.member(journey).filter(|_| !by_session || journey.caller.session.is_none())?;
        Some((index, self.members.get(index)?.backend))
    }

    /// That one has had the call as well.
    pub(super) fn pass_by(&mut self, index: usize) {
        self.left &= !(1 << index);
    }

    /// Another one of the route that takes the call.
    fn member<T: Topology>(&self, journey: &Journey<'_, T>) -> Option<usize> {
        let team = journey.route.team?;
        journey.worker.teams.choose(journey.worker, team, self.left, (journey.caller, journey.route))
    }
}
