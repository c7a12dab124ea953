//! What one backend tells by itself, heard once for all clients of a worker: a listen request of the gateway's own, which
//! is there for as long as anybody wants something of it, and made anew where somebody wants more or it broke off.

use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;
use std::rc::Rc;
use std::time::Instant;

use tokio::sync::Notify;
use tokio::task::JoinSet;

use super::Listener;
use crate::catalog::{Era, Topology};
use crate::limits;
use crate::mcp::client::Profile;
use crate::mcp::envelope;
use crate::mcp::subscription::{Filter, Told};
use crate::proxy::Worker;
use crate::upstream::{self, Backoff, Call, Error, Message, Relay, Transport as _};

const METHOD_NOT_FOUND: &[u8] = b"-32601";

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Feed {
    places: RefCell<Vec<(u64, Wish, Rc<Listener>)>>,
    last_place: Cell<u64>,
    /// What is asked of the backend now.
    asked: RefCell<Filter>,
    /// Whether it has answered that, or will not.
    settled: Cell<bool>,
    /// What it has acknowledged.
    acknowledged: RefCell<Filter>,
    /// It may have had something to tell while nobody listened.
    missed: Cell<bool>,
    /// Counts the requests to the backend: an older one still runs until a wider one is acknowledged.
    request: Cell<u64>,
    /// Whether somebody keeps such a request up.
    kept: Cell<bool>,
    /// For whoever does: somebody came or left, or the backend acknowledged.
    moved: Notify,
    /// For whoever waits until the backend has answered.
    answered: Notify,
}

/// What a client wants to hear from one backend.
#[derive(Debug)]
pub(super) struct Wish {
    /// In the backend's words.
    pub(super) filter: Filter,
    /// URIs as the backend knows them, and as the client does.
    pub(super) uris: Vec<(Box<str>, Box<str>)>,
}

/// The place of a client at a feed; it has left when this is dropped.
#[derive(Debug)]
pub(super) struct Enrolled {
    feed: Rc<Feed>,
    place: u64,
}

/// What came of a request to the backend.
enum Ended {
    /// It has no subscriptions.
    Unsupported,
    /// It ended the stream, and may take another request.
    Over,
}

/// Takes what the backend says to one request.
struct Ear {
    feed: Rc<Feed>,
    request: u64,
    unsupported: bool,
}

/// A request to the backend that is under way; given up when dropped.
type Listening = JoinSet<Result<Ended, Error>>;

// === impl Feed ===

impl Feed {
    /// Gives a client a place; `None` where the backend cannot be heard.
    pub(super) fn enrol<T: Topology>(
        worker: &Worker<T>,
        backend: u16,
        mut wish: Wish,
        listener: &Rc<Listener>,
    ) -> Option<Enrolled> {
        let index = usize::from(backend);
        let feed = Rc::clone(worker.feeds.get(index)?);
        worker.links.get(index)?.as_ref()?;
        let mut all = feed.wanted();
        all.merge(&wish.filter);
        if all.resource_subscriptions.len() > limits::FEED_URIS_MAX {
            wish.filter.resource_subscriptions.clear();
            wish.uris.clear();
        }
        let place = feed.last_place.get() + 1;
        feed.last_place.set(place);
        feed.places.borrow_mut().push((place, wish, Rc::clone(listener)));
        if feed.kept.replace(true) {
            if !feed.asked.borrow().covers(&feed.wanted()) {
                feed.settled.set(false);
            }
            feed.moved.notify_one();
        } else {
            feed.settled.set(false);
            let worker = worker.own.upgrade()?;
            tokio::task::spawn_local(async move { keep(&worker, index).await });
        }
        Some(Enrolled { feed, place })
    }

    /// What all clients together want.
    fn wanted(&self) -> Filter {
        let mut wanted = Filter::default();
        self.places.borrow().iter().for_each(|(_, wish, _)| wanted.merge(&wish.filter));
        wanted
    }

    /// A request for this is about to be made; its number.
    fn ask(&self, wanted: &Filter) -> u64 {
        self.asked.replace(wanted.clone());
        self.settled.set(false);
        self.request.set(self.request.get() + 1);
        self.request.get()
    }

    /// The backend has answered, or will not: nobody need wait any longer.
    fn settle(&self) {
        self.settled.set(true);
        self.answered.notify_waiters();
    }

    /// Takes a notification that came to a request of this number.
    fn take(&self, request: u64, told: Told) {
        match told {
            Told::Acknowledged(acknowledged) if request == self.request.get() => {
                let acknowledged = acknowledged.common(&self.asked.borrow());
                self.acknowledged.replace(acknowledged.clone());
                self.settle();
                if self.missed.take() {
                    self.tell(&acknowledged);
                }
                self.moved.notify_one();
            }
            Told::Acknowledged(_) => {}
            Told::Changed(changed) => self.tell(&changed),
        }
    }

    fn tell(&self, changed: &Filter) {
        for (_, wish, listener) in &*self.places.borrow() {
            listener.changed(&wish.translate(changed));
        }
    }
}

/// Keeps a request to the backend up until nobody wants anything of it.
async fn keep<T: Topology>(worker: &Rc<Worker<T>>, index: usize) {
    let feed = Rc::clone(&worker.feeds[index]);
    let mut backoff = Backoff::new(limits::RESPAWN_BACKOFF);
    // What is listened to until a wider request is acknowledged.
    let mut before: Option<Listening> = None;
    loop {
        let wanted = feed.wanted();
        if wanted.is_empty() {
            break;
        }
        let (opened, request) = (Instant::now(), feed.ask(&wanted));
        let mut listening = Listening::new();
        listening.spawn_local(hear(Rc::clone(worker), index, wanted.clone(), request));
        let mut ended = None;
        while ended.is_none() && !is_outgrown(&feed, &wanted) {
            tokio::select! {
                joined = listening.join_next() => ended = joined,
                () = feed.moved.notified() => {}
            }
            if feed.settled.get() {
                before = None;
            }
        }
        let Some(ended) = ended else {
            if before.is_none() {
                before = Some(listening);
            }
            continue;
        };
        let delay = match ended {
            Ok(Ok(Ended::Unsupported)) => {
                feed.acknowledged.take();
                None
            }
            Ok(Ok(Ended::Over)) => Some(backoff.after(opened.elapsed())),
            Ok(Err(error)) => {
                tracing::debug!(backend = &*T::SPEC.backends[index].name, %error, "what it tells is not heard");
                Some(backoff.after(opened.elapsed()))
            }
            Err(_panicked) => None,
        };
        feed.missed.set(feed.missed.get() || !feed.acknowledged.borrow().is_empty());
        feed.settle();
        let again = async {
            match delay {
                Some(delay) => tokio::time::sleep(delay).await,
                None => std::future::pending().await,
            }
        };
        tokio::pin!(again);
        while !is_outgrown(&feed, &wanted) {
            tokio::select! {
                () = &mut again => break,
                () = feed.moved.notified() => {}
            }
        }
    }
    feed.kept.set(false);
    feed.asked.take();
    feed.acknowledged.take();
    feed.missed.set(false);
}

/// Whether a request for this is not what is wanted: too little, or anything where nothing is.
fn is_outgrown(feed: &Feed, asked: &Filter) -> bool {
    let wanted = feed.wanted();
    wanted.is_empty() || !asked.covers(&wanted)
}

/// Makes a request of the backend, and takes what it tells until it ends.
async fn hear<T: Topology>(worker: Rc<Worker<T>>, index: usize, wanted: Filter, request: u64) -> Result<Ended, Error> {
    let Some(link) = &worker.links[index] else { return Ok(Ended::Unsupported) };
    if link.greet().await?.era == Era::Legacy {
        return Ok(Ended::Unsupported);
    }
    let source = upstream::subscriptions_listen(&wanted);
    let head = envelope::incoming(source.as_bytes())
        .map_err(|error| Error::protocol(format!("what it is asked is no message: {error:?}")))?;
    let call = Call {
        source: source.as_bytes(),
        head: &head,
        method: "subscriptions/listen",
        target: None,
        era: Era::Modern,
        log_level: None,
        mcp_params: &[],
        headers: &[],
        session: None,
        profile: Profile::NONE,
        asks: Profile::ASKABLE,
        sent: Cell::new(false),
    };
    let mut ear = Ear { feed: Rc::clone(&worker.feeds[index]), request, unsupported: false };
    link.exchange(&call, &mut ear).await?;
    Ok(if ear.unsupported { Ended::Unsupported } else { Ended::Over })
}

// === impl Ear ===

impl Relay for Ear {
    async fn notification(&mut self, message: Message<'_>) -> Result<(), Error> {
        if let Some(told) = Told::of(message.source, message.head.root) {
            self.feed.take(self.request, told);
            return Ok(());
        }
        // MCP 2026-07-28, stdio: so a server ends a subscription.
        match message.head.method {
            Some(method) if method.is(message.source, "notifications/cancelled") => {
                Err(Error::lost(true, "it ended the subscription"))
            }
            _ => Ok(()),
        }
    }

    async fn answer(&mut self, message: Message<'_>) -> Result<(), Error> {
        self.unsupported = message.head.error_code.is_some_and(|code| code.span.of(message.source) == METHOD_NOT_FOUND);
        Ok(())
    }
}

// === impl Wish ===

impl Wish {
    /// What of that which has changed it wants, in the client's words. What lies beneath a resource may be told of as well
    /// (MCP 2026-07-28, resource updates): the client hears of the one it named.
    fn translate(&self, changed: &Filter) -> Filter {
        self.those(changed, |upstream| {
            let mut updated = changed.resource_subscriptions.iter();
            updated.any(|uri| uri.strip_prefix(upstream).is_some_and(|rest| is_beneath(upstream, rest)))
        })
    }

    /// What of that which the backend acknowledges it wants.
    fn acknowledged(&self, acknowledged: &Filter) -> Filter {
        self.those(acknowledged, |upstream| acknowledged.resource_subscriptions.contains(upstream))
    }

    fn those(&self, all: &Filter, has: impl Fn(&str) -> bool) -> Filter {
        let lists = Filter { resource_subscriptions: BTreeSet::new(), ..self.filter.clone() };
        let uris = self.uris.iter().filter(|(upstream, _)| has(upstream)).map(|(_, uri)| uri.clone());
        Filter { resource_subscriptions: uris.collect(), ..all.common(&lists) }
    }
}

/// Whether a URI and what follows it name that resource or one beneath it.
fn is_beneath(uri: &str, rest: &str) -> bool {
    rest.is_empty() || uri.ends_with('/') || rest.starts_with(['/', '#', '?'])
}

// === impl Enrolled ===

impl Enrolled {
    /// Waits until the backend has answered what the client wants, or will not.
    pub(super) async fn answered(&self) {
        while !self.feed.settled.get() {
            self.feed.answered.notified().await;
        }
    }

    /// What the backend has acknowledged of that, in the client's words.
    pub(super) fn acknowledged(&self) -> Filter {
        let acknowledged = self.feed.acknowledged.borrow();
        let places = self.feed.places.borrow();
        let own = places.iter().find(|(place, ..)| *place == self.place);
        own.map(|(_, wish, _)| wish.acknowledged(&acknowledged)).unwrap_or_default()
    }
}

impl Drop for Enrolled {
    fn drop(&mut self) {
        self.feed.places.borrow_mut().retain(|(place, ..)| *place != self.place);
        self.feed.moved.notify_one();
    }
}
