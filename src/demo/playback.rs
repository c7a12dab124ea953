//! A tool call under way: its messages in their order and at their times, and how it is cancelled. The only place where
//! the core meets the clock; which transport carries the messages is not known here.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use serde_json::Value;
use tokio::sync::Notify;
use tokio::time::Instant;

use super::offer::{ProcessStatus, TimedMessage};
use super::server::Conversation;

/// Counts the calls of a process.
pub(super) struct Ledger {
    started: Instant,
    served: AtomicU64,
    running: AtomicU64,
    cancelled: AtomicU64,
}

/// The messages of one call that are still to be sent. Dropping it before the last cancels the call.
pub(super) struct Playback {
    steps: VecDeque<TimedMessage>,
    /// When the first of `steps` is to be sent, once it is waited for.
    due: Option<Instant>,
    stopped: bool,
    cancelled: Arc<Notify>,
    /// What `conversation` knows the call by.
    key: String,
    conversation: Arc<Conversation>,
    ledger: Arc<Ledger>,
}

// === impl Ledger ===

impl Ledger {
    pub(super) fn new() -> Self {
        let zero = AtomicU64::default;
        Self { started: Instant::now(), served: zero(), running: zero(), cancelled: zero() }
    }

    pub(super) fn status(&self) -> ProcessStatus {
        ProcessStatus {
            uptime_ms: u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX),
            calls_served: self.served.load(Ordering::Relaxed),
            calls_running: self.running.load(Ordering::Relaxed),
            calls_cancelled: self.cancelled.load(Ordering::Relaxed),
        }
    }
}

// === impl Playback ===

impl Playback {
    /// Begins the call `id` of `conversation`; `None` if it has a call of that id already.
    pub(super) fn begin(
        ledger: &Arc<Ledger>,
        conversation: &Arc<Conversation>,
        id: &Value,
        steps: VecDeque<TimedMessage>,
    ) -> Option<Self> {
        let key = id.to_string();
        let cancelled = Arc::new(Notify::new());
        conversation.begin(key.clone(), Arc::clone(&cancelled)).then(|| {
            ledger.running.fetch_add(1, Ordering::Relaxed);
            let (conversation, ledger) = (Arc::clone(conversation), Arc::clone(ledger));
            Self { steps, due: None, stopped: false, cancelled, key, conversation, ledger }
        })
    }

    /// Whether all that is left is an answer that can be sent now.
    pub(super) fn is_plain(&self) -> bool {
        self.steps.len() == 1 && self.takes_no_time()
    }

    pub(super) fn takes_no_time(&self) -> bool {
        self.steps.iter().all(|step| step.after.is_zero())
    }

    /// The next message, when its time has come; `None` after the answer, or if the call was cancelled. May be dropped
    /// and called again without losing a message or time.
    pub(super) async fn next(&mut self) -> Option<Value> {
        if self.stopped {
            return None;
        }
        let after = self.steps.front()?.after;
        let due = *self.due.get_or_insert_with(|| Instant::now() + after);
        tokio::select! {
            biased;
            () = self.cancelled.notified() => {
                self.stopped = true;
                return None;
            }
            () = tokio::time::sleep_until(due) => {}
        }
        self.due = None;
        self.steps.pop_front().map(|step| step.message)
    }

    #[cfg(test)]
    pub(super) fn steps(&self) -> &VecDeque<TimedMessage> {
        &self.steps
    }
}

impl Drop for Playback {
    fn drop(&mut self) {
        self.conversation.end(&self.key);
        let outcome = if self.steps.is_empty() { &self.ledger.served } else { &self.ledger.cancelled };
        outcome.fetch_add(1, Ordering::Relaxed);
        self.ledger.running.fetch_sub(1, Ordering::Relaxed);
    }
}
