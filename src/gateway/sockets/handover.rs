//! How one gateway takes over from another: over a Unix socket it is given the sockets on which the other listens, says
//! once it serves, and only then the other stops. No queue of connections is closed meanwhile, so that none is lost.
//!
//! The giver writes a line for each socket with the descriptor beside it, and `end`; the taker answers `ready`. Whatever
//! becomes of the taker before, the giver goes on as if nothing had been.

use std::cell::Cell;
use std::io::{self, IoSlice, IoSliceMut, Write as _};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::{Duration, Instant};

use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags};
use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags};
use tokio::io::AsyncReadExt as _;
use tokio::net::{UnixListener, UnixStream as AsyncStream};

use super::Sockets;
use crate::gateway::listen::Listener;
use crate::gateway::socket::{self, SocketFile};
use crate::gateway::{Running, StartError};

/// What a giver says first.
const GREETING: &str = "only1mcp hand-over 1";
/// What a taker says at last.
const READY: &[u8] = b"ready\n";
/// How long a gateway that starts itself may take until it gives anything.
const GIVEN_WITHIN: Duration = Duration::from_secs(30);
/// How long a gateway that was given everything may take until it serves.
const READY_WITHIN: Duration = Duration::from_secs(60);
/// So long before that a gateway that has taken over gives up by itself.
const READY_MARGIN: Duration = Duration::from_secs(5);
/// More than any gateway has to say.
const TEXT_BYTES_MAX: usize = 64 << 10;
/// Descriptors that come at once; each is sent by itself.
const AT_ONCE: usize = 16;

/// A gateway that could not be taken over from.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HandoverError {
    /// There is no answer.
    #[error("gateway at `{}` does not hand over", path.display())]
    Silent {
        /// Where it was asked.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// It says something else.
    #[error("process at `{}` is no gateway that this one can take over from: stop it first", .0.display())]
    Foreign(PathBuf),
}

/// The place where a gateway is taken over from, held by the one that serves.
#[derive(Debug)]
pub(crate) struct Handover {
    listener: std::os::unix::net::UnixListener,
    file: SocketFile,
    /// To the gateway that still serves.
    before: Option<(UnixStream, Instant)>,
}

/// The same while the gateway serves.
#[derive(Debug)]
pub(crate) struct Successor {
    listener: UnixListener,
    file: SocketFile,
    giving: Rc<Cell<bool>>,
}

// === impl Handover ===

impl Handover {
    /// Asks the gateway that listens there for its sockets. Where nobody does, this one is the first.
    ///
    /// # Errors
    /// When somebody listens who does not hand over, or the path is of no use.
    pub(crate) fn meet(path: &Path) -> Result<(Self, Sockets), StartError> {
        match UnixStream::connect(path) {
            Ok(stream) => Ok(take(stream, path)?),
            Err(_nobody) => {
                let (listener, file) = socket::bind(path)?;
                Ok((Self { listener, file, before: None }, Sockets::default()))
            }
        }
    }

    /// Says to the gateway before, if there is one, that this one serves, and looks out for the one after it.
    ///
    /// # Errors
    /// When this runtime takes no listener.
    pub(crate) fn serves(self, running: &mut Running) -> io::Result<Successor> {
        let Self { listener, mut file, before } = self;
        let listener = UnixListener::from_std(listener)?;
        if let Some((mut before, taken)) = before {
            // It does not wait for longer, and goes on: two of them are not to serve side by side.
            if taken.elapsed() + READY_MARGIN >= READY_WITHIN {
                return Err(io::Error::new(
                    io::ErrorKind::TimedOut,
                    "it took too long to come up: the gateway before goes on",
                ));
            }
            if let Err(error) = before.write_all(READY) {
                tracing::info!(%error, "the gateway before has ended by itself");
            }
        }
        file.own(true);
        running.own_socket(true);
        Ok(Successor { listener, file, giving: Rc::default() })
    }
}

/// Takes what the gateway at this path gives.
fn take(mut stream: UnixStream, path: &Path) -> Result<(Handover, Sockets), HandoverError> {
    let silent = |source| HandoverError::Silent { path: path.to_owned(), source };
    let foreign = || HandoverError::Foreign(path.to_owned());
    stream.set_read_timeout(Some(GIVEN_WITHIN)).map_err(silent)?;
    let (text, descriptors) = receive(&mut stream).map_err(silent)?;
    let (greeting, lines) = text.split_once('\n').ok_or_else(foreign)?;
    if greeting != GREETING {
        return Err(foreign());
    }
    let mut descriptors = descriptors.into_iter();
    let (mut sockets, mut own) = (Sockets { inherited: true, ..Sockets::default() }, None);
    for line in lines.lines() {
        let mut descriptor = || descriptors.next().ok_or_else(foreign);
        match line.split_once(' ') {
            Some(("seal", key)) => sockets.seal_keys.extend(only1mcp_model::seal_keys(key).map_err(|_none| foreign())?),
            None if line == "mcp" => sockets.mcp.push(Listener::Tcp(descriptor()?.into())),
            None if line == "mcp-unix" => sockets.mcp.push(Listener::Unix(descriptor()?.into())),
            None if line == "admin" => sockets.admin = Some(descriptor()?.into()),
            None if line == "hand-over" => own = Some(descriptor()?.into()),
            _ => return Err(foreign()),
        }
    }
    let file = SocketFile::of(path).map_err(silent)?;
    Ok((Handover { listener: own.ok_or_else(foreign)?, file, before: Some((stream, Instant::now())) }, sockets))
}

/// Everything up to the line that ends it.
fn receive(stream: &mut UnixStream) -> io::Result<(String, Vec<OwnedFd>)> {
    let (mut text, mut descriptors) = (Vec::new(), Vec::new());
    while !text.ends_with(b"\nend\n") {
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(AT_ONCE))];
        let mut control = RecvAncillaryBuffer::new(&mut space);
        let mut part = [0; 256];
        let flags = RecvFlags::CMSG_CLOEXEC;
        let read = rustix::net::recvmsg(&*stream, &mut [IoSliceMut::new(&mut part)], &mut control, flags)?;
        for message in control.drain() {
            if let RecvAncillaryMessage::ScmRights(given) = message {
                descriptors.extend(given);
            }
        }
        text.extend_from_slice(&part[..read.bytes]);
        if read.bytes == 0 || text.len() > TEXT_BYTES_MAX {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
    text.truncate(text.len() - "end\n".len());
    String::from_utf8(text).map(|text| (text, descriptors)).map_err(io::Error::other)
}

// === impl Successor ===

impl Successor {
    /// Whether another gateway is starting in the place of this one at the moment.
    pub(crate) fn giving(&self) -> Rc<Cell<bool>> {
        Rc::clone(&self.giving)
    }

    /// Ready once another gateway serves in the place of this one, which has to stop then. Cancel safe: who was not ready
    /// yet is given nothing that this one lacks.
    pub(crate) async fn serves(&mut self, running: &Running) {
        loop {
            let asked = match self.listener.accept().await {
                Ok((stream, _)) => {
                    self.giving.set(true);
                    let given = self.give(stream, running).await;
                    self.giving.set(false);
                    given
                }
                Err(error) => Err(error),
            };
            match asked {
                Ok(()) => return self.file.own(false),
                Err(error) => {
                    tracing::warn!(%error, "no gateway takes over: this one goes on");
                    // Descriptors may be short, and stay so for a moment.
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
            }
        }
    }

    /// Gives what another gateway needs, and waits until it serves.
    async fn give(&self, stream: AsyncStream, running: &Running) -> io::Result<()> {
        let mut stream = stream;
        send(&stream, GREETING, None)?;
        let kept = running.kept.as_ref().ok_or(io::ErrorKind::NotFound)?;
        for key in &kept.seal_keys {
            let hex: String = key.iter().map(|byte| format!("{byte:02x}")).collect();
            send(&stream, &format!("seal {hex}"), None)?;
        }
        for listener in &kept.listeners {
            match listener {
                Listener::Tcp(listener) => send(&stream, "mcp", Some(listener.as_fd()))?,
                Listener::Unix(listener) => send(&stream, "mcp-unix", Some(listener.as_fd()))?,
            }
        }
        if let Some(admin) = &kept.admin {
            send(&stream, "admin", Some(admin.as_fd()))?;
        }
        send(&stream, "hand-over", Some(self.listener.as_fd()))?;
        send(&stream, "end", None)?;
        tracing::info!("another gateway starts in the place of this one");
        let mut said = [0; READY.len()];
        tokio::time::timeout(READY_WITHIN, stream.read_exact(&mut said)).await??;
        if said == READY { Ok(()) } else { Err(io::ErrorKind::InvalidData.into()) }
    }
}

/// Writes a line and what goes with it. All of them together are far less than a socket takes without waiting.
fn send(stream: &AsyncStream, line: &str, descriptor: Option<BorrowedFd<'_>>) -> io::Result<()> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    let descriptor = descriptor.as_slice();
    if !descriptor.is_empty() && !control.push(SendAncillaryMessage::ScmRights(descriptor)) {
        return Err(io::ErrorKind::OutOfMemory.into());
    }
    let line = format!("{line}\n");
    let slices = [IoSlice::new(line.as_bytes())];
    let sent = rustix::net::sendmsg(stream, &slices, &mut control, SendFlags::NOSIGNAL)?;
    if sent == line.len() { Ok(()) } else { Err(io::ErrorKind::WriteZero.into()) }
}
