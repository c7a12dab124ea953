//! The time in which changes of lists are collected before a client is told of them, all at once. What else there is to tell
//! does not wait for it.

use std::time::Duration;

use tokio::time::Instant;

use crate::catalog::plan::Batching;
use crate::mcp::subscription::Filter;

/// That of one client.
#[derive(Debug)]
pub(crate) struct Window {
    batching: Option<Batching>,
    /// When it is over, while anything is collected.
    until: Option<Instant>,
}

// === impl Window ===

impl Window {
    pub(crate) fn new(batching: Option<Batching>) -> Self {
        Self { batching, until: None }
    }

    /// What of that which has changed is to be told now, taken out. So many notifications of lists have come to it.
    pub(crate) fn due(&mut self, changed: &mut Filter, notifications: &mut u32) -> Filter {
        let Some(Batching { window_ms, max }) = self.batching.filter(|_| changed.has_lists()) else {
            (self.until, *notifications) = (None, 0);
            return std::mem::take(changed);
        };
        let now = Instant::now();
        let until = *self.until.get_or_insert_with(|| now + Duration::from_millis(window_ms));
        if now < until && *notifications < max {
            return changed.take_all_but_lists();
        }
        (self.until, *notifications) = (None, 0);
        std::mem::take(changed)
    }

    /// Ends it without anything being told: somebody else does that.
    pub(crate) fn close(&mut self) {
        self.until = None;
    }

    /// Ready once it is over; never, while nothing is collected.
    pub(crate) async fn over(&self) {
        match self.until {
            Some(until) => tokio::time::sleep_until(until).await,
            None => std::future::pending().await,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BATCHING: Batching = Batching { window_ms: 100, max: 3 };

    fn tools() -> Filter {
        Filter { tools_list_changed: true, ..Filter::default() }
    }

    fn updated() -> Filter {
        Filter { resource_subscriptions: ["x".into()].into(), ..Filter::default() }
    }

    #[tokio::test(start_paused = true)]
    async fn lists_are_told_when_the_window_is_over_and_all_else_at_once() {
        let mut window = Window::new(Some(BATCHING));
        let (mut changed, mut notifications) = (tools(), 1);
        let began = Instant::now();
        assert!(window.due(&mut changed, &mut notifications).is_empty());
        changed.merge(&updated());
        assert_eq!(window.due(&mut changed, &mut notifications), updated());
        changed.merge(&Filter { prompts_list_changed: true, ..Filter::default() });
        notifications += 1;
        assert!(window.due(&mut changed, &mut notifications).is_empty());
        window.over().await;
        assert_eq!(began.elapsed().as_millis(), 100);
        let both = Filter { prompts_list_changed: true, ..tools() };
        assert_eq!((window.due(&mut changed, &mut notifications), notifications), (both, 0));
        // The next one begins another window.
        changed = tools();
        assert!(window.due(&mut changed, &mut notifications).is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn so_many_are_told_before_it_is_over() {
        let mut window = Window::new(Some(BATCHING));
        let (mut changed, mut notifications) = (tools(), 2);
        assert!(window.due(&mut changed, &mut notifications).is_empty());
        notifications = 3;
        assert_eq!((window.due(&mut changed, &mut notifications), notifications), (tools(), 0));
    }

    #[tokio::test(start_paused = true)]
    async fn once_nothing_is_collected_it_is_not_over() {
        for told_by_others in [false, true] {
            let mut window = Window::new(Some(BATCHING));
            let (mut changed, mut notifications) = (tools(), 1);
            assert!(window.due(&mut changed, &mut notifications).is_empty());
            if told_by_others {
                window.close();
            } else {
                changed = Filter::default();
                assert!(window.due(&mut changed, &mut notifications).is_empty());
            }
            let over = tokio::time::timeout(Duration::from_secs(1), window.over()).await;
            assert!(over.is_err(), "whoever waits for it would look again and again");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn without_one_everything_is_told_at_once() {
        let mut window = Window::new(None);
        let (mut changed, mut notifications) = (tools(), 1);
        assert_eq!(window.due(&mut changed, &mut notifications), tools());
        assert!(changed.is_empty());
    }
}
