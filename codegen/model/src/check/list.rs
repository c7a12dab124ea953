//! Whether lists say what is said already, and whether `allow` allows what there is.
//!
//! A fallback that stands twice is a problem of its own kind, in [`super::fallback`].

use super::Check;
use crate::diagnostic::{Code, quoted};
use crate::topology::Topology;
use crate::yaml::{Step, steps};

/// The path of a list, and its items as they are compared.
type Listed<'a> = (Vec<Step<'a>>, Vec<String>);

// === impl Check ===

impl Check<'_> {
    /// Reports every item that an earlier one of its list equals.
    pub(super) fn repeated_items(&mut self) {
        for (path, items) in lists(self.topology) {
            for (index, item) in items.iter().enumerate() {
                let Some(first) = items[..index].iter().position(|earlier| earlier == item) else { continue };
                let place_of = |index: usize| [&path[..], steps![index]].concat();
                let (again, first) = (place_of(index), place_of(first));
                if !self.is_sound(&again) || !self.is_sound(&first) {
                    continue;
                }
                let (place, first) = (self.document.value(&again), self.document.value(&first));
                self.problems
                    .warning(Code::ListedTwice, place, format!("{} stands twice in one list", quoted(item)))
                    .label("again here")
                    .also(first, "first here")
                    .help("take one of them out");
            }
        }
    }

    /// Reports every code under `allow` of which there is no warning. What has errors, or no lock, may hide some.
    pub(crate) fn unneeded_allow(&mut self) {
        if self.problems.has_errors() {
            return;
        }
        for (index, code) in self.topology.allow.iter().enumerate() {
            if *code != Code::UnneededAllow && !self.problems.has(*code) {
                let place = self.document.value(steps!["allow", index]);
                self.problems
                    .warning(Code::UnneededAllow, place, format!("no warning `{code}` is there to be allowed"))
                    .help("take it out: it would hide the first one that comes");
            }
        }
    }
}

fn lists(topology: &Topology) -> Vec<Listed<'_>> {
    // Hosts are the same in either case.
    let hosts = |hosts: &[String]| hosts.iter().map(|host| host.to_ascii_lowercase()).collect::<Vec<_>>();
    let mcp = &topology.listen.mcp;
    let mut lists: Vec<Listed<'_>> = vec![
        (steps!["allow"].to_vec(), topology.allow.iter().map(ToString::to_string).collect()),
        (steps!["coalesce", "tools"].to_vec(), topology.coalesce.tools.clone()),
        (steps!["listen", "mcp", "hosts"].to_vec(), hosts(&mcp.hosts)),
        (steps!["listen", "mcp", "origins"].to_vec(), hosts(&mcp.origins)),
    ];
    lists.extend(topology.listen.admin.iter().map(|admin| {
        let path = steps!["listen", "admin", "hosts"];
        (path.to_vec(), hosts(&admin.hosts))
    }));
    for (name, backend) in topology.backends.iter() {
        lists.push((steps!["backends", name, "tools", "deny"].to_vec(), backend.tools.deny.clone()));
        let urls = backend.endpoints.iter().map(|endpoint| endpoint.url.to_string()).collect();
        lists.push((steps!["backends", name, "endpoints"].to_vec(), urls));
    }
    for (index, route) in topology.routes.iter().enumerate() {
        lists.push((steps!["routes", index, "to"].to_vec(), route.to.names().map(str::to_owned).collect()));
    }
    for (name, view) in topology.views.iter() {
        lists.push((steps!["views", name, "include"].to_vec(), view.include.clone()));
        lists.push((steps!["views", name, "exclude"].to_vec(), view.exclude.clone()));
    }
    lists
}
