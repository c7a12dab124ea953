//! A child and its pipes: written to without blocking its reader, ended with its whole group.

use std::io;
use std::process::ExitStatus;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Buf as _, Bytes, BytesMut};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::process::{ChildStdin, ChildStdout};

use super::framer::Framer;
use super::seats::Seat;
use super::stderr::Stderr;
use crate::catalog::plan;
use crate::limits;
use crate::mcp::client::Profile;
use crate::mcp::envelope::Outgoing;
use crate::upstream::channel::{Channel, Event, Life};
use crate::upstream::children::{Children, Group, Recipe};
use crate::upstream::status::Status;
use crate::upstream::vitals::{Chart, State};
use crate::upstream::{Dropped, Error, Kind};

/// How long after its exit what a child wrote may take to arrive.
pub(super) const LAST_WORDS: Duration = Duration::from_millis(100);
/// How long after a pipe of it has closed a child may take to be known as ended: what descends from it ends first.
const EXIT_NOTICE: Duration = Duration::from_millis(100);

/// What a child is made from, and where it is written down how it fares.
#[derive(Debug)]
pub(super) struct Nursery {
    pub(super) recipe: Rc<Recipe>,
    pub(super) life: plan::Life,
    pub(super) chart: Chart,
    /// The place that it is kept apart for, if it is.
    pub(super) seat: Option<Seat>,
}

/// The child and what flows to and from it.
#[derive(Debug)]
pub(super) struct Child {
    group: Group,
    stdin: ChildStdin,
    stdout: ChildStdout,
    stderr: Stderr,
    framer: Framer,
    pending: BytesMut,
    /// Bytes of `pending` that the child has taken since it started.
    taken: u64,
    /// The child has closed one of its ends.
    closed: bool,
    chart: Chart,
}

// === impl Channel ===

impl Channel for Child {
    const NOUN: &'static str = "child";
    const BACKOFF: (Duration, Duration) = limits::RESPAWN_BACKOFF;
    type Recipe = Nursery;

    fn life(nursery: &Nursery) -> Life {
        let plan::Life { lazy, idle_ms, start_timeout_ms, restarts } = nursery.life;
        let (idle, patience) = (idle_ms.map(Duration::from_millis), Duration::from_millis(start_timeout_ms));
        Life { lazy, idle, patience, restarts }
    }

    fn observe(nursery: &Nursery, status: &Status, generation: u64) {
        let state = match status {
            Status::Starting => State::Starting,
            Status::Ready { .. } => State::Ready,
            Status::Down(_) => State::Down,
            Status::Asleep => State::Asleep,
            Status::Closed => State::Closed,
        };
        if let (Status::Asleep, Some(seat)) = (status, &nursery.seat) {
            seat.leave();
        }
        nursery.chart.note(|vitals| {
            (vitals.state, vitals.generation) = (state, generation);
            match status {
                Status::Starting | Status::Ready { .. } => {}
                Status::Down(error) => (vitals.pid, vitals.last_end) = (None, Some(error.detail.as_str().into())),
                Status::Asleep | Status::Closed => vitals.pid = None,
            }
        });
    }

    fn profile(nursery: &Nursery) -> Profile {
        nursery.seat.as_ref().map_or(Profile::NONE, Seat::raise)
    }

    async fn open(backend: &str, Nursery { recipe, chart, .. }: &Nursery) -> Result<Self, Error> {
        let spawned = Children::spawn(recipe).await;
        let mut group = spawned.map_err(|error| Error::unavailable(format!("`{recipe}` does not start: {error}")))?;
        let (stdin, stdout, stderr) = group.pipes().ok_or_else(|| Error::unavailable("its pipes are missing"))?;
        chart.note(|vitals| (vitals.pid, vitals.stderr) = (group.pid(), Vec::new()));
        let stderr = Stderr::read(backend, stderr, Arc::clone(recipe.secrets()), chart.clone());
        let (framer, pending, chart) = (Framer::default(), BytesMut::new(), chart.clone());
        Ok(Self { group, stdin, stdout, stderr, framer, pending, taken: 0, closed: false, chart })
    }

    fn push(&mut self, message: &Bytes) {
        self.pending.extend_from_slice(message);
        self.pending.extend_from_slice(b"\n");
    }

    async fn turn(&mut self) -> Event {
        let Self { group, stdin, stdout, framer, pending, taken, closed, .. } = self;
        let detail = tokio::select! {
            read = stdout.read_buf(framer.buffer()) => match read {
                Ok(1..) => return Event::Read,
                Ok(0) => {
                    *closed = true;
                    "it closed its stdout".to_owned()
                }
                Err(error) => format!("its stdout cannot be read: {error}"),
            },
            wrote = stdin.write(pending), if !pending.is_empty() => match wrote {
                Ok(count) => {
                    pending.advance(count);
                    *taken += count as u64;
                    return Event::Wrote;
                }
                Err(error) => {
                    *closed = true;
                    last_words(stdout, framer).await;
                    format!("it reads no more: {error}")
                }
            },
            exited = group.exited() => {
                last_words(stdout, framer).await;
                ended(exited)
            }
        };
        Event::Ended(Kind::OutcomeUnknown, detail)
    }

    fn next(&mut self, backend: &str, dropped: &Dropped) -> Result<Option<(Bytes, Outgoing)>, String> {
        self.framer.next(backend, dropped).map_err(|error| error.to_string())
    }

    fn pending(&self) -> usize {
        self.pending.len()
    }

    fn begun(&self) -> u64 {
        self.taken
    }

    fn backlog(&self) -> Option<u64> {
        (!self.pending.is_empty()).then_some(self.taken)
    }

    async fn end(self) {
        // Its stdin closes, then it has its time.
        drop(self.stdin);
        self.group.end().await;
    }

    async fn end_now(self, why: String) -> String {
        let Self { mut group, stderr, closed, chart, .. } = self;
        // A pipe that closes is often the first that is seen of an end.
        let patience = if closed { EXIT_NOTICE } else { Duration::ZERO };
        let exited = tokio::time::timeout(patience, group.exited()).await.ok().filter(|_| closed);
        group.end_now().await;
        let why = stderr.explain(exited.map_or(why, ended)).await;
        chart.note(|vitals| (vitals.pid, vitals.last_end) = (None, Some(why.as_str().into())));
        why
    }
}

fn ended(exited: io::Result<ExitStatus>) -> String {
    exited.map_or_else(|error| error.to_string(), |status| format!("it ended with {status}"))
}

/// Reads what a child wrote before it ended. A grandchild may hold the pipe open without end.
async fn last_words(stdout: &mut ChildStdout, framer: &mut Framer) {
    let read = async {
        while framer.buffer().len() <= limits::LINE_BYTES_MAX
            && matches!(stdout.read_buf(framer.buffer()).await, Ok(1..))
        {}
    };
    drop(tokio::time::timeout(LAST_WORDS, read).await);
}
