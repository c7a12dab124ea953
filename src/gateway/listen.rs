//! Listeners: one socket a worker on one port, or some that all share.

use std::cell::Cell;
use std::future::poll_fn;
use std::io;
use std::net::{SocketAddr, TcpListener, ToSocketAddrs as _};
use std::os::unix::net::UnixListener;
use std::path::PathBuf;
use std::task::{Context, Poll};

use only1mcp_model::url;
use socket2::{Domain, Protocol, Socket, Type};

use super::socket::{self, SocketFile};
use super::sockets::Sockets;
use super::{MCP, StartError};
use crate::catalog::plan::Reference;
use crate::downstream::Stream;
use crate::references::References;

/// Connections that may wait for a worker.
pub(super) const BACKLOG: i32 = 1024;
/// Those that are taken at last from one socket: others may go on to connect where another gateway has the socket too.
const WAITING_MAX: usize = 2 * BACKLOG as usize;

/// Where clients connect.
#[derive(Clone, Debug, PartialEq, Eq)]
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

/// Those of one worker within its runtime.
#[derive(Debug)]
pub(super) struct Accepting {
    listeners: Vec<Entered>,
    /// Who is asked first: the next one each time.
    turn: Cell<usize>,
}

#[derive(Debug)]
enum Entered {
    Tcp(tokio::net::TcpListener),
    Unix(tokio::net::UnixListener),
}

/// What there is for all workers.
#[derive(Debug)]
pub(super) struct Listening {
    pub(super) address: Address,
    pub(super) listeners: Vec<Listener>,
    /// That of a Unix socket.
    pub(super) file: Option<SocketFile>,
}

/// Listens for clients at `host:port`, or `unix:/path`, unless somebody does already.
pub(super) fn open(
    address: &Reference,
    references: &References,
    workers: usize,
    sockets: &mut Sockets,
) -> Result<Listening, StartError> {
    let wanted = || wanted(address, references);
    let taken = sockets.take_mcp(|| wanted().ok());
    if let Some(first) = taken.first() {
        let failed = StartError::Listener;
        let address = first.address().ok_or_else(|| failed(io::ErrorKind::AddrNotAvailable.into()))?;
        let file = match &address {
            Address::Unix(path) if sockets.are_inherited() => Some(SocketFile::of(path).map_err(failed)?),
            _ => None,
        };
        return Ok(Listening { address, listeners: taken, file });
    }
    match wanted()? {
        Address::Tcp(address) => {
            let (address, listeners) = bind(address, workers)?;
            let listeners = listeners.into_iter().map(Listener::Tcp).collect();
            Ok(Listening { address: Address::Tcp(address), listeners, file: None })
        }
        Address::Unix(path) => {
            let (listener, file) = socket::bind(&path)?;
            Ok(Listening { address: Address::Unix(path), listeners: vec![Listener::Unix(listener)], file: Some(file) })
        }
    }
}

/// Where clients are to find the gateway.
fn wanted(address: &Reference, references: &References) -> Result<Address, StartError> {
    let text = references.resolve(address).map_err(|source| StartError::Reference { listener: MCP, source })?;
    match url::socket_path(&text) {
        None => resolve(MCP, address, references).map(Address::Tcp),
        Some(Ok(path)) => Ok(Address::Unix(path.into())),
        Some(Err(why)) => Err(StartError::SocketPath { address: text.clone(), why }),
    }
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

/// Deals sockets out among the workers. Where there are too few, some share one: whoever is free takes the next connection.
pub(super) fn share(mut listeners: Vec<Listener>, workers: usize) -> io::Result<Vec<Vec<Listener>>> {
    for listener in &listeners {
        // A blocking socket would hold up the worker that loses the race for a connection.
        listener.set_nonblocking()?;
    }
    for index in 0..workers.saturating_sub(listeners.len()) {
        let again = listeners[index].try_clone()?;
        listeners.push(again);
    }
    let mut dealt: Vec<_> = std::iter::repeat_with(Vec::new).take(workers).collect();
    for (index, listener) in listeners.into_iter().enumerate() {
        dealt[index % workers].push(listener);
    }
    Ok(dealt)
}

/// The names under which clients may know the address.
pub(super) fn names(address: SocketAddr) -> Option<String> {
    match address {
        _ if address.ip().is_unspecified() => None,
        SocketAddr::V4(address) => Some(address.ip().to_string()),
        SocketAddr::V6(address) => Some(format!("[{}]", address.ip())),
    }
}

// === impl Listener ===

impl Listener {
    pub(super) fn try_clone(&self) -> io::Result<Self> {
        match self {
            Self::Tcp(listener) => listener.try_clone().map(Self::Tcp),
            Self::Unix(listener) => listener.try_clone().map(Self::Unix),
        }
    }

    fn set_nonblocking(&self) -> io::Result<()> {
        match self {
            Self::Tcp(listener) => listener.set_nonblocking(true),
            Self::Unix(listener) => listener.set_nonblocking(true),
        }
    }
}

// === impl Accepting ===

impl Accepting {
    /// Makes the runtime of this thread wait for clients.
    pub(super) fn enter(listeners: Vec<Listener>) -> io::Result<Self> {
        let enter = |listener| match listener {
            Listener::Tcp(listener) => tokio::net::TcpListener::from_std(listener).map(Entered::Tcp),
            Listener::Unix(listener) => tokio::net::UnixListener::from_std(listener).map(Entered::Unix),
        };
        let listeners = listeners.into_iter().map(enter).collect::<io::Result<_>>()?;
        Ok(Self { listeners, turn: Cell::new(0) })
    }

    /// The next client.
    pub(super) async fn accept(&self) -> io::Result<Stream> {
        poll_fn(|cx| {
            let turn = self.turn.get();
            self.turn.set(turn.wrapping_add(1));
            let (before, from) = self.listeners.split_at(turn % self.listeners.len().max(1));
            let mut accepted = from.iter().chain(before).map(|listener| listener.poll_accept(cx));
            accepted.find(Poll::is_ready).unwrap_or(Poll::Pending)
        })
        .await
    }

    /// The clients that wait, up to a bound; then nobody does. The kernel is asked: the runtime hears of a client only
    /// when it looks.
    pub(super) fn waiting(self) -> impl Iterator<Item = io::Result<Stream>> {
        self.listeners.into_iter().flat_map(|listener| {
            let mut next = listener.leave();
            std::iter::from_fn(move || match next() {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => None,
                accepted => Some(accepted),
            })
            .take(WAITING_MAX)
        })
    }
}

// === impl Entered ===

impl Entered {
    fn poll_accept(&self, cx: &mut Context<'_>) -> Poll<io::Result<Stream>> {
        match self {
            Self::Tcp(listener) => listener.poll_accept(cx).map_ok(|(tcp, _peer)| Stream::Tcp(tcp)),
            Self::Unix(listener) => listener.poll_accept(cx).map_ok(|(unix, _peer)| Stream::Unix(unix)),
        }
    }

    /// Leaves the runtime, and accepts without waiting.
    fn leave(self) -> Box<dyn FnMut() -> io::Result<Stream>> {
        match self {
            Self::Tcp(listener) => {
                let listener = listener.into_std();
                Box::new(move || {
                    let (tcp, _peer) = listener.as_ref().map_err(again)?.accept()?;
                    tcp.set_nonblocking(true)?;
                    tokio::net::TcpStream::from_std(tcp).map(Stream::Tcp)
                })
            }
            Self::Unix(listener) => {
                let listener = listener.into_std();
                Box::new(move || {
                    let (unix, _peer) = listener.as_ref().map_err(again)?.accept()?;
                    unix.set_nonblocking(true)?;
                    tokio::net::UnixStream::from_std(unix).map(Stream::Unix)
                })
            }
        }
    }
}

/// What did not leave its runtime has no clients.
fn again(_error: &io::Error) -> io::Error {
    io::ErrorKind::WouldBlock.into()
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

    /// What accepts from a listener.
    fn accept(listener: &Listener) -> impl Fn() -> io::Result<()> {
        let Listener::Tcp(listener) = listener.try_clone().expect("a socket") else { unreachable!("it is of TCP") };
        move || listener.accept().map(drop)
    }

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
            let dealt = share(vec![Listener::Tcp(listener)], workers).expect("it can be cloned");
            let listeners: Vec<_> = dealt.iter().flatten().map(accept).collect();
            assert_eq!((dealt.len(), listeners.len()), (workers, workers));
            // It does not block; a connection reaches whoever asks.
            let taken = listeners.last().expect("one a worker")();
            assert_eq!(taken.expect_err("nobody connected").kind(), io::ErrorKind::WouldBlock);
            let _client = std::net::TcpStream::connect(given).expect("somebody listens");
            listeners.first().expect("one a worker")().expect("the connection");
        }
    }

    #[test]
    fn sockets_that_are_more_than_the_workers_are_dealt_out() {
        let sockets = || std::iter::repeat_with(|| TcpListener::bind("127.0.0.1:0").expect("a free port"));
        for (count, workers, expected) in [(3, 2, vec![2, 1]), (2, 3, vec![1, 1, 1]), (4, 1, vec![4])] {
            let listeners = sockets().take(count).map(Listener::Tcp).collect();
            let dealt = share(listeners, workers).expect("they can be cloned");
            assert_eq!(dealt.iter().map(Vec::len).collect::<Vec<_>>(), expected);
        }
    }

    #[tokio::test]
    async fn whoever_waits_is_taken_without_the_runtime_having_looked() {
        let sockets = [0; 2].map(|_| TcpListener::bind("127.0.0.1:0").expect("a free port"));
        let addresses = sockets.each_ref().map(|socket| socket.local_addr().expect("bound"));
        let listeners = sockets.map(Listener::Tcp).into();
        let accepting = Accepting::enter(share(listeners, 1).expect("one has both").remove(0)).expect("a runtime");
        let clients = [0, 1, 1].map(|index| std::net::TcpStream::connect(addresses[index]).expect("it listens"));
        let _first = accepting.accept().await.expect("a client");
        assert_eq!(accepting.waiting().filter(io::Result::is_ok).count(), clients.len() - 1);
        assert!(addresses.iter().all(|address| std::net::TcpStream::connect(address).is_err()), "nobody listens");
    }

    #[test]
    fn an_address_without_port_is_refused() {
        let address = Reference::Literal("localhost".into());
        let refused = resolve("MCP", &address, &References::default()).expect_err("no port");
        assert_eq!(refused.to_string(), "MCP address `localhost` is not `host:port`");
    }
}
