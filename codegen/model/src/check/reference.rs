//! Which values a topology leaves to the process, and whether they are there.
//!
//! How a reference resolves is up to the caller: this crate reads neither the environment nor files named by a topology.

use super::Check;
use crate::diagnostic::{Code, quoted};
use crate::plan::Reference;
use crate::yaml::{Place, Step, steps};

// === impl Check ===

impl<'a> Check<'a> {
    /// Reports every reference that does not resolve.
    pub(crate) fn references(&mut self, resolves: &dyn Fn(&Reference) -> Result<(), String>) {
        for (place, reference) in self.all_references() {
            let (text, help) = match reference {
                Reference::Literal(_) => continue,
                Reference::Env(name) => (format!("env:{name}"), "set the variable where the gateway starts"),
                Reference::File(path) => (format!("file:{path}"), "write the file, or correct its path"),
            };
            if let Err(why) = resolves(reference) {
                let message = format!("reference {} does not resolve", quoted(&text));
                self.problems.error(Code::UndefinedReference, place, message).label(why).help(help);
            }
        }
    }

    fn all_references(&self) -> Vec<(Place, &'a Reference)> {
        let topology = self.topology;
        let mut found = vec![(self.document.value(steps!["listen", "mcp", "address"]), &topology.listen.mcp.address)];
        for (name, backend) in topology.backends.iter() {
            for (index, endpoint) in backend.endpoints.iter().enumerate() {
                found.push((self.document.value(steps!["backends", name, "endpoints", index, "url"]), &endpoint.url));
            }
            let transport = ["backends", name, "transport", backend.transport.kind().key].map(Step::from);
            found.extend(backend.transport.references().into_iter().map(|(steps, reference)| {
                (self.document.value(&transport.iter().chain(&steps).copied().collect::<Vec<_>>()), reference)
            }));
        }
        found
    }
}
