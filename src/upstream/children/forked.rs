//! What a process that was just forked does by unsafe code: all there is of it. None of it is for the gateway itself, which
//! would lose what others own. What is done with it is in `children` and in `keeper`.
#![expect(unsafe_code, reason = "neither std nor rustix forks, lets go of what was inherited, or takes signals")]

use std::io;
use std::mem::MaybeUninit;
use std::ops::Range;
use std::os::unix::process::CommandExt as _;
use std::process::Command;
use std::ptr;

use libc::c_int;
use rustix::process::Pid;

/// The process that was forked for a command, between fork and exec. It has one thread, and makes system calls only:
/// whatever lock another thread of the gateway had is taken for good.
#[derive(Debug)]
pub(super) struct Forked(());

/// A set of signals.
pub(super) struct Signals(libc::sigset_t);

/// Has the process that is forked for a command do something before it becomes the command. It must neither allocate nor
/// take a lock.
pub(super) fn before_exec(
    command: &mut Command,
    mut steps: impl FnMut(&Forked) -> io::Result<()> + Send + Sync + 'static,
) {
    // SAFETY: between fork and exec only system calls are made; nothing allocates and no lock is taken.
    unsafe {
        command.pre_exec(move || steps(&Forked(())));
    }
}

/// Whether this kernel closes many descriptors at once.
pub(super) fn closes_many() -> bool {
    close_range(u32::MAX..=u32::MAX).is_ok()
}

fn close_range(range: std::ops::RangeInclusive<u32>) -> io::Result<()> {
    // SAFETY: whoever calls owns them, or there are none.
    let closed = unsafe { libc::syscall(libc::SYS_close_range, *range.start(), *range.end(), 0) };
    if closed == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

// === impl Forked ===

impl Forked {
    /// Forks once more. The new process gets `None`.
    pub(super) fn fork(&self) -> io::Result<Option<Pid>> {
        // SAFETY: there is one thread. The C library made its own locks whole when it forked this process.
        match unsafe { libc::fork() } {
            ..0 => Err(io::Error::last_os_error()),
            forked => Ok(Pid::from_raw(forked)),
        }
    }

    /// Closes all descriptors but one.
    pub(super) fn close_all_but(&self, kept: u32) {
        // Nothing is done with those that stay open.
        if let Some(last) = kept.checked_sub(1) {
            close_range(0..=last).unwrap_or_default();
        }
        close_range(kept + 1..=u32::MAX).unwrap_or_default();
    }

    /// Gives memory back. It must hold neither code nor the stack.
    pub(super) fn unmap(&self, range: Range<usize>) {
        let start = ptr::with_exposed_provenance_mut(range.start);
        // SAFETY: what lies there is of the gateway, none of whose threads is here.
        unsafe { libc::munmap(start, range.len()) };
    }

    /// Has a signal do what it does to a program that knows nothing of it.
    pub(super) fn act_by_default(&self, signal: c_int) {
        // SAFETY: no handler is installed by it.
        unsafe { libc::signal(signal, libc::SIG_DFL) };
    }

    /// Waits for the next of the signals, all of which are blocked.
    pub(super) fn next_signal(&self) -> Option<c_int> {
        let Signals(all) = Signals::all();
        // SAFETY: the set is initialised; what else is known of the signal is not asked for.
        let signal = unsafe { libc::sigwaitinfo(&raw const all, ptr::null_mut()) };
        (signal > 0).then_some(signal)
    }

    /// Ends by a signal, all of which are blocked; or, should it not end a process, goes on.
    pub(super) fn end_by(&self, signal: c_int) {
        self.act_by_default(signal);
        let Signals(mut others) = Signals::all();
        // SAFETY: the set is initialised; nobody but this process is signalled.
        unsafe {
            libc::sigdelset(&raw mut others, signal);
            libc::kill(libc::getpid(), signal);
        }
        // It is taken here.
        drop(Signals(others).block());
    }

    /// Ends with a code, and without what the gateway would do at its own end.
    pub(super) fn end_with(&self, code: c_int) -> ! {
        // SAFETY: nobody comes back.
        unsafe { libc::_exit(code) }
    }
}

// === impl Signals ===

impl Signals {
    pub(super) fn none() -> Self {
        let mut set = MaybeUninit::uninit();
        // SAFETY: it fills the set, and cannot fail with one.
        unsafe {
            libc::sigemptyset(set.as_mut_ptr());
            Self(set.assume_init())
        }
    }

    pub(super) fn all() -> Self {
        let Self(mut set) = Self::none();
        // SAFETY: the set is initialised.
        unsafe { libc::sigfillset(&raw mut set) };
        Self(set)
    }

    /// Has these wait from now on, and no others; returns those that did.
    pub(super) fn block(&self) -> io::Result<Self> {
        let Self(mut before) = Self::none();
        // SAFETY: both sets are initialised and outlive the call.
        match unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, &raw const self.0, &raw mut before) } {
            0 => Ok(Self(before)),
            code => Err(io::Error::from_raw_os_error(code)),
        }
    }
}
