//! Which session has which of the children that are kept for one session each.
//!
//! **Invariant:** a child that came up for one session takes no call of another: a seat changes hands only while its child
//! is asleep, and a call names the start of the child that it was meant for.

use std::sync::Arc;

use tokio::sync::watch;

use crate::mcp::client::SessionKey;

/// The seats of one backend, each with the session that has it. The lock inside is held for as long as a look takes.
#[derive(Clone, Debug)]
pub(super) struct Seats(Arc<watch::Sender<Vec<Option<SessionKey>>>>);

/// One of them, as its child knows it.
#[derive(Clone, Debug)]
pub(super) struct Seat {
    seats: Seats,
    index: usize,
}

// === impl Seats ===

impl Seats {
    pub(super) fn new(count: usize) -> Self {
        Self(Arc::new(watch::Sender::new(vec![None; count])))
    }

    /// The seat of a session.
    pub(super) fn of(&self, session: SessionKey) -> Option<usize> {
        self.0.borrow().iter().position(|owner| *owner == Some(session))
    }

    /// The seat of a session, which takes a free one if it has none; `None` when there is none.
    pub(super) fn take(&self, session: SessionKey) -> Option<usize> {
        if let Some(seat) = self.of(session) {
            return Some(seat);
        }
        let mut seat = None;
        // Nobody is told: who has a seat is only ever looked up.
        self.0.send_if_modified(|seats| {
            let own = seats.iter().position(|owner| *owner == Some(session));
            seat = own.or_else(|| seats.iter().position(Option::is_none));
            if let Some(seat) = seat {
                seats[seat] = Some(session);
            }
            false
        });
        seat
    }

    /// One of them, as its child knows it.
    pub(super) fn seat(&self, index: usize) -> Seat {
        Seat { seats: self.clone(), index }
    }
}

// === impl Seat ===

impl Seat {
    /// Its child is asleep: another session may have it.
    pub(super) fn leave(&self) {
        self.seats.0.send_if_modified(|seats| {
            seats[self.index] = None;
            false
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_keeps_its_seat_until_it_is_left() {
        let (seats, [a, b, c]) = (Seats::new(2), [1, 2, 3].map(|bits| SessionKey::new([bits; SessionKey::BYTES])));
        assert_eq!((seats.take(a), seats.take(b), seats.take(a)), (Some(0), Some(1), Some(0)));
        assert_eq!((seats.take(c), seats.of(c)), (None, None));
        seats.seat(0).leave();
        assert_eq!((seats.of(a), seats.take(c), seats.take(a), seats.of(b)), (None, Some(0), None, Some(1)));
    }
}
