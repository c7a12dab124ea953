//! Which arguments the tools of the server want to see as fields (MCP 2026-07-28, custom headers from tool parameters): by
//! its list of them, which is asked for when it refuses a call.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Instant;

use crate::catalog::Revision;
use crate::catalog::plan::ParamHeader;
use crate::limits;
use crate::mcp::envelope::Shape;
use crate::mcp::parts;
use crate::proxy::wanted_headers;
use crate::upstream::streamable_http::Remote;
use crate::upstream::tools_list;

/// What is known of tools; hardly any server ever refuses a call of one.
#[derive(Debug, Default)]
pub(super) struct Params(RefCell<Vec<Tool>>);

#[derive(Debug)]
struct Tool {
    name: Box<str>,
    wanted: Rc<[ParamHeader]>,
    /// When the server was asked for it last.
    asked: Instant,
}

// === impl Params ===

impl Params {
    /// What a tool wants; `None` where that is not known.
    pub(super) fn of(&self, tool: &str) -> Option<Rc<[ParamHeader]>> {
        let known = self.0.borrow();
        known.iter().find(|known| *known.name == *tool).map(|known| Rc::clone(&known.wanted))
    }

    /// Asks the server for what it lists, unless it was asked just now.
    pub(super) async fn relist(&self, remote: &Remote, tool: &str) {
        {
            let (mut known, asked) = (self.0.borrow_mut(), Instant::now());
            let full = known.len() >= limits::RELISTED_TOOLS_MAX;
            match known.iter_mut().find(|known| *known.name == *tool) {
                Some(known) if known.asked.elapsed() < limits::RELIST_PAUSE => return,
                Some(known) => known.asked = asked,
                // Of more tools than may be nothing is remembered.
                None if full => return,
                None => known.push(Tool { name: tool.into(), wanted: Rc::default(), asked }),
            }
        }
        let found = wanted_headers(tool, async |cursor| page(remote, cursor).await).await.and_then(Result::ok);
        tracing::info!(tool, found = found.is_some(), "its fields are refused: listed again");
        let mut known = self.0.borrow_mut();
        if let (Some(wanted), Some(known)) = (found, known.iter_mut().find(|known| *known.name == *tool)) {
            known.wanted = wanted;
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
        if parts::outgoing(&message).is_ok_and(|head| head.shape == Shape::Response) {
            return Some(message);
        }
    }
}
