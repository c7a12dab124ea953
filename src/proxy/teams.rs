//! Which backend gets a call, where a route leads to several. Which endpoint of that backend gets it is decided there.

pub(super) mod state;

use super::bridge::Caller;
use super::route::Route;
use super::{Link, Settings, Worker};
use crate::catalog::{Era, Topology, plan};
use crate::upstream::balance::{Keys, Members, Strategy, indices, of_session};

/// How one worker chooses, for each team.
#[derive(Debug)]
pub(crate) struct Teams<B>(Box<[B]>);

/// The members of a team, as strategies see them.
struct Standing<'w, T: Topology> {
    worker: &'w Worker<T>,
    members: &'static [plan::Member],
}

// === impl Teams ===

impl<B: Strategy> Teams<B> {
    /// Those of a topology, on the worker of this index.
    pub(crate) fn open(teams: &[plan::Team], worker: usize) -> Self {
        Self(teams.iter().map(|team| B::open(&team.balance, worker)).collect())
    }

    /// The member that gets a call, by its place in the team: one of those whose bits are set, and that takes calls now.
    /// One that has a place for it at once goes before those where it would have to wait.
    pub(super) fn choose<T: Topology<Balance = B>>(
        &self,
        worker: &Worker<T>,
        team: u16,
        among: u64,
        (caller, route): (&Caller<'_>, &Route<'_>),
    ) -> Option<usize> {
        let (team, strategy) = (T::SPEC.teams.get(usize::from(team))?, self.0.get(usize::from(team))?);
        let standing = Standing { worker, members: &team.members };
        let those = |is: &dyn Fn(usize) -> bool| {
            indices(among).filter(|index| is(*index)).fold(0, |bits, index| bits | 1_u64 << index)
        };
        let well = those(&|index| standing.takes_calls(index));
        if well & well.wrapping_sub(1) == 0 {
            return indices(well).next();
        }
        // What one of them keeps for a session, or a key, is there also when it is busy.
        if let Some(session) = caller.session.filter(|_| standing.has_legacy()) {
            return Some(of_session(session, well, &standing));
        }
        if let plan::Balance::ConsistentHash(key) = &team.balance {
            let &Caller { source, head, session, header_keys, .. } = caller;
            let keys = Keys { source, head, name: Some(&route.upstream), session, header_keys };
            return Some(strategy.pick(&standing, well, keys.find(key)));
        }
        let free = those(&|index| well & 1 << index != 0 && !standing.link(index).is_some_and(Link::<T>::is_full));
        Some(strategy.pick(&standing, if free == 0 { well } else { free }, None))
    }
}

/// The backend that is listened to for what a route leads to: of several the first that takes new calls, so that whoever
/// listens hears the same one.
pub(super) fn heard<T: Topology>(worker: &Worker<T>, route: &Route<'_>) -> u16 {
    let takes_part = |backend: &u16| worker.shared.tuned.of(*backend).is_some_and(Settings::takes_part);
    let several = T::HAS_TEAMS && route.team.is_some();
    let mut led = T::SPEC.led(route.backend, route.team.filter(|_| several));
    if several { led.find(takes_part).unwrap_or(route.backend) } else { route.backend }
}

// === impl Standing ===

impl<'w, T: Topology> Standing<'w, T> {
    /// The link to a member, unless none was needed so far.
    fn link(&self, index: usize) -> Option<&'w Link<T>> {
        self.worker.links.of(self.members.get(index)?.backend)
    }

    fn settings(&self, index: usize) -> Option<&'w Settings> {
        self.worker.shared.tuned.of(self.members.get(index)?.backend)
    }

    fn backend(&self, index: usize) -> Option<&'static plan::Backend> {
        T::SPEC.backends.get(usize::from(self.members.get(index)?.backend))
    }

    fn takes_calls(&self, index: usize) -> bool {
        self.settings(index).is_some_and(Settings::takes_part) && self.link(index).is_none_or(Link::<T>::takes_calls)
    }

    /// Whether some of them may keep something for sessions.
    fn has_legacy(&self) -> bool {
        let is_legacy = |index| match self.link(index) {
            Some(link) => link.is_legacy(),
            None => self.backend(index).is_some_and(|own| own.era.or(own.locked_era) == Some(Era::Legacy)),
        };
        (0..self.members.len()).any(is_legacy)
    }
}

impl<T: Topology> Members for Standing<'_, T> {
    fn count(&self) -> usize {
        self.members.len()
    }

    fn weight(&self, index: usize) -> u32 {
        let compiled = self.members.get(index).map_or(0, |member| member.weight);
        self.settings(index).map_or(compiled, |settings| settings.weight(compiled))
    }

    fn in_flight(&self, index: usize) -> u32 {
        self.link(index).map_or(0, Link::<T>::in_flight)
    }

    fn name(&self, index: usize) -> &str {
        self.backend(index).map_or("", |backend| &backend.name)
    }

    fn edition(&self) -> u32 {
        let weighed = (0..self.count()).filter_map(|index| Some(self.settings(index)?.weighed()));
        weighed.fold(0, u32::wrapping_add)
    }
}
