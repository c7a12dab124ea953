//! A legacy backend: over a session it tells of its lists by itself, and of each resource that it was subscribed to. Which
//! requests that takes is in [`subscriptions`].

mod subscriptions;

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::pin::pin;
use std::rc::Rc;

use serde_json::Value;
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::{Ended, Feed};
use crate::catalog::{Era, Topology};
use crate::limits;
use crate::mcp::envelope;
use crate::mcp::subscription::Filter;
use crate::proxy::{Settings, Worker};
use crate::upstream::{Call, Error, Greeting, Hearer, Message, Relay, Subscription, Target, Transport as _};
use subscriptions::{Outcome, Subscriptions};

/// One session, as far as it is heard.
#[derive(Debug)]
struct Heard {
    feed: Rc<Feed>,
    /// What the backend declared that it tells, once it can be heard.
    offer: RefCell<Option<Offer>>,
}

/// What a backend declared that it tells.
#[derive(Clone, Debug, Default)]
struct Offer {
    lists: Filter,
    resources: bool,
}

/// Whether a backend took what it was asked for.
#[derive(Debug, Default)]
struct Consent(Option<bool>);

/// Listens over one session, until that is over or nobody wants anything.
pub(super) async fn listen<T: Topology>(worker: &Rc<Worker<T>>, index: usize, feed: &Rc<Feed>) -> Result<Ended, Error> {
    let Some(link) = worker.links.of(index) else { return Ok(Ended::Unsupported) };
    let heard = Rc::new(Heard { feed: Rc::clone(feed), offer: RefCell::default() });
    let mut session = pin!(link.hear(Rc::clone(&heard)));
    let (mut subscriptions, mut under_way) = (Subscriptions::default(), JoinSet::new());
    let (mut moved, mut deserted) = (true, None);
    loop {
        if std::mem::take(&mut moved) {
            heard.take_up(&mut subscriptions);
            let patience = || Instant::now() + limits::ACKNOWLEDGE_TIMEOUT;
            deserted = if feed.wanted().is_empty() { Some(deserted.unwrap_or_else(patience)) } else { None };
        }
        while under_way.len() < limits::SUBSCRIPTIONS_AT_ONCE
            && let Some((uri, subscription)) = subscriptions.begin()
        {
            under_way.spawn_local(ask(Rc::clone(worker), index, uri, subscription));
        }
        if heard.is_settled(&subscriptions) {
            feed.missed.set(false);
            feed.settle();
            if deserted.is_none() && feed.acknowledged.borrow().is_empty() {
                return Ok(Ended::Unsupported);
            }
        }
        // A session that ends with the gateway takes its subscriptions with it.
        if deserted.is_some() && (subscriptions.is_empty() || worker.drain.has_begun()) {
            return Ok(Ended::Over);
        }
        tokio::select! {
            over = &mut session => return over.map(|()| Ended::Unsupported),
            Some(joined) = under_way.join_next() => {
                if let Ok((uri, outcome)) = joined && subscriptions.answered(&uri, outcome) {
                    heard.acknowledge(uri);
                }
            }
            () = feed.moved.notified() => moved = true,
            () = tokio::time::sleep_until(deserted.unwrap_or_else(Instant::now)), if deserted.is_some() => {
                return Ok(Ended::Over);
            }
        }
    }
}

/// Makes one request of the backend, over the session that is heard.
async fn ask<T: Topology>(
    worker: Rc<Worker<T>>,
    index: usize,
    uri: Box<str>,
    subscription: Subscription,
) -> (Box<str>, Outcome) {
    let answer = exchange(&worker, index, &uri, subscription);
    let outcome =
        match tokio::time::timeout(worker.shared.tuned.of(index).map_or(limits::CALL_MAX, Settings::timeout), answer)
            .await
        {
            Ok(Ok(Consent(Some(true)))) => Outcome::Taken,
            Ok(Ok(Consent(Some(false)))) => Outcome::Refused,
            Ok(Ok(Consent(None)) | Err(_)) | Err(_) => Outcome::Unknown,
        };
    (uri, outcome)
}

async fn exchange<T: Topology>(
    worker: &Worker<T>,
    index: usize,
    uri: &str,
    subscription: Subscription,
) -> Result<Consent, Error> {
    let mut verdict = Consent::default();
    let Some(link) = worker.links.of(index) else { return Ok(verdict) };
    let source = subscription.request(uri);
    let head = envelope::incoming(source.as_bytes())
        .map_err(|error| Error::protocol(format!("what it is asked is no message: {error:?}")))?;
    let target = head.uri.map(|written| Target { span: written.span, name: uri, renamed: false, mirrored: false });
    let call = Call { target, ..Call::own(source.as_bytes(), &head, subscription.method(), Era::Legacy) };
    link.exchange(&call, &mut verdict).await?;
    Ok(verdict)
}

// === impl Heard ===

impl Heard {
    /// Takes up what clients want by now, as far as the backend offers it; nothing before it can be heard.
    fn take_up(&self, subscriptions: &mut Subscriptions) {
        let Some(offer) = &*self.offer.borrow() else { return };
        let wanted = self.feed.wanted();
        let mut acknowledged = wanted.common(&offer.lists);
        subscriptions.want(if offer.resources { wanted.resource_subscriptions.clone() } else { BTreeSet::new() });
        acknowledged.resource_subscriptions = subscriptions.taken();
        self.feed.asked.replace(wanted);
        self.feed.acknowledged.replace(acknowledged);
    }

    /// The backend tells of this resource from now on.
    fn acknowledge(&self, uri: Box<str>) {
        if self.feed.missed.get() {
            self.feed.tell(&Filter { resource_subscriptions: BTreeSet::from([uri.clone()]), ..Filter::default() });
        }
        self.feed.acknowledged.borrow_mut().resource_subscriptions.insert(uri);
    }

    /// Whether the backend has answered all that is wanted, and that is not known yet or nothing came of it.
    fn is_settled(&self, subscriptions: &Subscriptions) -> bool {
        let feed = &self.feed;
        let answered = self.offer.borrow().is_some() && subscriptions.are_settled();
        let new = !feed.settled.get() || feed.acknowledged.borrow().is_empty();
        // Who has just come is not taken up yet.
        answered && new && feed.asked.borrow().covers(&feed.wanted())
    }
}

impl Hearer for Heard {
    fn begin(&self, greeting: &Greeting) {
        let offer = Offer::of(greeting);
        let lists = offer.lists.common(&self.feed.wanted());
        if self.offer.replace(Some(offer)).is_some() {
            self.feed.tell(&self.feed.acknowledged.borrow());
        } else if self.feed.missed.get() {
            self.feed.tell(&lists);
        }
        self.feed.moved.notify_one();
    }

    fn hear(&self, changed: &Filter) {
        self.feed.tell(changed);
    }
}

// === impl Offer ===

impl Offer {
    fn of(greeting: &Greeting) -> Self {
        let result: Value = serde_json::from_slice(&greeting.result).unwrap_or_default();
        let declares = |what: &str, how: &str| result["capabilities"][what][how] == true;
        let lists = Filter {
            tools_list_changed: declares("tools", "listChanged"),
            prompts_list_changed: declares("prompts", "listChanged"),
            resources_list_changed: declares("resources", "listChanged"),
            ..Filter::default()
        };
        Self { lists, resources: declares("resources", "subscribe") }
    }
}

// === impl Consent ===

impl Relay for Consent {
    async fn notification(&mut self, _message: Message<'_>) -> Result<(), Error> {
        Ok(())
    }

    async fn answer(&mut self, message: Message<'_>) -> Result<(), Error> {
        self.0 = Some(message.head.result.is_some());
        Ok(())
    }
}
