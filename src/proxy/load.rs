//! How many calls are under way in the whole process, and that there are no more than may be. What one backend takes is
//! not decided here.
//!
//! **Invariant:** a call takes its place by one relaxed addition, and leaves it by another, whatever becomes of it.

use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

use super::{Method, Worker};
use crate::catalog::Topology;
use crate::limits;
use crate::mcp::envelope::Incoming;
use crate::mcp::method::CallKind;

/// What the process has in hand.
// On a line of its own: every worker writes it with every call.
#[derive(Debug)]
#[repr(align(128))]
pub(crate) struct Load {
    calls: AtomicU32,
    calls_max: u32,
    /// The same where a call goes on with what was begun: whether it does is its client's to say.
    resuming_max: u32,
}

/// A call that is under way until this is dropped.
#[derive(Debug)]
pub(crate) struct UnderWay<'a>(&'a Load);

/// There is no place for a call.
#[derive(Clone, Copy, Debug)]
pub(super) struct Shed;

// === impl Load ===

impl Load {
    pub(crate) fn new(calls_max: u32) -> Self {
        let resuming_max = calls_max.saturating_add((calls_max / 4).max(limits::RESUMING_CALLS_MIN));
        Self { calls: AtomicU32::new(0), calls_max, resuming_max }
    }

    /// A place for one more call, if there is one; there are a few more for those that go on with what was begun.
    fn begin(&self, goes_on: bool) -> Option<UnderWay<'_>> {
        // Made before it is known, so that whoever is refused leaves again.
        let under_way = UnderWay(self);
        let others = self.calls.fetch_add(1, Relaxed);
        let most = if goes_on { self.resuming_max } else { self.calls_max };
        (others < most).then_some(under_way)
    }

    /// Calls under way.
    #[cfg(any(feature = "admin", test))]
    pub(crate) fn calls(&self) -> u32 {
        self.calls.load(Relaxed)
    }
}

// === impl UnderWay ===

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        self.0.calls.fetch_sub(1, Relaxed);
    }
}

/// Takes a place for what a backend is asked. What is answered here needs none; what finishes something that has begun (a
/// question to a client that is answered, a task that is asked about) finds one longer.
pub(super) fn begin<'w, T: Topology>(
    worker: &'w Worker<T>,
    method: Method,
    message: &Incoming,
) -> Result<Option<UnderWay<'w>>, Shed> {
    let goes_on = match method {
        Method::Call(CallKind::Task(_)) => true,
        Method::Call(_) => message.resumes,
        Method::Subscribe => false,
        _ => return Ok(None),
    };
    match worker.shared.load.begin(goes_on) {
        None => {
            worker.counts.shed.add(1);
            Err(Shed)
        }
        under_way => Ok(under_way),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_too_many_has_no_place_unless_it_goes_on_with_something() {
        let load = Load::new(2);
        let [first, second] = [(); 2].map(|()| load.begin(false).expect("there is room"));
        assert!(load.begin(false).is_none());
        assert_eq!(load.calls(), 2);
        let third = load.begin(true).expect("it goes on");
        drop(first);
        assert!(load.begin(false).is_none(), "two are under way");
        drop(second);
        assert!(load.begin(false).is_some());
        drop(third);
        assert_eq!(load.calls(), 0);
    }

    #[test]
    fn calls_that_go_on_with_something_are_bounded_too() {
        for (calls_max, most) in [(1, 17), (64, 80), (400, 500)] {
            let load = Load::new(calls_max);
            let under_way: Vec<_> = std::iter::from_fn(|| load.begin(true)).take(1000).collect();
            assert_eq!((under_way.len(), load.calls()), (most, u32::try_from(most).expect("few")));
            assert!(load.begin(false).is_none());
        }
        assert!(Load::new(u32::MAX).begin(true).is_some());
    }
}
