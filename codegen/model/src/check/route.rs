//! Whether routes lead somewhere, and whether they are ever taken.
//!
//! Whether the backends of a route have what it sends them is checked in [`super::locked_route`].

use super::Check;
use crate::diagnostic::{Code, listed, quoted};
use crate::names::{common, matches};
use crate::plan::Subject;
use crate::topology::{Route, TeamSettings, subject_expected};
use crate::yaml::{Step, steps};

// === impl Check ===

impl Check<'_> {
    /// Whether every route has one subject and a backend that exists.
    pub(super) fn routes(&mut self) {
        let names: Vec<&str> = self.topology.backends.names().collect();
        for (index, route) in self.topology.routes.iter().enumerate() {
            let path = steps!["routes", index];
            let subjects = [&route.tools, &route.prompts, &route.resources].into_iter().flatten().count();
            // One that could not be read, or is misspelt, is one all the same.
            if subjects > 1 || subjects == 0 && self.is_sound(path) {
                let message = format!("{subjects} subjects of a route where one belongs");
                self.problems
                    .error(Code::InvalidValue, self.document.value(path), message)
                    .help(format!("write {}", subject_expected()));
            }
            for (position, name) in route.to.names().enumerate() {
                if !names.contains(&name) {
                    self.unknown_backend(&self.member_path(index, position), name);
                }
            }
            self.needless_balance(index, route);
        }
    }

    /// Whether there is anything to balance.
    fn needless_balance(&mut self, index: usize, route: &Route) {
        // What could not be read has been reported.
        if route.balance.is_none() || route.to.members.len() != 1 {
            return;
        }
        let place = self.document.key(steps!["routes", index, "balance"]);
        self.problems
            .error(Code::InvalidValue, place, "balance of a route to one backend".to_owned())
            .help("write several, `to: [ONE, OTHER]`, or take it out: `balance` of a backend is about its endpoints");
    }

    /// Where the name of a backend of a route stands.
    pub(super) fn member_path(&self, route: usize, position: usize) -> Vec<Step<'static>> {
        let paths: [&[Step<'static>]; 2] =
            [steps!["routes", route, "to", position, "backend"], steps!["routes", route, "to", position]];
        let written = paths.into_iter().find(|path| self.document.has(path));
        written.unwrap_or(steps!["routes", route, "to"]).to_vec()
    }

    /// Reports a name, at its path, that no backend has.
    pub(super) fn unknown_backend(&mut self, path: &[Step<'_>], name: &str) {
        // Without any backend, that is the problem.
        let known = self.topology.backends.names().next().is_some();
        if !known || !self.document.has(path) || !self.is_sound(path) {
            return;
        }
        let names = self.topology.backends.names();
        self.problems.unknown_backend(self.document.value(path), name, names, "not in `backends`");
    }

    /// Whether an earlier route forestalls a later one.
    pub(super) fn unreachable_routes(&mut self) {
        let routes: Vec<_> = self.topology.routes.iter().map(subject).collect();
        for (index, later) in routes.iter().enumerate() {
            let Some((subject, key, pattern)) = later else { continue };
            let forestalls = |earlier: &Option<(Subject, &str, &str)>| {
                earlier.is_some_and(|(other, _, earlier)| other == *subject && covers(earlier, pattern))
            };
            if let Some(first) = routes[..index].iter().position(forestalls) {
                let place = self.document.value(steps!["routes", index, *key]);
                let earlier = self.document.value(steps!["routes", first, *key]);
                self.problems
                    .warning(Code::UnreachableRoute, place, format!("route for {} is never reached", quoted(pattern)))
                    .also(earlier, "matches all of it")
                    .help("the first route that matches wins: move this one up, or take it out");
            }
        }
    }

    /// Whether a name could go either way, so that the order of two routes decides where neither is the exception to
    /// the other.
    pub(super) fn overlapping_routes(&mut self) {
        let routes: Vec<_> = self.topology.routes.iter().map(|route| (subject(route), &route.to)).collect();
        let named = |to: &TeamSettings| listed(to.names());
        for (index, (later, to)) in routes.iter().enumerate() {
            let Some((subject, key, pattern)) = *later else { continue };
            let overlap = |(earlier, other_to): &(Option<(Subject, &str, &str)>, &TeamSettings)| {
                let (_, _, earlier) = earlier.filter(|(other, _, _)| *other == subject && other_to != to)?;
                // Exact names go before patterns, wherever they stand.
                let patterns = earlier.contains('*') && pattern.contains('*');
                let neither = patterns && !covers(earlier, pattern) && !covers(pattern, earlier);
                neither.then(|| common(earlier, pattern))?
            };
            let found = routes[..index].iter().enumerate().find_map(|(first, route)| Some((first, overlap(route)?)));
            if let Some((first, name)) = found {
                let place = self.document.value(steps!["routes", index, key]);
                let earlier = self.document.value(steps!["routes", first, key]);
                let (message, name) = (format!("route for {} overlaps an earlier one", quoted(pattern)), quoted(&name));
                self.problems
                    .warning(Code::OverlappingRoutes, place, message)
                    .label(format!("{name} matches as well, and would go to {}", named(to)))
                    .also(earlier, format!("{name} matches here first, and goes to {}", named(routes[first].1)))
                    .help("narrow one of them, or write `allow: [E0205]` when this order is meant");
            }
        }
    }
}

/// Whether one pattern matches everything that another does.
fn covers(wider: &str, narrower: &str) -> bool {
    // A star of the narrower one is matched by a star of the wider one only, which is exactly what covers it. Exact names
    // go before patterns: a pattern never forestalls one.
    wider.contains('*') == narrower.contains('*') && matches(wider, narrower)
}

/// What a route is about, the key that says so, and its pattern; `None` unless that is exactly one.
pub(crate) fn subject(route: &Route) -> Option<(Subject, &'static str, &str)> {
    match (&route.tools, &route.prompts, &route.resources) {
        (Some(tools), None, None) => Some((Subject::Tools, "tools", tools)),
        (None, Some(prompts), None) => Some((Subject::Prompts, "prompts", prompts)),
        (None, None, Some(resources)) => Some((Subject::Resources, "resources", resources)),
        _ => None,
    }
}
