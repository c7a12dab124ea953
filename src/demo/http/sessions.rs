//! The sessions of legacy clients over HTTP: minted at `initialize`, ended by DELETE.

use std::fs::File;
use std::io::{self, Read as _};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use hyper::StatusCode;
use hyper::header::HeaderValue;
use hyper::http::request::Parts;

use super::{Rejection, SESSION_ID, checks};
use crate::demo::rpc::Fault;
use crate::demo::server::Conversation;
use crate::limits::SESSIONS_MAX;

pub(super) struct HeldSessions {
    by_id: papaya::HashMap<String, Held>,
    /// Counts uses, to tell which session is idle longest.
    uses: AtomicU64,
    random: File,
}

struct Held {
    conversation: Arc<Conversation>,
    last_use: AtomicU64,
}

impl HeldSessions {
    pub(super) fn new() -> io::Result<Self> {
        let random = File::open("/dev/urandom")?;
        Ok(Self { by_id: papaya::HashMap::new(), uses: AtomicU64::new(0), random })
    }

    /// Holds `conversation` under a new id that cannot be guessed. At the bound, the session idle longest goes.
    pub(super) fn begin(&self, conversation: Arc<Conversation>) -> Result<HeaderValue, Rejection> {
        let mut bytes = [0; 16];
        (&self.random).read_exact(&mut bytes).map_err(internal)?;
        let id = format!("{:032x}", u128::from_ne_bytes(bytes));
        let header = HeaderValue::try_from(&id).map_err(internal)?;
        let sessions = self.by_id.pin();
        if sessions.len() >= SESSIONS_MAX
            && let Some((idle, _)) = sessions.iter().min_by_key(|(_, held)| held.last_use.load(Ordering::Relaxed))
            && let Some(held) = sessions.remove(idle)
        {
            held.conversation.cancel_all();
        }
        sessions.insert(id, Held { conversation, last_use: AtomicU64::new(self.next_use()) });
        Ok(header)
    }

    /// The session that the head names.
    pub(super) fn find(&self, head: &Parts) -> Result<Arc<Conversation>, Rejection> {
        let id = named(head)?;
        let sessions = self.by_id.pin();
        let held = sessions.get(id).ok_or_else(unknown)?;
        held.last_use.store(self.next_use(), Ordering::Relaxed);
        Ok(Arc::clone(&held.conversation))
    }

    /// Ends the session that the head names, and its calls.
    pub(super) fn end(&self, head: &Parts) -> Result<(), Rejection> {
        let sessions = self.by_id.pin();
        sessions.remove(named(head)?).ok_or_else(unknown)?.conversation.cancel_all();
        Ok(())
    }

    fn next_use(&self) -> u64 {
        self.uses.fetch_add(1, Ordering::Relaxed)
    }
}

fn named(head: &Parts) -> Result<&str, Rejection> {
    let missing = || Fault::InvalidRequest("`Mcp-Session-Id` is missing".into()).anonymous();
    checks::only(head, SESSION_ID).ok_or_else(|| Rejection::bad_request(missing()))
}

fn unknown() -> Rejection {
    let fault = Fault::InvalidRequest("session is not known".into());
    Rejection::Refused(StatusCode::NOT_FOUND, fault.anonymous())
}

fn internal<E>(_: E) -> Rejection {
    Rejection::Status(StatusCode::INTERNAL_SERVER_ERROR)
}
