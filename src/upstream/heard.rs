//! What a legacy backend tells by itself, and whoever hears it. A modern one is asked to tell, by a call of its own.

use std::cell::RefCell;
use std::fmt;
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;

use tokio::sync::watch;

use super::context::Account;
use super::{Call, Dropped, Greeting};
use crate::mcp::envelope::{Outgoing, Shape};
use crate::mcp::subscription::{Filter, Told};

/// Takes what a legacy backend tells by itself.
pub trait Hearer: 'static {
    /// It is heard from now on, over a session in which it said this of itself. Once more where something may have been
    /// missed of the same session.
    fn begin(&self, greeting: &Greeting);
    /// These changed, as it told.
    fn hear(&self, changed: &Filter);
}

/// How often each list of a backend changed: of tools, prompts and resources. Many backends tell only whoever called them,
/// in a session that is one of several: what one of these is told counts on every worker.
#[derive(Clone, Debug, Default)]
pub(super) struct Lists(Arc<watch::Sender<[u64; 3]>>);

/// Whoever hears one backend on one worker.
#[derive(Default)]
pub(super) struct Audience {
    lists: Lists,
    /// What the backend says and nobody gets.
    pub(super) dropped: Dropped,
    hearer: RefCell<Option<Rc<dyn Hearer>>>,
}

/// The place of a hearer in it, which is free again when this is dropped.
struct Admission<'a>(&'a Audience);

/// A request for a resource to be told of, or no more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Subscription {
    Begin,
    End,
}

/// Whether a message is one that a backend tells by itself.
pub(super) fn is_told(source: &[u8], head: &Outgoing) -> bool {
    const TOLD: [&str; 4] = [
        "notifications/tools/list_changed",
        "notifications/prompts/list_changed",
        "notifications/resources/list_changed",
        "notifications/resources/updated",
    ];
    head.shape == Shape::Notification
        && head.version_ok
        && head.method.is_some_and(|method| TOLD.iter().any(|told| method.is(source, told)))
}

/// What such a message says.
fn told(source: &[u8], head: &Outgoing) -> Option<Filter> {
    match is_told(source, head).then(|| Told::of(source, head.root))? {
        Some(Told::Changed(changed)) => Some(changed),
        _ => None,
    }
}

// === impl Lists ===

impl Lists {
    /// Takes a message if it says that a list changed, or a resource: that is left to whoever subscribed to it.
    pub(super) fn take(&self, source: &[u8], head: &Outgoing) -> Option<Filter> {
        let changed = told(source, head)?;
        let lists = [changed.tools_list_changed, changed.prompts_list_changed, changed.resources_list_changed];
        if lists.contains(&true) {
            self.0.send_modify(|counts| {
                counts.iter_mut().zip(lists).for_each(|(count, changed)| *count += u64::from(changed));
            });
        }
        Some(Filter { resource_subscriptions: changed.resource_subscriptions, ..Filter::default() })
    }
}

// === impl Audience ===

impl Audience {
    /// Nobody yet, for a backend of which this is kept.
    pub(super) fn new(Account { lists, dropped, .. }: Account) -> Self {
        Self { lists, dropped, hearer: RefCell::default() }
    }

    /// Takes a message if the backend tells it by itself.
    pub(super) fn takes(&self, source: &[u8], head: &Outgoing) -> bool {
        let updated = self.lists.take(source, head);
        updated.inspect(|updated| self.tell(updated)).is_some()
    }

    /// These changed.
    pub(super) fn tell(&self, changed: &Filter) {
        let hearer = self.hearer.borrow().clone();
        if let Some(hearer) = hearer.filter(|_| !changed.is_empty()) {
            hearer.hear(changed);
        }
    }

    /// Has somebody hear what is told, until `over`.
    pub(super) async fn admit<T>(&self, hearer: &Rc<dyn Hearer>, over: impl Future<Output = T>) -> T {
        let mut lists = self.lists.0.subscribe();
        let mut known = *lists.borrow_and_update();
        self.hearer.replace(Some(Rc::clone(hearer)));
        let _admission = Admission(self);
        let mut over = pin!(over);
        loop {
            tokio::select! {
                over = &mut over => return over,
                Ok(()) = lists.changed() => {
                    let before = std::mem::replace(&mut known, *lists.borrow_and_update());
                    let [tools_list_changed, prompts_list_changed, resources_list_changed] =
                        [0, 1, 2].map(|list| known[list] != before[list]);
                    hearer.hear(&Filter {
                        tools_list_changed, prompts_list_changed, resources_list_changed, ..Filter::default()
                    });
                }
            }
        }
    }
}

impl fmt::Debug for Audience {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Audience").field(&self.hearer.borrow().is_some()).finish()
    }
}

impl Drop for Admission<'_> {
    fn drop(&mut self) {
        self.0.hearer.take();
    }
}

// === impl Subscription ===

impl Subscription {
    /// What a call is of these.
    pub(super) fn of(call: &Call<'_>) -> Option<Self> {
        [Self::Begin, Self::End].into_iter().find(|own| own.method() == call.method)
    }

    /// Its method.
    pub(crate) fn method(self) -> &'static str {
        match self {
            Self::Begin => "resources/subscribe",
            Self::End => "resources/unsubscribe",
        }
    }

    /// The request, which still needs an id.
    pub(crate) fn request(self, uri: &str) -> String {
        let (method, uri) = (self.method(), serde_json::Value::from(uri));
        format!(r#"{{"jsonrpc":"2.0","id":0,"method":"{method}","params":{{"uri":{uri}}}}}"#)
    }
}
