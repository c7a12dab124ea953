//! A running child and its pipes: greeted, written to without blocking its reader, ended with its whole group.

use std::time::Duration;

use bytes::{Buf as _, Bytes, BytesMut};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::process::{ChildStderr, ChildStdin, ChildStdout};

use super::super::framer::{Framer, FramingError};
use crate::catalog::Era;
use crate::limits;
use crate::mcp::envelope::{Id, Outgoing, Shape};
use crate::upstream::children::{Children, Group, Recipe};
use crate::upstream::outbound::{DISCOVER_ID, INITIALIZE_ID, id_span};
use crate::upstream::{Greeting, Kind, greeting};

/// Lines of stderr logged a second; the rest is read and dropped.
const STDERR_LINES_MAX: u32 = 100;
/// Longest line of stderr logged whole.
const STDERR_LINE_BYTES_MAX: u64 = 4 << 10;
/// How long after its exit what a child wrote may take to arrive.
const LAST_WORDS: Duration = Duration::from_millis(100);

/// A child that was greeted.
#[derive(Debug)]
pub(super) struct Running {
    pub(super) greeting: Greeting,
    pipes: Pipes,
}

/// The child and what flows to and from it.
#[derive(Debug)]
struct Pipes {
    group: Group,
    stdin: ChildStdin,
    stdout: ChildStdout,
    framer: Framer,
    pending: BytesMut,
    /// Bytes of `pending` that the child has taken since it started.
    taken: u64,
}

/// One step of the pipes.
pub(super) enum Event {
    /// The child took some of what is pending.
    Wrote,
    /// The child wrote.
    Read,
    /// The child is of no more use.
    Ended(Kind, String),
}

/// No child came up.
pub(super) enum StartError {
    /// The gateway stops.
    Closed,
    /// It could not be started, or would not be greeted.
    Failed(String),
}

/// What asking a child came to when it gave no answer.
enum Unanswered {
    TimedOut,
    Ended(String),
}

// === impl Running ===

impl Running {
    /// Starts a child and greets it in the era it is pinned to or was locked in, else in the modern one first
    /// (MCP 2026-07-28, versioning, stdio).
    ///
    /// A child that does not answer `server/discover` in time is sent `initialize` as well, and whichever it answers
    /// decides. It reads them in order: one that was merely slow (a first `npx` installs) still finds the modern
    /// greeting first, and one that keeps silent about methods it does not know gets the other. Ending it instead would
    /// break off its installation.
    pub(super) async fn start(
        backend: &str,
        recipe: &Recipe,
        pinned: Option<Era>,
        locked: Option<Era>,
    ) -> Result<Self, StartError> {
        let assumed = pinned.or(locked);
        let mut pipes = Pipes::spawn(backend, recipe).await?;
        if assumed != Some(Era::Legacy) {
            pipes.push(greeting::discover(DISCOVER_ID).as_bytes());
            pipes.push(b"\n");
            let patience = if assumed.is_some() { limits::START_TIMEOUT } else { limits::PROBE_TIMEOUT };
            match pipes.answer(backend, &[DISCOVER_ID], patience).await {
                Ok((_, source, head)) => {
                    if let Some(greeting) = verdict(&source, &head, pinned)? {
                        return Ok(Self { greeting, pipes });
                    }
                }
                Err(Unanswered::TimedOut) if pinned != Some(Era::Modern) => {}
                Err(unanswered) => return Err(unanswered.into()),
            }
        }
        pipes.push(greeting::initialize(INITIALIZE_ID).as_bytes());
        pipes.push(b"\n");
        loop {
            let (id, source, head) =
                pipes.answer(backend, &[DISCOVER_ID, INITIALIZE_ID], limits::START_TIMEOUT).await?;
            if id == DISCOVER_ID {
                if let Some(greeting) = verdict(&source, &head, pinned)? {
                    return Ok(Self { greeting, pipes });
                }
                continue;
            }
            return match greeting::initialized(&source, &head) {
                Ok(greeting) => {
                    pipes.push(greeting::INITIALIZED.as_bytes());
                    pipes.push(b"\n");
                    Ok(Self { greeting, pipes })
                }
                // Locked as legacy, refused now: it may have become modern only.
                Err(_) if pinned.is_none() && locked == Some(Era::Legacy) => {
                    pipes.end_now().await;
                    Box::pin(Self::start(backend, recipe, None, None)).await
                }
                Err(detail) => Err(StartError::Failed(detail)),
            };
        }
    }

    /// Waits for the next thing to happen on the pipes. Cancel safe.
    pub(super) async fn turn(&mut self) -> Event {
        self.pipes.turn().await
    }

    /// The next whole message that was read.
    pub(super) fn next(&mut self, backend: &str) -> Result<Option<(Bytes, Outgoing)>, FramingError> {
        self.pipes.framer.next(backend)
    }

    /// Queues bytes for the child.
    pub(super) fn push(&mut self, line: &[u8]) {
        self.pipes.push(line);
    }

    /// Bytes the child has not taken yet.
    pub(super) fn pending(&self) -> usize {
        self.pipes.pending.len()
    }

    /// Bytes the child has taken so far.
    pub(super) fn taken(&self) -> u64 {
        self.pipes.taken
    }

    /// Ends the child in order: its stdin closes, then it has its time.
    pub(super) async fn end(self) {
        drop(self.pipes.stdin);
        self.pipes.group.end().await;
    }

    /// Ends the child and its group at once.
    pub(super) async fn end_now(self) {
        self.pipes.end_now().await;
    }
}

// === impl Pipes ===

impl Pipes {
    async fn spawn(backend: &str, recipe: &Recipe) -> Result<Self, StartError> {
        let spawned = Children::spawn(recipe).await;
        let mut group = spawned.map_err(|error| StartError::Failed(format!("`{recipe}` does not start: {error}")))?;
        let pipes = group.pipes();
        let (stdin, stdout, stderr) = pipes.ok_or_else(|| StartError::Failed("its pipes are missing".to_owned()))?;
        tokio::task::spawn_local(log_stderr(backend.to_owned(), stderr));
        Ok(Self { group, stdin, stdout, framer: Framer::default(), pending: BytesMut::new(), taken: 0 })
    }

    fn push(&mut self, line: &[u8]) {
        self.pending.extend_from_slice(line);
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

    /// Waits for the answer to one of these requests; requests of the child are answered meanwhile.
    async fn answer(
        &mut self,
        backend: &str,
        ids: &[u64],
        patience: Duration,
    ) -> Result<(u64, Bytes, Outgoing), Unanswered> {
        let answer = async {
            loop {
                while let Some((line, head)) =
                    self.framer.next(backend).map_err(|error| Unanswered::Ended(error.to_string()))?
                {
                    match (head.shape, head.id) {
                        (Shape::Response, Id::Number(span)) => {
                            let id = ids.iter().find(|id| id.to_string().as_bytes() == span.of(&line));
                            if let Some(id) = id {
                                return Ok((*id, line, head));
                            }
                        }
                        (Shape::Request, id) => {
                            if let Some(span) = id_span(id) {
                                self.push(greeting::reply(&line, &head, span.of(&line)).as_bytes());
                                self.push(b"\n");
                            }
                        }
                        _ => {}
                    }
                }
                if let Event::Ended(_, detail) = self.turn().await {
                    return Err(Unanswered::Ended(detail));
                }
            }
        };
        tokio::time::timeout(patience, answer).await.unwrap_or(Err(Unanswered::TimedOut))
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

/// What the answer to `server/discover` means for a child; `None` to go on with `initialize`.
fn verdict(source: &[u8], head: &Outgoing, pinned: Option<Era>) -> Result<Option<Greeting>, StartError> {
    match greeting::verdict(source, head) {
        greeting::Verdict::Modern(greeting) => Ok(Some(greeting)),
        greeting::Verdict::Incompatible(detail) => Err(StartError::Failed(detail)),
        greeting::Verdict::Legacy if pinned == Some(Era::Modern) => {
            Err(StartError::Failed("it is pinned to the modern era and does not speak it".to_owned()))
        }
        greeting::Verdict::Legacy => Ok(None),
    }
}

impl From<Unanswered> for StartError {
    fn from(unanswered: Unanswered) -> Self {
        match unanswered {
            Unanswered::TimedOut => Self::Failed("it answered no greeting in time".to_owned()),
            Unanswered::Ended(detail) => Self::Failed(detail),
        }
    }
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
