//! Which arguments the tools of the server want to see as fields (MCP 2026-07-28, custom headers from tool parameters): by
//! the lists that pass by, and by one that is asked for when the server refuses a call.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Instant;

use only1mcp_model::param_header;

use crate::catalog::Revision;
use crate::catalog::plan::ParamHeader;
use crate::limits;
use crate::mcp::envelope::{self, Shape};
use crate::proxy::wanted_headers;
use crate::upstream::streamable_http::Remote;
use crate::upstream::tools_list;

/// What is known of tools, by their names.
#[derive(Debug, Default)]
pub(super) struct Params(RefCell<BTreeMap<Box<str>, Tool>>);

#[derive(Debug, Default)]
struct Tool {
    wanted: Rc<[ParamHeader]>,
    /// When the server was asked for it last.
    asked: Option<Instant>,
}

// === impl Params ===

impl Params {
    /// What a tool wants; `None` where that is not known.
    pub(super) fn of(&self, tool: &str) -> Option<Rc<[ParamHeader]>> {
        self.0.borrow().get(tool).map(|tool| Rc::clone(&tool.wanted))
    }

    /// Takes what an answer to `tools/list` says.
    pub(super) fn learn(&self, answer: &[u8]) {
        let tools = serde_json::from_slice(answer).ok().and_then(param_header::all);
        for (name, wanted) in tools.unwrap_or_default() {
            let known = self.0.borrow().contains_key(&*name);
            if known || !wanted.is_empty() {
                self.edit(&name, |tool| tool.wanted = wanted.into());
            }
        }
    }

    /// Asks the server for what it lists, unless it was asked just now.
    pub(super) async fn relist(&self, remote: &Remote, tool: &str) {
        let mut asks = false;
        self.edit(tool, |tool| {
            asks = tool.asked.is_none_or(|asked| asked.elapsed() >= limits::RELIST_PAUSE);
            tool.asked = Some(Instant::now()).filter(|_| asks).or(tool.asked);
        });
        if !asks {
            return;
        }
        let found = wanted_headers(tool, async |cursor| page(remote, cursor).await).await.and_then(Result::ok);
        tracing::info!(tool, found = found.is_some(), "its fields are refused: listed again");
        if let Some(wanted) = found {
            self.edit(tool, |tool| tool.wanted = wanted);
        }
    }

    /// Of more tools than may be nothing is remembered.
    fn edit(&self, tool: &str, edit: impl FnOnce(&mut Tool)) {
        let mut known = self.0.borrow_mut();
        if known.len() < limits::RELISTED_TOOLS_MAX || known.contains_key(tool) {
            edit(known.entry(tool.into()).or_default());
        }
    }
}

/// The answer to one request for a page.
async fn page(remote: &Remote, cursor: Option<&str>) -> Option<Vec<u8>> {
    let fields: [(&str, &[u8]); 2] =
        [("mcp-protocol-version", Revision::MODERN.as_str().as_bytes()), ("mcp-method", b"tools/list")];
    let mut reply = remote.ask("POST", &fields, tools_list(cursor).as_bytes()).await.ok()?;
    loop {
        let message = reply.next().await.ok()??;
        if envelope::outgoing(&message).is_ok_and(|head| head.shape == Shape::Response) {
            return Some(message);
        }
    }
}
