//! What a service manager is told of how the gateway stands (sd_notify(3)), where there is one that wants to know.

use std::io;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::net::{SocketAddr, UnixDatagram};

/// The variable that names its socket.
const SOCKET: &str = "NOTIFY_SOCKET";

/// Clients are served.
pub(super) fn ready() {
    tell("READY=1");
}

/// What can be read anew is being read; [`ready`] follows.
pub(super) fn reloading() {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    tell(&format!(
        "RELOADING=1\nMONOTONIC_USEC={}",
        i128::from(now.tv_sec) * 1_000_000 + i128::from(now.tv_nsec) / 1_000
    ));
}

/// Nobody is accepted any more.
pub(super) fn stopping() {
    tell("STOPPING=1");
}

/// Whether there is one.
pub(super) fn is_wanted() -> bool {
    std::env::var_os(SOCKET).is_some_and(|path| !path.is_empty())
}

fn tell(state: &str) {
    if let Some(Err(error)) = try_tell(state) {
        tracing::warn!(%error, "the service manager cannot be told");
    }
}

/// Writes to the socket that the environment names, if it names one.
fn try_tell(state: &str) -> Option<io::Result<usize>> {
    let path = std::env::var_os(SOCKET).filter(|path| !path.is_empty())?;
    let address = match path.as_bytes() {
        [b'@', name @ ..] => SocketAddr::from_abstract_name(name),
        path => SocketAddr::from_pathname(std::path::Path::new(std::ffi::OsStr::from_bytes(path))),
    };
    let sent = address.and_then(|address| UnixDatagram::unbound()?.send_to_addr(state.as_bytes(), &address));
    Some(sent)
}
