//! The admin listener of a gateway: whether there is one, where, and what protects it. What it serves is the control
//! plane's.

use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::{Instant, SystemTime};

use super::{StartError, listen};
use crate::catalog::Spec;
use crate::catalog::plan::{self, Reference};
use crate::control::{Access, Facts, Listener, OverlayStore, Token};
use crate::proxy::{Counts, Site};
use crate::references::References;
use crate::upstream::{Dropped, Group, Patient};

/// A listener that is bound and does not serve yet.
pub(super) struct Bound {
    address: SocketAddr,
    listener: TcpListener,
    access: Access,
}

/// Binds the topology's admin listener, or one at `address` instead.
pub(super) fn bind(
    plan: Option<&plan::AdminListener>,
    address: Option<String>,
    references: &References,
) -> Result<Option<Bound>, StartError> {
    let given = address.map(|address| Reference::Literal(address.into()));
    let Some(address) = given.as_ref().or(plan.map(|plan| &plan.address)) else { return Ok(None) };
    let address = listen::resolve("admin", address, references)?;
    let token = plan.and_then(|plan| plan.token.as_ref()).map(|token| self::token(token, references)).transpose()?;
    // The compiler's rule, for addresses that it could not see.
    if token.is_none() && !address.ip().to_canonical().is_loopback() {
        return Err(StartError::OpenAdmin(address));
    }
    let (address, listeners) = listen::bind(address, 1)?;
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

    /// What serves what these workers count.
    pub(super) fn listener(
        self,
        spec: &'static Spec,
        mcp_url: String,
        overlay: Arc<OverlayStore>,
        (counts, dropped): (Vec<Arc<Counts>>, Vec<Dropped>),
        (children, groups): (Vec<Patient>, Vec<Arc<Group>>),
    ) -> Listener {
        let started = (SystemTime::now(), Instant::now());
        let facts = Facts { spec, mcp_url, address: self.address, counts, dropped, overlay, children, groups, started };
        Listener::new(self.listener, self.access, facts)
    }
}
