//! The process between the gateway and a server, which outlives neither the server nor the gateway by much, and lets none
//! of the server's descendants do so: the kernel hands it those that lost their parent, wherever they moved. How it lets go of the
//! gateway's memory is in `memory`; when it is told to do what, in `children`.
//!
//! **Invariant:** a keeper makes system calls only. It was forked from one thread of many: nothing allocates, no lock is
//! taken, nothing panics.
//!
//! **Invariant:** a keeper signals its own children only, by ids that nobody else can have: it alone collects them.

mod memory;

use std::io::{self, PipeReader, PipeWriter, Read as _};
use std::os::fd::{AsRawFd as _, OwnedFd};

use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use rustix::process::{
    DumpableBehavior, Pid, Resource, Rlimit, Signal, WaitId, WaitIdOptions, WaitOptions, WaitStatus,
};

use super::forked::{Forked, Signals, closes_many};

/// The ids of a process's children, each followed by a space.
const CHILDREN: &str = "/proc/thread-self/children";
/// How many bytes of them are read at a time.
const CHILDREN_BYTES: usize = 4096;

/// What makes a keeper out of the process that is forked for a server, and a server out of the next.
pub(super) struct Keeper {
    /// Where the server leaves its id.
    id: PipeWriter,
    /// What was blocked before the keeper blocked all.
    blocked: Signals,
}

/// What the gateway asks of a keeper. Other signals than these are nothing to it.
#[derive(Clone, Copy, Debug)]
pub(super) enum Order {
    /// To ask the server and its process group to end.
    Terminate,
    /// To end the server and all that descends from it. The kernel orders it when the gateway dies.
    End,
}

// === impl Order ===

impl Order {
    pub(super) fn signal(self) -> Signal {
        match self {
            Self::Terminate => Signal::USR1,
            Self::End => Signal::USR2,
        }
    }
}

// === impl Keeper ===

impl Keeper {
    /// Whether this kernel has what a keeper needs.
    pub(super) fn is_possible() -> bool {
        let own = std::fs::read_link("/proc/self").ok().and_then(|id| id.to_str()?.parse().ok());
        // Where /proc is that of other processes, their ids mean nothing here. Whoever is short of descriptors is told at the fork.
        let is_listed = own == Some(std::process::id()) && open_children().err() != Some(Errno::NOENT);
        is_listed && closes_many()
    }

    /// One for the next fork, and where the id of the server is found after it.
    pub(super) fn new() -> io::Result<(Self, PipeReader)> {
        let (reader, id) = io::pipe()?;
        Ok((Self { id, blocked: Signals::none() }, reader))
    }

    /// Forks once more: the process that called becomes the keeper and never returns, the new one is to become the
    /// server. Returns the keeper.
    pub(super) fn stand_between(&mut self, gateway: Pid, forked: &Forked) -> io::Result<Pid> {
        self.blocked = Signals::all().block()?;
        rustix::process::set_parent_process_death_signal(Some(Order::End.signal()))?;
        // The gateway may have died before the line above: then nobody would send the signal.
        if rustix::process::getppid() != Some(gateway) {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        let keeper = rustix::process::getpid();
        rustix::process::set_child_subreaper(Some(keeper))?;
        // Were it ignored, as it may have been inherited, the end of the server would go unnoticed.
        forked.act_by_default(Signal::CHILD.as_raw());
        let children = open_children()?;
        match forked.fork()? {
            Some(server) => keep(server, &children, forked),
            None => Ok(keeper),
        }
    }

    /// The last of what the server does before it is the server: leaves its id, and takes signals as before.
    pub(super) fn leave(&self) -> io::Result<()> {
        rustix::io::write(&self.id, &rustix::process::getpid().as_raw_nonzero().get().to_ne_bytes())?;
        self.blocked.block().map(drop)
    }
}

/// What the server left: its id. Never waits once the server runs and the gateway has closed its own end.
pub(super) fn server(mut reader: PipeReader) -> Option<Pid> {
    let mut id = [0; size_of::<i32>()];
    reader.read_exact(&mut id).ok()?;
    Pid::from_raw(i32::from_ne_bytes(id))
}

/// The life of a keeper.
fn keep(server: Pid, children: &OwnedFd, forked: &Forked) -> ! {
    release(children, forked);
    let mut ended = None;
    while ended.is_none() {
        match forked.next_signal() {
            Some(signal) if signal == Order::End.signal().as_raw() => break,
            // Nobody but us collects the server: until then the id is its own.
            Some(signal) if signal == Order::Terminate.signal().as_raw() => {
                rustix::process::kill_process_group(server, Signal::TERM).unwrap_or_default();
            }
            _ if collect(server, &mut ended).is_err() => break,
            _ => {}
        }
    }
    // Whoever loses its parent here becomes ours, until there is nobody, or nobody whom we may signal.
    while collect(server, &mut ended).is_ok() && kill_each(children) {
        if let Ok(Some(found)) = rustix::process::wait(WaitOptions::empty()) {
            note(found, server, &mut ended);
        }
    }
    end_as(ended, forked)
}

/// Lets go of what was the gateway's. Nothing of it is needed, so an error is no matter.
fn release(children: &OwnedFd, forked: &Forked) {
    // At once: whoever waits for the end of a pipe waits for this.
    forked.close_all_but(children.as_raw_fd().unsigned_abs());
    rustix::process::chdir(c"/").unwrap_or_default();
    rustix::thread::set_name(c"only1mcp-keeper").unwrap_or_default();
    rustix::process::set_dumpable_behavior(DumpableBehavior::NotDumpable).unwrap_or_default();
    memory::release(forked);
}

/// Collects whoever has ended. An error: there is nobody at all.
fn collect(server: Pid, ended: &mut Option<WaitStatus>) -> rustix::io::Result<()> {
    while let Some(found) = rustix::process::wait(WaitOptions::NOHANG)? {
        note(found, server, ended);
    }
    Ok(())
}

fn note((pid, status): (Pid, WaitStatus), server: Pid, ended: &mut Option<WaitStatus>) {
    if pid == server {
        *ended = Some(status);
    }
}

/// Kills each of our children, of very many the first. Whether any could be.
fn kill_each(children: &OwnedFd) -> bool {
    let mut ids = [0; CHILDREN_BYTES];
    let (mut killed, mut id) = (false, 0_i32);
    let count = rustix::io::pread(children, &mut ids, 0).unwrap_or_default();
    for byte in ids.iter().take(count) {
        if byte.is_ascii_digit() {
            id = id.saturating_mul(10).saturating_add((byte - b'0').into());
            continue;
        }
        killed |= Pid::from_raw(std::mem::take(&mut id)).is_some_and(kill);
    }
    killed
}

/// Kills a child of ours, and nobody else, whatever a list says.
fn kill(child: Pid) -> bool {
    let look = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
    rustix::process::waitid(WaitId::Pid(child), look).is_ok()
        && rustix::process::kill_process(child, Signal::KILL).is_ok()
}

/// Ends as the server did: with its code, or by the same signal.
fn end_as(ended: Option<WaitStatus>, forked: &Forked) -> ! {
    if let Some(signal) = ended.map_or(Some(Signal::KILL.as_raw()), WaitStatus::terminating_signal) {
        let none = Rlimit { current: Some(0), maximum: Some(0) };
        rustix::process::setrlimit(Resource::Core, none).unwrap_or_default();
        forked.end_by(signal);
    }
    forked.end_with(ended.and_then(WaitStatus::exit_status).unwrap_or(1))
}

fn open_children() -> rustix::io::Result<OwnedFd> {
    rustix::fs::open(CHILDREN, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())
}
