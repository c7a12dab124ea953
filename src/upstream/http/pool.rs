//! Idle connections to one backend, the one used last first.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;
use std::time::Duration;

use super::connection::Connection;
use crate::clock::Clock;
use crate::limits;

/// How long the end of a stream may take to arrive after the answer in it.
const TRAILING: Duration = Duration::from_millis(100);

/// See the module.
#[derive(Debug)]
pub(in crate::upstream) struct Pool {
    clock: Clock,
    /// In the order in which they became idle.
    idle: RefCell<VecDeque<Connection>>,
}

impl Pool {
    pub(in crate::upstream) fn new(clock: Clock) -> Rc<Self> {
        Rc::new(Self { clock, idle: RefCell::default() })
    }

    /// A connection that still stands.
    pub(in crate::upstream) fn take(&self) -> Option<Connection> {
        loop {
            let mut connection = self.idle.borrow_mut().pop_back()?;
            if !self.is_stale(&connection) && connection.is_quiet() {
                return Some(connection);
            }
        }
    }

    /// Keeps a connection for the next request, if it can serve one. Servers often end a stream in a write of its own
    /// behind the answer: that is waited for aside, so that it costs neither this call nor the next one a connection.
    pub(in crate::upstream) fn give_back(self: &Rc<Self>, mut connection: Connection) {
        if connection.is_finished() {
            return self.keep(connection);
        }
        let pool = Rc::clone(self);
        tokio::task::spawn_local(async move {
            if let Ok(true) = tokio::time::timeout(TRAILING, connection.finish()).await {
                pool.keep(connection);
            }
        });
    }

    /// Keeps a connection of which nothing is left to read.
    pub(super) fn keep(&self, connection: Connection) {
        let Some(connection) = connection.into_idle(self.clock.now_ms()) else { return };
        let mut idle = self.idle.borrow_mut();
        // The one used last is used next, so those at the front only grow older.
        while idle.front().is_some_and(|oldest| self.is_stale(oldest)) {
            idle.pop_front();
        }
        if idle.len() < limits::IDLE_CONNECTIONS_MAX {
            idle.push_back(connection);
        }
    }

    fn is_stale(&self, idle: &Connection) -> bool {
        let idle_ms = self.clock.now_ms().saturating_sub(idle.idle_since_ms);
        u128::from(idle_ms) > limits::UPSTREAM_IDLE.as_millis()
    }
}
