//! The admin listener of a gateway: whether there is one, where, and what protects it. What it serves is the control
//! plane's.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::{Instant, SystemTime};

use tokio::sync::watch;

use super::{Given, Sockets, StartError, listen};
use crate::catalog::Topology;
use crate::catalog::plan::{self, Reference};
use crate::control::{Access, Facts, Listener, OverlayStore, Settings, Token};
use crate::proxy::{self, Counts, Shared, Site};
use crate::references::References;
use crate::upstream::{Dropped, Group, Patient};

/// A listener that is bound and does not serve yet.
pub(super) struct Bound {
    address: SocketAddr,
    listener: TcpListener,
    access: Access,
}

/// Binds the topology's admin listener, or one as it is given instead.
pub(super) fn bind(
    plan: Option<&plan::AdminListener>,
    Given { address, token }: Given,
    references: &References,
    sockets: &mut Sockets,
) -> Result<Option<Bound>, StartError> {
    let given = address.map(|address| Reference::Literal(address.into()));
    let wanted = given.as_ref().or(plan.map(|plan| &plan.address));
    let wanted = wanted.map(|address| listen::resolve("admin", address, references));
    let taken = sockets.take_admin(|| wanted.as_ref()?.as_ref().ok().copied());
    let address = match (&taken, wanted) {
        (Some(listener), _) => listener.local_addr().map_err(StartError::Listener)?,
        (None, Some(wanted)) => wanted?,
        (None, None) => return Ok(None),
    };
    let token = token.as_ref().or(plan.and_then(|plan| plan.token.as_ref()));
    let token = token.map(|token| self::token(token, references)).transpose()?;
    // The compiler's rule, for addresses that it could not see.
    if token.is_none() && !address.ip().to_canonical().is_loopback() {
        return Err(StartError::OpenAdmin(address));
    }
    let (address, listeners) = match taken {
        Some(listener) => (address, vec![listener]),
        None => listen::bind(address, 1)?,
    };
    let hosts =
        plan.into_iter().flat_map(|plan| plan.hosts.iter()).map(ToString::to_string).chain(listen::names(address));
    let access = Access::new(Site::new(hosts.collect(), Vec::new()), token);
    Ok(listeners.into_iter().next().map(|listener| Bound { address, listener, access }))
}

fn token(token: &Reference, references: &References) -> Result<Token, StartError> {
    let text = references.resolve(token).map_err(StartError::AdminToken)?;
    Token::new(text).ok_or(StartError::AdminTokenForm)
}

impl Bound {
    /// The address listened on.
    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    /// The same socket once more.
    pub(super) fn try_clone(&self) -> io::Result<TcpListener> {
        self.listener.try_clone()
    }

    /// What serves what these workers count and share.
    pub(super) fn listener<T: Topology>(
        self,
        (mcp_url, given): (String, Vec<(&'static str, String)>),
        overlay: Arc<OverlayStore>,
        (counts, dropped): (Vec<Arc<Counts>>, Vec<Dropped>),
        (children, groups): (Vec<Patient>, Vec<Arc<Group>>),
        (shared, draining): (Arc<Shared>, watch::Receiver<bool>),
    ) -> Listener {
        let Self { address, listener, access } = self;
        let (spec, settings, routing) = (T::SPEC, Settings::new(T::SETTINGS), proxy::route::<T>);
        let started = (SystemTime::now(), Instant::now());
        let facts = Facts {
            spec,
            settings,
            given,
            routing,
            mcp_url,
            address,
            counts,
            dropped,
            overlay,
            children,
            groups,
            shared,
            draining,
            started,
        };
        Listener::new(listener, access, facts)
    }
}
