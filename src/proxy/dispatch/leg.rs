//! One of two calls that are under way for one call of a client. Whichever of them has something for the client first has it
//! to itself from then on, and writes to it as any call does.
//!
//! **Invariant:** the client is in one place: with the one call, with the other, or between them. Two answers would need
//! two of it.

use std::cell::Cell;
use std::fmt;
use std::future::pending;

use super::super::Downstream;
use super::super::relay::ClientRelay;
use super::super::teams::state::Marks;
use crate::catalog::Era;
use crate::mcp::client::Profile;
use crate::mcp::json::Span;
use crate::upstream::{Error, Message, Relay};

/// Which of the two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Which {
    /// The one that was made first.
    First,
    /// The one that was made because the first was slow.
    Second,
}

/// What the two have in common: the client, for as long as neither has it.
pub(super) struct Stake<'r, 'a, D> {
    client: Cell<Option<&'r mut ClientRelay<'a, D>>>,
    holder: Cell<Option<Which>>,
}

/// One of the two.
pub(super) struct Leg<'s, 'r, 'a, D> {
    which: Which,
    stake: &'s Stake<'r, 'a, D>,
    /// The client, where this one has it.
    own: Option<&'r mut ClientRelay<'a, D>>,
    /// The name of its backend, and what that may ask of clients.
    backend: (&'static str, Profile),
    /// Which states of its backend are marked.
    marks: Marks,
    /// The endpoint that has it.
    child: Option<u16>,
}

// === impl Stake ===

impl<D> fmt::Debug for Stake<'_, '_, D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stake").field("holder", &self.holder).finish_non_exhaustive()
    }
}

impl<'r, 'a, D> Stake<'r, 'a, D> {
    pub(super) fn new(client: &'r mut ClientRelay<'a, D>) -> Self {
        Self { client: Cell::new(Some(client)), holder: Cell::new(None) }
    }

    /// Who has the client.
    pub(super) fn holder(&self) -> Option<Which> {
        self.holder.get()
    }
}

// === impl Leg ===

impl<D> fmt::Debug for Leg<'_, '_, '_, D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Leg").field("which", &self.which).field("stake", &self.stake).finish_non_exhaustive()
    }
}

impl<'s, 'r, 'a, D: Downstream> Leg<'s, 'r, 'a, D> {
    pub(super) fn new(
        which: Which,
        stake: &'s Stake<'r, 'a, D>,
        backend: (&'static str, Profile),
        marks: Marks,
    ) -> Self {
        Self { which, stake, own: None, backend, marks, child: None }
    }

    /// The client, from now on its own; `None` where the other one has it.
    fn take(&mut self) -> Option<&mut ClientRelay<'a, D>> {
        if self.own.is_none() {
            let client = self.stake.client.take()?;
            let (backend, asks) = self.backend;
            client.turn_to(backend, asks, self.marks);
            if let Some(child) = self.child {
                client.taken_by(child);
            }
            self.stake.holder.set(Some(self.which));
            self.own = Some(client);
        }
        self.own.as_deref_mut()
    }

    /// The client was told nothing: either may still have it.
    fn give_back(&mut self) {
        self.stake.client.set(self.own.take());
        self.stake.holder.set(None);
    }
}

impl<D: Downstream> Relay for Leg<'_, '_, '_, D> {
    fn taken_by(&mut self, child: u16) {
        self.child = Some(child);
    }

    async fn notification(&mut self, message: Message<'_>) -> Result<(), Error> {
        let Some(client) = self.take() else { return pending().await };
        let outcome = client.notification(message).await;
        if !client.told() {
            self.give_back();
        }
        outcome
    }

    async fn request(&mut self, message: Message<'_>) -> Result<bool, Error> {
        let Some(client) = self.take() else { return pending().await };
        let outcome = client.request(message).await;
        if !client.told() {
            self.give_back();
        }
        outcome
    }

    async fn reply(&mut self) -> String {
        match &mut self.own {
            Some(client) => client.reply().await,
            None => pending().await,
        }
    }

    async fn answer(&mut self, message: Message<'_>) -> Result<(), Error> {
        let Some(client) = self.take() else { return pending().await };
        let outcome = client.answer(message).await;
        // It was no answer: the other call may have one.
        if outcome.is_err() && !client.answered() && !client.told() {
            self.give_back();
        }
        outcome
    }

    fn takes_parts(&self, era: Era) -> bool {
        if let Some(client) = &self.own {
            return client.takes_parts(era);
        }
        let Some(client) = self.stake.client.take() else { return false };
        let takes = client.takes_parts(era);
        self.stake.client.set(Some(client));
        takes
    }

    async fn begin(&mut self, before: &[u8], length: u64, minted: usize) -> Result<(), Error> {
        let Some(client) = self.take() else { return pending().await };
        let outcome = client.begin(before, length, minted).await;
        if outcome.is_err() && !client.answered() {
            self.give_back();
        }
        outcome
    }

    async fn part(&mut self, part: &[u8]) -> Result<(), Error> {
        match &mut self.own {
            Some(client) => client.part(part).await,
            None => pending().await,
        }
    }

    async fn end(&mut self, after: &[u8], id: Option<Span>) -> Result<(), Error> {
        match &mut self.own {
            Some(client) => client.end(after, id).await,
            None => pending().await,
        }
    }
}
