//! Whether a lock belongs to its topology.

use super::Check;
use crate::diagnostic::{Code, quoted};
use crate::json_schema::remote_references;
use crate::lock::{Item, List, Lock, Marks, Section, era_word};
use crate::names::matches;
use crate::plan;
use crate::resolve::is_denied;
use crate::secret::{is_confidential, suspect_variable};
use crate::topology::Backend;
use crate::transport::Difference;
use crate::yaml::{Place, Step, steps};

/// Of how many references beside the first a warning tells.
const TOLD_MAX: usize = 3;

// === impl Check ===

impl Check<'_> {
    /// Says that there is no lock.
    pub(crate) fn no_lock(&mut self) {
        let name = &self.topology.name;
        self.problems
            .warning(Code::NoLock, self.document.value(steps!["name"]), format!("topology `{name}` has no lock"))
            .label("its catalog is empty")
            .help(format!("write it with `only1mcp topology lock {}`", self.choice));
    }

    /// Every check of a lock; `backends` are those of the plan, in topology order.
    pub(crate) fn lock(&mut self, lock: &Lock, marks: &Marks, backends: &[plan::Backend]) {
        self.locked_unknown(lock, marks);
        for planned in backends {
            match lock.backends.get(&*planned.name) {
                None => self.unlocked(&planned.name),
                Some(section) => self.outdated(planned, section, marks),
            }
        }
        for (name, backend) in self.topology.backends.iter() {
            if let Some(section) = lock.backends.get(name) {
                let tools: Vec<&str> = section.tools.iter().map(|tool| tool.name.as_str()).collect();
                self.unknown_tools(name, backend, &tools);
                self.unused_deny(name, backend, &tools);
                self.remote_schemas(name, backend, section, marks);
            }
        }
    }

    /// Says which tools have schemas that whoever reads them may fetch a part of.
    fn remote_schemas(&mut self, name: &str, backend: &Backend, section: &Section, marks: &Marks) {
        let shown = |(_, tool): &(usize, &Item)| !is_denied(&backend.tools, &tool.name);
        for (position, tool) in section.tools.iter().enumerate().filter(shown) {
            let references = remote_references(tool);
            let [first, others @ ..] = &references[..] else { continue };
            let place = self.document.key(steps!["backends", name]);
            let tool = quoted(&tool.name);
            let message = format!("schema of tool {tool} of backend `{name}` refers to {}", quoted(first));
            let problem = self.problems.warning(Code::RemoteSchema, place, message);
            problem.label("nobody here fetches it").locked(marks.item(name, List::Tools, position));
            if !others.is_empty() {
                let more = match others.len().saturating_sub(TOLD_MAX) {
                    0 => String::new(),
                    count => format!(", and to {count} more"),
                };
                let others: Vec<_> = others.iter().take(TOLD_MAX).map(|other| quoted(other)).collect();
                problem.note(format!("it refers to {} as well{more}", others.join(", ")));
            }
            problem.help(
                "have the server put it under `$defs` and lock it again, hide the tool under `tools.deny` of its backend, or \
                 write `allow: [E0509]`",
            );
        }
    }

    fn locked_unknown(&mut self, lock: &Lock, marks: &Marks) {
        // Without any backend, that is the problem.
        let any = self.topology.backends.names().next().is_some();
        for name in lock.backends.keys().filter(|_| any) {
            if !self.topology.backends.names().any(|known| known == name) {
                let place = self.document.key(steps!["backends"]);
                let message = format!("lock has a backend {}, which the topology has not", quoted(name));
                let near = self.problems.near_miss(Code::LockedUnknown, name, self.topology.backends.names());
                let problem = self.problems.error(Code::LockedUnknown, place, message);
                problem.locked(marks.section(name));
                if let Some(near) = near {
                    problem.meant(near);
                }
                problem.help(format!("write the lock again with `only1mcp topology lock {}`", self.choice));
            }
        }
    }

    fn unlocked(&mut self, name: &str) {
        let place = self.document.key(steps!["backends", name]);
        let topology = self.choice;
        self.problems
            .warning(Code::Unlocked, place, format!("backend `{name}` is not in the lock"))
            .label("none of its tools are exposed")
            .help(format!("write the lock again with `only1mcp topology lock {topology}`"));
    }

    fn outdated(&mut self, planned: &plan::Backend, section: &Section, marks: &Marks) {
        let name: &str = &planned.name;
        let era = planned.era.filter(|era| *era != section.era()).map(|_pinned| Difference {
            steps: vec![Step::Key("era")],
            field: "era".to_owned(),
            before: Some(era_word(section.era()).to_owned()),
        });
        let mut differences: Vec<(Place, Difference<'_>)> = Vec::new();
        for difference in planned.transport.differences(&section.transport).into_iter().chain(era) {
            let path: Vec<Step<'_>> = steps!["backends", name].iter().chain(&difference.steps).copied().collect();
            // What is wrong in itself need not fit as well.
            if self.is_sound(&path) {
                let transport = || self.document.key(steps!["backends", name, "transport"]);
                let place = if self.document.has(&path) { self.document.value(&path) } else { transport() };
                differences.push((place, difference));
            }
        }
        let [(place, first), others @ ..] = &differences[..] else { return };
        let before = |difference: &Difference<'_>| match &difference.before {
            // What is a reference now may have been the secret itself.
            Some(before) if is_confidential(before) || suspect_variable(&difference.field, before).is_some() => {
                "the lock has another".to_owned()
            }
            Some(before) => format!("the lock has {}", quoted(before)),
            None => "the lock has none".to_owned(),
        };
        let help = format!("write the lock again with `only1mcp topology lock {}`", self.choice);
        let message = format!("`{}` of backend `{name}` changed since it was locked", first.field);
        let problem = self.problems.error(Code::LockOutdated, *place, message);
        problem.label(before(first)).locked(marks.section(name)).help(help);
        problem.note(match &*first.field {
            "era" => "the lock records what it offered in another era",
            _ => "the lock records what another command or URL offered",
        });
        for (place, other) in others {
            problem.also(*place, format!("`{}`: {}", other.field, before(other)));
        }
    }

    fn unknown_tools(&mut self, name: &str, backend: &Backend, tools: &[&str]) {
        for (own, _) in backend.tools.rename.iter() {
            if !tools.contains(&own) {
                let place = self.document.key(steps!["backends", name, "tools", "rename", own]);
                let message = format!("backend `{name}` has no tool {}", quoted(own));
                let near = self.problems.near_miss(Code::UnknownTool, own, tools.iter().copied());
                let problem = self.problems.error(Code::UnknownTool, place, message);
                problem.help("write the name that the backend itself uses, without prefix, or take the rule out");
                if let Some(near) = near {
                    problem.meant(near);
                }
            }
        }
    }

    fn unused_deny(&mut self, name: &str, backend: &Backend, tools: &[&str]) {
        for (index, pattern) in backend.tools.deny.iter().enumerate() {
            let path = steps!["backends", name, "tools", "deny", index];
            if !tools.iter().any(|tool| matches(pattern, tool)) && self.is_sound(path) {
                let place = self.document.value(path);
                let message = format!("pattern {} matches no tool of backend `{name}`", quoted(pattern));
                let near = self.problems.near_miss(Code::UnusedDeny, pattern, tools.iter().copied());
                let problem = self.problems.warning(Code::UnusedDeny, place, message);
                problem.help("write the name that the backend itself uses, without prefix, or take the pattern out");
                if let Some(near) = near {
                    problem.meant(near);
                }
            }
        }
    }
}
