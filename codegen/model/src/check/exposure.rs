//! Whether what clients would see is unambiguous.

use std::collections::HashMap;

use super::Check;
use crate::diagnostic::{Code, quoted};
use crate::lock::{List, Marks};
use crate::names::{LENGTH_MAX, is_exposable, prefix};
use crate::resolve::{Catalog, Excluded, Found};
use crate::topology::{Backend, Names};
use crate::yaml::{Place, steps};

/// Of how many names a warning tells.
const TOLD_MAX: usize = 3;

// === impl Check ===

impl Check<'_> {
    /// Every check of the names and URIs that are exposed.
    pub(crate) fn exposure(&mut self, catalog: &Catalog) {
        self.duplicate_names("tool", &catalog.tools);
        self.duplicate_names("prompt", &catalog.prompts);
        self.duplicate_uris("resource", &catalog.resources);
        self.duplicate_uris("template", &catalog.templates);
        self.names_over_limits(catalog);
    }

    /// Says which tools no client may be shown, for what their backend wrote about them.
    pub(crate) fn excluded(&mut self, catalog: &Catalog, marks: &Marks) {
        for Excluded { backend, tool, position, violation } in &catalog.excluded {
            let place = self.document.key(steps!["backends", backend]);
            let message = format!("tool {} of backend `{backend}` has an invalid `x-mcp-header`", quoted(tool));
            self.problems
                .warning(Code::ParamHeader, place, message)
                .label("the tool is not exposed")
                .locked(marks.item(backend, List::Tools, *position))
                .note(violation.to_string())
                .help("correct the server and lock it again, or hide the tool under `tools.deny` of its backend");
        }
    }

    /// Whether clients take the names that backends give.
    fn names_over_limits(&mut self, catalog: &Catalog) {
        let mut over: HashMap<&str, Vec<&Found>> = HashMap::new();
        for found in catalog.tools.iter().chain(&catalog.prompts).filter(|found| self.is_over_limits(found)) {
            over.entry(&found.origin).or_default().push(found);
        }
        for (name, _) in self.topology.backends.iter() {
            let Some(found) = over.get(name) else { continue };
            let place = self.document.key(steps!["backends", name]);
            let (cut, limit) = match &self.topology.names {
                Names::None => (false, LENGTH_MAX),
                Names::Prefixed(prefixed) => (true, prefixed.max_length),
            };
            let message = match found.len() {
                1 => format!("1 name of backend `{name}` is not one that all clients take"),
                count => format!("{count} names of backend `{name}` are not ones that all clients take"),
            };
            let choose = match found.iter().any(|found| found.is_tool) {
                true => "choose names for tools under `tools.rename` of the backend, or ",
                false => "",
            };
            let problem = self.problems.warning(Code::NameOverLimits, place, message);
            problem.label(format!("clients take 1 to {limit} letters, digits, `_` and `-`"));
            problem.help(format!("{choose}write `allow: [E0306]` when these are fine"));
            for item in found.iter().take(TOLD_MAX) {
                let (own, exposed) = (quoted(&item.exposed.upstream), quoted(&item.exposed.name));
                problem.note(if item.exposed.upstream.is_empty() {
                    format!("a {} without a name is exposed as {exposed}", if item.is_tool { "tool" } else { "prompt" })
                } else if cut {
                    format!("{own} becomes {exposed}")
                } else {
                    format!("{exposed} is exposed as it is")
                });
            }
            if let Some(more @ 1..) = found.len().checked_sub(TOLD_MAX) {
                problem.note(format!("and {more} more"));
            }
        }
    }

    /// Whether the name that a backend gave is exposed although clients refuse it, or not as it is. New names are the
    /// topology's own, and checked as such.
    fn is_over_limits(&self, found: &Found) -> bool {
        let (own, exposed) = (&found.exposed.upstream, &found.exposed.name);
        let fits = match &self.topology.names {
            Names::None => is_exposable(exposed, LENGTH_MAX),
            // What is known by its own name is known so because that fits.
            names => !own.is_empty() && (*exposed == prefix(names, &found.origin) + own || exposed == own),
        };
        !fits && !self.is_renamed(found)
    }

    fn duplicate_names(&mut self, noun: &str, found: &[Found]) {
        for (first, second) in duplicates(found) {
            let (place, earlier) = (self.origin(second), self.origin(first));
            let message = format!("{noun} {} is exposed twice", quoted(&second.exposed.name));
            self.problems
                .error(Code::DuplicateExposed, place, message)
                .label(format!("from {} of backend `{}`", quoted(&second.exposed.upstream), second.origin))
                .also(earlier, format!("and from {} of backend `{}`", quoted(&first.exposed.upstream), first.origin))
                .help("rename one of them under `tools.rename` of its backend, or name a backend otherwise");
        }
    }

    fn duplicate_uris(&mut self, noun: &str, found: &[Found]) {
        for (first, second) in duplicates(found) {
            let (place, earlier) = (self.origin(second), self.origin(first));
            let uri = &second.exposed.name;
            self.problems
                .error(Code::DuplicateResource, place, format!("{noun} {} is in two backends", quoted(uri)))
                .label(format!("of backend `{}`", second.origin))
                .also(earlier, format!("and of backend `{}`", first.origin))
                .help(format!(
                    "decide with a route: `{{ resources: \"{}\", to: … }}`; or tell them apart by `resources: {{ uris: rewrite }}` of a backend",
                    uri.escape_debug()
                ));
        }
    }

    /// What gave an item its name: the rule that renames it, or its backend.
    fn origin(&self, found: &Found) -> Place {
        match self.is_renamed(found) {
            true => self.document.value(steps!["backends", &found.origin, "tools", "rename", &found.exposed.upstream]),
            false => self.document.key(steps!["backends", &found.origin]),
        }
    }

    fn is_renamed(&self, found: &Found) -> bool {
        let rename = |backend: &Backend| backend.tools.rename.get(&found.exposed.upstream).is_some();
        found.is_tool && self.topology.backends.get(&found.origin).is_some_and(rename)
    }
}

/// Every item whose name an earlier one has, with that one.
fn duplicates(found: &[Found]) -> Vec<(&Found, &Found)> {
    let mut first: HashMap<&str, &Found> = HashMap::new();
    let mut duplicates = Vec::new();
    for item in found {
        match first.get(item.exposed.name.as_str()) {
            Some(earlier) => duplicates.push((*earlier, item)),
            None => drop(first.insert(&item.exposed.name, item)),
        }
    }
    duplicates
}
