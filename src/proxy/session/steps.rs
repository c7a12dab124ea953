//! What a call in a session over HTTP takes beside what every call takes, put together for those who count it.

use super::{Calls, OpenedTokens, Sessions};
use crate::catalog::{Revision, View};
use crate::mcp::client::Profile;

/// A session of one client at one worker.
#[doc(hidden)]
#[derive(Debug)]
pub struct SessionSteps {
    sessions: Sessions,
    opened: OpenedTokens,
    calls: Calls,
    view: &'static View,
    token: String,
}

impl SessionSteps {
    /// A session that was begun, and in which nothing was asked yet.
    ///
    /// # Errors
    /// There are no random bits.
    pub fn begin(view: &'static View) -> std::io::Result<Self> {
        let sessions = Sessions::of_this_process()?;
        let token = sessions.begin(view, Revision::LEGACY, Profile::default())?;
        Ok(Self { sessions, opened: OpenedTokens::default(), calls: Calls::default(), view, token })
    }

    /// One call with this id, from the token that it comes with to its end; whether it could have been cancelled, and
    /// was not.
    pub fn call(&self, id: &[u8]) -> bool {
        let session = self.sessions.find(&self.opened, self.view, self.token.as_bytes());
        let call = session.and_then(|session| self.calls.enter(session.key, id));
        call.is_some_and(|call| !call.cancellation().is_cancelled())
    }
}
