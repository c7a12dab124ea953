//! Sockets that listen before the gateway starts: of a service manager, or of the gateway that this one takes over from.
//! How they come is told by `activation` and `handover`; what is served on them by nobody here.

mod activation;
mod handover;
#[cfg(test)]
mod tests;

use std::net::{SocketAddr, TcpListener};
use std::path::Path;

use only1mcp_model::SealKey;
use socket2::SockRef;

use super::listen::{Address, Listener};
pub use activation::ActivationError;
pub use handover::HandoverError;
pub(crate) use handover::{Handover, Successor};

/// They are bound and listen.
#[derive(Debug, Default)]
pub(crate) struct Sockets {
    /// All of them at one address.
    mcp: Vec<Listener>,
    admin: Option<TcpListener>,
    /// Of the gateway that is taken over from, which holds on to the files of its Unix sockets until then.
    inherited: bool,
    /// What that one seals sessions with, unless its topology says it.
    seal_keys: Vec<SealKey>,
}

// === impl Sockets ===

impl Sockets {
    /// Those of the service manager (sd_listen_fds(3)), none without one.
    ///
    /// # Errors
    /// When what it gives is of no use.
    pub(crate) fn of_service_manager() -> Result<Self, ActivationError> {
        activation::sockets()
    }

    /// Where clients find the gateway whatever its topology says.
    pub(crate) fn given_mcp(&self) -> Option<String> {
        let address = self.mcp.first().filter(|_| !self.inherited)?.address()?;
        Some(match address {
            Address::Tcp(address) => address.to_string(),
            Address::Unix(path) => format!("unix:{}", path.display()),
        })
    }

    /// The same of administrators.
    pub(crate) fn given_admin(&self) -> Option<String> {
        let listener = self.admin.as_ref().filter(|_| !self.inherited)?;
        listener.local_addr().ok().map(|address| address.to_string())
    }

    /// One that is for clients.
    pub(super) fn of_clients(listener: TcpListener) -> Self {
        Self { mcp: vec![Listener::Tcp(listener)], ..Self::default() }
    }

    /// Those for clients, if they listen where the gateway is to: what a service manager gives does whatever is wanted.
    pub(super) fn take_mcp(&mut self, wanted: impl FnOnce() -> Option<Address>) -> Vec<Listener> {
        let at = self.mcp.first().and_then(Listener::address);
        let is_wanted = !self.inherited || matches!((at, wanted()), (Some(at), Some(wanted)) if at.is(&wanted));
        if is_wanted { std::mem::take(&mut self.mcp) } else { Vec::new() }
    }

    /// The same for administrators.
    pub(super) fn take_admin(&mut self, wanted: impl FnOnce() -> Option<SocketAddr>) -> Option<TcpListener> {
        let at = self.admin.as_ref()?.local_addr().ok()?;
        let is_wanted = !self.inherited || wanted().is_some_and(|wanted| Address::Tcp(at).is(&Address::Tcp(wanted)));
        self.admin.take_if(|_| is_wanted)
    }

    /// Whether their files are the gateway's from now on.
    pub(super) fn are_inherited(&self) -> bool {
        self.inherited
    }

    /// What sessions are to be sealed with that the gateway before began.
    pub(super) fn seal_keys(&self) -> &[SealKey] {
        &self.seal_keys
    }
}

// === impl Listener ===

impl Listener {
    /// Where clients find it; nowhere, if its socket has no name.
    pub(super) fn address(&self) -> Option<Address> {
        let socket = match self {
            Self::Tcp(tcp) => SockRef::from(tcp),
            Self::Unix(unix) => SockRef::from(unix),
        };
        let address = socket.local_addr().ok()?;
        address.as_socket().map(Address::Tcp).or_else(|| address.as_pathname().map(Path::to_owned).map(Address::Unix))
    }
}

// === impl Address ===

impl Address {
    /// Whether this is the one that is wanted, whose port may be any.
    fn is(&self, wanted: &Self) -> bool {
        match (self, wanted) {
            (Self::Tcp(own), Self::Tcp(wanted)) => own.ip() == wanted.ip() && [0, own.port()].contains(&wanted.port()),
            (Self::Unix(own), Self::Unix(wanted)) => own == wanted,
            _ => false,
        }
    }
}
