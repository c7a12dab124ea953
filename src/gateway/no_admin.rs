//! Stands for `admin` in a build without its feature: there is no listener, and asking for one is an error.

use std::net::SocketAddr;
use std::sync::Arc;

use tokio::sync::watch;

use super::{Given, StartError};
use crate::catalog::{Topology, plan};
use crate::control::{Listener, OverlayStore};
use crate::proxy::{Counts, Shared};
use crate::references::References;
use crate::upstream::{Dropped, Group, Patient};

/// None exists.
pub(super) enum Bound {}

/// Refuses to leave out what somebody relies on.
pub(super) fn bind(
    plan: Option<&plan::AdminListener>,
    Given { address, token }: Given,
    _references: &References,
) -> Result<Option<Bound>, StartError> {
    if plan.is_some() || address.is_some() || token.is_some() { Err(StartError::AdminOff) } else { Ok(None) }
}

impl Bound {
    pub(super) fn address(&self) -> SocketAddr {
        match *self {}
    }

    #[expect(clippy::extra_unused_type_parameters, reason = "the listener that it stands for tells of a topology")]
    pub(super) fn listener<T: Topology>(
        self,
        _: (String, Vec<(&'static str, String)>),
        _: Arc<OverlayStore>,
        _: (Vec<Arc<Counts>>, Vec<Dropped>),
        _: (Vec<Patient>, Vec<Arc<Group>>),
        _: (Arc<Shared>, watch::Receiver<bool>),
    ) -> Listener {
        match self {}
    }
}
