//! The way of a backend's messages to the client of a call.

use std::cell::Cell;
use std::future::poll_fn;
use std::rc::Rc;
use std::task::Poll;
use std::time::{Duration, Instant};

use smallvec::SmallVec;

use super::bridge::{self, Caller};
use super::{Answer, Downstream};
use crate::catalog::Era;
use crate::clock::Deadline;
use crate::limits;
use crate::mcp::envelope::Id;
use crate::mcp::json::Span;
use crate::mcp::parts;
use crate::mcp::splice::Splice;
use crate::upstream::{Error, Gone, Message, Relay};

/// Writes to one client what belongs to its call.
#[derive(Debug)]
pub(crate) struct ClientRelay<'a, D> {
    caller: &'a Caller<'a>,
    downstream: &'a D,
    deadline: &'a Deadline,
    timeout: Duration,
    began: Instant,
    left: Rc<Cell<bool>>,
    told: bool,
    answered: bool,
}

impl<'a, D: Downstream> ClientRelay<'a, D> {
    pub(crate) fn new(caller: &'a Caller<'a>, downstream: &'a D, deadline: &'a Deadline, timeout: Duration) -> Self {
        let (began, left) = (Instant::now(), Rc::default());
        Self { caller, downstream, deadline, timeout, began, left, told: false, answered: false }
    }

    pub(crate) fn downstream(&self) -> &'a D {
        self.downstream
    }

    /// How long the call has taken so far.
    pub(crate) fn elapsed(&self) -> Duration {
        self.began.elapsed()
    }

    pub(crate) fn accepts_stream(&self) -> bool {
        self.caller.accepts_stream
    }

    /// After which time without an answer the client's stream begins.
    pub(crate) fn quiet(&self) -> Duration {
        self.caller.quiet
    }

    /// Set when the client went away and its call goes on.
    pub(crate) fn left(&self) -> Rc<Cell<bool>> {
        Rc::clone(&self.left)
    }

    /// Whether the client is there no more, as far as can be known by now.
    pub(crate) async fn is_left(&self) -> bool {
        self.left.get() || poll_fn(|cx| Poll::Ready(self.downstream.poll_left(cx).is_ready())).await
    }

    /// Whether the client was told something of what became of its call: another backend would tell it anew, and
    /// progress must not go back (MCP 2026-07-28, progress). Comments on the stream tell nothing.
    pub(crate) fn told(&self) -> bool {
        self.told
    }

    /// Whether a backend began to answer, be its client there to read it or not.
    pub(crate) fn answered(&self) -> bool {
        self.answered
    }
}

impl<D: Downstream> Relay for ClientRelay<'_, D> {
    async fn notification(&mut self, message: Message<'_>) -> Result<(), Error> {
        if self.caller.accepts_stream
            && !self.left.get()
            && let Some(splice) = bridge::notification(&message, self.caller)
        {
            self.told = true;
            // As of a part of an answer: how long the client takes to read is not the backend's time.
            self.deadline.clear();
            match self.downstream.event(&slices(&splice)).await {
                // A legacy client that left has not cancelled: its call goes on.
                Err(Gone) if self.caller.era == Era::Legacy => self.left.set(true),
                written => written?,
            }
        }
        // A call that reports progress is alive; it still ends at `CALL_MAX`.
        self.deadline.set(self.timeout.min(limits::CALL_MAX.saturating_sub(self.elapsed())));
        Ok(())
    }

    async fn answer(&mut self, message: Message<'_>) -> Result<(), Error> {
        let (splice, status) = bridge::answer(&message, self.caller)?;
        self.answered = true;
        if self.left.get() {
            return Err(Error::client_gone());
        }
        // The backend is done: how long the client takes to read is the downstream's to bound.
        self.deadline.clear();
        let body = slices(&splice);
        if self.downstream.streaming() {
            self.downstream.event(&body).await?;
            return Ok(self.downstream.finish().await?);
        }
        Ok(self.downstream.answer(&Answer { status, fields: "", body: &body, close: false }).await?)
    }

    fn takes_parts(&self, era: Era) -> bool {
        // Across eras the result may change inside, and a stream that began carries whole messages.
        era == self.caller.era && self.downstream.takes_parts() && !self.downstream.streaming() && !self.left.get()
    }

    async fn begin(&mut self, before: &[u8], length: u64, minted: usize) -> Result<(), Error> {
        let head = parts::opening(before).map_err(|_scanned_before| Error::protocol("its answer has no beginning"))?;
        let mut splice = Splice::new(before);
        if let Id::Number(span) | Id::String(span) = head.id {
            splice.replace(span, self.caller.id);
        }
        self.answered = true;
        self.deadline.clear();
        let length = (length + self.caller.id.len() as u64).saturating_sub(minted as u64);
        self.downstream.begin(length, &slices(&splice)).await?;
        self.deadline.set(self.timeout);
        Ok(())
    }

    async fn part(&mut self, part: &[u8]) -> Result<(), Error> {
        // The deadline is for a backend that says nothing, not for a client that reads slowly.
        self.deadline.clear();
        self.downstream.part(&[part]).await?;
        self.deadline.set(self.timeout.min(limits::CALL_MAX.saturating_sub(self.elapsed())));
        Ok(())
    }

    async fn end(&mut self, after: &[u8], id: Option<Span>) -> Result<(), Error> {
        let mut splice = Splice::new(after);
        if let Some(span) = id {
            splice.replace(span, self.caller.id);
        }
        self.deadline.clear();
        Ok(self.downstream.part(&slices(&splice)).await?)
    }
}

fn slices<'a>(splice: &Splice<'a>) -> SmallVec<[&'a [u8]; 16]> {
    let mut slices = SmallVec::new();
    splice.slices(|slice| slices.push(slice));
    slices
}
