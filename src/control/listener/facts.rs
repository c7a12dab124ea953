//! What a running gateway is, as far as administrators may know: what is compiled into it, and what its workers share.
//! How that is told is not decided here.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Instant, SystemTime};

use only1mcp_model::overlay::BackendSettings;
use tokio::sync::watch;

use super::settings::Settings;
use crate::catalog::plan::{Backend, Subject};
use crate::catalog::{Catalog, NOBODY, Spec, View};
use crate::control::OverlayStore;
use crate::proxy::{Counts, Route, Shared};
use crate::upstream::{Dropped, Group, Patient};

/// Where a call about a name goes, as the workers decide it.
pub(crate) type Routing = for<'a> fn(Catalog, &View, Subject, &'a str) -> Option<Route<'a>>;

/// What a running gateway is.
#[derive(Debug)]
pub(crate) struct Facts {
    pub(crate) spec: &'static Spec,
    /// As they are compiled.
    pub(crate) settings: Settings,
    /// What was given at the start instead of what the topology says, by its path.
    pub(crate) given: Vec<(&'static str, String)>,
    pub(crate) routing: Routing,
    /// The URL of the MCP endpoint.
    pub(crate) mcp_url: String,
    /// The address of this listener.
    pub(crate) address: SocketAddr,
    /// What each worker counts.
    pub(crate) counts: Vec<Arc<Counts>>,
    /// What is set otherwise than compiled.
    pub(crate) overlay: Arc<OverlayStore>,
    /// What each backend said and nobody got.
    pub(crate) dropped: Vec<Dropped>,
    /// The children of compiled backends.
    pub(crate) children: Vec<Patient>,
    /// The endpoints of each backend.
    pub(crate) groups: Vec<Arc<Group>>,
    /// What the workers share.
    pub(crate) shared: Arc<Shared>,
    /// Set once it stops.
    pub(crate) draining: watch::Receiver<bool>,
    /// When it began to serve.
    pub(crate) started: (SystemTime, Instant),
}

// === impl Facts ===

impl Facts {
    /// The digest of the topology.
    pub(super) fn topology_digest(&self) -> String {
        format!("sha256:{}", self.spec.topology_digest)
    }

    /// The digest of the lock, if there is one.
    pub(super) fn lock_digest(&self) -> Option<String> {
        (!self.spec.lock_digest.is_empty()).then(|| format!("sha256:{}", self.spec.lock_digest))
    }

    /// The catalog that is in force.
    pub(super) fn catalog(&self) -> Catalog {
        self.shared.tuned.amendments.catalog()
    }

    /// Everything constant about it.
    pub(super) fn current(&self) -> &'static Spec {
        self.catalog().spec_or(self.spec)
    }

    /// Every backend that is there now, with its index.
    pub(super) fn backends(&self) -> impl Iterator<Item = (usize, &'static Backend)> + use<> {
        self.current().backends.iter().enumerate().filter(|(_, backend)| backend.name != NOBODY)
    }

    /// What the backend of this index is from: it is compiled, or the overlay adds it.
    pub(super) fn from(&self, backend: usize) -> &'static str {
        if backend < self.spec.backends.len() { "topology" } else { "overlay" }
    }

    /// The name of a backend, by its index.
    pub(super) fn name_of(&self, backend: u16) -> &'static str {
        // The compiler checked every index, and so was what an overlay makes.
        self.current().backends.get(usize::from(backend)).map_or("?", |backend| &backend.name)
    }

    /// The endpoints of a backend, by its index.
    pub(super) fn group(&self, backend: usize) -> Option<Arc<Group>> {
        #[cfg(feature = "amendments")]
        if let Some(position) = backend.checked_sub(self.spec.backends.len()) {
            return self.shared.tuned.additions.group(position);
        }
        self.groups.get(backend).cloned()
    }

    /// What a backend said and nobody got, by its index.
    pub(super) fn dropped_of(&self, backend: usize) -> Option<Dropped> {
        #[cfg(feature = "amendments")]
        if let Some(position) = backend.checked_sub(self.spec.backends.len()) {
            return self.shared.tuned.additions.dropped(position);
        }
        self.dropped.get(backend).cloned()
    }

    /// The children that are there, those of added backends last.
    pub(super) fn children(&self) -> impl Iterator<Item = Patient> {
        self.children.iter().cloned().chain(self.shared.tuned.added_children()).filter(Patient::is_there)
    }

    /// Those of one backend.
    pub(super) fn children_of(&self, backend: &str) -> impl Iterator<Item = Patient> {
        self.children().filter(move |child| child.backend() == backend)
    }

    /// What the overlay sets of a backend.
    pub(super) fn tuned(&self, backend: &str) -> BackendSettings {
        self.overlay.current().overlay.backends.get(backend).cloned().unwrap_or_default()
    }

    /// Whether the gateway stops.
    pub(super) fn is_draining(&self) -> bool {
        *self.draining.borrow()
    }
}
