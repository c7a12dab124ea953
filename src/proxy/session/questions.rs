//! What backends ask the clients of sessions while they work on their calls: requests under ids of the gateway's own,
//! whose answers may come on any connection, and so on any worker. How a question reaches its client is not here.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::SystemTime;

use bytes::Bytes;
use tokio::sync::mpsc;

use crate::limits;
use crate::mcp::client::SessionKey;

/// All of one gateway that wait for an answer.
#[derive(Debug)]
pub(crate) struct Questions {
    /// By number.
    open: papaya::HashMap<u64, Open>,
    next: AtomicU64,
}

/// One of them.
#[derive(Debug)]
struct Open {
    /// Whose client is asked: nobody else's answer counts.
    session: SessionKey,
    answers: mpsc::Sender<Numbered>,
}

/// An answer to the question with this number.
type Numbered = (u64, Bytes);

/// The questions of one call, each with a note of whoever asks; taken back when this is dropped.
#[derive(Debug)]
pub(crate) struct Inquiry<'a, N> {
    of: &'a Questions,
    session: SessionKey,
    open: Vec<(u64, N)>,
    answers: (mpsc::Sender<Numbered>, mpsc::Receiver<Numbered>),
}

/// What its id begins with on the wire, a number following.
const PREFIX: &str = "only1mcp-";

// === impl Questions ===

impl Default for Questions {
    /// The numbers go on where those of an earlier process are long past: its sessions may live on, and none of their ids
    /// is used again (MCP 2025-11-25, requests).
    fn default() -> Self {
        let begin = SystemTime::UNIX_EPOCH.elapsed().map_or(0, |since| since.as_secs() << 20);
        Self { open: papaya::HashMap::new(), next: AtomicU64::new(begin) }
    }
}

impl Questions {
    /// The questions of a call of this session: none so far.
    pub(crate) fn inquire<N>(&self, session: SessionKey) -> Inquiry<'_, N> {
        Inquiry { of: self, session, open: Vec::new(), answers: mpsc::channel(limits::CALL_QUESTIONS_MAX) }
    }

    /// How many wait for an answer.
    #[cfg(feature = "admin")]
    pub(super) fn len(&self) -> usize {
        self.open.len()
    }

    /// Hands an answer, whose id is as written, to whoever waits for it; `false` when nobody does.
    pub(crate) fn answer(&self, session: SessionKey, id: &[u8], answer: &[u8]) -> bool {
        let Some(number) = number(id) else { return false };
        let all = self.open.pin();
        let own = |_: &u64, question: &Open| question.session == session;
        match all.remove_if(&number, own) {
            // There is room: each question of a call takes one answer.
            Ok(Some((_, question))) => question.answers.try_send((number, Bytes::copy_from_slice(answer))).is_ok(),
            _ => false,
        }
    }
}

/// The id of a question on the wire, with its quotes.
pub(crate) fn wire_id(number: u64) -> String {
    format!("\"{PREFIX}{number}\"")
}

fn number(id: &[u8]) -> Option<u64> {
    std::str::from_utf8(id).ok()?.strip_prefix('"')?.strip_suffix('"')?.strip_prefix(PREFIX)?.parse().ok()
}

// === impl Inquiry ===

impl<N> Inquiry<'_, N> {
    /// The number of a further question; `None` when there are as many as may be.
    pub(crate) fn ask(&mut self, note: N) -> Option<u64> {
        if self.open.len() >= limits::CALL_QUESTIONS_MAX || self.of.open.len() >= limits::QUESTIONS_MAX {
            return None;
        }
        let number = self.of.next.fetch_add(1, Ordering::Relaxed);
        self.of.open.pin().insert(number, Open { session: self.session, answers: self.answers.0.clone() });
        self.open.push((number, note));
        Some(number)
    }

    /// Whether an answer is yet to come.
    pub(crate) fn is_open(&self) -> bool {
        !self.open.is_empty()
    }

    /// The next answer, whole, with the note of its question. Pending for as long as there is none. Cancel safe.
    pub(crate) async fn next(&mut self) -> (N, Bytes) {
        loop {
            match self.answers.1.recv().await {
                Some((number, answer)) => {
                    if let Some(index) = self.open.iter().position(|(open, _)| *open == number) {
                        return (self.open.swap_remove(index).1, answer);
                    }
                }
                // It keeps a sender of its own.
                None => std::future::pending().await,
            }
        }
    }

    /// Takes back the questions that this holds of: their numbers.
    pub(crate) fn withdraw(&mut self, of: impl Fn(&N) -> bool) -> Vec<u64> {
        let all = self.of.open.pin();
        let withdrawn = self.open.extract_if(.., |(_, note)| of(note));
        withdrawn
            .map(|(number, _)| {
                all.remove(&number);
                number
            })
            .collect()
    }
}

impl<N> Drop for Inquiry<'_, N> {
    fn drop(&mut self) {
        let _numbers = self.withdraw(|_| true);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OWN: SessionKey = SessionKey::new([1; 16]);
    const OTHER: SessionKey = SessionKey::new([2; 16]);

    #[tokio::test]
    async fn an_answer_is_taken_once_and_of_the_session_that_was_asked() {
        let questions = Questions::default();
        let mut inquiry = questions.inquire(OWN);
        let [first, second] = ["a", "b"].map(|note| wire_id(inquiry.ask(note).expect("room")));
        assert_ne!(first, second);
        assert!(!questions.answer(OTHER, first.as_bytes(), b"1"));
        assert!(!questions.answer(OWN, br#""only1mcp-x""#, b"1"));
        assert!(!questions.answer(OWN, b"1", b"1"));
        assert!(questions.answer(OWN, second.as_bytes(), b"2"));
        assert!(!questions.answer(OWN, second.as_bytes(), b"3"));
        assert_eq!(inquiry.next().await, ("b", Bytes::from_static(b"2")));
        assert!(inquiry.is_open());
        assert_eq!(inquiry.withdraw(|note| *note == "a").len(), 1);
        assert!(!inquiry.is_open() && !questions.answer(OWN, first.as_bytes(), b"1"));
    }

    #[test]
    fn questions_go_with_their_call_and_are_no_more_than_may_be() {
        let questions = Questions::default();
        let mut inquiry = questions.inquire(OWN);
        assert!((0..limits::CALL_QUESTIONS_MAX).all(|note| inquiry.ask(note).is_some()));
        assert!(inquiry.ask(0).is_none());
        drop(inquiry);
        assert!(questions.open.is_empty());
        let mut all: Vec<_> = (0..limits::QUESTIONS_MAX).map(|_| questions.inquire(OWN)).collect();
        assert!(all.iter_mut().all(|inquiry| inquiry.ask(()).is_some()));
        assert!(questions.inquire(OTHER).ask(()).is_none());
    }
}
