//! The cargo features of a build that decide what a topology may use, and what to write where one of them is off.

use std::collections::BTreeSet;

use crate::topology::Topology;
use crate::transport;

/// The cargo feature for TLS, towards backends and clients.
pub(crate) const TLS: &str = "tls";
/// The cargo feature for HTTP/2, towards backends and clients.
pub(crate) const HTTP2: &str = "http2";
/// The cargo feature for the demo servers.
pub(crate) const DEMO: &str = "demo";
/// The cargo feature for the admin listener.
pub(crate) const ADMIN: &str = "admin";

/// The cargo feature for overlays that make another catalog of what is compiled.
pub(crate) const AMENDMENTS: &str = "amendments";

/// The features of one build.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Features {
    on: BTreeSet<&'static str>,
    /// The feature in whose line they stand.
    line: Option<String>,
}

// === impl Features ===

impl Features {
    /// Every feature that a topology or an overlay may need, in the order in which manifests have them.
    pub fn known() -> impl Iterator<Item = &'static str> {
        transport::KINDS.iter().map(|kind| kind.feature).chain([HTTP2, TLS, DEMO, ADMIN, AMENDMENTS])
    }

    /// Everything there is.
    #[must_use]
    pub fn all() -> Self {
        Self::of(|_| true)
    }

    /// Those of the known ones that are on.
    #[must_use]
    pub fn of(on: impl Fn(&str) -> bool) -> Self {
        Self { on: Self::known().filter(|feature| on(feature)).collect(), line: None }
    }

    /// The same, of a build that a feature `topology-NAME` selected: its line in the manifest is where others belong.
    #[must_use]
    pub fn in_line_of(self, feature: Option<String>) -> Self {
        Self { line: feature, ..self }
    }

    /// Those that are on.
    pub fn iter(&self) -> impl Iterator<Item = &'static str> {
        self.on.iter().copied()
    }

    /// Whether a feature is on.
    #[must_use]
    pub fn has(&self, feature: &str) -> bool {
        self.on.contains(feature)
    }

    /// What to write so that this topology has what it needs.
    pub(crate) fn remedy(&self, topology: &Topology) -> String {
        let needs = needs(topology);
        match &self.line {
            Some(line) => {
                let needs: Vec<String> = needs.iter().map(|feature| format!("\"{feature}\"")).collect();
                format!("write in `Cargo.toml` under `[features]`: `{line} = [{}]`", needs.join(", "))
            }
            // All of them: who takes it literally replaces what there was.
            None => format!("build with `--features {}`", needs.join(",")),
        }
    }
}

/// The features without which a build cannot carry a topology, in the order of [`Features::known`].
pub(crate) fn needs(topology: &Topology) -> Vec<&'static str> {
    let backends = topology.backends.iter();
    let admin = topology.listen.admin.iter().map(|_| ADMIN);
    let tls = topology.listen.mcp.tls.iter().map(|_| TLS);
    let needed = backends.flat_map(|(_, backend)| backend.transport.needs(backend)).chain(admin).chain(tls);
    let needed: BTreeSet<&str> = needed.collect();
    Features::known().filter(|feature| needed.contains(feature)).collect()
}
