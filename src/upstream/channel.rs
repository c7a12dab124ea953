//! One channel to a backend that carries many calls at once: the pipes of a child, a WebSocket. Answers are matched by
//! minted ids, which also say which worker a message belongs to.
//!
//! A channel belongs to a `hub` on one worker. Whoever calls has a [`Link`] to it: calls go to the hub as finished
//! messages, what the backend says comes back scanned. How a channel comes up and frames its messages is the transport's.

mod greet;
mod hub;
mod subscribed;

use std::collections::HashSet;
use std::rc::Rc;
use std::sync::Arc;
#[expect(clippy::disallowed_types, reason = "taken once, when a worker starts")]
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::{Notify, mpsc, watch};

use super::context::Account;
use super::heard::{Audience, Hearer};
use super::multiplex::{Calls, Carried, Inbound, Waiting};
use super::outbound::{Ids, Scratch};
use super::status::Status;
use super::verbosity::Wanted;
use super::{Call, Context, Dropped, Error, Greeting, Kind, OpenError, Relay, plan};
use crate::catalog::Era;
use crate::limits;
use crate::mcp::client::Profile;
use crate::mcp::envelope::Outgoing;
use crate::mcp::subscription::Filter;
use hub::{Hub, ToHub};
use subscribed::Subscribing;

/// A way to talk to a backend whose messages all go over the same connection.
pub(super) trait Channel: Sized + 'static {
    /// What it is, in a word for logs.
    const NOUN: &'static str;
    /// Delay before the next attempt: grows fourfold from the first to the second.
    const BACKOFF: (Duration, Duration);
    /// What it is made from.
    type Recipe: 'static;

    /// When one is made, and when it is ended or left alone.
    fn life(recipe: &Self::Recipe) -> Life {
        let _ = recipe;
        Life::default()
    }
    /// Hears how it fares.
    fn observe(recipe: &Self::Recipe, status: &Status, generation: u64) {
        let _ = (recipe, status, generation);
    }
    /// What a legacy backend is told of its clients, when the channel that now comes up greets it.
    fn profile(recipe: &Self::Recipe) -> Profile;
    /// Makes one; nothing of a call has been sent when this fails.
    async fn open(backend: &str, recipe: &Self::Recipe) -> Result<Self, Error>;
    /// Queues a message for the backend.
    fn push(&mut self, message: &Bytes);
    /// Waits for the next thing to happen, reading or writing. Cancel safe.
    async fn turn(&mut self) -> Event;
    /// The next whole message that was read; the error says what the backend did wrong. What is none is counted.
    fn next(&mut self, backend: &str, dropped: &Dropped) -> Result<Option<(Bytes, Outgoing)>, String>;
    /// Queued bytes that are not written, and none of whose message is.
    fn pending(&self) -> usize;
    /// Bytes of messages that are written, or may be.
    fn begun(&self) -> u64;
    /// Bytes that the backend has taken, where it has yet to take more.
    fn backlog(&self) -> Option<u64>;
    /// Ends it in order.
    async fn end(self);
    /// Ends it at once. Returns why, with what the backend has to say to it.
    async fn end_now(self, why: String) -> String;
}

/// When a channel is made, and when it is ended or left alone.
#[derive(Clone, Copy, Debug)]
pub(super) struct Life {
    /// Only a call has it made.
    pub(super) lazy: bool,
    /// It is ended after so long without a call.
    pub(super) idle: Option<Duration>,
    /// How long its backend has to be greeted.
    pub(super) patience: Duration,
    /// How often in a row it is made again before only a call has it made.
    pub(super) restarts: u64,
}

/// How soon a channel can take a call: the less, the sooner.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Standing {
    Up,
    Coming,
    Asleep,
    Down,
}

/// A channel that is up: its generation, and what its backend said of itself.
pub(super) type Ready = (u64, Arc<Greeting>);

/// Counts for as long as it is there: a call for how busy a channel is, from when it waits for it.
pub(super) struct Load<'a>(&'a AtomicUsize);

/// One step of a channel.
pub(super) enum Event {
    /// The backend took some of what is queued.
    Wrote,
    /// The backend said something.
    Read,
    /// The channel is of no more use.
    Ended(Kind, String),
}

/// The link of one worker to one channel.
#[derive(Debug)]
pub(super) struct Link {
    hub: mpsc::Sender<ToHub>,
    closing: Arc<Notify>,
    status: watch::Receiver<Status>,
    load: Arc<AtomicUsize>,
    /// Workers that hear what the backend tells by itself.
    hearers: Arc<AtomicUsize>,
    ids: Ids,
    calls: Rc<Calls>,
    audience: Rc<Audience>,
}

/// How a hub is reached, before it runs anywhere.
#[derive(Debug)]
pub(super) struct Door {
    hub: mpsc::Sender<ToHub>,
    closing: Arc<Notify>,
    status: watch::Receiver<Status>,
    /// Calls that wait for the channel or are in flight on it, of all workers.
    load: Arc<AtomicUsize>,
    hearers: Hearers,
    #[expect(clippy::disallowed_types, reason = "taken once, when a worker starts")]
    end: Mutex<Option<HubEnd>>,
}

/// Whom a channel tells what its backend tells by itself.
#[derive(Clone, Debug)]
struct Hearers {
    /// Whoever hears of lists, and what nobody hears.
    account: Account,
    /// Workers that hear this channel, also of resources: while there are some, it is not idle.
    count: Arc<AtomicUsize>,
}

/// The hub's end of its channels, until its worker takes it.
type HubEnd = (mpsc::Receiver<ToHub>, watch::Sender<Status>);

/// A delivery to one worker.
#[derive(Debug)]
enum Delivery {
    /// For the calls with these ids, on the channel of this generation.
    To { generation: u64, messages: Vec<(u64, Inbound)> },
    /// For whoever hears what the backend tells by itself.
    Told(Filter),
    /// The channel of this generation is gone, and every call it had. Of those that are not named nothing was sent.
    Lost { generation: u64, sent: Arc<HashSet<u64>>, error: Error },
}

/// A call that is given up on the way out, whatever way that is.
struct InFlight<'a> {
    link: &'a Link,
    id: u64,
    waiting: Rc<Waiting>,
}

// === impl Door ===

impl Door {
    /// One whose backend has this account.
    pub(super) fn new(account: Account) -> Self {
        let hearers = Hearers { account, count: Arc::default() };
        let (hub, calls) = mpsc::channel(limits::BACKEND_QUEUE_MAX);
        let (status, statuses) = watch::channel(Status::Starting);
        #[expect(clippy::disallowed_types, reason = "taken once, when a worker starts")]
        let end = Mutex::new(Some((calls, status)));
        let (closing, load) = Default::default();
        Self { hub, closing, status: statuses, load, hearers, end }
    }

    /// Has its hub live on this worker.
    pub(super) fn serve<C: Channel>(&self, backend: &plan::Backend, recipe: C::Recipe) -> Result<(), OpenError> {
        let end = self.end.lock().ok().and_then(|mut end| end.take());
        let (calls, status): HubEnd = end.ok_or_else(|| invalid(backend, "its hub has been taken"))?;
        let hub = Hub::<C>::new(backend, recipe, (calls, status), &self.closing, self.hearers.clone());
        tokio::task::spawn_local(hub.run());
        Ok(())
    }

    /// Whether its hub lives somewhere.
    #[cfg(feature = "transport-stdio")]
    pub(super) fn is_served(&self) -> bool {
        self.end.lock().is_ok_and(|end| end.is_none())
    }

    /// Has it look whether it is to be kept up.
    #[cfg(all(feature = "transport-stdio", feature = "amendments"))]
    pub(super) fn nudge(&self) {
        // With a queue that is full it does so as well.
        drop(self.hub.try_send(ToHub::Nudge));
    }

    /// The link of this worker; its audience hears what the backend tells by itself.
    pub(super) fn link(
        &self,
        context: &Context,
        backend: &plan::Backend,
        audience: &Rc<Audience>,
    ) -> Result<Link, OpenError> {
        let (calls, audience) = (Rc::<Calls>::default(), Rc::clone(audience));
        let (inbox, deliveries) = mpsc::channel(limits::BACKEND_QUEUE_MAX);
        let attach = ToHub::Attach { worker: context.worker, workers: context.workers, inbox };
        self.hub.try_send(attach).map_err(|_full| invalid(backend, "its hub takes no more workers"))?;
        tokio::task::spawn_local(deliver(Rc::clone(&calls), Rc::clone(&audience), deliveries, self.hub.downgrade()));
        Ok(Link {
            hub: self.hub.clone(),
            closing: Arc::clone(&self.closing),
            status: self.status.clone(),
            load: Arc::clone(&self.load),
            hearers: Arc::clone(&self.hearers.count),
            ids: Ids::new(context.worker, context.workers),
            calls,
            audience,
        })
    }
}

fn invalid(backend: &plan::Backend, detail: &str) -> OpenError {
    OpenError::Invalid { backend: backend.name.to_string(), detail: detail.to_owned() }
}

// === impl Link ===

impl Link {
    /// Carries one call: see [`super::Transport::exchange`].
    pub(super) async fn exchange<R: Relay>(&self, call: &Call<'_>, relay: &mut R) -> Result<(), Error> {
        loop {
            let load = self.load();
            let ready = self.ready().await?;
            if self.carry(ready, call, relay, load).await? == Carried::Answered {
                return Ok(());
            }
            call.sent.set(false);
        }
    }

    /// The era that its backend was greeted in, while it is up.
    pub(super) fn era(&self) -> Option<Era> {
        match &*self.status.borrow() {
            Status::Ready { greeting, .. } => Some(greeting.era),
            _ => None,
        }
    }

    /// Waits until the channel is up; has one that is asleep made.
    pub(super) async fn ready(&self) -> Result<Ready, Error> {
        Status::ready(&self.status, || self.wake()).await
    }

    /// Has the channel made if it is asleep.
    pub(super) fn wake(&self) {
        // A queue that is full of calls does so as well.
        drop(self.hub.try_send(ToHub::Wake));
    }

    /// Has it look whether it is to be kept up.
    pub(super) fn nudge(&self) {
        // With a queue that is full it does so as well.
        drop(self.hub.try_send(ToHub::Nudge));
    }

    /// Has a channel that is up ended as soon as it has no call in flight, if `still` holds of it.
    pub(super) fn retire(&self, still: impl FnOnce() -> bool) {
        let generation = match *self.status.borrow() {
            Status::Ready { generation, .. } => generation,
            _ => return,
        };
        // After the generation was read: the next one may be for somebody else. A full queue leaves it to its idle time.
        if still() {
            drop(self.hub.try_send(ToHub::Retire { generation }));
        }
    }

    /// Counts a call.
    pub(super) fn load(&self) -> Load<'_> {
        Load::begin(&self.load)
    }

    /// What the next call goes by: the least is the best.
    pub(super) fn standing(&self) -> (Standing, usize) {
        let standing = match &*self.status.borrow() {
            Status::Ready { .. } => Standing::Up,
            Status::Starting => Standing::Coming,
            Status::Asleep => Standing::Asleep,
            Status::Down(_) | Status::Closed => Standing::Down,
        };
        (standing, self.load.load(Ordering::Relaxed))
    }

    /// Carries one call on the channel that is up.
    pub(super) async fn carry<R: Relay>(
        &self,
        (generation, greeting): Ready,
        call: &Call<'_>,
        relay: &mut R,
        load: Load<'_>,
    ) -> Result<Carried, Error> {
        let era = greeting.era;
        let id = self.ids.mint();
        let mut scratch = Scratch::default();
        scratch.prepare(call, era, id);
        let splice = scratch.splice(call, era);
        let mut message = Vec::with_capacity(splice.len());
        if call.head.multiline {
            splice.write_line(&mut message)
        } else {
            splice.write(&mut message)
        }

        let in_flight = InFlight { link: self, id, waiting: self.calls.begin(id, generation) };
        let subscribing = Subscribing::of(call).map(Box::new);
        let (wanted, listens) = (Wanted::by(call), call.method == "subscriptions/listen");
        let message = Bytes::from(message);
        let queued = ToHub::Call { id, generation, wanted, listens, subscribing, message };
        self.hub.try_send(queued).map_err(|full| match full {
            mpsc::error::TrySendError::Full(_) => Error::full("its queue is full"),
            mpsc::error::TrySendError::Closed(_) => Error::unavailable("the gateway stops"),
        })?;
        // From here on another task writes it: whoever gives up cannot know that it has not.
        call.sent.set(true);
        let say = |message: String| {
            let unsaid = |_full| Error::lost(true, "what its client answered finds no room in its queue");
            self.hub.try_send(ToHub::Say { generation, message }).map_err(unsaid)
        };
        // Who has its answer and calls again must not find the channel busy with what it has.
        in_flight.waiting.carry(era, relay, (say, &self.audience.dropped), || drop(load)).await
    }

    /// What the backend said of itself.
    pub(super) async fn greet(&self) -> Result<Greeting, Error> {
        Ok(Greeting::clone(&*self.ready().await?.1))
    }

    /// See [`super::Transport::hear`].
    pub(super) async fn hear(&self, hearer: Rc<dyn Hearer>) -> Result<(), Error> {
        // Before it is up: from then on it does not come to rest.
        let _counted = Load::begin(&self.hearers);
        let over = async {
            let (generation, greeting) = self.ready().await?;
            if greeting.era == Era::Modern {
                return Err(Error::unavailable("it speaks the modern era by now"));
            }
            hearer.begin(&greeting);
            Err(Status::gone(self.status.clone(), generation).await)
        };
        self.audience.admit(&hearer, over).await
    }

    /// Has the channel ended, for every worker.
    pub(super) fn begin_close(&self) {
        self.closing.notify_one();
    }

    /// Waits until it has.
    pub(super) async fn closed(&self) {
        // Ending with an error means that the hub is gone: the same.
        drop(self.status.clone().wait_for(|status| matches!(status, Status::Closed)).await);
    }
}

// === impl Load ===

impl<'a> Load<'a> {
    fn begin(counter: &'a AtomicUsize) -> Self {
        counter.fetch_add(1, Ordering::Relaxed);
        Self(counter)
    }
}

impl Drop for Load<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

// === impl Life ===

impl Default for Life {
    /// Always there.
    fn default() -> Self {
        Self { lazy: false, idle: None, patience: limits::START_TIMEOUT, restarts: u64::MAX }
    }
}

// === impl InFlight ===

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        self.link.calls.end(self.id);
        if !self.waiting.is_settled() {
            // A full queue loses the cancellation, never the call's end: a late answer finds nobody and is dropped.
            drop(self.link.hub.try_send(ToHub::Cancel { id: self.id }));
        }
    }
}

/// Hands what the hub delivers to the calls of this worker.
async fn deliver(
    calls: Rc<Calls>,
    audience: Rc<Audience>,
    mut deliveries: mpsc::Receiver<Delivery>,
    hub: mpsc::WeakSender<ToHub>,
) {
    let dropped = &audience.dropped;
    while let Some(delivery) = deliveries.recv().await {
        match delivery {
            Delivery::To { generation, messages } => {
                for (id, inbound) in messages {
                    let turned_away = calls.push(id, inbound);
                    let refusal = turned_away.and_then(|(inbound, reason)| inbound.turned_away(reason, dropped));
                    // A backend that asks more than its queue holds is not answered any more.
                    if let (Some(message), Some(hub)) = (refusal, hub.upgrade()) {
                        drop(hub.try_send(ToHub::Say { generation, message }));
                    }
                }
            }
            Delivery::Told(changed) => audience.tell(&changed),
            Delivery::Lost { generation, sent, error } => {
                calls.lose(generation, |id| match sent.contains(&id) {
                    true => error.clone(),
                    false => Error::unavailable(&*error.detail),
                });
            }
        }
    }
}
