//! Stands for `admin` in a build without its feature: there is no listener, and asking for one is an error.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;

use tokio::sync::watch;

use super::{Given, Sockets, StartError};
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
    sockets: &mut Sockets,
) -> Result<Option<Bound>, StartError> {
    let is_given = sockets.take_admin(|| None).is_some();
    if is_given || plan.is_some() || address.is_some() || token.is_some() {
        Err(StartError::AdminOff)
    } else {
        Ok(None)
    }
}

impl Bound {
    pub(super) fn address(&self) -> SocketAddr {
        match *self {}
    }

    pub(super) fn try_clone(&self) -> io::Result<TcpListener> {
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
