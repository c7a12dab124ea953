//! Whether the client of a call still wants its answer. How it says that it does not is not known here.

use std::cell::{Cell, RefCell};
use std::task::{Context, Poll, Waker};

/// What became of one call in this; one task waits for it.
#[derive(Debug, Default)]
pub(crate) struct Cancellation {
    cancelled: Cell<bool>,
    waker: RefCell<Option<Waker>>,
}

impl Cancellation {
    /// The answer is not wanted any more.
    pub(crate) fn cancel(&self) {
        self.cancelled.set(true);
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }

    /// Whether that was said.
    pub(crate) fn is_cancelled(&self) -> bool {
        self.cancelled.get()
    }

    /// Ready once it is.
    pub(crate) fn poll(&self, cx: &Context<'_>) -> Poll<()> {
        if self.is_cancelled() {
            return Poll::Ready(());
        }
        let mut waker = self.waker.borrow_mut();
        match &mut *waker {
            Some(waker) if waker.will_wake(cx.waker()) => {}
            other => *other = Some(cx.waker().clone()),
        }
        Poll::Pending
    }
}
