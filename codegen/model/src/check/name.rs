//! Whether exposed names stay what they are, and say which backend they belong to.
//!
//! The form of names is checked in [`super`], that no two are equal in [`super::exposure`].

use super::Check;
use crate::diagnostic::Code;
use crate::names::prefix;
use crate::topology::Names;
use crate::yaml::steps;

// === impl Check ===

impl Check<'_> {
    /// Whether a prefix begins with that of another backend, so that a name could belong to either.
    pub(super) fn ambiguous_prefixes(&mut self) {
        let Names::Prefixed(prefixed) = &self.topology.names else { return };
        let separator = prefixed.separator.as_str();
        // A name that holds the separator is refused as such.
        let names = || self.topology.backends.names().filter(|name| !separator.is_empty() && !name.contains(separator));
        for name in names() {
            let own = prefix(&self.topology.names, name);
            let begins = |other: &&str| *other != name && own.starts_with(&prefix(&self.topology.names, other));
            let Some(other) = names().find(begins) else { continue };
            let other_prefix = prefix(&self.topology.names, other);
            let rest = own.strip_prefix(&other_prefix).unwrap_or_default();
            let message = format!("prefix `{own}` of backend `{name}` begins with `{other_prefix}`");
            self.problems
                .error(Code::AmbiguousPrefix, self.document.key(steps!["backends", name]), message)
                .label(format!("`{own}x` is its tool `x`"))
                .also(self.document.key(steps!["backends", other]), format!("or the tool `{rest}x` of this one"))
                .help("name one of them otherwise, or write another `separator` under `names`");
        }
    }

    /// Says that names without a prefix do not last.
    pub(super) fn transparent_names(&mut self) {
        if self.topology.names == Names::None && self.topology.backends.names().count() == 1 {
            self.problems
                .warning(
                    Code::ChangingNames,
                    self.document.value(steps!["names"]),
                    "exposed names change when a second backend is added",
                )
                .label("exposes names without a prefix, which one backend alone can have")
                .help("leave `names` out, so that clients use lasting names; or write `allow: [E0307]` when it stays at one");
        }
    }
}
