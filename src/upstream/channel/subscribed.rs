//! Which resources the backend of a channel tells its workers of. They share one session: it is subscribed to a resource
//! for the first of them, and unsubscribed when none is left.

use std::collections::{BTreeSet, HashMap};

use bytes::Bytes;

use crate::mcp::envelope;
use crate::upstream::Call;
use crate::upstream::heard::Subscription;
use crate::upstream::multiplex::Inbound;
use crate::upstream::outbound::Ids;

/// What a call wants with a resource.
#[derive(Debug)]
pub(super) struct Subscribing {
    subscription: Subscription,
    uri: Box<str>,
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Subscribed {
    resources: HashMap<Box<str>, Resource>,
    /// What was asked for and not answered, with the worker that did.
    asked: HashMap<u64, (Box<str>, usize)>,
}

#[derive(Debug, Default)]
struct Resource {
    workers: BTreeSet<usize>,
    /// The backend took a subscription to it.
    taken: bool,
}

// === impl Subscribing ===

impl Subscribing {
    pub(super) fn of(call: &Call<'_>) -> Option<Self> {
        Some(Self { subscription: Subscription::of(call)?, uri: call.target?.name.into() })
    }
}

// === impl Subscribed ===

impl Subscribed {
    /// Takes what a call wants; whether the backend has to hear of it.
    pub(super) fn take(&mut self, id: u64, workers: usize, subscribing: &Subscribing) -> bool {
        let Some(worker) = Ids::worker(id, workers) else { return true };
        let uri = &subscribing.uri;
        match subscribing.subscription {
            Subscription::Begin => {
                let resource = self.resources.entry(uri.clone()).or_default();
                resource.workers.insert(worker);
                if !resource.taken {
                    self.asked.insert(id, (uri.clone(), worker));
                }
                !resource.taken
            }
            Subscription::End => self.leave(uri, worker),
        }
    }

    /// A call was answered: with a result, or not.
    pub(super) fn answered(&mut self, id: u64, taken: bool) {
        let Some((uri, worker)) = self.asked.remove(&id) else { return };
        if !taken {
            self.leave(&uri, worker);
        } else if let Some(resource) = self.resources.get_mut(&uri) {
            resource.taken = true;
        }
    }

    /// Nobody waits for this answer any more.
    pub(super) fn forget(&mut self, id: u64) {
        self.asked.remove(&id);
    }

    /// Whether nobody else is left who wants it.
    fn leave(&mut self, uri: &str, worker: usize) -> bool {
        let Some(resource) = self.resources.get_mut(uri) else { return true };
        resource.workers.remove(&worker);
        let last = resource.workers.is_empty();
        if last {
            self.resources.remove(uri);
        }
        last
    }
}

/// The answer to a call of which the backend does not have to hear.
pub(super) fn done(id: u64) -> Inbound {
    let message = format!(r#"{{"jsonrpc":"2.0","id":{id},"result":{{}}}}"#);
    let head = envelope::outgoing(message.as_bytes()).expect("it is a message");
    Inbound::new(Bytes::from(message), &head)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Of two workers: the first has even ids.
    fn take(subscribed: &mut Subscribed, id: u64, subscription: Subscription) -> bool {
        subscribed.take(id, 2, &Subscribing { subscription, uri: "a".into() })
    }

    #[test]
    fn a_backend_hears_of_the_first_who_wants_a_resource_and_of_the_last_who_leaves() {
        let mut subscribed = Subscribed::default();
        assert!(take(&mut subscribed, 2, Subscription::Begin));
        subscribed.answered(2, true);
        assert!(!take(&mut subscribed, 3, Subscription::Begin));
        assert!(!take(&mut subscribed, 4, Subscription::End), "another one is left");
        assert!(take(&mut subscribed, 5, Subscription::End));
        assert!(take(&mut subscribed, 6, Subscription::Begin), "it begins anew");
    }

    #[test]
    fn whose_subscription_was_refused_keeps_nobody_elses() {
        let mut subscribed = Subscribed::default();
        // Before either is answered, both are asked for.
        assert!(take(&mut subscribed, 2, Subscription::Begin) && take(&mut subscribed, 3, Subscription::Begin));
        subscribed.answered(2, true);
        subscribed.answered(3, false);
        assert!(take(&mut subscribed, 4, Subscription::End));
        assert!(take(&mut subscribed, 7, Subscription::Begin));
        subscribed.forget(7);
        assert!(take(&mut subscribed, 9, Subscription::End), "it may have been taken");
    }
}
