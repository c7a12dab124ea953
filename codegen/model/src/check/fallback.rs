//! Whether fallbacks exist, lead somewhere else, and can take over anything.

use std::collections::HashMap;

use super::Check;
use crate::diagnostic::{Code, listed, quoted};
use crate::lock::Lock;
use crate::plan;
use crate::resolve::{Catalog, Found};
use crate::yaml::{Place, steps};

/// How many backends of a circle a message names.
const NAMED_MAX: usize = 5;

/// How many circles are looked for: whoever has so many mends the first of them and sees the others then.
const CIRCLES_MAX: usize = 100;

/// The backends on the way from one to the next fallback, each with the index of the fallback that was followed.
type Way = Vec<(usize, usize)>;

/// Of one list what a fallback has of its backend's, and what it has not, under what one of it is called.
type Shared<'a> = (&'static str, (Vec<&'a Found>, Vec<&'a Found>));

/// A search for circles, from backend to backend by their positions.
struct Search<'t> {
    backends: &'t [(&'t str, &'t [String])],
    positions: HashMap<&'t str, usize>,
    state: Vec<State>,
    circles: Vec<Way>,
}

/// What a search knows of a backend.
#[derive(Clone, Copy, PartialEq)]
enum State {
    Unseen,
    /// On the way to where the search is, so many steps from its beginning.
    Passed(usize),
    /// Every way from it has been followed.
    Done,
}

// === impl Check ===

impl Check<'_> {
    /// Every check of fallbacks that needs no lock.
    pub(super) fn fallbacks(&mut self) {
        self.fallback_names();
        self.fallback_cycles();
    }

    /// Every check of what fallbacks can take over; `backends` are those of the plan.
    pub(crate) fn fallback_contents(&mut self, lock: &Lock, backends: &[plan::Backend], catalog: &Catalog) {
        let is_in_team =
            |team: Option<u16>, backend: u16| team.is_some_and(|team| catalog.teams[usize::from(team)].has(backend));
        for (index, backend) in (0..).zip(backends) {
            let named = self.topology.backends.get(&backend.name).map_or(&[][..], |backend| &backend.fallback);
            for (position, fallback) in named.iter().enumerate() {
                // What is not locked is reported as such.
                let planned = backends.iter().position(|other| other.name == *fallback);
                let Some(planned) = planned.filter(|_| lock.backends.contains_key(fallback)) else { continue };
                // Who takes calls of an item anyway, by the same route, is no fallback of it.
                let taken = |item: &Found| {
                    let has = |taken: &u16| usize::from(*taken) == planned;
                    item.exposed.fallbacks.iter().any(has)
                        || (0..).zip(backends).any(|(other, _)| has(&other) && is_in_team(item.exposed.team, other))
                };
                let leads = |item: &&Found| item.exposed.backend == index || is_in_team(item.exposed.team, index);
                let lists = catalog
                    .lists()
                    .map(|(noun, found)| (noun, found.iter().filter(leads).partition(|item| taken(item))));
                let place = self.document.value(steps!["backends", &*backend.name, "fallback", position]);
                self.lacking(place, &backend.name, fallback, &lists);
            }
        }
    }

    fn fallback_names(&mut self) {
        for (name, backend) in self.topology.backends.iter() {
            for (index, fallback) in backend.fallback.iter().enumerate() {
                let path = steps!["backends", name, "fallback", index];
                if !self.topology.backends.names().any(|known| known == fallback) {
                    self.unknown_backend(path, fallback);
                } else if fallback == name {
                    self.problems
                        .error(
                            Code::FallbackCycle,
                            self.document.value(path),
                            format!("backend `{name}` falls back to itself"),
                        )
                        .help("name backends that answer where this one does not, or leave `fallback` out");
                } else if let Some(first) = backend.fallback[..index].iter().position(|earlier| earlier == fallback) {
                    let earlier = self.document.value(steps!["backends", name, "fallback", first]);
                    let message = format!("fallback {} stands twice", quoted(fallback));
                    self.problems
                        .error(Code::FallbackTwice, self.document.value(path), message)
                        .label("it is tried once")
                        .also(earlier, "here already");
                }
            }
        }
    }

    /// Fallbacks are not followed from one to the next, but a circle shows that nobody knows which of them comes first.
    fn fallback_cycles(&mut self) {
        let backends: Vec<(&str, &[String])> =
            self.topology.backends.iter().map(|(name, backend)| (name, &*backend.fallback)).collect();
        let positions: HashMap<&str, usize> =
            (0..).zip(&backends).map(|(position, (name, _))| (*name, position)).collect();
        let mut search =
            Search { backends: &backends, positions, state: vec![State::Unseen; backends.len()], circles: Vec::new() };
        for position in 0..backends.len() {
            search.follow(position, &mut Vec::new());
        }
        for way in search.circles {
            let way: Vec<(&str, usize)> = way.iter().map(|(position, index)| (backends[*position].0, *index)).collect();
            self.cycle(&way);
        }
    }

    fn cycle(&mut self, way: &[(&str, usize)]) {
        let (Some((first, _)), Some((last, earlier))) = (way.first(), way.split_last()) else { return };
        let place = |(name, index): &(&str, usize)| self.document.value(steps!["backends", *name, "fallback", *index]);
        let mut names: Vec<String> = way.iter().take(NAMED_MAX).map(|(name, _)| format!("`{name}`")).collect();
        if let Some(more @ 1..) = way.len().checked_sub(NAMED_MAX) {
            names.push(format!("{more} more"));
        }
        names.push(format!("`{first}`"));
        let message = format!("fallbacks lead in a circle: {}", names.join(" → "));
        let earlier: Vec<Place> = earlier.iter().take(NAMED_MAX).map(place).collect();
        let last = place(last);
        let problem = self.problems.error(Code::FallbackCycle, last, message);
        problem
            .label(format!("back to `{first}`"))
            .help("leave out one of them: a fallback is a backend of last resort");
        for place in earlier {
            problem.also(place, "on the way");
        }
    }

    /// Reports what a fallback does not have of its backend's lists.
    fn lacking(&mut self, place: Place, name: &str, fallback: &str, lists: &[Shared<'_>]) {
        if lists.iter().all(|(_, (_, lacking))| lacking.is_empty()) {
            return;
        }
        let help =
            format!("name a backend that has them, or record it anew with `only1mcp topology lock {}`", self.choice);
        if lists.iter().all(|(_, (taken, _))| taken.is_empty()) {
            let message = format!("fallback `{fallback}` has nothing of what backend `{name}` offers");
            self.problems.error(Code::FallbackUseless, place, message).label("takes over no call").help(help);
            return;
        }
        let lacking = lists.iter().filter(|(_, (_, lacking))| !lacking.is_empty()).map(|(noun, (_, lacking))| {
            let plural = if lacking.len() == 1 { "" } else { "s" };
            format!("{noun}{plural} {}", listed(lacking.iter().map(|item| &*item.exposed.upstream)))
        });
        let lacking = lacking.collect::<Vec<_>>().join("; ");
        let message = format!("fallback `{fallback}` lacks what backend `{name}` has: {lacking}");
        self.problems
            .warning(Code::FallbackPartial, place, message)
            .label("calls of them are not taken over")
            .help(help);
    }
}

// === impl Search ===

impl Search<'_> {
    fn follow(&mut self, position: usize, way: &mut Way) {
        if self.state[position] != State::Unseen {
            return;
        }
        self.state[position] = State::Passed(way.len());
        for (index, next) in self.backends[position].1.iter().enumerate() {
            let Some(&next) = self.positions.get(&**next) else { continue };
            // A backend that names itself is reported as such.
            if next == position || self.circles.len() == CIRCLES_MAX {
                continue;
            }
            way.push((position, index));
            match self.state[next] {
                State::Passed(first) => self.circles.push(way[first..].to_vec()),
                State::Unseen => self.follow(next, way),
                State::Done => {}
            }
            way.pop();
        }
        self.state[position] = State::Done;
    }
}
