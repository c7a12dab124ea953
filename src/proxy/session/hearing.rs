//! What a session hears of without asking each time: the resources that it is subscribed to, and what has changed and was
//! not told yet. Shared by the workers: any of them may take a subscription, and any the stream on which it is told. How
//! servers are heard is not here.
//!
//! **Invariant:** what was not told yet is a set, and a session has one: it is told on one stream.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::Arc;

use tokio::sync::{oneshot, watch};

use super::super::Downstream;
use super::super::subscriptions::Window;
use crate::limits;
use crate::mcp::subscription::Filter;
use crate::upstream::Gone;

/// That of one session.
#[derive(Debug, Default)]
pub(crate) struct Hearing(watch::Sender<State>);

#[derive(Debug, Default)]
struct State {
    /// By their URIs. What is held of a subscription is let go once this end of it is dropped.
    subscribed: BTreeMap<Box<str>, oneshot::Sender<Infallible>>,
    untold: Filter,
    /// How many notifications of lists have come to that.
    notifications: u32,
    /// How many streams were opened.
    streams: u64,
    /// The number of the one that it is told on; 0 for none.
    told_on: u64,
    over: bool,
}

/// Ready once a subscription has ended.
pub(crate) type Subscribed = oneshot::Receiver<Infallible>;

/// Why a session is not subscribed to one more resource.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unsubscribable {
    /// It is already.
    Subscribed,
    /// It is to as many as it may.
    Full,
    /// It is over, or what was kept of it was let go.
    Over,
}

/// One of its streams. The one opened last is the one that it is told on, for as long as that is open.
#[derive(Debug)]
pub(crate) struct Outlet {
    hearing: Arc<Hearing>,
    state: watch::Receiver<State>,
    number: u64,
    /// Whether it knows that it is told on it.
    carries: bool,
    /// In which changes of lists are collected.
    window: Window,
}

/// What comes next on a stream.
#[derive(Debug)]
pub(crate) enum Turn {
    /// From now on its session is told on it, or no more.
    Carries(bool),
    /// This is to be told.
    Tell(Telling),
}

/// Something that is being told. What is not when this is dropped is told on the next stream.
#[derive(Debug)]
pub(crate) struct Telling {
    hearing: Arc<Hearing>,
    left: Filter,
}

// === impl Hearing ===

impl Hearing {
    /// These have changed.
    pub(crate) fn add(&self, changed: &Filter) {
        self.0.send_if_modified(|state| {
            let adds = !state.over && !state.untold.covers(changed);
            if adds {
                state.untold.merge(changed);
            }
            let counts = !state.over && changed.has_lists();
            state.notifications = state.notifications.saturating_add(counts.into());
            adds || counts
        });
    }

    /// Whether it can be subscribed to one more.
    pub(crate) fn check(&self, uri: &str) -> Result<(), Unsubscribable> {
        self.0.borrow().check(uri)
    }

    /// Subscribes it.
    pub(crate) fn subscribe(&self, uri: &str) -> Result<Subscribed, Unsubscribable> {
        let (held, subscribed) = oneshot::channel();
        let mut checked = Ok(());
        self.0.send_if_modified(|state| {
            checked = state.check(uri);
            if checked.is_ok() {
                state.subscribed.insert(uri.into(), held);
            }
            false
        });
        checked.map(|()| subscribed)
    }

    /// Ends a subscription, if there is one.
    pub(crate) fn unsubscribe(&self, uri: &str) {
        self.0.send_if_modified(|state| {
            state.subscribed.remove(uri);
            state.untold.resource_subscriptions.remove(uri);
            false
        });
    }

    /// Ends all of it, for good.
    pub(crate) fn end(&self) {
        self.0.send_if_modified(|state| {
            *state = State { over: true, streams: state.streams, ..State::default() };
            false
        });
    }

    /// A new stream.
    pub(crate) fn open(self: &Arc<Self>, window: Window) -> Outlet {
        let mut number = 0;
        self.0.send_modify(|state| {
            state.streams += 1;
            number = state.streams;
            state.told_on = number;
        });
        Outlet { hearing: Arc::clone(self), state: self.0.subscribe(), number, carries: false, window }
    }
}

// === impl State ===

impl State {
    fn check(&self, uri: &str) -> Result<(), Unsubscribable> {
        if self.over {
            Err(Unsubscribable::Over)
        } else if self.subscribed.contains_key(uri) {
            Err(Unsubscribable::Subscribed)
        } else if self.subscribed.len() >= limits::LISTENER_URIS_MAX {
            Err(Unsubscribable::Full)
        } else {
            Ok(())
        }
    }

    /// What is to be told now.
    fn take(&mut self, window: &mut Window) -> Option<Filter> {
        let told = window.due(&mut self.untold, &mut self.notifications);
        Some(self.wanted(told)).filter(|told| !told.is_empty())
    }

    /// What of it is asked for. Who tells hears of more, such as what is not acknowledged yet.
    fn wanted(&self, mut told: Filter) -> Filter {
        told.resource_subscriptions.retain(|uri| self.subscribed.contains_key(uri));
        told
    }
}

// === impl Outlet ===

impl Outlet {
    /// That of its session.
    pub(crate) fn hearing(&self) -> &Arc<Hearing> {
        &self.hearing
    }

    /// What comes next, once there is something. Cancel safe.
    pub(crate) async fn next(&mut self) -> Turn {
        loop {
            if let Some(turn) = self.turn() {
                return turn;
            }
            tokio::select! {
                // An outlet keeps the sender.
                _changed = self.state.changed() => {}
                () = self.window.over() => {}
            }
        }
    }

    /// All that there is to tell, whether its window is over or not; nothing where another stream is to tell it.
    pub(crate) fn rest(&mut self) -> Telling {
        let mut left = Filter::default();
        self.hearing.0.send_if_modified(|state| {
            if state.told_on == self.number {
                self.window.close();
                state.notifications = 0;
                let untold = std::mem::take(&mut state.untold);
                left = state.wanted(untold);
            }
            false
        });
        Telling { hearing: Arc::clone(&self.hearing), left }
    }

    fn turn(&mut self) -> Option<Turn> {
        let (mut carries, mut left) = (false, None);
        let window = &mut self.window;
        self.hearing.0.send_if_modified(|state| {
            if state.told_on == 0 && !state.over {
                state.told_on = self.number;
            }
            carries = state.told_on == self.number;
            if carries && self.carries {
                left = state.take(window);
            }
            false
        });
        if !carries {
            self.window.close();
        }
        if carries != self.carries {
            self.carries = carries;
            return Some(Turn::Carries(carries));
        }
        left.map(|left| Turn::Tell(Telling { hearing: Arc::clone(&self.hearing), left }))
    }
}

impl Drop for Outlet {
    fn drop(&mut self) {
        self.hearing.0.send_if_modified(|state| {
            let carried = state.told_on == self.number;
            if carried {
                state.told_on = 0;
            }
            carried
        });
    }
}

// === impl Telling ===

impl Telling {
    /// Writes it.
    pub(crate) async fn write(mut self, downstream: &impl Downstream) -> Result<(), Gone> {
        for notification in self.left.notifications(None) {
            downstream.event(&[notification.as_bytes()]).await?;
        }
        self.left = Filter::default();
        Ok(())
    }
}

impl Drop for Telling {
    fn drop(&mut self) {
        if !self.left.is_empty() {
            self.hearing.add(&self.left);
        }
    }
}

#[cfg(test)]
mod tests;
