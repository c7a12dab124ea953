//! Which of the children that are kept apart is whose: for one session each, or for the clients of one profile each.
//!
//! **Invariant:** a child that came up for one tenant takes no call of another: a seat changes hands only while its child
//! is asleep, and a call names the start of the child that it was meant for.

use std::sync::Arc;

use tokio::sync::watch;

use crate::mcp::client::{Profile, SessionKey};

/// The seats of one backend. The lock inside is held for as long as a look takes.
#[derive(Clone, Debug)]
pub(super) struct Seats(Arc<watch::Sender<Vec<Place>>>);

/// One of them, as its child knows it.
#[derive(Clone, Debug)]
pub(super) struct Seat {
    seats: Seats,
    index: usize,
}

/// Whom a child is kept for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Tenant {
    /// One session; without it, all clients of the profile.
    pub(super) session: Option<SessionKey>,
    /// What its backend is told of them.
    pub(super) profile: Profile,
}

/// What is known of a seat.
#[derive(Clone, Copy, Debug, Default)]
struct Place {
    tenant: Option<Tenant>,
    /// What the child is told that is up or coming up. One that was woken when its tenant had just left has none.
    raised: Option<Profile>,
}

// === impl Seats ===

impl Seats {
    pub(super) fn new(count: usize) -> Self {
        Self(Arc::new(watch::Sender::new(vec![Place::default(); count])))
    }

    /// How many there are.
    pub(super) fn count(&self) -> usize {
        self.0.borrow().len()
    }

    /// The seat of a session.
    pub(super) fn of(&self, session: SessionKey) -> Option<usize> {
        let owner = |place: &Place| place.tenant.and_then(|tenant| tenant.session);
        self.0.borrow().iter().position(|place| owner(place) == Some(session))
    }

    /// Whether a seat is nobody's.
    pub(super) fn is_vacant(&self, seat: usize) -> bool {
        self.0.borrow().get(seat).is_some_and(|place| place.tenant.is_none())
    }

    /// The seat of a tenant, who takes a free one if it has none; `None` when there is none.
    pub(super) fn take(&self, tenant: Tenant) -> Option<usize> {
        let own = |places: &[Place]| places.iter().position(|place| place.tenant == Some(tenant));
        if let Some(seat) = own(&self.0.borrow()) {
            return Some(seat);
        }
        let is_free =
            |place: &Place| place.tenant.is_none() && place.raised.is_none_or(|profile| profile == tenant.profile);
        let mut seat = None;
        // Nobody is told: who has a seat is only ever looked up.
        self.0.send_if_modified(|places| {
            seat = own(places).or_else(|| places.iter().position(is_free));
            if let Some(seat) = seat {
                places[seat].tenant = Some(tenant);
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
    /// Its child comes up: what it is told of its clients.
    pub(super) fn raise(&self) -> Profile {
        let mut profile = Profile::NONE;
        self.seats.0.send_if_modified(|places| {
            let place = &mut places[self.index];
            profile = place.tenant.map_or(Profile::NONE, |tenant| tenant.profile);
            place.raised = Some(profile);
            false
        });
        profile
    }

    /// Its child is asleep: another tenant may have it.
    pub(super) fn leave(&self) {
        self.seats.0.send_if_modified(|places| {
            places[self.index] = Place::default();
            false
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn session(bits: u8) -> Tenant {
        Tenant { session: Some(SessionKey::new([bits; SessionKey::BYTES])), profile: Profile::NONE }
    }

    #[test]
    fn a_session_keeps_its_seat_until_it_is_left() {
        let (seats, [a, b, c]) = (Seats::new(2), [1, 2, 3].map(session));
        let of = |tenant: Tenant| seats.of(tenant.session.expect("a session"));
        assert_eq!((seats.take(a), seats.take(b), seats.take(a)), (Some(0), Some(1), Some(0)));
        assert_eq!((seats.take(c), of(c)), (None, None));
        seats.seat(0).leave();
        assert_eq!((of(a), seats.take(c), seats.take(a), of(b)), (None, Some(0), None, Some(1)));
    }

    #[test]
    fn a_child_that_nobody_has_goes_to_those_of_the_profile_it_came_up_for() {
        let (seats, of) = (Seats::new(1), |profile| Tenant { session: None, profile });
        let seat = seats.seat(0);
        assert_eq!(seats.take(of(Profile::ROOTS)), Some(0));
        assert_eq!(seat.raise(), Profile::ROOTS);
        assert_eq!((seats.take(of(Profile::SAMPLING)), seats.take(of(Profile::ROOTS))), (None, Some(0)));
        seat.leave();
        // Woken by somebody who has not noticed yet that the seat was left.
        assert_eq!((seat.raise(), seats.is_vacant(0)), (Profile::NONE, true));
        assert_eq!((seats.take(of(Profile::ROOTS)), seats.take(of(Profile::NONE))), (None, Some(0)));
        assert!(!seats.is_vacant(0));
    }
}
