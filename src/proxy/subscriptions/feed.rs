//! What one backend tells by itself, heard once for all clients of a worker, for as long as anybody wants something of it,
//! and begun anew where that broke off. How it is heard is in [`modern`] and [`legacy`], by the era that the backend speaks.

mod legacy;
mod modern;

use std::cell::{Cell, OnceCell, RefCell};
use std::collections::BTreeSet;
use std::rc::Rc;
use std::time::Instant;

use tokio::sync::Notify;

use super::Listener;
use crate::catalog::{Era, Topology};
use crate::limits;
use crate::mcp::json::Value;
use crate::mcp::subscription::Filter;
use crate::proxy::Worker;
use crate::upstream::{Backoff, Error, Transport as _, Upkeep};

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
    /// Counts the requests to a modern backend: an older one still runs until a wider one is acknowledged.
    request: Cell<u64>,
    /// Whether somebody keeps listening.
    kept: Cell<bool>,
    /// For whoever does: somebody came or left, or the backend acknowledged.
    moved: Notify,
    /// For whoever waits until the backend has answered.
    answered: Notify,
}

/// Those of all backends.
#[derive(Debug)]
pub(crate) struct Feeds {
    /// By the index of the backend.
    all: Box<[OnceCell<Rc<Feed>>]>,
}

/// What a client wants to hear from one backend.
#[derive(Debug, Default)]
pub(super) struct Wish {
    /// In the backend's words.
    pub(super) filter: Filter,
    /// URIs as the backend knows them, and as the client does.
    pub(super) uris: Vec<(Box<str>, Box<str>)>,
    /// Ids of tasks, the same.
    pub(super) tasks: Vec<(Box<str>, Box<str>)>,
}

/// The place of a client at a feed; it has left when this is dropped.
#[derive(Debug)]
pub(super) struct Enrolled {
    feed: Rc<Feed>,
    place: u64,
}

/// What came of listening to the backend.
enum Ended {
    /// It does not tell anything of what is wanted.
    Unsupported,
    /// It came to an end, and may be begun anew.
    Over,
}

// === impl Feeds ===

impl Feeds {
    /// For so many compiled backends, and those that overlays add.
    pub(crate) fn new(backends: usize) -> Self {
        Self { all: (0..backends + limits::added_ever()).map(|_| OnceCell::new()).collect() }
    }

    /// That of the backend of this index.
    pub(super) fn of(&self, backend: usize) -> Option<Rc<Feed>> {
        self.all.get(backend).map(|feed| Rc::clone(feed.get_or_init(Rc::default)))
    }
}

// === impl Feed ===

impl Feed {
    /// Gives a client a place; `None` once the gateway stops. A backend that is disabled is heard once it is enabled.
    pub(super) fn enrol<T: Topology>(
        worker: &Worker<T>,
        backend: u16,
        mut wish: Wish,
        listener: &Rc<Listener>,
    ) -> Option<Enrolled> {
        let index = usize::from(backend);
        let (feed, worker) = (worker.feeds.of(index)?, worker.own.upgrade()?);
        let mut all = feed.wanted();
        all.merge(&wish.filter);
        if all.resource_subscriptions.len() > limits::FEED_URIS_MAX {
            wish.filter.resource_subscriptions.clear();
            wish.uris.clear();
        }
        if all.task_ids.len() > limits::FEED_URIS_MAX {
            wish.filter.task_ids.clear();
            wish.tasks.clear();
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

    /// The backend is about to be asked for all that clients want: for what, and the number of the request.
    fn ask(&self) -> (Filter, u64) {
        let wanted = self.wanted();
        self.asked.replace(wanted.clone());
        self.settled.set(false);
        self.request.set(self.request.get() + 1);
        (wanted, self.request.get())
    }

    /// Whether what is asked is not what is wanted: too little, or anything where nothing is.
    fn is_outgrown(&self) -> bool {
        let wanted = self.wanted();
        wanted.is_empty() || !self.asked.borrow().covers(&wanted)
    }

    /// The backend has answered, or will not: nobody need wait any longer.
    fn settle(&self) {
        self.settled.set(true);
        self.answered.notify_waiters();
    }

    /// Waits until nobody wants anything.
    async fn deserted(&self) {
        while !self.wanted().is_empty() {
            self.moved.notified().await;
        }
    }

    fn tell(&self, changed: &Filter) {
        for (_, wish, listener) in &*self.places.borrow() {
            listener.changed(&wish.translate(changed));
        }
    }

    /// The backend says something of a task.
    fn tell_of(&self, task: &str, source: &[u8], params: Value) {
        for (_, wish, listener) in &*self.places.borrow() {
            let own = wish.tasks.iter().find(|(upstream, _)| **upstream == *task);
            own.into_iter().for_each(|(_, own)| listener.told_of(own, source, params));
        }
    }

    /// Nobody listens for a while. Of a resource it can be said afterwards that it may have changed; what was said of a task
    /// is lost, and whoever waits for that has to ask.
    fn break_off(&self) {
        let acknowledged = self.acknowledged.borrow();
        self.missed.set(self.missed.get() || !acknowledged.is_empty());
        let places = self.places.borrow();
        let waits = |wish: &Wish| wish.tasks.iter().any(|(upstream, _)| acknowledged.task_ids.contains(upstream));
        places.iter().filter(|(_, wish, _)| waits(wish)).for_each(|(.., listener)| listener.miss_tasks());
    }
}

/// Keeps listening to the backend until nobody wants anything of it.
async fn keep<T: Topology>(worker: &Rc<Worker<T>>, index: usize) {
    let Some(feed) = worker.feeds.of(index) else { return };
    let mut backoff = Backoff::new(limits::RESPAWN_BACKOFF);
    // A request to a modern backend that is listened to until a wider one is acknowledged.
    let mut narrower = None;
    while !feed.wanted().is_empty() {
        let opened = Instant::now();
        let delay = match listen(worker, index, &feed, &mut narrower).await {
            Ok(Ended::Unsupported) => {
                feed.acknowledged.take();
                None
            }
            Ok(Ended::Over) => Some(backoff.after(opened.elapsed())),
            Err(error) => {
                tracing::debug!(backend = worker.catalog().backend::<T>(index).map(|backend| &*backend.name), %error, "what it tells is not heard");
                Some(backoff.after(opened.elapsed()))
            }
        };
        feed.break_off();
        feed.settle();
        let again = async {
            match delay {
                Some(delay) => tokio::time::sleep(delay).await,
                None => std::future::pending().await,
            }
            worker.shared.tuned.is_disabled(index, false).await;
        };
        tokio::pin!(again);
        while !feed.is_outgrown() {
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

/// Listens until the overlay disables the backend, at the latest.
async fn listen<T: Topology>(
    worker: &Rc<Worker<T>>,
    index: usize,
    feed: &Rc<Feed>,
    narrower: &mut Option<modern::Listening>,
) -> Result<Ended, Error> {
    feed.ask();
    let ended = tokio::select! {
        biased;
        () = worker.shared.tuned.is_disabled(index, true) => Err(Upkeep::disabled()),
        ended = listen_by_era(worker, index, feed, narrower) => return ended,
    };
    narrower.take();
    ended
}

/// Listens by the means of the era that the backend speaks.
async fn listen_by_era<T: Topology>(
    worker: &Rc<Worker<T>>,
    index: usize,
    feed: &Rc<Feed>,
    narrower: &mut Option<modern::Listening>,
) -> Result<Ended, Error> {
    let link = worker.links.for_call(worker.catalog(), index)?;
    let greeting = tokio::select! {
        greeting = link.greet() => greeting?,
        () = feed.deserted() => return Ok(Ended::Over),
    };
    match greeting.era {
        Era::Modern => Ok(modern::listen(worker, index, feed, narrower).await?),
        Era::Legacy => {
            narrower.take();
            legacy::listen(worker, index, feed).await
        }
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
        let tasks = self.tasks.iter().filter(|(upstream, _)| acknowledged.task_ids.contains(upstream));
        let task_ids = tasks.map(|(_, own)| own.clone()).collect();
        let has = |upstream: &str| acknowledged.resource_subscriptions.contains(upstream);
        Filter { task_ids, ..self.those(acknowledged, has) }
    }

    fn those(&self, all: &Filter, has: impl Fn(&str) -> bool) -> Filter {
        let lists =
            Filter { resource_subscriptions: BTreeSet::new(), task_ids: BTreeSet::new(), ..self.filter.clone() };
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
