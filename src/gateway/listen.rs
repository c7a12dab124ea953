//! Listeners: one socket a worker on one port, or one that all share.

use std::io;
use std::net::{SocketAddr, TcpListener, ToSocketAddrs as _};
use std::os::unix::net::UnixListener;
use std::path::PathBuf;

use only1mcp_model::url;
use socket2::{Domain, Protocol, Socket, Type};

use super::socket::{self, SocketFile};
use super::{MCP, StartError};
use crate::catalog::plan::Reference;
use crate::downstream::Stream;
use crate::references::References;

/// Connections that may wait for a worker.
pub(super) const BACKLOG: i32 = 1024;

/// Where clients connect.
#[derive(Clone, Debug)]
pub(super) enum Address {
    Tcp(SocketAddr),
    Unix(PathBuf),
}

/// A socket that listens, before it belongs to a runtime.
#[derive(Debug)]
pub(super) enum Listener {
    Tcp(TcpListener),
    Unix(UnixListener),
}

/// The same within the runtime of a worker.
#[derive(Debug)]
pub(super) enum Accepting {
    Tcp(tokio::net::TcpListener),
    Unix(tokio::net::UnixListener),
}

/// The listeners of all workers.
#[derive(Debug)]
pub(super) struct Listening {
    pub(super) address: Address,
    pub(super) listeners: Vec<Listener>,
    /// That of a Unix socket.
    pub(super) file: Option<SocketFile>,
}

/// Listens for clients at `host:port`, or `unix:/path`.
pub(super) fn open(address: &Reference, references: &References, workers: usize) -> Result<Listening, StartError> {
    let text = references.resolve(address).map_err(|source| StartError::Reference { listener: MCP, source })?;
    let Some(path) = url::socket_path(&text) else {
        let (address, listeners) = bind(resolve(MCP, address, references)?, workers)?;
        return Ok(Listening::tcp(address, listeners));
    };
    let path = path.map_err(|why| StartError::SocketPath { address: text.clone(), why })?;
    let (listener, file) = socket::bind(path.as_ref())?;
    let failed = |source| StartError::Socket { path: path.into(), source };
    let clone = || listener.try_clone().map(Listener::Unix);
    let listeners = std::iter::repeat_with(clone).take(workers).collect::<io::Result<_>>().map_err(failed)?;
    Ok(Listening { address: Address::Unix(path.into()), listeners, file: Some(file) })
}

/// The first address that the `host:port` of this listener stands for.
pub(super) fn resolve(
    listener: &'static str,
    address: &Reference,
    references: &References,
) -> Result<SocketAddr, StartError> {
    let address = references.resolve(address).map_err(|source| StartError::Reference { listener, source })?;
    let resolved = address.to_socket_addrs().ok().and_then(|mut resolved| resolved.next());
    resolved.ok_or(StartError::Address { listener, address })
}

/// Binds one listener a worker.
pub(super) fn bind(wanted: SocketAddr, workers: usize) -> Result<(SocketAddr, Vec<TcpListener>), StartError> {
    let failed = |source| StartError::Listen { address: wanted, source };
    // Sockets that share a port do not notice another gateway that shares it too; one that does not share does.
    drop(listener(wanted, false).map_err(failed)?);
    let first = listener(wanted, true).map_err(failed)?;
    let address = first.local_addr().map_err(failed)?;
    let mut listeners = vec![first];
    while listeners.len() < workers {
        listeners.push(listener(address, true).map_err(failed)?);
    }
    Ok((address, listeners))
}

/// The same socket for every worker: whoever is free takes the next connection.
pub(super) fn share(listener: TcpListener, workers: usize) -> io::Result<(SocketAddr, Vec<TcpListener>)> {
    // A blocking socket would hold up the worker that loses the race for a connection.
    listener.set_nonblocking(true)?;
    let address = listener.local_addr()?;
    let mut listeners = Vec::with_capacity(workers);
    while listeners.len() + 1 < workers {
        listeners.push(listener.try_clone()?);
    }
    listeners.push(listener);
    Ok((address, listeners))
}

/// The names under which clients may know the address.
pub(super) fn names(address: SocketAddr) -> Option<String> {
    match address {
        _ if address.ip().is_unspecified() => None,
        SocketAddr::V4(address) => Some(address.ip().to_string()),
        SocketAddr::V6(address) => Some(format!("[{}]", address.ip())),
    }
}

// === impl Listening ===

impl Listening {
    pub(super) fn tcp(address: SocketAddr, listeners: Vec<TcpListener>) -> Self {
        let listeners = listeners.into_iter().map(Listener::Tcp).collect();
        Self { address: Address::Tcp(address), listeners, file: None }
    }
}

// === impl Listener ===

impl Listener {
    /// Makes the runtime of this thread wait for clients.
    pub(super) fn enter(self) -> io::Result<Accepting> {
        match self {
            Self::Tcp(listener) => tokio::net::TcpListener::from_std(listener).map(Accepting::Tcp),
            Self::Unix(listener) => tokio::net::UnixListener::from_std(listener).map(Accepting::Unix),
        }
    }
}

// === impl Accepting ===

impl Accepting {
    /// The next client.
    pub(super) async fn accept(&self) -> io::Result<Stream> {
        match self {
            Self::Tcp(listener) => listener.accept().await.map(|(tcp, _peer)| Stream::Tcp(tcp)),
            Self::Unix(listener) => listener.accept().await.map(|(unix, _peer)| Stream::Unix(unix)),
        }
    }
}

fn listener(address: SocketAddr, shared: bool) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM.nonblocking(), Some(Protocol::TCP))?;
    // Connections of an earlier run that wait to be forgotten do not hold the port.
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(shared)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn workers_share_a_port_and_gateways_do_not() {
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        let (address, listeners) = bind(any, 2).expect("a free port");
        assert_eq!(listeners.len(), 2);
        assert!(listeners.iter().all(|listener| listener.local_addr().expect("bound") == address));
        let second = bind(address, 2);
        assert!(matches!(second, Err(StartError::Listen { .. })), "{second:?}");
    }

    #[test]
    fn a_given_socket_is_shared_by_all_workers() {
        for workers in 1..4 {
            let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
            let given = listener.local_addr().expect("bound");
            let (address, listeners) = share(listener, workers).expect("it can be cloned");
            assert_eq!((address, listeners.len()), (given, workers));
            let taken = listeners.last().expect("one a worker").accept();
            // It does not block; a connection reaches whoever asks.
            assert_eq!(taken.expect_err("nobody connected").kind(), io::ErrorKind::WouldBlock);
            let _client = std::net::TcpStream::connect(given).expect("somebody listens");
            listeners.first().expect("one a worker").accept().expect("the connection");
        }
    }

    #[test]
    fn an_address_without_port_is_refused() {
        let address = Reference::Literal("localhost".into());
        let refused = resolve("MCP", &address, &References::default()).expect_err("no port");
        assert_eq!(refused.to_string(), "MCP address `localhost` is not `host:port`");
    }
}
