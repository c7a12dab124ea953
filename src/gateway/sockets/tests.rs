//! What a service manager may hand over, and what not.

use std::net::UdpSocket;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixListener;

use super::*;
use crate::gateway::sockets::activation::{assigned, counted};

fn tcp() -> (SocketAddr, OwnedFd) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    (listener.local_addr().expect("bound"), listener.into())
}

#[test]
fn sockets_are_for_whoever_their_names_say_and_in_order_without() {
    for (names, mcp, admin) in [
        (None, 0, Some(1)),
        (Some("mcp:admin"), 0, Some(1)),
        (Some("admin:mcp"), 1, Some(0)),
        // As systemd names them after their units, unless it is told otherwise.
        (Some("only1mcp.socket:only1mcp.socket"), 0, Some(1)),
        (Some("admin:only1mcp.socket"), 1, Some(0)),
        (Some("only1mcp.socket:mcp"), 1, Some(0)),
    ] {
        let sockets = [tcp(), tcp()];
        let addresses = sockets.each_ref().map(|(address, _)| *address);
        let taken = assigned(names, sockets.into_iter().map(|(_, socket)| socket).collect()).expect("of use");
        assert_eq!(taken.given_mcp(), Some(addresses[mcp].to_string()), "{names:?}");
        assert_eq!(taken.given_admin(), admin.map(|index: usize| addresses[index].to_string()), "{names:?}");
    }
    let none = assigned(None, Vec::new()).expect("none is fine");
    assert_eq!((none.given_mcp(), none.given_admin()), (None, None));
}

#[test]
fn one_address_may_have_several_sockets_for_clients() {
    let (address, socket) = tcp();
    let again = socket.try_clone().expect("a socket");
    let taken = assigned(Some("mcp:mcp"), vec![socket, again]).expect("of use");
    assert_eq!((taken.mcp.len(), taken.given_mcp()), (2, Some(address.to_string())));
}

#[test]
fn what_is_of_no_use_is_refused_with_the_reason() {
    let stream = || tcp().1;
    let not_listening = || {
        let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).expect("a socket");
        OwnedFd::from(socket)
    };
    let file = || OwnedFd::from(std::fs::File::open("/dev/null").expect("a device"));
    let datagrams = || OwnedFd::from(UdpSocket::bind("127.0.0.1:0").expect("a free port"));
    let path = std::env::temp_dir().join(format!("only1mcp-given-{}.sock", std::process::id()));
    let unix = OwnedFd::from(UnixListener::bind(&path).expect("a free path"));
    std::fs::remove_file(&path).expect("it is there");
    for (names, sockets, why) in [
        (None, vec![file()], "descriptor 3 of the service manager is no socket"),
        (None, vec![datagrams()], "descriptor 3 of the service manager is no stream socket: set `ListenStream=`"),
        (None, vec![stream(), not_listening()], "descriptor 4 of the service manager does not listen: set `Accept=no`"),
        (
            Some("mcp:mcp"),
            vec![stream(), stream()],
            "descriptor 4 of the service manager listens at another address than the one before: clients have one",
        ),
        (
            Some("admin:admin"),
            vec![stream(), stream()],
            "descriptor 4 of the service manager is one too many: there is one for administrators",
        ),
        (
            Some("admin"),
            vec![unix],
            "descriptor 3 of the service manager is a Unix socket: administrators come over TCP",
        ),
        (Some("mcp"), vec![stream(), stream()], "variable `LISTEN_FDNAMES` has 1 names for 2 sockets"),
    ] {
        let refused = assigned(names, sockets).expect_err("of no use");
        assert_eq!(refused.to_string(), why);
    }
}

#[test]
fn descriptors_are_counted_for_their_process_alone() {
    assert_eq!(counted("7", "2").expect("a count"), 2);
    assert_eq!(counted("8", "2").expect("of another"), 0);
    for (pid, count, why) in [
        ("7", "two", "variable `LISTEN_FDS` is no count: `two`"),
        ("7", "-1", "variable `LISTEN_FDS` is no count: `-1`"),
        ("7", "100000", "variable `LISTEN_FDS` is no count: `100000`"),
        ("me", "2", "variable `LISTEN_PID` is no count: `me`"),
    ] {
        assert_eq!(counted(pid, count).expect_err("no count").to_string(), why);
    }
}

#[test]
fn inherited_sockets_are_taken_where_they_are_wanted() {
    let (address, socket) = tcp();
    let other = SocketAddr::from(([127, 0, 0, 2], address.port()));
    let any_port = SocketAddr::from(([127, 0, 0, 1], 0));
    let mut sockets = assigned(None, vec![socket, tcp().1]).expect("of use");
    sockets.inherited = true;
    assert!(sockets.take_mcp(|| None).is_empty() && sockets.take_mcp(|| Some(Address::Tcp(other))).is_empty());
    assert!(sockets.take_admin(|| None).is_none() && sockets.take_admin(|| Some(other)).is_none());
    assert_eq!(sockets.take_mcp(|| Some(Address::Tcp(address))).len(), 1);
    assert!(sockets.take_admin(|| Some(any_port)).is_some());
}
