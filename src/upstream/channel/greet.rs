//! The first words on a channel: it is made, and its backend greeted in the era it speaks.

use std::cell::Cell;
use std::time::Duration;

use bytes::Bytes;

use super::{Channel, Event};
use crate::catalog::Era;
use crate::limits;
use crate::mcp::client::Profile;
use crate::mcp::envelope::{Id, Outgoing, Shape};
use crate::upstream::outbound::{DISCOVER_ID, INITIALIZE_ID};
use crate::upstream::{Dropped, Error, Greeting, greeting};

/// A channel whose backend was greeted.
pub(super) struct Running<C> {
    pub(super) greeting: Greeting,
    /// What it was told of its clients, if it is a legacy one.
    pub(super) profile: Profile,
    pub(super) channel: C,
}

/// No channel came up.
pub(super) enum StartError {
    /// The gateway stops.
    Closed,
    /// It could not be made, or its backend would not be greeted.
    Failed(Error),
    /// The same of a backend that was sent the modern greeting and never answered it: that greeting may be why, and on
    /// another channel the legacy one goes first.
    Silent(Error),
}

/// Why a backend was not greeted.
enum Ungreeted {
    /// It was locked as legacy and refuses: it may have become modern only. Another channel may be asked openly.
    AsLocked(String),
    /// The channel ended, or its backend would not be greeted.
    Failed(String),
}

// === impl Running ===

impl<C: Channel> Running<C> {
    /// Makes a channel and greets its backend within `patience`, in the era it is pinned to or was locked in.
    pub(super) async fn start(
        (backend, dropped): (&str, &Dropped),
        recipe: &C::Recipe,
        eras: (Option<Era>, Option<Era>),
        patience: Duration,
    ) -> Result<Self, StartError> {
        let profile = C::profile(recipe);
        let mut channel = C::open(backend, recipe).await.map_err(StartError::Failed)?;
        let silent = Cell::new(false);
        let greeting = greet(&mut channel, (backend, profile, dropped), eras, patience, &silent);
        let greeted = tokio::time::timeout(patience, greeting).await;
        match greeted.unwrap_or_else(|_elapsed| Err(in_time(patience))) {
            Ok(greeting) => {
                let profile = if greeting.era == Era::Legacy { profile } else { Profile::NONE };
                Ok(Self { greeting, profile, channel })
            }
            Err(Ungreeted::AsLocked(detail)) => {
                channel.end_now(detail).await;
                Box::pin(Self::start((backend, dropped), recipe, (None, None), patience)).await
            }
            Err(Ungreeted::Failed(detail)) => {
                let error = Error::unavailable(channel.end_now(detail).await);
                Err(if silent.get() { StartError::Silent(error) } else { StartError::Failed(error) })
            }
        }
    }
}

/// Greets a backend in the era it is pinned to or was locked in, else in the modern one first (MCP 2026-07-28,
/// versioning, stdio).
///
/// A backend that does not answer `server/discover` in time is sent `initialize` as well, and whichever it answers
/// decides. It reads them in order: one that was merely slow (a first `npx` installs) still finds the modern
/// greeting first, and one that keeps silent about methods it does not know gets the other. Ending a child at that point
/// would break off its installation; one that then answers neither, or ends, is greeted the legacy way first on the next
/// channel.
async fn greet<C: Channel>(
    channel: &mut C,
    side @ (_, profile, _): (&str, Profile, &Dropped),
    (pinned, locked): (Option<Era>, Option<Era>),
    patience: Duration,
    silent: &Cell<bool>,
) -> Result<Greeting, Ungreeted> {
    if pinned.or(locked) != Some(Era::Legacy) {
        channel.push(&greeting::discover(DISCOVER_ID).into());
        silent.set(pinned.is_none());
        // What is left is for the other greeting, unless there is none.
        let probing = match (pinned, locked) {
            (Some(_), _) => patience,
            (None, Some(_)) => patience / 2,
            (None, None) => limits::PROBE_TIMEOUT.min(patience / 2),
        };
        if let Ok(answer) = tokio::time::timeout(probing, answer(channel, side, &[DISCOVER_ID])).await {
            let (_, source, head) = answer?;
            silent.set(false);
            if let Some(greeting) = verdict(&source, &head, pinned)? {
                return Ok(greeting);
            }
        } else if pinned.is_some() {
            return Err(in_time(patience));
        }
    }
    channel.push(&greeting::initialize(INITIALIZE_ID, profile).into());
    loop {
        let (id, source, head) = answer(channel, side, &[DISCOVER_ID, INITIALIZE_ID]).await?;
        if id == DISCOVER_ID {
            silent.set(false);
            if let Some(greeting) = verdict(&source, &head, pinned)? {
                return Ok(greeting);
            }
            continue;
        }
        return match greeting::initialized(&source, &head) {
            Ok(greeting) => {
                channel.push(&Bytes::from_static(greeting::INITIALIZED.as_bytes()));
                Ok(greeting)
            }
            Err(detail) if pinned.is_none() && locked == Some(Era::Legacy) => Err(Ungreeted::AsLocked(detail)),
            Err(detail) => Err(Ungreeted::Failed(detail)),
        };
    }
}

/// Waits for the answer to one of these requests; requests of the backend are answered meanwhile.
async fn answer<C: Channel>(
    channel: &mut C,
    (backend, profile, dropped): (&str, Profile, &Dropped),
    ids: &[u64],
) -> Result<(u64, Bytes, Outgoing), Ungreeted> {
    loop {
        while let Some((message, head)) = channel.next(backend, dropped).map_err(Ungreeted::Failed)? {
            match (head.shape, head.id) {
                (Shape::Response, Id::Number(span)) => {
                    match ids.iter().find(|id| id.to_string().as_bytes() == span.of(&message)) {
                        Some(id) => return Ok((*id, message, head)),
                        None => dropped.stray(backend, &head),
                    }
                }
                (Shape::Request, _) => {
                    let reply = greeting::reply(&message, &head, (profile, greeting::UNASKED), dropped);
                    reply.into_iter().for_each(|reply| channel.push(&reply.into()));
                }
                _ => dropped.stray(backend, &head),
            }
        }
        if let Event::Ended(_, detail) = channel.turn().await {
            return Err(Ungreeted::Failed(detail));
        }
    }
}

/// What the answer to `server/discover` means; `None` to go on with `initialize`.
fn verdict(source: &[u8], head: &Outgoing, pinned: Option<Era>) -> Result<Option<Greeting>, Ungreeted> {
    match greeting::verdict(source, head) {
        greeting::Verdict::Modern(greeting) => Ok(Some(greeting)),
        greeting::Verdict::Incompatible(detail) => Err(Ungreeted::Failed(detail)),
        greeting::Verdict::Legacy if pinned == Some(Era::Modern) => {
            Err(Ungreeted::Failed("it is pinned to the modern era and does not speak it".to_owned()))
        }
        greeting::Verdict::Legacy => Ok(None),
    }
}

fn in_time(patience: Duration) -> Ungreeted {
    Ungreeted::Failed(format!("it answered no greeting within {patience:?}"))
}
