//! What the servers behind a view tell by themselves goes to whoever asked to be told: to modern clients by
//! `subscriptions/listen` (MCP 2026-07-28, subscriptions), to legacy sessions as [`own`] has it. How it is heard of one
//! server is in [`feed`].
//!
//! **Invariant:** a client is told of nothing that was not acknowledged to it. What has changed and was not told yet is a
//! set, of tasks the last word on each: a client that does not read makes nothing grow.

#[cfg(feature = "amendments")]
mod amended;
mod feed;
#[cfg(not(feature = "amendments"))]
mod not_amended;
mod own;
mod window;

use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;
use std::future::poll_fn;
use std::rc::Rc;
use std::sync::Arc;

use serde::Deserialize;
use tokio::sync::Notify;

pub(crate) use amended::Amends;
use amended::Placed;
use feed::Feed;
pub(crate) use feed::Feeds;
use feed::{Enrolled, Wish};
#[cfg(not(feature = "amendments"))]
use not_amended as amended;
pub(crate) use own::{OwnStream, tell};
pub(super) use own::{subscribe, unsubscribe};
pub(super) use window::Window;

use super::erased::Erased;
use super::error::Refusal;
use super::session::Hearing;
use super::{Downstream as _, Post, Worker, route, tasks, teams};
use crate::catalog::plan::Subject;
use crate::catalog::{Catalog, NOBODY, Topology, View};
use crate::limits;
use crate::mcp::json::Value;
use crate::mcp::subscription::{self, Filter};
use crate::upstream::Gone;

/// Who listens.
#[derive(Debug)]
enum Listener {
    /// A modern client, by a request.
    Request(Rc<Request>),
    /// A legacy session.
    Session(Arc<Hearing>),
}

/// The request of one client that listens.
#[derive(Debug, Default)]
struct Request {
    /// Its id, as written.
    id: String,
    /// What has changed and was not told yet.
    changed: RefCell<Filter>,
    /// How many notifications of lists have come to that.
    notifications: Cell<u32>,
    /// What was said last of each task and was not told yet, by the client's id of it.
    tasks: RefCell<Vec<(Box<str>, Vec<u8>)>>,
    /// Something of a task was missed: its client has to ask, and to listen anew.
    missed: Cell<bool>,
    wake: Notify,
}

/// Answers such a request: until the client has enough, or the gateway stops.
pub(super) async fn listen<'a, T: Topology>(
    worker: &Worker<T>,
    post: &Post<'a>,
    id: &[u8],
    accepts_stream: bool,
    downstream: &Erased<'_>,
) -> Result<Result<(), Gone>, Refusal<'a>> {
    if !accepts_stream {
        return Err(Refusal::NotAcceptable);
    }
    let wanted = wanted(post)?;
    if !wanted.task_ids.is_empty() && !tasks::are_followed(post.body, post.message) {
        return Err(Refusal::TasksUndeclared);
    }
    let listeners = Rc::clone(&worker.listeners);
    if Rc::strong_count(&listeners) > limits::LISTENERS_MAX + 1 {
        return Err(Refusal::Busy("as many clients listen as may"));
    }
    let request = Rc::new(Request { id: String::from_utf8_lossy(id).into_owned(), ..Request::default() });
    let listener = Rc::new(Listener::Request(Rc::clone(&request)));
    let mut wishes = wishes(worker, post.catalog, post.view, &wanted);
    about_tasks(worker, post.view, &wanted, &mut wishes);
    let enrolled: Vec<Enrolled> =
        wishes.into_iter().filter_map(|(backend, wish)| Feed::enrol(worker, backend, wish, &listener)).collect();
    let _placed = worker.amends.enrol((post.catalog, worker.catalog()), post.view, &wanted, &listener);
    // The lists are the gateway's own.
    let own = if cfg!(feature = "amendments") { wanted.lists() } else { Filter::default() };
    Ok(request.tell(worker, (&enrolled, own), downstream).await)
}

/// What the client wants to be told of.
fn wanted(post: &Post<'_>) -> Result<Filter, Refusal<'static>> {
    #[derive(Deserialize)]
    struct Params {
        notifications: Filter,
    }
    let params = post.message.params.and_then(|params| serde_json::from_slice(params.span.of(post.body)).ok());
    let Some(Params { notifications }) = params else {
        return Err(Refusal::InvalidParams("`params.notifications` must say what is listened for".into()));
    };
    if notifications.resource_subscriptions.len() > limits::LISTENER_URIS_MAX {
        return Err(Refusal::InvalidParams("`resourceSubscriptions` has too many URIs".into()));
    }
    if notifications.task_ids.len() > limits::LISTENER_URIS_MAX {
        return Err(Refusal::InvalidParams("`taskIds` has too many ids".into()));
    }
    Ok(notifications)
}

/// What is to be heard of tasks: from the backend that has each.
fn about_tasks<T: Topology>(worker: &Worker<T>, view: &'static View, wanted: &Filter, wishes: &mut Vec<(u16, Wish)>) {
    for id in &wanted.task_ids {
        let task = worker.shared.tasks.listened_for(view, id);
        let Some((backend, task)) =
            task.and_then(|(backend, task)| Some((worker.catalog().index_of::<T>(&backend)?, task)))
        else {
            continue;
        };
        let known = wishes.iter().position(|(other, _)| *other == backend);
        let place = known.unwrap_or_else(|| {
            wishes.push((backend, Wish::default()));
            wishes.len() - 1
        });
        let (_, wish) = &mut wishes[place];
        wish.filter.task_ids.insert(task.as_str().into());
        wish.tasks.push((task.into(), id.clone()));
    }
}

/// What of it is to be heard from which backend: a list from every one that the view shows something of, a resource from
/// the one that would be asked for it.
fn wishes<T: Topology>(worker: &Worker<T>, catalog: Catalog, view: &View, wanted: &Filter) -> Vec<(u16, Wish)> {
    let spec = catalog.spec::<T>();
    let all = (0..).zip(spec.backends).filter(|(_, backend)| backend.name != NOBODY).map(|(index, _)| index);
    let of = |subject: Subject| -> BTreeSet<u16> {
        let entries = match subject {
            Subject::Tools => spec.tools,
            Subject::Prompts => spec.prompts,
            Subject::Resources => spec.resources,
        };
        let templates = spec.templates.iter().filter(|_| subject == Subject::Resources);
        match &view.alone {
            Some(alone) => BTreeSet::from([alone.backend]),
            None if view.is_whole() => all.clone().collect(),
            None => {
                let entries = entries.iter().filter(|own| view.shows(own.views)).map(|own| (own.backend, own.team));
                let templates = templates.filter(|own| view.shows(own.views)).map(|own| (own.backend, own.team));
                entries.chain(templates).flat_map(|(backend, team)| spec.led(backend, team)).collect()
            }
        }
    };
    let (tools, prompts, resources) = (of(Subject::Tools), of(Subject::Prompts), of(Subject::Resources));
    let uris = wanted.resource_subscriptions.iter();
    let uris: Vec<_> = uris
        .filter_map(|uri| Some((uri, route::route::<T>(catalog, view, Subject::Resources, uri)?)))
        .map(|(uri, route)| (uri, teams::heard(worker, &route), route))
        .collect();
    let wishes = all.clone().map(|backend| {
        let own = uris.iter().filter(|(_, heard, _)| *heard == backend);
        let uris: Vec<(Box<str>, Box<str>)> =
            own.map(|(uri, _, route)| ((*route.upstream).into(), (*uri).clone())).collect();
        let filter = Filter {
            tools_list_changed: wanted.tools_list_changed && tools.contains(&backend),
            prompts_list_changed: wanted.prompts_list_changed && prompts.contains(&backend),
            resources_list_changed: wanted.resources_list_changed && resources.contains(&backend),
            resource_subscriptions: uris.iter().map(|(upstream, _)| upstream.clone()).collect(),
            task_ids: BTreeSet::new(),
        };
        (backend, Wish { filter, uris, tasks: Vec::new() })
    });
    wishes.filter(|(_, wish)| !wish.filter.is_empty()).collect()
}

// === impl Listener ===

impl Listener {
    /// These have changed, of what the client wants and in its words.
    fn changed(&self, changed: &Filter) {
        match self {
            _ if changed.is_empty() => {}
            Self::Session(hearing) => hearing.add(changed),
            Self::Request(request) => {
                request.changed.borrow_mut().merge(changed);
                request.notifications.set(request.notifications.get().saturating_add(changed.has_lists().into()));
                request.wake.notify_one();
            }
        }
    }

    /// A server says something of the task that the client calls so.
    fn told_of(&self, task: &str, source: &[u8], params: Value) {
        let Self::Request(request) = self else { return };
        let Some(told) = subscription::about_task(source, params, task, &request.id) else { return };
        let mut tasks = request.tasks.borrow_mut();
        tasks.retain(|(other, _)| **other != *task);
        tasks.push((task.into(), told));
        if tasks.iter().map(|(_, told)| told.len()).sum::<usize>() > limits::LISTENER_TASK_BYTES_MAX {
            tasks.clear();
            request.missed.set(true);
        }
        request.wake.notify_one();
    }

    /// Something may have been said of its tasks that nobody heard.
    fn miss_tasks(&self) {
        if let Self::Request(request) = self {
            request.missed.set(true);
            request.wake.notify_one();
        }
    }
}

// === impl Request ===

impl Request {
    /// Writes the client's stream.
    async fn tell<T: Topology>(
        &self,
        worker: &Worker<T>,
        (enrolled, own): (&[Enrolled], Filter),
        downstream: &Erased<'_>,
    ) -> Result<(), Gone> {
        let id = &*self.id;
        // The suite of the protocol changes a list as soon as it reads the acknowledgement: by then backends have to know.
        let answered = async {
            for place in enrolled {
                place.answered().await;
            }
        };
        tokio::select! {
            biased;
            () = worker.drain.begun() => {}
            _left = poll_fn(|cx| downstream.poll_left(cx)) => return Err(Gone),
            _late = tokio::time::timeout(limits::ACKNOWLEDGE_TIMEOUT, answered) => {}
        }
        let mut acknowledged = own;
        enrolled.iter().for_each(|place| acknowledged.merge(&place.acknowledged()));
        let first = acknowledged.acknowledgement(id);
        downstream.event(&[first.as_bytes()]).await?;
        let (quiet, mut window) = (worker.clock.deadline(), Window::new(T::SPEC.batching));
        loop {
            quiet.set(limits::KEEP_ALIVE);
            let changed = async {
                tokio::select! {
                    () = self.wake.notified() => {}
                    () = window.over() => {}
                }
            };
            tokio::select! {
                biased;
                () = worker.drain.begun() => break,
                _left = poll_fn(|cx| downstream.poll_left(cx)) => return Err(Gone),
                () = changed => {
                    let due = self.due(&mut window);
                    self.write(&due, &acknowledged, downstream).await?;
                    if self.missed.get() {
                        break;
                    }
                }
                () = poll_fn(|cx| quiet.poll(cx)) => downstream.keep_alive().await?,
            }
        }
        // What is collected has no later time to be told.
        let collected = self.changed.take();
        self.write(&collected, &acknowledged, downstream).await?;
        downstream.event(&[subscription::end(id).as_bytes()]).await?;
        downstream.finish().await
    }

    /// Writes that this has changed, and what was said of tasks, as far as it was acknowledged.
    async fn write(&self, changed: &Filter, acknowledged: &Filter, downstream: &Erased<'_>) -> Result<(), Gone> {
        for notification in changed.common(acknowledged).notifications(Some(&self.id)) {
            downstream.event(&[notification.as_bytes()]).await?;
        }
        for (_, told) in self.tasks.take().iter().filter(|(task, _)| acknowledged.task_ids.contains(task)) {
            downstream.event(&[told]).await?;
        }
        Ok(())
    }

    /// What is to be told now.
    fn due(&self, window: &mut Window) -> Filter {
        let mut notifications = self.notifications.get();
        let due = window.due(&mut self.changed.borrow_mut(), &mut notifications);
        self.notifications.set(notifications);
        due
    }
}
