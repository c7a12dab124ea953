//! Whether fallbacks exist, lead somewhere else, and can take over anything.

use super::Check;
use crate::diagnostic::{Code, quoted};
use crate::lock::Lock;
use crate::plan;
use crate::resolve::{Catalog, Found};
use crate::yaml::{Place, steps};

/// How many tools a message names.
const NAMED_MAX: usize = 5;

/// The backends on the way from one to the next fallback, each with the index of the fallback that was followed.
type Way<'a> = Vec<(&'a str, usize)>;

// === impl Check ===

impl Check<'_> {
    /// Every check of fallbacks that needs no lock.
    pub(super) fn fallbacks(&mut self) {
        self.fallback_names();
        self.fallback_cycles();
    }

    /// Every check of what fallbacks can take over; `backends` are those of the plan.
    pub(crate) fn fallback_contents(&mut self, lock: &Lock, backends: &[plan::Backend], catalog: &Catalog) {
        for (index, backend) in (0..).zip(backends) {
            let own: Vec<&Found> = catalog.tools.iter().filter(|tool| tool.exposed.backend == index).collect();
            let named = self.topology.backends.get(&backend.name).map_or(&[][..], |backend| &backend.fallback);
            for (position, fallback) in named.iter().enumerate() {
                // What is not locked is reported as such.
                let planned = backends.iter().position(|other| other.name == *fallback);
                let Some(planned) = planned.filter(|_| lock.backends.contains_key(fallback)) else { continue };
                let lacking =
                    |tool: &&&Found| !tool.exposed.fallbacks.iter().any(|taken| usize::from(*taken) == planned);
                let lacking: Vec<&str> = own.iter().filter(lacking).map(|tool| &*tool.exposed.upstream).collect();
                let place = self.document.value(steps!["backends", &*backend.name, "fallback", position]);
                self.lacking(place, &backend.name, fallback, (&lacking, own.len()));
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
        let names: Vec<&str> = self.topology.backends.iter().map(|(name, _)| name).collect();
        let mut done: Vec<&str> = Vec::new();
        for name in names {
            self.follow(name, &mut Vec::new(), &mut done);
        }
    }

    fn follow<'t>(&mut self, name: &'t str, way: &mut Way<'t>, done: &mut Vec<&'t str>)
    where
        Self: 't,
    {
        let Some(backend) = self.topology.backends.get(name).filter(|_| !done.contains(&name)) else { return };
        for (index, next) in backend.fallback.iter().enumerate().filter(|(_, next)| *next != name) {
            way.push((name, index));
            match way.iter().position(|(passed, _)| passed == next) {
                Some(first) => self.cycle(&way[first..]),
                None => self.follow(next, way, done),
            }
            way.pop();
        }
        done.push(name);
    }

    fn cycle(&mut self, way: &[(&str, usize)]) {
        let place = |check: &Self, (name, index): (&str, usize)| {
            check.document.value(steps!["backends", name, "fallback", index])
        };
        let (Some(&first), Some(&last)) = (way.first(), way.last()) else { return };
        let names: Vec<String> = way.iter().chain([&first]).map(|(name, _)| format!("`{name}`")).collect();
        let earlier: Vec<Place> = way[..way.len() - 1].iter().map(|step| place(self, *step)).collect();
        let place = place(self, last);
        let message = format!("fallbacks lead in a circle: {}", names.join(" → "));
        let problem = self.problems.error(Code::FallbackCycle, place, message);
        problem
            .label(format!("back to `{}`", first.0))
            .help("leave out one of them: a fallback is a backend of last resort");
        for place in earlier {
            problem.also(place, "on the way");
        }
    }

    /// Reports the tools of a backend that its fallback does not have, of so many.
    fn lacking(&mut self, place: Place, name: &str, fallback: &str, (tools, count): (&[&str], usize)) {
        if tools.is_empty() {
            return;
        }
        let help =
            format!("name a backend that has them, or record it anew with `only1mcp topology lock {}`", self.choice);
        if tools.len() == count {
            let message = format!("fallback `{fallback}` has none of the tools of backend `{name}`");
            self.problems.error(Code::FallbackUseless, place, message).label("takes over no call").help(help);
            return;
        }
        let named: Vec<String> = tools.iter().take(NAMED_MAX).map(|tool| quoted(tool)).collect();
        let more = match tools.len().saturating_sub(NAMED_MAX) {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        let message = format!("fallback `{fallback}` lacks tools of backend `{name}`: {}{more}", named.join(", "));
        self.problems
            .warning(Code::FallbackPartial, place, message)
            .label("calls of them are not taken over")
            .help(help);
    }
}
