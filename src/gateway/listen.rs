//! Listeners: one socket a worker on one port.

use std::io;
use std::net::{SocketAddr, TcpListener, ToSocketAddrs as _};

use socket2::{Domain, Protocol, Socket, Type};

use super::StartError;

/// Connections that may wait for a worker.
const BACKLOG: i32 = 1024;

/// The first address that `host:port` stands for.
pub(super) fn resolve(address: &str) -> Result<SocketAddr, StartError> {
    let mut resolved = address.to_socket_addrs().map_err(|_unresolved| StartError::Address(address.to_owned()))?;
    resolved.next().ok_or_else(|| StartError::Address(address.to_owned()))
}

/// Binds one listener a worker.
pub(super) fn bind(wanted: SocketAddr, workers: usize) -> Result<(SocketAddr, Vec<TcpListener>), StartError> {
    let failed = |source| StartError::Listen { address: wanted, source };
    // Sockets that share a port do not notice another gateway that shares it too; one that does not share does.
    drop(socket(wanted, false).map_err(failed)?);
    let first = socket(wanted, true).map_err(failed)?;
    let address = first.local_addr().map_err(failed)?;
    let mut listeners = vec![first];
    while listeners.len() < workers {
        listeners.push(socket(address, true).map_err(failed)?);
    }
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

fn socket(address: SocketAddr, shared: bool) -> io::Result<TcpListener> {
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
        let any = resolve("127.0.0.1:0").expect("an address");
        let (address, listeners) = bind(any, 2).expect("a free port");
        assert_eq!(listeners.len(), 2);
        assert!(listeners.iter().all(|listener| listener.local_addr().expect("bound") == address));
        let second = bind(address, 2);
        assert!(matches!(second, Err(StartError::Listen { .. })), "{second:?}");
    }

    #[test]
    fn an_address_without_port_is_refused() {
        assert!(matches!(resolve("localhost"), Err(StartError::Address(_))));
    }
}
