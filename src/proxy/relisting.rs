//! Tools whose server wants other arguments in headers by now than its lock says: it refuses a call by -32020, is asked
//! what it lists, and gets the call once more as it wants it (MCP 2026-07-28, custom headers from tool parameters). What
//! it said is remembered for as long as the worker runs. What clients are listed stays what was locked.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::pin::Pin;
use std::rc::Rc;
use std::time::Instant;

use only1mcp_model::param_header::{self, Listed, Violation};
use tokio::sync::Mutex;

use super::Worker;
use crate::catalog::plan::{ParamHeader, Transport};
use crate::catalog::{Era, Topology};
use crate::clock::Deadline;
use crate::limits;
use crate::mcp::envelope;
use crate::telemetry::one_line;
use crate::upstream::{self, Call, Collected, Transport as _};

/// What one worker knows of such tools.
#[derive(Debug, Default)]
pub(crate) struct Relisted(RefCell<BTreeMap<Key, Rc<Tool>>>);

/// The index of the backend, and the name that this has for the tool.
type Key = (u16, Box<str>);

/// One of them. Calls that are refused at once ask once: the others wait for what the first hears.
#[derive(Debug, Default)]
struct Tool {
    /// When its server was asked last.
    asked: Mutex<Option<Instant>>,
    /// What it wants; nothing where it was not found, or asks for what it may not have.
    headers: RefCell<Option<Rc<[ParamHeader]>>>,
}

/// What a tool is listed with: headers, or what it may not have.
pub(crate) type Found = Result<Rc<[ParamHeader]>, Violation>;

/// What a tool wants, once that is known.
type Asking<'f> = Pin<Box<dyn Future<Output = Option<Rc<[ParamHeader]>>> + 'f>>;

// === impl Relisted ===

impl Relisted {
    /// What a tool wants, where that was asked.
    pub(super) fn headers(&self, backend: u16, tool: &str) -> Option<Rc<[ParamHeader]>> {
        let known = self.0.borrow();
        // Hardly any gateway ever knows one.
        if known.is_empty() {
            return None;
        }
        known.get(&(backend, tool.into()))?.headers.borrow().clone()
    }

    fn tool(&self, backend: u16, tool: &str) -> Option<Rc<Tool>> {
        let mut known = self.0.borrow_mut();
        let key = (backend, tool.into());
        if known.len() >= limits::RELISTED_TOOLS_MAX && !known.contains_key(&key) {
            return None;
        }
        Some(Rc::clone(known.entry(key).or_default()))
    }
}

/// What a tool wants that was refused when it got `had`; `None` where that is nothing else, or is not found out within the
/// time of the call. Behind a pointer: the program would have all of it for each kind of client.
pub(super) fn relist<'f, T: Topology>(
    worker: &'f Worker<T>,
    backend: u16,
    tool: &'f str,
    had: &'f [ParamHeader],
    deadline: &'f Deadline,
) -> Asking<'f> {
    Box::pin(wanted(worker, backend, tool, had, deadline))
}

async fn wanted<T: Topology>(
    worker: &Worker<T>,
    backend: u16,
    tool: &str,
    had: &[ParamHeader],
    deadline: &Deadline,
) -> Option<Rc<[ParamHeader]>> {
    let spec = worker.catalog().backend::<T>(backend)?;
    if !matches!(spec.transport, Transport::StreamableHttp(_)) {
        return None;
    }
    let known = worker.relisted.tool(backend, tool)?;
    let asking = async {
        let mut asked = known.asked.lock().await;
        if asked.is_none_or(|at| at.elapsed() >= limits::RELIST_PAUSE) {
            *asked = Some(Instant::now());
            match wanted_headers(tool, async |cursor| ask(worker, backend, cursor).await).await {
                Some(Err(violation)) => {
                    // What it says of itself is not to be trusted to be short, or one line.
                    let why = one_line(violation.to_string().as_bytes());
                    tracing::warn!(backend = &*spec.name, tool, why, "it is listed as no client may be shown it");
                }
                found => {
                    let found = found.and_then(Result::ok);
                    let known_now = found.is_some();
                    tracing::info!(
                        backend = &*spec.name,
                        tool,
                        found = known_now,
                        "its headers are refused: listed again"
                    );
                    if known_now {
                        known.headers.replace(found);
                    }
                }
            }
        }
    };
    tokio::time::timeout(deadline.left(), asking).await.ok()?;
    known.headers.borrow().clone().filter(|wanted| **wanted != *had)
}

/// Asks a server for its tools, by the answers to `tools/list`, page by page, until one has this name: what it wants.
pub(crate) async fn wanted_headers(
    tool: &str,
    mut ask: impl AsyncFnMut(Option<&str>) -> Option<Vec<u8>>,
) -> Option<Found> {
    let mut cursor = None;
    for _ in 0..limits::LIST_PAGES_MAX {
        let answer = ask(cursor.as_deref()).await?;
        match param_header::listed(serde_json::from_slice(&answer).ok()?, tool)? {
            Listed::Here(wanted) => return Some(wanted.map(Rc::from)),
            Listed::Behind(next) => cursor = Some(next.filter(|next| cursor.as_ref() != Some(next))?),
        }
    }
    None
}

/// The answer to one request for a page.
async fn ask<T: Topology>(worker: &Worker<T>, backend: u16, cursor: Option<&str>) -> Option<Vec<u8>> {
    let link = worker.links.of(backend)?;
    let source = upstream::tools_list(cursor);
    let head = envelope::incoming(source.as_bytes()).ok()?;
    let call = Call::own(source.as_bytes(), &head, "tools/list", Era::Modern);
    let mut answer = Collected::default();
    link.exchange(&call, &mut answer).await.ok()?;
    answer.0.map(|(source, _)| source)
}
