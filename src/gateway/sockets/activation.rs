//! Socket activation: what a service manager binds and hands to the process it starts (sd_listen_fds(3)). The variables
//! that say so are read once; no child inherits them, since children are given named variables alone.
#![expect(unsafe_code, reason = "a descriptor that is inherited is known by its number alone")]

use std::os::fd::{BorrowedFd, FromRawFd as _, OwnedFd, RawFd};
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::io::FdFlags;
use socket2::{Domain, SockRef, Type};

use super::Sockets;
use crate::gateway::listen::Listener;

/// The first of the descriptors.
const FIRST: RawFd = 3;
/// So many has nobody: more are a mistake.
const COUNT_MAX: RawFd = 1024;

/// Sockets of a service manager that are of no use.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ActivationError {
    /// A variable is no number, or none that makes sense.
    #[error("variable `{name}` is no count: `{value}`")]
    Count {
        /// `LISTEN_FDS` or `LISTEN_PID`.
        name: &'static str,
        /// What it holds.
        value: String,
    },
    /// There are more names than descriptors, or fewer.
    #[error("variable `LISTEN_FDNAMES` has {names} names for {sockets} sockets")]
    Names {
        /// So many names.
        names: usize,
        /// So many descriptors.
        sockets: usize,
    },
    /// A descriptor cannot be used.
    #[error("descriptor {descriptor} of the service manager {why}")]
    Unusable {
        /// Its number.
        descriptor: RawFd,
        /// Why.
        why: &'static str,
    },
}

/// Takes what there is for this process. There is nothing the second time.
pub(super) fn sockets() -> Result<Sockets, ActivationError> {
    static TAKEN: AtomicBool = AtomicBool::new(false);
    if TAKEN.swap(true, Ordering::Relaxed) {
        return Ok(Sockets::default());
    }
    let variable = |name: &str| std::env::var(name).ok();
    let names = variable("LISTEN_FDNAMES");
    let count = count(std::process::id(), variable("LISTEN_PID"), variable("LISTEN_FDS"))?;
    let sockets = (FIRST..FIRST + count).map(|number| inherit(number).map(|descriptor| (number, descriptor)));
    assign(names.as_deref(), sockets.collect::<Result<_, _>>()?)
}

/// How many descriptors are meant for this process.
fn count(own: u32, pid: Option<String>, count: Option<String>) -> Result<RawFd, ActivationError> {
    let (Some(pid), Some(count)) = (pid, count) else { return Ok(0) };
    let no_count = |name, value| ActivationError::Count { name, value };
    match pid.parse::<u32>() {
        Ok(pid) if pid == own => {}
        Ok(_of_another) => return Ok(0),
        Err(_) => return Err(no_count("LISTEN_PID", pid)),
    }
    let number = count.parse::<RawFd>().ok().filter(|number| (0..=COUNT_MAX).contains(number));
    number.ok_or_else(|| no_count("LISTEN_FDS", count))
}

/// The descriptor of this number, which children do not inherit.
fn inherit(number: RawFd) -> Result<OwnedFd, ActivationError> {
    let unusable = |why| ActivationError::Unusable { descriptor: number, why };
    // SAFETY: it is asked whether it is open, and nothing else.
    let found = rustix::io::fcntl_getfd(unsafe { BorrowedFd::borrow_raw(number) });
    found.map_err(|_not_open| unusable("is not open"))?;
    // SAFETY: it is open, was given to this process by number, and is taken once.
    let descriptor = unsafe { OwnedFd::from_raw_fd(number) };
    rustix::io::fcntl_setfd(&descriptor, FdFlags::CLOEXEC)
        .map_err(|_refused| unusable("cannot be kept from children"))?;
    Ok(descriptor)
}

/// Says what each is for: what is named `mcp` or `admin` that, the others in order.
fn assign(names: Option<&str>, sockets: Vec<(RawFd, OwnedFd)>) -> Result<Sockets, ActivationError> {
    let names: Vec<_> = names.map(|names| names.split(':').collect()).unwrap_or_default();
    if !names.is_empty() && !sockets.is_empty() && names.len() != sockets.len() {
        return Err(ActivationError::Names { names: names.len(), sockets: sockets.len() });
    }
    let mut taken = Sockets::default();
    let named = |name: &&str| ["mcp", "admin"].contains(name);
    // First those with names: the others fill what is left.
    let (with, without): (Vec<_>, Vec<_>) = sockets
        .into_iter()
        .enumerate()
        .map(|(index, socket)| (names.get(index).copied().filter(named), socket))
        .partition(|(name, _)| name.is_some());
    for (name, (number, descriptor)) in with.into_iter().chain(without) {
        let unusable = |why| Err(ActivationError::Unusable { descriptor: number, why });
        let listener = match usable(descriptor) {
            Ok(listener) => listener,
            Err(why) => return unusable(why),
        };
        match (name, listener) {
            (Some("mcp"), listener) => match taken.mcp.first() {
                Some(first) if first.address() != listener.address() => {
                    return unusable("listens at another address than the one before: clients have one");
                }
                _ => taken.mcp.push(listener),
            },
            (None, listener) if taken.mcp.is_empty() => taken.mcp.push(listener),
            (_, _) if taken.admin.is_some() => return unusable("is one too many: there is one for administrators"),
            (_, Listener::Tcp(listener)) => taken.admin = Some(listener),
            (_, Listener::Unix(_)) => return unusable("is a Unix socket: administrators come over TCP"),
        }
    }
    Ok(taken)
}

/// A descriptor as what it has to be, or why it is not.
fn usable(descriptor: OwnedFd) -> Result<Listener, &'static str> {
    let socket = SockRef::from(&descriptor);
    if socket.r#type().map_err(|_none| "is no socket")? != Type::STREAM {
        return Err("is no stream socket: set `ListenStream=`");
    }
    if !socket.is_listener().map_err(|_none| "is no socket")? {
        return Err("does not listen: set `Accept=no`");
    }
    let domain = socket.domain().map_err(|_none| "is no socket")?;
    socket.set_nonblocking(true).map_err(|_refused| "cannot be made not to block")?;
    match domain {
        Domain::IPV4 | Domain::IPV6 => Ok(Listener::Tcp(descriptor.into())),
        Domain::UNIX => Ok(Listener::Unix(descriptor.into())),
        _ => Err("is neither of IP nor a Unix socket"),
    }
}

#[cfg(test)]
pub(super) fn assigned(names: Option<&str>, sockets: Vec<OwnedFd>) -> Result<Sockets, ActivationError> {
    assign(names, (FIRST..).zip(sockets).collect())
}

#[cfg(test)]
pub(super) fn counted(pid: &str, sockets: &str) -> Result<RawFd, ActivationError> {
    count(7, Some(pid.to_owned()), Some(sockets.to_owned()))
}
