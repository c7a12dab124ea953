//! Whether routes lead somewhere, and whether they are ever taken.

use super::Check;
use crate::decode::near_miss;
use crate::diagnostic::{Code, quoted};
use crate::names::matches;
use crate::plan::Subject;
use crate::topology::Route;
use crate::yaml::{Step, steps};

// === impl Check ===

impl Check<'_> {
    /// Whether every route has one subject and a backend that exists.
    pub(super) fn routes(&mut self) {
        let names: Vec<&str> = self.topology.backends.names().collect();
        for (index, route) in self.topology.routes.iter().enumerate() {
            let subjects = [&route.tools, &route.prompts, &route.resources].into_iter().flatten().count();
            if subjects != 1 {
                let message = format!("{subjects} subjects of a route where one belongs");
                self.problems
                    .error(Code::InvalidValue, self.document.value(steps!["routes", index]), message)
                    .help("write exactly one of `tools`, `prompts` and `resources`");
            }
            if !names.contains(&route.to.as_str()) {
                self.unknown_backend(steps!["routes", index, "to"], &route.to);
            }
        }
    }

    /// Reports a name, at its path, that no backend has.
    pub(super) fn unknown_backend(&mut self, path: &[Step<'_>], name: &str) {
        let message = format!("unknown backend {}", quoted(name));
        let problem = self.problems.error(Code::UnknownBackend, self.document.value(path), message);
        match near_miss(name, self.topology.backends.names()) {
            Some(near) => problem.label(format!("did you mean `{near}`?")),
            None => problem.label("not in `backends`"),
        };
    }

    /// Whether an earlier route forestalls a later one.
    pub(super) fn unreachable_routes(&mut self) {
        let routes: Vec<_> = self.topology.routes.iter().map(subject).collect();
        for (index, later) in routes.iter().enumerate() {
            let Some((subject, key, pattern)) = later else { continue };
            // A star in the later pattern is matched by a star of the earlier one only, which is exactly what covers it.
            let covers = |earlier: &Option<(Subject, &str, &str)>| {
                earlier.is_some_and(|(other, _, earlier)| {
                    other == *subject && (earlier.contains('*') == pattern.contains('*')) && matches(earlier, pattern)
                })
            };
            if let Some(first) = routes[..index].iter().position(covers) {
                let place = self.document.value(steps!["routes", index, *key]);
                let earlier = self.document.value(steps!["routes", first, *key]);
                self.problems
                    .warning(Code::UnreachableRoute, place, format!("route for {} is never reached", quoted(pattern)))
                    .also(earlier, "matches all of it");
            }
        }
    }
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
