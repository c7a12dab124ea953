//! Files of sockets, of gateways that live and of gateways that do not.

use std::os::unix::net::UnixStream;

use super::*;

/// A folder of its own, removed with what is in it.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("only1mcp-socket-{}-{name}", std::process::id()));
        fs::create_dir_all(&path).expect("a folder for this test");
        Self(path)
    }

    fn path(&self) -> PathBuf {
        self.0.join("gateway.sock")
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        drop(fs::remove_dir_all(&self.0));
    }
}

#[test]
fn a_socket_is_for_its_user_and_goes_with_its_listener() {
    let folder = Folder::new("goes");
    let (listener, file) = bind(&folder.path()).expect("a free path");
    assert_eq!(fs::metadata(folder.path()).expect("a file").mode() & 0o777, MODE);
    UnixStream::connect(folder.path()).expect("somebody listens");
    drop((listener, file));
    assert!(!folder.path().exists());
}

#[test]
fn the_socket_of_a_dead_gateway_is_replaced_and_that_of_a_live_one_is_not() {
    let folder = Folder::new("replaced");
    let (listener, file) = bind(&folder.path()).expect("a free path");
    let taken = bind(&folder.path()).expect_err("somebody listens");
    assert!(matches!(&taken, StartError::SocketTaken(path) if *path == folder.path()), "{taken:?}");
    // As if it had been killed: its file stays.
    drop(listener);
    let (_listener, replaced) = bind(&folder.path()).expect("nobody listens");
    // The file of another is not removed.
    drop(file);
    assert!(folder.path().exists());
    drop(replaced);
    assert!(!folder.path().exists());
}

#[test]
fn a_listener_that_is_busy_is_not_dead() {
    let folder = Folder::new("busy");
    let path = folder.path();
    let socket = bound(&path).expect("a free path");
    socket.listen(0).expect("a listener");
    let mut waiting = Vec::new();
    loop {
        let client = Socket::new(Domain::UNIX, Type::STREAM.nonblocking(), None).expect("a socket");
        match client.connect(&SockAddr::unix(&path).expect("a path")) {
            Ok(()) => waiting.push(client),
            Err(error) => break assert_eq!(error.kind(), io::ErrorKind::WouldBlock),
        }
    }
    assert!(matches!(bind(&path), Err(StartError::SocketTaken(_))));
}

#[test]
fn a_file_that_is_no_socket_stays() {
    let folder = Folder::new("file");
    fs::write(folder.path(), "kept").expect("a folder of this test");
    let refused = bind(&folder.path()).expect_err("it is no socket");
    assert!(matches!(&refused, StartError::NotSocket(_)), "{refused:?}");
    assert_eq!(fs::read_to_string(folder.path()).expect("it is there"), "kept");
    fs::remove_file(folder.path()).expect("it is there");
    std::os::unix::fs::symlink("elsewhere", folder.path()).expect("a folder of this test");
    assert!(matches!(bind(&folder.path()), Err(StartError::NotSocket(_))));
}
