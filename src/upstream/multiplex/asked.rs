//! What a connection was asked and has not answered, and which of that a message belongs to.

use std::collections::{HashSet, VecDeque};
use std::time::Instant;

use crate::limits;
use crate::mcp::client::Profile;
use crate::mcp::envelope::{Id, Outgoing, Shape};
use crate::mcp::json::{Kind, Value};
use crate::upstream::greeting;
use crate::upstream::outbound::id_span;

/// What a connection was asked and has not answered.
#[derive(Debug, Default)]
pub(in super::super) struct Asked {
    ids: HashSet<u64>,
    /// Those of them that listen: what the backend says beside them is about some other.
    listening: Vec<u64>,
    /// Calls that were given up, and when the last of them was. While the backend may still be busy with one, what it says
    /// may be about that.
    abandoned: Option<(Instant, HashSet<u64>)>,
    /// Requests of the backend that calls were handed last, by their ids as written: it may take them back.
    handed: VecDeque<(Box<[u8]>, u64)>,
}

// === impl Asked ===

impl Asked {
    pub(in super::super) fn len(&self) -> usize {
        self.ids.len()
    }

    pub(in super::super) fn insert(&mut self, id: u64) {
        self.ids.insert(id);
    }

    /// The same for a call that listens: what the backend logs while it acknowledges that, or does not, is not about it.
    pub(in super::super) fn listen(&mut self, id: u64) {
        self.insert(id);
        self.listening.push(id);
    }

    /// Nobody waits for this answer any more; whether one was to come.
    pub(in super::super) fn abandon(&mut self, id: u64) -> bool {
        let listens = self.listening.contains(&id);
        let asked = self.remove(id);
        if asked && !listens {
            let (last, ids) = self.abandoned.get_or_insert_with(|| (Instant::now(), HashSet::new()));
            *last = Instant::now();
            // No call has the other id: it is never answered.
            ids.insert(if ids.len() < limits::ABANDONED_MAX { id } else { u64::MAX });
        }
        asked
    }

    /// Nothing is to come for this call: it was answered, or never made.
    #[cfg(any(feature = "transport-http", feature = "transport-sse"))]
    pub(in super::super) fn forget(&mut self, id: u64) {
        self.remove(id);
    }

    fn remove(&mut self, id: u64) -> bool {
        self.listening.retain(|listening| *listening != id);
        self.ids.remove(&id)
    }

    /// The connection is a new one; what the old one was asked and did not answer.
    pub(in super::super) fn clear(&mut self) -> HashSet<u64> {
        self.abandoned = None;
        self.handed.clear();
        self.listening.clear();
        std::mem::take(&mut self.ids)
    }

    /// The call that a message belongs to, if it is one of these. An answer settles it.
    pub(in super::super) fn owner(&mut self, source: &[u8], head: &Outgoing) -> Option<u64> {
        match (head.shape, head.id) {
            (Shape::Response | Shape::Invalid, Id::Number(span)) => {
                let id = decimal(span.of(source))?;
                self.abandoned.take_if(|(_, ids)| ids.remove(&id) && ids.is_empty());
                self.remove(id).then_some(id)
            }
            (Shape::Notification, _) => self.owner_of_notification(source, head),
            _ => None,
        }
    }

    /// The call that a request of the backend belongs to, which was told that its client has this profile: one that it
    /// may make belongs to a call as a log message does.
    pub(in super::super) fn owner_of_request(
        &mut self,
        source: &[u8],
        head: &Outgoing,
        declared: Profile,
    ) -> Option<u64> {
        let id = greeting::may_ask(source, head, declared).then(|| self.by_token(source, head, true)).flatten()?;
        self.hand(source, head, id);
        Some(id)
    }

    /// A request of the backend goes to this call.
    pub(in super::super) fn hand(&mut self, source: &[u8], head: &Outgoing, id: u64) {
        if let Some(span) = id_span(head.id) {
            if self.handed.len() >= limits::CALL_MESSAGES_MAX {
                self.handed.pop_front();
            }
            self.handed.push_back((span.of(source).into(), id));
        }
    }

    /// By its progress token, which is the call's minted id; a log message belongs to a call only if there is just one,
    /// and none before it that the backend may not have let go of. What takes a request back goes where that went.
    fn owner_of_notification(&mut self, source: &[u8], head: &Outgoing) -> Option<u64> {
        if let Some(subscription) = head.subscription_id {
            return self.named(source, subscription).filter(|id| self.listening.contains(id));
        }
        let is = |name| head.method.is_some_and(|method| method.is(source, name));
        if is("notifications/cancelled") {
            let request = head.request_id?;
            if let Some(ended) = self.named(source, request).filter(|id| self.listening.contains(id)) {
                return Some(ended);
            }
            let request = request.span.of(source);
            let (_, call) = self.handed.iter().rev().find(|(id, _)| **id == *request)?;
            return self.ids.contains(call).then_some(*call);
        }
        self.by_token(source, head, is("notifications/message"))
    }

    /// By the progress token, else, for what any call may have caused, the only call there is.
    fn by_token(&self, source: &[u8], head: &Outgoing, any: bool) -> Option<u64> {
        match head.progress_token {
            Some(token) => self.named(source, token),
            None if any && !self.may_be_abandoned() && self.ids.len() == self.listening.len() + 1 => {
                self.ids.iter().find(|id| !self.listening.contains(id)).copied()
            }
            None => None,
        }
    }

    /// Whether what the backend says may be about a call that was given up.
    fn may_be_abandoned(&self) -> bool {
        self.abandoned.as_ref().is_some_and(|(last, _)| last.elapsed() < limits::ABANDONED_FOR)
    }

    /// The call whose minted id this is.
    fn named(&self, source: &[u8], id: Value) -> Option<u64> {
        let id = (id.kind == Kind::Number).then(|| decimal(id.span.of(source))).flatten();
        id.filter(|id| self.ids.contains(id))
    }
}

fn decimal(digits: &[u8]) -> Option<u64> {
    std::str::from_utf8(digits).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mcp::envelope;

    fn head(source: &str) -> Outgoing {
        envelope::outgoing(source.as_bytes()).expect("a message")
    }

    fn request(id: &str, method: &str, params: &str) -> String {
        format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"{method}","params":{params}}}"#)
    }

    /// The owner of a request of a backend that was told that its clients have roots and sampling.
    fn owner(asked: &mut Asked, source: &str) -> Option<u64> {
        asked.owner_of_request(source.as_bytes(), &head(source), Profile::ROOTS.or(Profile::SAMPLING))
    }

    fn cancelled(asked: &mut Asked, id: &str) -> Option<u64> {
        let source = format!(r#"{{"jsonrpc":"2.0","method":"notifications/cancelled","params":{{"requestId":{id}}}}}"#);
        asked.owner(source.as_bytes(), &head(&source))
    }

    #[test]
    fn a_request_belongs_to_the_call_whose_token_it_has_or_to_the_only_one() {
        let mut asked = Asked::default();
        let (plain, token) = (request("0", "roots/list", "{}"), r#"{"_meta":{"progressToken":7}}"#);
        let tracked = request("\"a\"", "sampling/createMessage", token);
        assert_eq!((owner(&mut asked, &plain), owner(&mut asked, &tracked)), (None, None));
        asked.insert(7);
        assert_eq!((owner(&mut asked, &plain), owner(&mut asked, &tracked)), (Some(7), Some(7)));
        asked.insert(9);
        assert_eq!((owner(&mut asked, &plain), owner(&mut asked, &tracked)), (None, Some(7)));
        // Another's token is nobody's, even if there is just one call.
        asked.forget(7);
        assert_eq!((owner(&mut asked, &plain), owner(&mut asked, &tracked)), (Some(9), None));
        asked.insert(11);
        assert!(asked.abandon(11));
        assert_eq!(owner(&mut asked, &plain), None, "it may be about the call that was given up");
    }

    #[test]
    fn what_may_be_about_a_call_that_was_given_up_is_not_until_that_is_answered_or_a_while_ago() {
        let mut asked = Asked::default();
        let plain = request("0", "roots/list", "{}");
        (7..10).for_each(|id| asked.insert(id));
        assert!(asked.abandon(7) && asked.abandon(8));
        let late = |asked: &mut Asked, id: u64| {
            let source = format!(r#"{{"jsonrpc":"2.0","id":{id},"result":{{}}}}"#);
            assert_eq!(asked.owner(source.as_bytes(), &head(&source)), None);
        };
        late(&mut asked, 7);
        assert_eq!(owner(&mut asked, &plain), None);
        late(&mut asked, 8);
        assert_eq!(owner(&mut asked, &plain), Some(9));
        asked.insert(10);
        assert!(asked.abandon(10));
        assert_eq!(owner(&mut asked, &plain), None);
        let (last, _) = asked.abandoned.as_mut().expect("one");
        *last = last.checked_sub(limits::ABANDONED_FOR).expect("the machine runs for longer");
        assert_eq!(owner(&mut asked, &plain), Some(9));
    }

    #[test]
    fn of_more_calls_that_were_given_up_than_are_kept_only_time_tells() {
        let mut asked = Asked::default();
        let given_up = 0..=limits::ABANDONED_MAX as u64;
        for id in given_up.clone() {
            asked.insert(id);
            assert!(asked.abandon(id));
        }
        asked.insert(1 << 20);
        for id in given_up {
            let source = format!(r#"{{"jsonrpc":"2.0","id":{id},"result":{{}}}}"#);
            assert_eq!(asked.owner(source.as_bytes(), &head(&source)), None);
        }
        assert_eq!(owner(&mut asked, &request("0", "roots/list", "{}")), None);
    }

    #[test]
    fn only_what_was_declared_may_be_asked() {
        let mut asked = Asked::default();
        asked.insert(7);
        for method in ["elicitation/create", "ping", "tasks/get", "tools/call"] {
            assert_eq!(owner(&mut asked, &request("0", method, "{}")), None, "{method}");
        }
        assert_eq!(owner(&mut asked, &request("null", "roots/list", "{}")), None, "nobody could answer it");
    }

    #[test]
    fn what_takes_a_request_back_goes_where_that_went() {
        let mut asked = Asked::default();
        asked.insert(7);
        assert_eq!(cancelled(&mut asked, "0"), None);
        assert_eq!(owner(&mut asked, &request("0", "roots/list", "{}")), Some(7));
        asked.insert(9);
        assert_eq!((cancelled(&mut asked, "0"), cancelled(&mut asked, "\"0\"")), (Some(7), None));
        for id in 1..=limits::CALL_MESSAGES_MAX {
            let tracked = request(&id.to_string(), "roots/list", r#"{"_meta":{"progressToken":9}}"#);
            assert_eq!(owner(&mut asked, &tracked), Some(9));
        }
        assert_eq!(
            (cancelled(&mut asked, "0"), cancelled(&mut asked, "1")),
            (None, Some(9)),
            "the oldest is forgotten"
        );
        asked.forget(9);
        assert_eq!(cancelled(&mut asked, "1"), None);
    }

    #[test]
    fn a_call_that_listens_is_told_what_bears_its_id_and_nothing_else() {
        let mut asked = Asked::default();
        let told = |asked: &mut Asked, method: &str, meta: &str| {
            let source =
                format!(r#"{{"jsonrpc":"2.0","method":"notifications/{method}","params":{{"_meta":{meta}}}}}"#);
            asked.owner(source.as_bytes(), &head(&source))
        };
        let id = r#"{"io.modelcontextprotocol/subscriptionId":7}"#;
        assert_eq!(told(&mut asked, "subscriptions/acknowledged", id), None);
        asked.listen(7);
        asked.insert(8);
        assert_eq!(told(&mut asked, "message", "{}"), Some(8), "the other has not even answered");
        let answer = r#"{"jsonrpc":"2.0","id":8,"result":{}}"#;
        assert_eq!(asked.owner(answer.as_bytes(), &head(answer)), Some(8));
        assert_eq!(told(&mut asked, "subscriptions/acknowledged", id), Some(7));
        assert_eq!(told(&mut asked, "tools/list_changed", "{}"), None);
        assert_eq!(told(&mut asked, "message", "{}"), None, "it caused nothing");
        asked.insert(9);
        assert_eq!(told(&mut asked, "message", "{}"), Some(9));
        assert_eq!(told(&mut asked, "tools/list_changed", id), Some(7));
        assert_eq!((cancelled(&mut asked, "7"), cancelled(&mut asked, "9")), (Some(7), None));
        assert!(asked.abandon(7));
        assert_eq!(told(&mut asked, "message", "{}"), Some(9), "nothing of it goes on");
    }
}
