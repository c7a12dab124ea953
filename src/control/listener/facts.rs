//! What a running gateway is, as far as administrators may know: what is compiled into it, and what its workers share.
//! How that is told is not decided here.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Instant, SystemTime};

use only1mcp_model::overlay::BackendSettings;
use tokio::sync::watch;

use super::settings::Settings;
use crate::catalog::plan::Subject;
use crate::catalog::{Spec, View};
use crate::control::OverlayStore;
use crate::proxy::{Counts, Route, Shared};
use crate::upstream::{Dropped, Group, Patient};

/// Where a call about a name goes, as the workers decide it.
pub(crate) type Routing = for<'a> fn(&View, Subject, &'a str) -> Option<Route<'a>>;

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
    /// The children that it keeps.
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

    /// The name of a backend, by its index.
    pub(super) fn name_of(&self, backend: u16) -> &'static str {
        // The compiler checked every index.
        self.spec.backends.get(usize::from(backend)).map_or("?", |backend| &backend.name)
    }

    /// The children of a backend that are there.
    pub(super) fn children_of(&self, backend: &str) -> impl Iterator<Item = &Patient> {
        self.children.iter().filter(move |child| child.is_there() && child.backend() == backend)
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
