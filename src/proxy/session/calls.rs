//! The calls in flight of sessions over HTTP, by which a client cancels one from another connection. Each worker knows
//! those that came to it, and what it is told to cancel and does not know it passes on to the others. What a cancelled
//! call comes to is not decided here.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;

use smallvec::SmallVec;
use tokio::sync::mpsc;

use super::super::cancellation::Cancellation;
use crate::limits;
use crate::mcp::client::SessionKey;

/// Those of one worker.
#[derive(Debug, Default)]
pub(crate) struct Calls {
    in_flight: RefCell<HashMap<CallKey, Rc<Cancellation>>>,
    /// Where the other workers hear what is to be cancelled.
    others: Box<[mpsc::Sender<Unwanted>]>,
}

/// The bits of a session, and after them the id of a call in it as written: one piece, which is hashed at once.
type CallKey = SmallVec<[u8; SessionKey::BYTES + 24]>;

/// What is to be cancelled.
#[derive(Clone, Debug)]
enum Unwanted {
    Call(CallKey),
    /// All of a session.
    Session(SessionKey),
}

/// What ties the calls of one worker to those of the others, before it starts.
#[derive(Debug)]
pub(crate) struct Tie {
    own: mpsc::Receiver<Unwanted>,
    others: Box<[mpsc::Sender<Unwanted>]>,
}

/// A call that can be cancelled for as long as this is there.
#[derive(Debug)]
pub(crate) struct InFlight<'a> {
    of: &'a Calls,
    key: CallKey,
    cancellation: Rc<Cancellation>,
}

// === impl Tie ===

impl Tie {
    /// That of a worker without others.
    pub(crate) fn alone() -> Self {
        Self { own: mpsc::channel(limits::CANCELLATIONS_WAITING_MAX).1, others: Box::default() }
    }

    /// One for each of so many workers.
    pub(crate) fn all(workers: usize) -> Vec<Self> {
        let (senders, own): (Vec<_>, Vec<_>) =
            (0..workers).map(|_| mpsc::channel(limits::CANCELLATIONS_WAITING_MAX)).unzip();
        let tie = |(worker, own)| {
            let others = senders.iter().enumerate().filter(|(other, _)| *other != worker);
            Self { own, others: others.map(|(_, sender)| sender.clone()).collect() }
        };
        own.into_iter().enumerate().map(tie).collect()
    }
}

// === impl Calls ===

impl Calls {
    /// Those of the worker that calls this; it hears of the others from now on.
    pub(crate) fn open(Tie { mut own, others }: Tie) -> Rc<Self> {
        let calls = Rc::new(Self { others, ..Self::default() });
        let hearing = Rc::clone(&calls);
        tokio::task::spawn_local(async move {
            while let Some(unwanted) = own.recv().await {
                let _elsewhere_or_answered = hearing.cancel_own(&unwanted);
            }
        });
        calls
    }

    /// Takes one in; `None` at the bound. Of two with one id, which a session must not have, the later one is meant.
    pub(crate) fn enter(&self, session: SessionKey, id: &[u8]) -> Option<InFlight<'_>> {
        let mut all = self.in_flight.borrow_mut();
        if all.len() >= limits::SESSION_CALLS_MAX {
            return None;
        }
        let (key, cancellation) = (call_key(session, id), Rc::<Cancellation>::default());
        all.insert(key.clone(), Rc::clone(&cancellation));
        Some(InFlight { of: self, key, cancellation })
    }

    /// Cancels one, whichever worker has it. One that is unknown was answered meanwhile.
    pub(crate) async fn cancel(&self, session: SessionKey, id: &[u8]) {
        let unwanted = Unwanted::Call(call_key(session, id));
        if !self.cancel_own(&unwanted) {
            self.pass_on(unwanted).await;
        }
    }

    /// Cancels all of a session, on every worker.
    pub(crate) async fn cancel_all(&self, session: SessionKey) {
        let unwanted = Unwanted::Session(session);
        self.cancel_own(&unwanted);
        self.pass_on(unwanted).await;
    }

    /// Whether the one call that is not wanted was found here.
    fn cancel_own(&self, unwanted: &Unwanted) -> bool {
        let all = self.in_flight.borrow();
        match unwanted {
            Unwanted::Call(key) => {
                let found = all.get(key);
                found.inspect(|call| call.cancel());
                found.is_some()
            }
            Unwanted::Session(session) => {
                let calls = all.iter().filter(|(key, _)| key.starts_with(session.bits()));
                calls.for_each(|(_, call)| call.cancel());
                false
            }
        }
    }

    /// Waits where a worker has much to hear, so that none is lost: nobody who hears waits for anybody.
    async fn pass_on(&self, unwanted: Unwanted) {
        for other in &self.others {
            let _it_has_ended = other.send(unwanted.clone()).await;
        }
    }
}

fn call_key(session: SessionKey, id: &[u8]) -> CallKey {
    let mut key = CallKey::new();
    key.extend_from_slice(session.bits());
    key.extend_from_slice(id);
    key
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
        let mut all = self.of.in_flight.borrow_mut();
        // A later one with the same id stays.
        if let Some((key, other)) = all.remove_entry(&self.key)
            && !Rc::ptr_eq(&other, &self.cancellation)
        {
            all.insert(key, other);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use tokio::task::LocalSet;

    use super::*;

    const OWN: SessionKey = SessionKey::new([1; 16]);
    const OTHER: SessionKey = SessionKey::new([2; 16]);

    /// The calls of so many workers, which are all this thread.
    fn workers(count: usize) -> Vec<Rc<Calls>> {
        Tie::all(count).into_iter().map(Calls::open).collect()
    }

    async fn alone(check: impl AsyncFnOnce(Rc<Calls>)) {
        LocalSet::new().run_until(async { check(workers(1).remove(0)).await }).await;
    }

    #[tokio::test]
    async fn a_call_is_cancelled_by_its_session_and_id_alone() {
        alone(async |calls| {
            let number = calls.enter(OWN, b"1").expect("room");
            let text = calls.enter(OWN, br#""1""#).expect("room");
            calls.cancel(OTHER, b"1").await;
            calls.cancel(OWN, b"2").await;
            assert!(!number.cancellation().is_cancelled());
            calls.cancel(OWN, b"1").await;
            poll_fn(|cx| number.cancellation().poll(cx)).await;
            assert!(!text.cancellation().is_cancelled());
            drop((number, text));
            assert!(calls.in_flight.borrow().is_empty());
            // Too late.
            calls.cancel(OWN, b"1").await;
            assert!(!calls.enter(OWN, b"1").expect("room").cancellation().is_cancelled());
        })
        .await;
    }

    #[tokio::test]
    async fn of_two_with_one_id_the_later_one_is_cancelled() {
        alone(async |calls| {
            let (first, second) = (calls.enter(OWN, b"1").expect("room"), calls.enter(OWN, b"1").expect("room"));
            drop(first);
            calls.cancel(OWN, b"1").await;
            assert!(second.cancellation().is_cancelled());
        })
        .await;
    }

    #[tokio::test]
    async fn a_call_is_cancelled_from_any_worker() {
        let check = async {
            let workers = workers(3);
            let ids: Vec<Vec<u8>> =
                (0..limits::CANCELLATIONS_WAITING_MAX * 2).map(|id| vec![b'1'; 1 + id % 200]).collect();
            for of in &workers {
                let call = of.enter(OWN, b"7").expect("room");
                let other = of.enter(OTHER, b"7").expect("room");
                for by in &workers {
                    // More than may wait: the last of them is heard as well.
                    for id in &ids {
                        by.cancel(OWN, id).await;
                    }
                    assert!(!call.cancellation().is_cancelled());
                }
                workers[2].cancel(OWN, b"7").await;
                poll_fn(|cx| call.cancellation().poll(cx)).await;
                assert!(!other.cancellation().is_cancelled());
            }
        };
        LocalSet::new().run_until(check).await;
    }

    #[tokio::test]
    async fn the_end_of_a_session_cancels_its_calls_on_every_worker() {
        let check = async {
            let workers = workers(2);
            let enter = |worker: usize, of, id: &[u8]| workers[worker].enter(of, id).expect("room");
            let [own, also, elsewhere] = [enter(0, OWN, b"1"), enter(0, OWN, b"2"), enter(1, OWN, b"1")];
            let others = [enter(0, OTHER, b"1"), enter(1, OTHER, b"1")];
            workers[0].cancel_all(OWN).await;
            for call in [own, also, elsewhere] {
                poll_fn(|cx| call.cancellation().poll(cx)).await;
            }
            assert!(others.iter().all(|call| !call.cancellation().is_cancelled()));
        };
        LocalSet::new().run_until(check).await;
    }

    #[tokio::test]
    async fn a_worker_that_has_ended_holds_nobody_up() {
        let check = async {
            let mut ties = Tie::all(2);
            drop(ties.pop());
            let calls = Calls::open(ties.remove(0));
            for _ in 0..limits::CANCELLATIONS_WAITING_MAX * 2 {
                calls.cancel(OWN, b"1").await;
            }
        };
        LocalSet::new().run_until(check).await;
    }

    #[tokio::test]
    async fn there_are_no_more_calls_than_may_be() {
        alone(async |calls| {
            let all: Vec<_> = (0..limits::SESSION_CALLS_MAX as u128)
                .map(|id| calls.enter(OWN, &id.to_be_bytes()).expect("room"))
                .collect();
            assert!(calls.enter(OTHER, b"1").is_none());
            drop(all);
            assert!(calls.enter(OTHER, b"1").is_some());
        })
        .await;
    }
}
