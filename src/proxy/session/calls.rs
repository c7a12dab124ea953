//! The calls in flight of sessions over HTTP, by which a client cancels one from another connection, and so from another
//! worker. What a cancelled call comes to is not decided here.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::Notify;

use crate::limits;
use crate::mcp::client::SessionKey;

/// All of one gateway.
#[derive(Debug, Default)]
pub(crate) struct Calls {
    /// By session, and id as written.
    in_flight: papaya::HashMap<(SessionKey, Box<[u8]>), Arc<Cancellation>>,
}

/// Whether the client still wants an answer. One task waits for it.
#[derive(Debug, Default)]
pub(crate) struct Cancellation {
    cancelled: AtomicBool,
    wake: Notify,
}

/// A call that can be cancelled for as long as this is there.
#[derive(Debug)]
pub(crate) struct InFlight<'a> {
    of: &'a Calls,
    key: (SessionKey, Box<[u8]>),
    cancellation: Arc<Cancellation>,
}

// === impl Calls ===

impl Calls {
    /// Takes one in; `None` at the bound. Of two with one id, which a session must not have, the later one is meant.
    pub(crate) fn enter(&self, session: SessionKey, id: &[u8]) -> Option<InFlight<'_>> {
        let all = self.in_flight.pin();
        if all.len() >= limits::SESSION_CALLS_MAX {
            return None;
        }
        let (key, cancellation) = ((session, Box::from(id)), Arc::<Cancellation>::default());
        all.insert(key.clone(), Arc::clone(&cancellation));
        Some(InFlight { of: self, key, cancellation })
    }

    /// Cancels one. One that is unknown was answered meanwhile.
    pub(crate) fn cancel(&self, session: SessionKey, id: &[u8]) {
        if let Some(cancellation) = self.in_flight.pin().get(&(session, Box::from(id))) {
            cancellation.cancel();
        }
    }

    /// Cancels all of a session.
    pub(super) fn cancel_all(&self, session: SessionKey) {
        for ((of, _), cancellation) in &self.in_flight.pin() {
            if *of == session {
                cancellation.cancel();
            }
        }
    }
}

// === impl Cancellation ===

impl Cancellation {
    fn cancel(&self) {
        self.cancelled.store(true, Ordering::Release);
        self.wake.notify_one();
    }

    /// Whether it was.
    pub(crate) fn is_cancelled(&self) -> bool {
        self.cancelled.load(Ordering::Acquire)
    }

    /// Ready once it is.
    pub(crate) async fn cancelled(&self) {
        while !self.is_cancelled() {
            self.wake.notified().await;
        }
    }
}

// === impl InFlight ===

impl InFlight<'_> {
    /// What becomes of it.
    pub(crate) fn cancellation(&self) -> &Cancellation {
        &self.cancellation
    }
}

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        // A later one with the same id stays.
        let own = |_: &_, other: &Arc<Cancellation>| Arc::ptr_eq(other, &self.cancellation);
        let all = self.of.in_flight.pin();
        let _absent_or_later = all.remove_if(&self.key, own);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OWN: SessionKey = SessionKey::new([1; 16]);
    const OTHER: SessionKey = SessionKey::new([2; 16]);

    #[tokio::test]
    async fn a_call_is_cancelled_by_its_session_and_id_alone() {
        let calls = Calls::default();
        let number = calls.enter(OWN, b"1").expect("room");
        let text = calls.enter(OWN, br#""1""#).expect("room");
        calls.cancel(OTHER, b"1");
        calls.cancel(OWN, b"2");
        assert!(!number.cancellation().is_cancelled());
        calls.cancel(OWN, b"1");
        number.cancellation().cancelled().await;
        assert!(!text.cancellation().is_cancelled());
        drop((number, text));
        assert!(calls.in_flight.is_empty());
        // Too late.
        calls.cancel(OWN, b"1");
        assert!(!calls.enter(OWN, b"1").expect("room").cancellation().is_cancelled());
    }

    #[test]
    fn of_two_with_one_id_the_later_one_is_cancelled() {
        let calls = Calls::default();
        let (first, second) = (calls.enter(OWN, b"1").expect("room"), calls.enter(OWN, b"1").expect("room"));
        drop(first);
        calls.cancel(OWN, b"1");
        assert!(second.cancellation().is_cancelled());
    }

    #[test]
    fn the_end_of_a_session_cancels_its_calls() {
        let calls = Calls::default();
        let [own, also, other] = [(OWN, b"1"), (OWN, b"2"), (OTHER, b"1")].map(|(of, id)| calls.enter(of, id));
        calls.cancel_all(OWN);
        let cancelled = [own, also, other].map(|call| call.expect("room").cancellation().is_cancelled());
        assert_eq!(cancelled, [true, true, false]);
    }

    #[test]
    fn there_are_no_more_calls_than_may_be() {
        let calls = Calls::default();
        let all: Vec<_> = (0..limits::SESSION_CALLS_MAX as u128)
            .map(|id| calls.enter(OWN, &id.to_be_bytes()).expect("room"))
            .collect();
        assert!(calls.enter(OTHER, b"1").is_none());
        drop(all);
        assert!(calls.enter(OTHER, b"1").is_some());
    }
}
