//! Whether each backend makes sense. What depends on how it is reached is checked in [`crate::transport`].

use super::Check;
use crate::diagnostic::{Code, quoted};
use crate::names::{LENGTH_MAX, is_exposable};
use crate::topology::{Backend, Names};
use crate::yaml::steps;

// === impl Check ===

impl Check<'_> {
    /// Every check of every backend.
    pub(super) fn backends(&mut self) {
        for (name, backend) in self.topology.backends.iter() {
            self.transport_features(name, backend);
            self.renames(name, backend);
            backend.transport.check(name, backend, self);
        }
    }

    fn transport_features(&mut self, name: &str, backend: &Backend) {
        let kind = backend.transport.kind();
        if !self.features.has(kind.feature) {
            self.problems
                .error(
                    Code::TransportOff,
                    self.document.key(steps!["backends", name, "transport", kind.key]),
                    format!("transport `{}` is not part of this build", kind.key),
                )
                .help(self.features.remedy(self.topology));
        }
    }

    fn renames(&mut self, name: &str, backend: &Backend) {
        let length_max = match &self.topology.names {
            Names::None => LENGTH_MAX,
            Names::Prefixed(prefixed) => prefixed.max_length.saturating_sub(name.len() + prefixed.separator.len()),
        };
        for (own, exposed) in backend.tools.rename.iter() {
            if !is_exposable(exposed, length_max) {
                let path = steps!["backends", name, "tools", "rename", own];
                let message = format!("rename to {}, which clients do not take", quoted(exposed));
                let why = format!("1 to {length_max} letters, digits, `_`, `-`");
                self.invalid(Code::InvalidRename, path, message, &why);
            }
        }
    }
}
