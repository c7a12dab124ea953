//! A child and its pipes: written to without blocking its reader, ended with its whole group.

use std::time::Duration;

use bytes::{Buf as _, Bytes, BytesMut};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::process::{ChildStderr, ChildStdin, ChildStdout};

use super::framer::Framer;
use crate::limits;
use crate::mcp::envelope::Outgoing;
use crate::upstream::channel::{Channel, Event};
use crate::upstream::children::{Children, Group, Recipe};
use crate::upstream::{Error, Kind};

/// Lines of stderr logged a second; the rest is read and dropped.
const STDERR_LINES_MAX: u32 = 100;
/// Longest line of stderr logged whole.
const STDERR_LINE_BYTES_MAX: u64 = 4 << 10;
/// How long after its exit what a child wrote may take to arrive.
const LAST_WORDS: Duration = Duration::from_millis(100);

/// The child and what flows to and from it.
#[derive(Debug)]
pub(super) struct Child {
    group: Group,
    stdin: ChildStdin,
    stdout: ChildStdout,
    framer: Framer,
    pending: BytesMut,
    /// Bytes of `pending` that the child has taken since it started.
    taken: u64,
}

// === impl Channel ===

impl Channel for Child {
    const NOUN: &'static str = "child";
    const BACKOFF: (Duration, Duration) = limits::RESPAWN_BACKOFF;
    type Recipe = Recipe;

    async fn open(backend: &str, recipe: &Recipe) -> Result<Self, Error> {
        let spawned = Children::spawn(recipe).await;
        let mut group = spawned.map_err(|error| Error::unavailable(format!("`{recipe}` does not start: {error}")))?;
        let (stdin, stdout, stderr) = group.pipes().ok_or_else(|| Error::unavailable("its pipes are missing"))?;
        tokio::task::spawn_local(log_stderr(backend.to_owned(), stderr));
        Ok(Self { group, stdin, stdout, framer: Framer::default(), pending: BytesMut::new(), taken: 0 })
    }

    fn push(&mut self, message: &Bytes) {
        self.pending.extend_from_slice(message);
        self.pending.extend_from_slice(b"\n");
    }

    async fn turn(&mut self) -> Event {
        let Self { group, stdin, stdout, framer, pending, taken } = self;
        tokio::select! {
            read = stdout.read_buf(framer.buffer()) => match read {
                Ok(1..) => Event::Read,
                Ok(0) => Event::Ended(Kind::OutcomeUnknown, "it closed its stdout".to_owned()),
                Err(error) => Event::Ended(Kind::OutcomeUnknown, format!("its stdout cannot be read: {error}")),
            },
            wrote = stdin.write(pending), if !pending.is_empty() => match wrote {
                Ok(count) => {
                    pending.advance(count);
                    *taken += count as u64;
                    Event::Wrote
                }
                Err(error) => {
                    last_words(stdout, framer).await;
                    Event::Ended(Kind::OutcomeUnknown, format!("it reads no more: {error}"))
                }
            },
            exited = group.exited() => {
                last_words(stdout, framer).await;
                let how = exited.map_or_else(|error| error.to_string(), |status| status.to_string());
                Event::Ended(Kind::OutcomeUnknown, format!("it ended with {how}"))
            }
        }
    }

    fn next(&mut self, backend: &str) -> Result<Option<(Bytes, Outgoing)>, String> {
        self.framer.next(backend).map_err(|error| error.to_string())
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

    async fn end_now(self) {
        self.group.end_now().await;
    }
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

/// Reads what a child says of itself to the end, so that it never blocks on it; logs as much as is reasonable.
async fn log_stderr(backend: String, stderr: ChildStderr) {
    let mut reader = BufReader::new(stderr);
    let mut line = Vec::new();
    let mut window = (std::time::Instant::now(), 0);
    loop {
        line.clear();
        match (&mut reader).take(STDERR_LINE_BYTES_MAX).read_until(b'\n', &mut line).await {
            Ok(1..) => {}
            Ok(0) | Err(_) => return,
        }
        if window.0.elapsed() >= Duration::from_secs(1) {
            window = (std::time::Instant::now(), 0);
        }
        window.1 += 1;
        if window.1 <= STDERR_LINES_MAX {
            tracing::info!(backend, line = crate::telemetry::one_line(line.trim_ascii_end()), "stderr");
        }
    }
}
