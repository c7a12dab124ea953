//! How one child fares, for administrators. What calls need to know of it is elsewhere.

use std::sync::Arc;

use tokio::sync::watch;

/// How one child fares.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Vitals {
    /// What it is at.
    pub state: State,
    /// How often it was started.
    pub generation: u64,
    /// Its process, while there is one.
    pub pid: Option<u32>,
    /// How the one before this came to its end.
    pub last_end: Option<Arc<str>>,
    /// What it wrote to stderr last.
    pub stderr: Vec<Arc<str>>,
}

/// What a child is at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum State {
    /// It is being started and greeted.
    #[default]
    Starting,
    /// It takes calls.
    Ready,
    /// It ended or never came up, and is given a pause.
    Down,
    /// A call will start it.
    Asleep,
    /// The gateway stops.
    Closed,
}

/// One child of a gateway, seen from elsewhere. Looking takes no longer than copying a pointer.
#[derive(Clone, Debug)]
pub struct Patient {
    /// The backend it belongs to.
    backend: Arc<str>,
    instance: usize,
    /// Whether it may never be needed.
    spare: bool,
    vitals: watch::Receiver<Arc<Vitals>>,
}

/// Where the owner of a child writes how it fares.
#[derive(Clone, Debug)]
pub(super) struct Chart(Arc<watch::Sender<Arc<Vitals>>>);

// === impl State ===

impl State {
    /// Its name.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Ready => "ready",
            Self::Down => "down",
            Self::Asleep => "asleep",
            Self::Closed => "closed",
        }
    }
}

// === impl Patient ===

impl Patient {
    /// The backend it belongs to.
    #[must_use]
    pub fn backend(&self) -> &str {
        &self.backend
    }

    /// Which of the children of its backend it is, from 0.
    #[must_use]
    pub fn instance(&self) -> usize {
        self.instance
    }

    /// Whether it was ever started, or is to be: one that is kept for clients of a profile is there once there are any.
    #[must_use]
    pub fn is_there(&self) -> bool {
        !self.spare || self.vitals.borrow().generation > 0
    }

    /// How it fares now.
    #[must_use]
    pub fn vitals(&self) -> Arc<Vitals> {
        Arc::clone(&self.vitals.borrow())
    }
}

// === impl Chart ===

impl Chart {
    /// A chart for a child of this backend, which may never be needed if it is a spare one, and who may look at it.
    pub(super) fn new(backend: &str, instance: usize, spare: bool) -> (Self, Patient) {
        let (chart, vitals) = watch::channel(Arc::default());
        (Self(Arc::new(chart)), Patient { backend: backend.into(), instance, spare, vitals })
    }

    /// Writes something down.
    pub(super) fn note(&self, change: impl FnOnce(&mut Vitals)) {
        self.0.send_modify(|vitals| change(Arc::make_mut(vitals)));
    }
}
