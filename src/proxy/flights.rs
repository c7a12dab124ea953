//! Calls that are made once for all the clients that wait for them, whichever worker these came to. Which calls that are,
//! and how one is made, is not decided here.
//!
//! **Invariant:** a call whose last client has left is joined by nobody any more.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use papaya::{Compute, Operation};
use tokio::sync::{Notify, watch};

use crate::limits;

/// Those of one gateway.
#[derive(Debug, Default)]
pub(crate) struct Flights(papaya::HashMap<Arc<[u8]>, Arc<Flight>>);

/// One of them.
#[derive(Debug)]
pub(super) struct Flight {
    /// What makes another call the same.
    likeness: Arc<[u8]>,
    /// How many clients wait for it; 0 for good, once none does.
    waiting: AtomicUsize,
    landed: watch::Sender<Option<Landing>>,
    deserted: Notify,
}

/// What it came to.
#[derive(Clone, Debug)]
pub(super) enum Landing {
    /// The answer, for everybody.
    Answer(Arc<Told>),
    /// None that is for all of them: each makes its own call.
    Apart,
}

/// An answer, but for the id of who reads it.
#[derive(Debug)]
pub(super) struct Told {
    /// HTTP status.
    pub(super) status: u16,
    /// Fields beside the usual ones, each with its line end.
    pub(super) fields: String,
    /// Up to the id.
    pub(super) before: Vec<u8>,
    /// Behind it.
    pub(super) after: Vec<u8>,
}

/// The place of a client that waits for one.
#[derive(Debug)]
pub(super) struct Seat<'a> {
    flights: &'a Flights,
    flight: Arc<Flight>,
    landed: watch::Receiver<Option<Landing>>,
}

/// Who comes to a call.
#[derive(Debug)]
pub(super) enum Joined<'a> {
    /// It is the first: the call is to be made.
    First(Seat<'a>),
    /// The call is under way.
    Later(Seat<'a>),
    /// As many wait as may be.
    Full,
}

/// Why nobody else may wait for a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Closed {
    /// As many do as may.
    Full,
    /// Nobody does any more.
    Deserted,
}

/// A call that is being made. Dropped without a landing, each makes its own.
#[derive(Debug)]
pub(super) struct Aloft<'a> {
    flights: &'a Flights,
    flight: Arc<Flight>,
    landing: Landing,
}

// === impl Flights ===

impl Flights {
    /// A seat in the call that is like this.
    pub(super) fn join(&self, likeness: &[u8]) -> Joined<'_> {
        let table = self.0.pin();
        let full = || table.len() >= limits::COALESCED_CALLS_MAX;
        if table.get(likeness).is_none() && full() {
            return Joined::Full;
        }
        let own = Arc::new(Flight::new(likeness));
        loop {
            // Of two workers that find nobody at once, one has its call made.
            let there = table.compute(Arc::clone(&own.likeness), |there| match there {
                Some((_, flight)) if !flight.is_deserted() => Operation::Abort(Arc::clone(flight)),
                _ => Operation::Insert(Arc::clone(&own)),
            });
            let Compute::Aborted(flight) = there else { return Joined::First(self.seat(&own)) };
            match flight.enter() {
                Ok(()) => return Joined::Later(self.seat(&flight)),
                Err(Closed::Full) => return Joined::Full,
                // It was left meanwhile.
                Err(Closed::Deserted) => {}
            }
        }
    }

    fn seat(&self, flight: &Arc<Flight>) -> Seat<'_> {
        Seat { flights: self, flight: Arc::clone(flight), landed: flight.landed.subscribe() }
    }

    /// Nobody joins it from now on.
    fn close(&self, flight: &Arc<Flight>) {
        let _it_was_replaced = self.0.pin().remove_if(&*flight.likeness, |_, other| Arc::ptr_eq(other, flight));
    }

    /// The call is made by whoever holds this.
    pub(super) fn make(&self, flight: Arc<Flight>) -> Aloft<'_> {
        Aloft { flights: self, flight, landing: Landing::Apart }
    }
}

// === impl Flight ===

impl Flight {
    /// One for which its first client waits.
    fn new(likeness: &[u8]) -> Self {
        Self {
            likeness: likeness.into(),
            waiting: AtomicUsize::new(1),
            landed: watch::Sender::new(None),
            deserted: Notify::new(),
        }
    }

    fn is_deserted(&self) -> bool {
        self.waiting.load(Relaxed) == 0
    }

    /// One more waits for it.
    fn enter(&self) -> Result<(), Closed> {
        let seats = |waiting| (1..limits::COALESCED_CLIENTS_MAX).contains(&waiting).then_some(waiting + 1);
        match self.waiting.fetch_update(Relaxed, Relaxed, seats) {
            Ok(_) => Ok(()),
            Err(0) => Err(Closed::Deserted),
            Err(_) => Err(Closed::Full),
        }
    }
}

// === impl Seat ===

impl Seat<'_> {
    pub(super) fn flight(&self) -> Arc<Flight> {
        Arc::clone(&self.flight)
    }

    /// What the call came to, once that is known.
    pub(super) async fn landing(&mut self) -> Landing {
        match self.landed.wait_for(Option::is_some).await.as_deref() {
            Ok(Some(landing)) => landing.clone(),
            // Whoever makes the call always says so.
            _ => Landing::Apart,
        }
    }
}

impl Drop for Seat<'_> {
    fn drop(&mut self) {
        if self.flight.waiting.fetch_sub(1, Relaxed) == 1 {
            self.flights.close(&self.flight);
            self.flight.deserted.notify_one();
        }
    }
}

// === impl Aloft ===

impl Aloft<'_> {
    /// Ready once nobody waits for it.
    pub(super) fn deserted(&self) -> impl Future<Output = ()> + use<> {
        let flight = Arc::clone(&self.flight);
        async move { flight.deserted.notified().await }
    }

    /// It comes to this.
    pub(super) fn land(mut self, landing: Landing) {
        self.landing = landing;
    }
}

impl Drop for Aloft<'_> {
    fn drop(&mut self) {
        self.flights.close(&self.flight);
        self.flight.landed.send_replace(Some(self.landing.clone()));
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::task::Poll;

    use super::*;

    fn first<'a>(flights: &'a Flights, likeness: &[u8]) -> Seat<'a> {
        match flights.join(likeness) {
            Joined::First(seat) => seat,
            other => panic!("{other:?} is not the first"),
        }
    }

    fn later<'a>(flights: &'a Flights, likeness: &[u8]) -> Seat<'a> {
        match flights.join(likeness) {
            Joined::Later(seat) => seat,
            other => panic!("{other:?} is not a later one"),
        }
    }

    fn told(text: &str) -> Landing {
        let (before, after) = (text.into(), Vec::new());
        Landing::Answer(Arc::new(Told { status: 200, fields: String::new(), before, after }))
    }

    #[tokio::test]
    async fn all_that_wait_are_told_and_the_next_one_is_the_first_again() {
        let flights = Flights::default();
        let mut seats = [first(&flights, b"a"), later(&flights, b"a")];
        let _other = first(&flights, b"b");
        flights.make(seats[0].flight()).land(told("x"));
        for seat in &mut seats {
            assert!(matches!(seat.landing().await, Landing::Answer(told) if told.before == b"x"));
        }
        drop(first(&flights, b"a"));
        // One that is dropped on its way leaves each to itself.
        let mut seat = first(&flights, b"a");
        drop(flights.make(seat.flight()));
        assert!(matches!(seat.landing().await, Landing::Apart));
        assert_eq!(flights.0.len(), 1, "`b` is under way");
    }

    #[tokio::test]
    async fn a_call_is_deserted_when_the_last_one_leaves_and_not_before() {
        let flights = Flights::default();
        let (one, two) = (first(&flights, b"a"), later(&flights, b"a"));
        let aloft = flights.make(one.flight());
        let mut deserted = std::pin::pin!(aloft.deserted());
        drop(one);
        let is_deserted = poll_fn(|cx| Poll::Ready(deserted.as_mut().poll(cx).is_ready())).await;
        assert!(!is_deserted, "one waits still");
        drop(later(&flights, b"a"));
        drop(two);
        deserted.await;
        // Nobody gets into what is about to end.
        let next = first(&flights, b"a");
        drop(aloft);
        drop(later(&flights, b"a"));
        drop(next);
        assert_eq!(flights.0.len(), 0);
    }

    #[test]
    fn as_many_wait_for_one_and_as_many_are_under_way_as_may_be() {
        let flights = Flights::default();
        let mut seats = vec![first(&flights, b"a")];
        seats.extend((1..limits::COALESCED_CLIENTS_MAX).map(|_| later(&flights, b"a")));
        assert!(matches!(flights.join(b"a"), Joined::Full));
        seats.pop();
        seats.push(later(&flights, b"a"));
        let others = 1..limits::COALESCED_CALLS_MAX;
        let others: Vec<_> = others.map(|number| first(&flights, number.to_string().as_bytes())).collect();
        assert!(matches!(flights.join(b"b"), Joined::Full));
        drop(others);
        drop(first(&flights, b"b"));
    }
}
