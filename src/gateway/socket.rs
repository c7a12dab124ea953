//! A listener on a Unix socket: its file appears with the listener and goes with it, and only that of a dead gateway is
//! replaced.

use std::fs::{self, File, Permissions};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _, PermissionsExt as _};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags};
use socket2::{Domain, SockAddr, Socket, Type};

use super::StartError;
use super::listen::BACKLOG;

/// Only the user who runs the gateway connects; a folder with wider rights cannot widen that.
const MODE: u32 = 0o600;

/// The file of a listener. Removed when this is dropped, unless another one has taken its place.
#[derive(Debug)]
pub(super) struct SocketFile {
    path: PathBuf,
    /// Device and number: which file it is.
    identity: (u64, u64),
    /// Another gateway's is not removed.
    is_own: bool,
    /// Holds on to the file: its number is given to no other one.
    _pinned: OwnedFd,
}

/// Binds a listener.
pub(super) fn bind(path: &Path) -> Result<(UnixListener, SocketFile), StartError> {
    let failed = |source| StartError::Socket { path: path.to_owned(), source };
    // Two gateways that start at once would both find the file of a dead one, and the later would take the earlier
    // one's for it. A folder that cannot be read can still be listened in.
    let folder = File::open(path.parent().unwrap_or(path));
    if let Ok(folder) = &folder {
        folder.lock().map_err(failed)?;
    }
    let socket = match bound(path) {
        Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
            if !fs::symlink_metadata(path).map_err(failed)?.file_type().is_socket() {
                return Err(StartError::NotSocket(path.to_owned()));
            }
            if !is_stale(path).map_err(failed)? {
                return Err(StartError::SocketTaken(path.to_owned()));
            }
            fs::remove_file(path).and_then(|()| bound(path)).map_err(failed)?
        }
        socket => socket.map_err(failed)?,
    };
    let mut file = SocketFile::of(path).map_err(failed)?;
    file.own(true);
    // Before it listens: nobody connects until then.
    fs::set_permissions(path, Permissions::from_mode(MODE)).map_err(failed)?;
    socket.listen(BACKLOG).map_err(failed)?;
    Ok((socket.into(), file))
}

// === impl SocketFile ===

impl SocketFile {
    /// The file that is there, which is another gateway's.
    pub(super) fn of(path: &Path) -> io::Result<Self> {
        let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let pinned = rustix::fs::open(path, flags, Mode::empty())?;
        let metadata = fs::symlink_metadata(path)?;
        Ok(Self { path: path.to_owned(), identity: (metadata.dev(), metadata.ino()), is_own: false, _pinned: pinned })
    }

    /// Says whose it is from now on.
    pub(super) fn own(&mut self, is_own: bool) {
        self.is_own = is_own;
    }
}

fn bound(path: &Path) -> io::Result<Socket> {
    let socket = Socket::new(Domain::UNIX, Type::STREAM.nonblocking(), None)?;
    socket.bind(&SockAddr::unix(path)?)?;
    Ok(socket)
}

/// Whether nobody listens on the socket of this file any more.
fn is_stale(path: &Path) -> io::Result<bool> {
    // Not blocking: where it takes no more connections, somebody listens who is busy.
    let socket = Socket::new(Domain::UNIX, Type::STREAM.nonblocking(), None)?;
    match socket.connect(&SockAddr::unix(path)?) {
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Err(error),
        _ => Ok(false),
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        let found = fs::symlink_metadata(&self.path).map(|metadata| (metadata.dev(), metadata.ino()));
        if self.is_own
            && found.is_ok_and(|found| found == self.identity)
            && let Err(error) = fs::remove_file(&self.path)
        {
            tracing::warn!(%error, path = %self.path.display(), "socket cannot be removed");
        }
    }
}

#[cfg(test)]
mod tests;
