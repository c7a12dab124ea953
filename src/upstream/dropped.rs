//! Messages of a backend that nobody gets, counted by why. How the counts are named and shown is not decided here.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use crate::mcp::envelope::{Outgoing, Shape};

/// Why nobody gets a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reason {
    /// An answer to no request in flight: nobody made that, or it is answered, or given up.
    Answer,
    /// A notification about no call in flight, nor one that anybody may listen for.
    Notification,
    /// A request that no client could be asked: refused.
    Request,
    /// It is about a call for which as many wait as may: its client does not read.
    Unread,
    /// It is no JSON-RPC message.
    NoMessage,
}

/// How many messages of one backend nobody got, for all workers: few are dropped, so that it may be one counter.
#[derive(Clone, Debug, Default)]
pub(crate) struct Dropped(Arc<[AtomicU64; Reason::ALL.len()]>);

// === impl Reason ===

impl Reason {
    /// Every one there is.
    pub(crate) const ALL: [Self; 5] = [Self::Answer, Self::Notification, Self::Request, Self::Unread, Self::NoMessage];

    /// Its name in metrics.
    #[cfg(feature = "admin")]
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Answer => "answer",
            Self::Notification => "notification",
            Self::Request => "request",
            Self::Unread => "unread",
            Self::NoMessage => "no_message",
        }
    }

    /// Why nobody gets a message that belongs to no call.
    fn of(head: &Outgoing) -> Self {
        match head.shape {
            Shape::Request => Self::Request,
            _ if head.method.is_some() => Self::Notification,
            _ => Self::Answer,
        }
    }
}

// === impl Dropped ===

impl Dropped {
    /// Counts a message.
    pub(super) fn add(&self, reason: Reason) {
        self.0[reason as usize].fetch_add(1, Relaxed);
    }

    /// Counts, and tells, that a message belongs to no call.
    pub(super) fn stray(&self, backend: &str, head: &Outgoing) {
        let reason = Reason::of(head);
        tracing::debug!(backend, ?reason, "a message that belongs to no call was dropped");
        self.add(reason);
    }

    /// How many there were for this reason.
    #[cfg(any(feature = "admin", test))]
    pub(crate) fn read(&self, reason: Reason) -> u64 {
        self.0[reason as usize].load(Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mcp::envelope;

    #[test]
    fn a_message_is_counted_by_what_it_is() {
        for (index, reason) in Reason::ALL.into_iter().enumerate() {
            assert_eq!(reason as usize, index, "{reason:?}");
        }
        let dropped = Dropped::default();
        for (source, reason) in [
            (r#"{"jsonrpc":"2.0","id":7,"result":{}}"#, Reason::Answer),
            (r#"{"jsonrpc":"2.0","id":7,"error":{"code":1,"message":"m"}}"#, Reason::Answer),
            (r#"{"jsonrpc":"2.0","id":7}"#, Reason::Answer),
            (r#"{"jsonrpc":"2.0","method":"notifications/progress"}"#, Reason::Notification),
            (r#"{"jsonrpc":"2.0","id":7,"method":"roots/list"}"#, Reason::Request),
        ] {
            let before = dropped.read(reason);
            dropped.clone().stray("test", &envelope::outgoing(source.as_bytes()).expect("a message"));
            assert_eq!(dropped.read(reason), before + 1, "{source}");
        }
        assert_eq!(Reason::ALL.map(|reason| dropped.read(reason)), [3, 1, 1, 0, 0]);
    }
}
