//! A modern backend: a listen request of the gateway's own, made anew where somebody wants more.

use std::rc::Rc;

use tokio::task::JoinSet;

use super::{Ended, Feed};
use crate::catalog::{Era, Topology};
use crate::mcp::client::Profile;
use crate::mcp::envelope;
use crate::mcp::subscription::{Filter, Told};
use crate::proxy::{Worker, interview};
use crate::upstream::{self, Call, Error, Message, Relay, Transport as _};

const METHOD_NOT_FOUND: &[u8] = b"-32601";

/// A request to the backend that is under way; given up when dropped.
pub(super) type Listening = JoinSet<Result<Ended, Error>>;

/// Takes what the backend says to one request.
struct Ear {
    feed: Rc<Feed>,
    request: u64,
    /// What the backend may ask of clients.
    asks: Profile,
    unsupported: bool,
}

/// Listens until the request for all that is wanted ends, or nothing is; `narrower` until that is acknowledged.
pub(super) async fn listen<T: Topology>(
    worker: &Rc<Worker<T>>,
    index: usize,
    feed: &Rc<Feed>,
    narrower: &mut Option<Listening>,
) -> Result<Ended, Error> {
    loop {
        let (wanted, request) = feed.ask();
        if wanted.is_empty() {
            return Ok(Ended::Over);
        }
        let mut listening = Listening::new();
        listening.spawn_local(hear(Rc::clone(worker), index, wanted, request));
        let mut ended = None;
        while ended.is_none() && !feed.is_outgrown() {
            tokio::select! {
                joined = listening.join_next() => ended = joined,
                () = feed.moved.notified() => {}
            }
            if feed.settled.get() {
                narrower.take();
            }
        }
        match ended {
            Some(ended) => return ended.unwrap_or(Ok(Ended::Unsupported)),
            None if narrower.is_none() => *narrower = Some(listening),
            None => {}
        }
    }
}

/// Makes a request of the backend, and takes what it tells until it ends.
async fn hear<T: Topology>(worker: Rc<Worker<T>>, index: usize, wanted: Filter, request: u64) -> Result<Ended, Error> {
    let (Some(link), Some(feed)) = (worker.links.of(index), worker.feeds.of(index)) else {
        return Ok(Ended::Unsupported);
    };
    let source = upstream::subscriptions_listen(&wanted);
    let head = envelope::incoming(source.as_bytes())
        .map_err(|error| Error::protocol(format!("what it is asked is no message: {error:?}")))?;
    let call = Call::own(source.as_bytes(), &head, "subscriptions/listen", Era::Modern);
    let asks = worker.shared.tuned.of(index).map_or(Profile::NONE, |own| own.asks());
    let mut ear = Ear { feed, request, asks, unsupported: false };
    link.exchange(&call, &mut ear).await?;
    Ok(if ear.unsupported { Ended::Unsupported } else { Ended::Over })
}

/// Takes a notification that came to a request of this number.
fn take(feed: &Feed, request: u64, told: Told) {
    match told {
        Told::Acknowledged(acknowledged) if request == feed.request.get() => {
            let acknowledged = acknowledged.common(&feed.asked.borrow());
            feed.acknowledged.replace(acknowledged.clone());
            feed.settle();
            if feed.missed.take() {
                feed.tell(&acknowledged);
            }
            feed.moved.notify_one();
        }
        Told::Acknowledged(_) => {}
        Told::Changed(changed) => feed.tell(&changed),
        // It says more than its id.
        Told::Task(_) => {}
    }
}

// === impl Ear ===

impl Relay for Ear {
    async fn notification(&mut self, message: Message<'_>) -> Result<(), Error> {
        match (Told::of(message.source, message.head.root), message.head.params) {
            (Some(Told::Task(task)), Some(params)) => {
                match interview::check_task(params.span.of(message.source), self.asks) {
                    Ok(()) => self.feed.tell_of(&task, message.source, params),
                    // Who asks for the task is told the same.
                    Err(error) => tracing::warn!(%error, "what is said of a task is not told"),
                }
                return Ok(());
            }
            (Some(told), _) => {
                take(&self.feed, self.request, told);
                return Ok(());
            }
            (None, _) => {}
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
        // A backend that became a legacy one meanwhile is listened to as such.
        let unknown = message.head.error_code.is_some_and(|code| code.span.of(message.source) == METHOD_NOT_FOUND);
        self.unsupported = unknown && message.era == Era::Modern;
        Ok(())
    }
}
