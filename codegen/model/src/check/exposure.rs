//! Whether what clients would see is unambiguous.

use std::collections::HashMap;

use super::Check;
use crate::diagnostic::{Code, quoted};
use crate::resolve::{Catalog, Found};
use crate::yaml::{Place, steps};

// === impl Check ===

impl Check<'_> {
    /// Every check of the names and URIs that are exposed.
    pub(crate) fn exposure(&mut self, catalog: &Catalog) {
        self.duplicate_names("tool", &catalog.tools);
        self.duplicate_names("prompt", &catalog.prompts);
        self.duplicate_uris("resource", &catalog.resources);
        self.duplicate_uris("template", &catalog.templates);
    }

    fn duplicate_names(&mut self, noun: &str, found: &[Found]) {
        for (first, second) in duplicates(found) {
            let (place, earlier) = (self.origin(second), self.origin(first));
            let message = format!("{noun} {} is exposed twice", quoted(&second.exposed.name));
            self.problems
                .error(Code::DuplicateExposed, place, message)
                .label(format!("from {}", quoted(&second.exposed.upstream)))
                .also(earlier, format!("and from {}", quoted(&first.exposed.upstream)))
                .help("rename one of them under `tools.rename` of its backend, or name a backend otherwise");
        }
    }

    fn duplicate_uris(&mut self, noun: &str, found: &[Found]) {
        for (first, second) in duplicates(found) {
            let (place, earlier) = (self.origin(second), self.origin(first));
            let uri = &second.exposed.name;
            self.problems
                .error(Code::DuplicateResource, place, format!("{noun} {} is in two backends", quoted(uri)))
                .label("here")
                .also(earlier, "and here")
                .help(format!("decide with a route: `{{ resources: \"{}\", to: … }}`", uri.escape_debug()));
        }
    }

    /// What gave an item its name: the rule that renames it, or its backend.
    fn origin(&self, found: &Found) -> Place {
        let rename = steps!["backends", &found.origin, "tools", "rename", &found.exposed.upstream];
        if found.is_tool && self.document.has(rename) {
            return self.document.value(rename);
        }
        self.document.key(steps!["backends", &found.origin])
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
