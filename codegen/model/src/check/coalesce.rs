//! Whether there are calls that become one, where the topology says that some do.

use super::Check;
use crate::diagnostic::{Code, quoted};
use crate::names::matches;
use crate::resolve::Catalog;
use crate::yaml::steps;

// === impl Check ===

impl Check<'_> {
    /// Reports every pattern of tools that names none of which that is so, by the lock.
    pub(crate) fn coalesced_tools(&mut self, catalog: &Catalog) {
        // A backend that is refused has nothing in the catalog: what it would have there is not known.
        if self.topology.backends.names().count() > self.topology.backends.len() || self.topology.backends.is_empty() {
            return;
        }
        let names = || catalog.tools.iter().map(|tool| tool.exposed.name.as_str());
        for (index, pattern) in self.topology.coalesce.tools.iter().enumerate() {
            let path = steps!["coalesce", "tools", index];
            let mut named = catalog.tools.iter().filter(|tool| matches(pattern, &tool.exposed.name)).peekable();
            let writes = named.peek().map(|tool| quoted(&tool.exposed.name));
            if named.any(|tool| tool.exposed.read_only) || !self.is_sound(path) {
                continue;
            }
            let candidates = names().filter(|_| !pattern.contains('*'));
            let near = self.problems.near_miss(Code::UnusedCoalescing, pattern, candidates);
            let message = format!("pattern {} names no tool that only reads", quoted(pattern));
            let problem = self.problems.warning(Code::UnusedCoalescing, self.document.value(path), message);
            match (writes, near) {
                (Some(writes), _) => problem.label(format!("the lock does not say so of {writes}")),
                (None, Some(near)) => problem.meant(near),
                (None, None) => problem.label("no tool of the lock is exposed like this"),
            };
            problem.help(
                "only calls of tools with `readOnlyHint` in the lock become one: name some of those, or take it out",
            );
        }
    }
}
