//! What both sides of HTTP/2 have in common: a count of what comes on a connection, and the beats at which it is asked
//! whether anybody is there. The frames are h2's; what is said in them is not here.

mod counted;

use std::cell::Cell;
use std::rc::Rc;
use std::task::{Context, Waker};

use h2::{Ping, PingPong};

use crate::limits;
pub(crate) use counted::Counted;

/// Silent beats of the pulse after which the other side is let go.
const SILENT_BEATS: u32 = 2;

/// Whether anybody is there, and for what: a beat each [`limits::KEEP_ALIVE`].
pub(crate) struct Pulse {
    ping_pong: Option<PingPong>,
    /// Bytes that came so far.
    taken: Rc<Cell<u64>>,
    /// The same at the last beat.
    heard: u64,
    silent: u32,
    /// Beats without a request.
    idle: u64,
}

// === impl Pulse ===

impl Pulse {
    pub(crate) fn new(ping_pong: Option<PingPong>, taken: Rc<Cell<u64>>) -> Self {
        Self { ping_pong, taken, heard: 0, silent: 0, idle: 0 }
    }

    /// One beat, without a request or with some. Where it `asks`, the other side is asked whether it is there, and has to be
    /// heard. `false` once it is to be let go.
    pub(crate) fn beat(&mut self, idle: bool, asks: bool) -> bool {
        let taken = self.taken.get();
        self.silent = if taken == self.heard && asks { self.silent + 1 } else { 0 };
        self.heard = taken;
        self.idle = if idle { self.idle + 1 } else { 0 };
        if let Some(ping_pong) = self.ping_pong.as_mut().filter(|_| asks) {
            // Makes room for the next one; whether it came is seen by what was read.
            let _pong = ping_pong.poll_pong(&mut Context::from_waker(Waker::noop()));
            let _still_unanswered = ping_pong.send_ping(Ping::opaque());
        }
        // Told to go at the beat before.
        self.silent < SILENT_BEATS && self.idle <= Self::IDLE_BEATS
    }

    /// How many beats there are in [`limits::IDLE_TIMEOUT`].
    const IDLE_BEATS: u64 = limits::IDLE_TIMEOUT.as_secs() / limits::KEEP_ALIVE.as_secs();

    /// Whether there has been no request for as long as a connection is kept without one.
    pub(crate) fn is_idle(&self) -> bool {
        self.idle == Self::IDLE_BEATS
    }
}

#[cfg(test)]
mod tests;
