//! What was said on the streams of calls, kept for clients that come back for it: a client whose connection broke names
//! the last event that it has, and gets what followed, on whichever worker it arrives. How events are written to a
//! connection is not here.
//!
//! **Invariant:** the events of one stream never take more than [`limits::REPLAY_STREAM_BYTES_MAX`], and those of all
//! streams no more than [`limits::REPLAY_BYTES_MAX`] and what their writers add at once; the oldest go first.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use bytes::Bytes;
use tokio::sync::watch;

use super::random_bits;
use crate::limits;
use crate::mcp::client::SessionKey;
use crate::mcp::sse;

/// The streams of one gateway.
#[derive(Debug, Default)]
pub(crate) struct Replays {
    by_id: papaya::HashMap<u128, Arc<Replay>>,
    /// Of all events that are kept.
    bytes: Arc<AtomicUsize>,
}

/// One stream.
#[derive(Debug)]
pub(crate) struct Replay {
    id: u128,
    session: SessionKey,
    kept: watch::Sender<Kept>,
}

/// What is kept of one stream, and where it stands.
#[derive(Debug)]
struct Kept {
    /// The latest events, encoded.
    events: VecDeque<Bytes>,
    bytes: usize,
    /// Of all streams.
    total: Arc<AtomicUsize>,
    /// The number of the last event; that of the event that primes the stream is 0.
    last: u64,
    /// Nothing follows.
    over: bool,
    /// How often a client came back.
    readers: u64,
    /// The last one is still there, and has taken the events up to this number.
    taken: Option<u64>,
    touched: Instant,
}

/// The place of an event: on a stream, and where.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum EventId {
    /// On the stream of a call.
    Call(u128, u64),
    /// On a stream of a session, which has no past.
    Session(u128),
}

/// A client that came back, on its way through what it missed.
#[derive(Debug)]
pub(crate) struct Reader {
    replay: Arc<Replay>,
    /// Which of its readers.
    number: u64,
    next: u64,
    changes: watch::Receiver<Kept>,
}

/// What a reader finds.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Found {
    /// These follow.
    Events(Vec<Bytes>),
    /// Nothing follows any more, or another reader has taken over.
    End,
}

// === impl Replays ===

impl Replays {
    /// A new stream of a session; `None` where there is room for none, or there are no random bits.
    pub(crate) fn open(&self, session: SessionKey) -> Option<Arc<Replay>> {
        let streams = self.by_id.pin();
        if streams.len() >= limits::REPLAY_STREAMS_MAX && !self.drop_oldest() {
            return None;
        }
        let id = u128::from_be_bytes(random_bits().ok()?);
        let kept = Kept {
            events: VecDeque::new(),
            bytes: 0,
            total: Arc::clone(&self.bytes),
            last: 0,
            over: false,
            readers: 0,
            taken: None,
            touched: Instant::now(),
        };
        let replay = Arc::new(Replay { id, session, kept: watch::Sender::new(kept) });
        streams.insert(id, Arc::clone(&replay));
        Some(replay)
    }

    /// How many streams are kept.
    #[cfg(feature = "admin")]
    pub(super) fn len(&self) -> usize {
        self.by_id.len()
    }

    /// Adds an event to a stream: its encoded form, with its id.
    pub(crate) async fn add(&self, replay: &Replay, message: &[&[u8]]) -> Bytes {
        // A client that came back and reads slowly holds its call back, as it would on the call's own connection.
        let mut changes = replay.kept.subscribe();
        drop(changes.wait_for(|kept| !kept.holds_back()).await);
        let mut event = Vec::with_capacity(message.iter().map(|slice| slice.len()).sum::<usize>() + 96);
        // A call has one writer, so that nobody else counts on meanwhile.
        let number = replay.kept.borrow().last + 1;
        sse::identify(&EventId::Call(replay.id, number).to_string(), &mut event);
        sse::encode(message, &mut event);
        let event = Bytes::from(event);
        replay.kept.send_modify(|kept| kept.push(event.clone()));
        if self.bytes.load(Ordering::Relaxed) > limits::REPLAY_BYTES_MAX {
            self.make_room();
        }
        event
    }

    /// A client of a session comes back to a stream after an event. `None` where there is no such stream, or nothing on it
    /// that this client has not.
    pub(crate) fn resume(&self, session: SessionKey, stream: u128, after: u64) -> Option<Reader> {
        let streams = self.by_id.pin();
        let replay = streams.get(&stream).filter(|replay| replay.session == session)?;
        let mut number = None;
        replay.kept.send_if_modified(|kept| {
            if after > kept.last || (kept.over && after == kept.last) {
                return false;
            }
            kept.readers += 1;
            kept.taken = Some(after);
            kept.touched = Instant::now();
            number = Some(kept.readers);
            true
        });
        let (number, next) = (number?, after + 1);
        Some(Reader { number, next, changes: replay.kept.subscribe(), replay: Arc::clone(replay) })
    }

    /// Forgets the streams of a session.
    pub(super) fn end(&self, session: SessionKey) {
        self.retain(|replay| replay.session != session);
    }

    /// Forgets streams to which nobody came back for long.
    pub(super) fn sweep(&self) {
        self.retain(|replay| {
            let kept = replay.kept.borrow();
            !kept.over || kept.taken.is_some() || kept.touched.elapsed() <= limits::REPLAY_AGE
        });
    }

    fn retain(&self, keep: impl Fn(&Replay) -> bool) {
        self.by_id.pin().retain(|_, replay| {
            let keep = keep(replay);
            if !keep {
                replay.clear();
            }
            keep
        });
    }

    /// Forgets a quarter of the streams that are over, those first that have been for the longest; `false` where none is.
    /// A quarter, so that not every new one has to look for the oldest.
    fn drop_oldest(&self) -> bool {
        let since = |replay: &Replay| {
            let kept = replay.kept.borrow();
            kept.over.then_some(kept.touched)
        };
        let mut over: Vec<Instant> = self.by_id.pin().values().filter_map(|replay| since(replay)).collect();
        let quarter = over.len() / 4;
        if over.is_empty() {
            return false;
        }
        let last = *over.select_nth_unstable(quarter).1;
        self.retain(|replay| since(replay).is_none_or(|touched| touched > last));
        true
    }

    /// Forgets events until a quarter of the bound is free: of streams that are over first, then of those that stood still
    /// for the longest.
    fn make_room(&self) {
        let streams = self.by_id.pin();
        let mut all: Vec<_> = streams
            .values()
            .map(|replay| {
                let kept = replay.kept.borrow();
                ((!kept.over, kept.touched), replay)
            })
            .collect();
        all.sort_by_key(|(age, _)| *age);
        for ((running, _), replay) in all {
            if self.bytes.load(Ordering::Relaxed) <= limits::REPLAY_BYTES_MAX / 4 * 3 {
                return;
            }
            replay.clear();
            if !running {
                streams.remove(&replay.id);
            }
        }
    }
}

// === impl Replay ===

impl Replay {
    /// The id of the event that primes it.
    pub(crate) fn first(&self) -> EventId {
        EventId::Call(self.id, 0)
    }

    /// Whether a client came back to it by another connection than its own.
    pub(crate) fn is_taken_over(&self) -> bool {
        self.kept.borrow().readers > 0
    }

    /// Forgets its events.
    fn clear(&self) {
        self.kept.send_if_modified(|kept| {
            while kept.pop() {}
            false
        });
    }

    /// Nothing follows.
    pub(crate) fn end(&self) {
        self.kept.send_modify(|kept| {
            kept.over = true;
            kept.touched = Instant::now();
        });
    }
}

// === impl Kept ===

impl Kept {
    /// Adds an event.
    fn push(&mut self, event: Bytes) {
        self.touched = Instant::now();
        self.last += 1;
        self.bytes += event.len();
        self.total.fetch_add(event.len(), Ordering::Relaxed);
        self.events.push_back(event);
        while self.events.len() > limits::REPLAY_STREAM_EVENTS_MAX || self.bytes > limits::REPLAY_STREAM_BYTES_MAX {
            self.pop();
        }
    }

    /// Forgets the oldest event; `false` where there is none.
    fn pop(&mut self) -> bool {
        let Some(oldest) = self.events.pop_front() else { return false };
        self.bytes -= oldest.len();
        self.total.fetch_sub(oldest.len(), Ordering::Relaxed);
        true
    }

    /// Whether whoever reads has not taken half of what may be kept.
    fn holds_back(&self) -> bool {
        let Some(taken) = self.taken else { return false };
        let behind = usize::try_from(self.last - taken).unwrap_or(usize::MAX).min(self.events.len());
        let bytes: usize = self.events.iter().rev().take(behind).map(Bytes::len).sum();
        behind >= limits::REPLAY_STREAM_EVENTS_MAX / 2 || bytes >= limits::REPLAY_STREAM_BYTES_MAX / 2
    }

    /// The events from this number on, of those that are kept.
    fn from(&self, next: u64) -> Vec<Bytes> {
        let first = self.last + 1 - self.events.len() as u64;
        let skipped = usize::try_from(next.saturating_sub(first)).unwrap_or(usize::MAX);
        self.events.iter().skip(skipped).cloned().collect()
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        while self.pop() {}
    }
}

// === impl EventId ===

impl EventId {
    /// The place of the first event on a new stream of a session.
    pub(crate) fn of_session() -> std::io::Result<Self> {
        Ok(Self::Session(u128::from_be_bytes(random_bits()?)))
    }

    /// The place that an id names.
    pub(crate) fn parse(id: &[u8]) -> Option<Self> {
        let (kind, rest) = std::str::from_utf8(id).ok()?.split_at_checked(1)?;
        let (stream, number) = rest.split_once('-')?;
        let plain = |text: &str, length: usize| !text.starts_with('+') && text.len() <= length;
        if stream.len() != 32 || !plain(stream, 32) || !plain(number, 20) {
            return None;
        }
        let (stream, number) = (u128::from_str_radix(stream, 16).ok()?, number.parse().ok()?);
        match (kind, number) {
            ("c", number) => Some(Self::Call(stream, number)),
            ("s", 0) => Some(Self::Session(stream)),
            _ => None,
        }
    }
}

impl std::fmt::Display for EventId {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Call(stream, number) => write!(formatter, "c{stream:032x}-{number}"),
            Self::Session(stream) => write!(formatter, "s{stream:032x}-0"),
        }
    }
}

// === impl Reader ===

impl Reader {
    /// The next events, once there are any. Those it was given before count as taken.
    pub(crate) async fn next(&mut self) -> Found {
        let taken = self.next - 1;
        self.replay.kept.send_if_modified(|kept| {
            let own = kept.readers == self.number && kept.taken.is_some_and(|before| before < taken);
            if own {
                kept.taken = Some(taken);
                kept.touched = Instant::now();
            }
            own
        });
        let (number, next) = (self.number, self.next);
        let ready = |kept: &Kept| kept.readers != number || kept.last >= next || kept.over;
        let Ok(kept) = self.changes.wait_for(ready).await else { return Found::End };
        if kept.readers != number || (kept.over && kept.last < next) {
            return Found::End;
        }
        let events = kept.from(next);
        self.next = kept.last + 1;
        Found::Events(events)
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        self.replay.kept.send_if_modified(|kept| {
            let own = kept.readers == self.number;
            if own {
                kept.taken = None;
                kept.touched = Instant::now();
            }
            own
        });
    }
}

#[cfg(test)]
mod tests;
