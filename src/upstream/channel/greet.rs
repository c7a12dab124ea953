//! The first words on a channel: it is made, and its backend greeted in the era it speaks.

use std::time::Duration;

use bytes::Bytes;

use super::{Channel, Event};
use crate::catalog::Era;
use crate::limits;
use crate::mcp::envelope::{Id, Outgoing, Shape};
use crate::upstream::outbound::{DISCOVER_ID, INITIALIZE_ID, id_span};
use crate::upstream::{Error, Greeting, greeting};

/// A channel whose backend was greeted.
pub(super) struct Running<C> {
    pub(super) greeting: Greeting,
    pub(super) channel: C,
}

/// No channel came up.
pub(super) enum StartError {
    /// The gateway stops.
    Closed,
    /// It could not be made, or its backend would not be greeted.
    Failed(Error),
}

/// What asking a backend came to when it gave no answer.
enum Unanswered {
    TimedOut,
    Ended(String),
}

// === impl Running ===

impl<C: Channel> Running<C> {
    /// Makes a channel and greets its backend in the era it is pinned to or was locked in, else in the modern one first
    /// (MCP 2026-07-28, versioning, stdio).
    ///
    /// A backend that does not answer `server/discover` in time is sent `initialize` as well, and whichever it answers
    /// decides. It reads them in order: one that was merely slow (a first `npx` installs) still finds the modern
    /// greeting first, and one that keeps silent about methods it does not know gets the other. Ending a child instead
    /// would break off its installation.
    pub(super) async fn start(
        backend: &str,
        recipe: &C::Recipe,
        pinned: Option<Era>,
        locked: Option<Era>,
    ) -> Result<Self, StartError> {
        let assumed = pinned.or(locked);
        let mut channel = C::open(backend, recipe).await.map_err(StartError::Failed)?;
        if assumed != Some(Era::Legacy) {
            channel.push(&greeting::discover(DISCOVER_ID).into());
            let patience = if assumed.is_some() { limits::START_TIMEOUT } else { limits::PROBE_TIMEOUT };
            match answer(&mut channel, backend, &[DISCOVER_ID], patience).await {
                Ok((_, source, head)) => {
                    if let Some(greeting) = verdict(&source, &head, pinned)? {
                        return Ok(Self { greeting, channel });
                    }
                }
                Err(Unanswered::TimedOut) if pinned != Some(Era::Modern) => {}
                Err(unanswered) => return Err(unanswered.into()),
            }
        }
        channel.push(&greeting::initialize(INITIALIZE_ID).into());
        loop {
            let ids = [DISCOVER_ID, INITIALIZE_ID];
            let (id, source, head) = answer(&mut channel, backend, &ids, limits::START_TIMEOUT).await?;
            if id == DISCOVER_ID {
                if let Some(greeting) = verdict(&source, &head, pinned)? {
                    return Ok(Self { greeting, channel });
                }
                continue;
            }
            return match greeting::initialized(&source, &head) {
                Ok(greeting) => {
                    channel.push(&Bytes::from_static(greeting::INITIALIZED.as_bytes()));
                    Ok(Self { greeting, channel })
                }
                // Locked as legacy, refused now: it may have become modern only.
                Err(_) if pinned.is_none() && locked == Some(Era::Legacy) => {
                    channel.end_now().await;
                    Box::pin(Self::start(backend, recipe, None, None)).await
                }
                Err(detail) => Err(failed(detail)),
            };
        }
    }
}

/// Waits for the answer to one of these requests; requests of the backend are answered meanwhile.
async fn answer<C: Channel>(
    channel: &mut C,
    backend: &str,
    ids: &[u64],
    patience: Duration,
) -> Result<(u64, Bytes, Outgoing), Unanswered> {
    let answer = async {
        loop {
            while let Some((message, head)) = channel.next(backend).map_err(Unanswered::Ended)? {
                match (head.shape, head.id) {
                    (Shape::Response, Id::Number(span)) => {
                        let id = ids.iter().find(|id| id.to_string().as_bytes() == span.of(&message));
                        if let Some(id) = id {
                            return Ok((*id, message, head));
                        }
                    }
                    (Shape::Request, id) => {
                        if let Some(span) = id_span(id) {
                            channel.push(&greeting::reply(&message, &head, span.of(&message)).into());
                        }
                    }
                    _ => {}
                }
            }
            if let Event::Ended(_, detail) = channel.turn().await {
                return Err(Unanswered::Ended(detail));
            }
        }
    };
    tokio::time::timeout(patience, answer).await.unwrap_or(Err(Unanswered::TimedOut))
}

/// What the answer to `server/discover` means; `None` to go on with `initialize`.
fn verdict(source: &[u8], head: &Outgoing, pinned: Option<Era>) -> Result<Option<Greeting>, StartError> {
    match greeting::verdict(source, head) {
        greeting::Verdict::Modern(greeting) => Ok(Some(greeting)),
        greeting::Verdict::Incompatible(detail) => Err(failed(detail)),
        greeting::Verdict::Legacy if pinned == Some(Era::Modern) => {
            Err(failed("it is pinned to the modern era and does not speak it"))
        }
        greeting::Verdict::Legacy => Ok(None),
    }
}

fn failed(detail: impl Into<String>) -> StartError {
    StartError::Failed(Error::unavailable(detail))
}

impl From<Unanswered> for StartError {
    fn from(unanswered: Unanswered) -> Self {
        match unanswered {
            Unanswered::TimedOut => failed("it answered no greeting in time"),
            Unanswered::Ended(detail) => failed(detail),
        }
    }
}
