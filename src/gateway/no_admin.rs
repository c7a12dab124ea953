//! Stands for `admin` in a build without its feature: there is no listener, and asking for one is an error.

use std::net::SocketAddr;
use std::sync::Arc;

use super::StartError;
use crate::catalog::{Spec, plan};
use crate::control::{Listener, OverlayStore};
use crate::proxy::Counts;
use crate::references::References;
use crate::upstream::{Dropped, Group, Patient};

/// None exists.
pub(super) enum Bound {}

/// Refuses to leave out what somebody relies on.
pub(super) fn bind(
    plan: Option<&plan::AdminListener>,
    address: Option<String>,
    _references: &References,
) -> Result<Option<Bound>, StartError> {
    if plan.is_some() || address.is_some() { Err(StartError::AdminOff) } else { Ok(None) }
}

impl Bound {
    pub(super) fn address(&self) -> SocketAddr {
        match *self {}
    }

    pub(super) fn listener(
        self,
        _: &'static Spec,
        _: String,
        _: Arc<OverlayStore>,
        _: (Vec<Arc<Counts>>, Vec<Dropped>),
        _: (Vec<Patient>, Vec<Arc<Group>>),
    ) -> Listener {
        match self {}
    }
}
