//! What may be set otherwise than compiled while the gateway runs, for each backend: the control plane writes it, workers
//! read it. What an overlay may say, and whether one is taken, is not decided here.
//!
//! One more setting is one more field of [`Settings`], read by whoever needs it and written in [`Settings::set`].
//!
//! **Invariant:** reading a setting is one atomic load: no lock, and nothing to wait for.

#[cfg(feature = "amendments")]
use std::sync::Arc;
use std::sync::OnceLock;
use std::sync::atomic::{
    AtomicU8, AtomicU32, AtomicU64,
    Ordering::{Acquire, Relaxed, Release},
};
use std::time::Duration;

use only1mcp_model::overlay::{BackendSettings, Overlay};
use tokio::sync::watch;

use crate::catalog::{Amendments, plan};
use crate::limits;
use crate::mcp::client::Profile;
use crate::upstream::{self, Error, Patient, Tuning, Upkeep};

/// The settings of every backend.
#[derive(Debug)]
pub(crate) struct Tuned {
    /// By the index of the backend.
    backends: Box<[Settings]>,
    /// The same of those that overlays added, behind the compiled ones.
    added: Box<[OnceLock<Settings>]>,
    /// What workers share of these towards them.
    #[cfg(feature = "amendments")]
    pub(crate) additions: Arc<upstream::Additions>,
    /// The catalogs that overlays make.
    pub(crate) amendments: Amendments,
    /// Counts how often they were set.
    published: watch::Sender<u64>,
}

/// Those of one backend.
#[derive(Debug)]
pub(crate) struct Settings {
    /// The longest a call to it may take.
    timeout_ms: AtomicU64,
    /// One of [`Admission`].
    admission: AtomicU8,
    /// How much of the calls of routes to several it gets, or [`AS_COMPILED`].
    weight: AtomicU32,
    /// Counts how often that was set otherwise.
    weighed: AtomicU32,
    /// What its links go by.
    tuning: Tuning,
    /// What it may ask of clients. Compiled.
    asks: Profile,
}

/// In place of a weight: each route says it.
const AS_COMPILED: u32 = u32::MAX;

/// Which calls a backend takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
enum Admission {
    Open,
    /// Those that go on with what was begun.
    Draining,
    Disabled,
    /// The overlay that added the backend is no more.
    Gone,
}

// === impl Tuned ===

impl Tuned {
    /// The compiled settings with what an overlay says.
    pub(crate) fn new(backends: &[plan::Backend], overlay: &Overlay) -> Self {
        let (published, _) = watch::channel(0);
        let backends_tuned = backends.iter().map(Settings::new).collect();
        let added = (0..limits::added_ever()).map(|_| OnceLock::new()).collect();
        let own = Self {
            backends: backends_tuned,
            added,
            #[cfg(feature = "amendments")]
            additions: Arc::default(),
            amendments: Amendments::default(),
            published,
        };
        own.set(backends, overlay);
        own
    }

    /// Sets what an overlay says, and all else as it is compiled: first of those that are to take calls, then of those that take
    /// no more, so that of two that take turns one always does.
    fn set(&self, backends: &[plan::Backend], overlay: &Overlay) {
        let compiled = BackendSettings::default();
        for takes_none in [false, true] {
            for (backend, settings) in backends.iter().zip(&self.backends) {
                let tuned = overlay.backends.get(&backend.name).unwrap_or(&compiled);
                if (tuned.disabled || tuned.drain || tuned.weight == Some(0)) == takes_none {
                    settings.set(backend, tuned);
                }
            }
        }
    }

    /// The same, and tells the workers, also of another catalog.
    pub(crate) fn publish(&self, backends: &[plan::Backend], overlay: &Overlay) {
        self.set(backends, overlay);
        self.published.send_modify(|count| *count += 1);
    }

    /// Sets those of the backends that an overlay adds, each at its position; those that are not among them are gone.
    #[cfg(feature = "amendments")]
    pub(crate) fn set_added(&self, added: &[(plan::Backend, upstream::Addition)], overlay: &Overlay) {
        for (backend, addition) in added {
            let Some(settings) = self.added.get(addition.position) else { continue };
            let settings = settings.get_or_init(|| Settings::with(backend, addition.tuning.clone()));
            settings.set(backend, overlay.backends.get(&backend.name).unwrap_or(&BackendSettings::default()));
            // No worker may have a link yet that is told to look.
            addition.group.reconsider();
        }
        for (position, settings) in self.added.iter().enumerate() {
            if let Some(settings) = settings.get().filter(|_| added.iter().all(|(_, own)| own.position != position)) {
                settings.admission.store(Admission::Gone as u8, Relaxed);
                settings.tuning.upkeep.set(false);
            }
        }
    }

    /// The children of those that the overlay in force adds.
    pub(crate) fn added_children(&self) -> Vec<Patient> {
        #[cfg(feature = "amendments")]
        return self.additions.patients();
        #[cfg(not(feature = "amendments"))]
        Vec::new()
    }

    /// Ends all children of such backends. Blocks until that is done.
    pub(crate) fn end_children(&self) {
        #[cfg(feature = "amendments")]
        self.additions.ward.close();
    }

    /// Hears of each time that they are set from now on.
    pub(crate) fn published(&self) -> watch::Receiver<u64> {
        self.published.subscribe()
    }

    /// Those of the backend of this index.
    pub(crate) fn of(&self, backend: impl Into<usize>) -> Option<&Settings> {
        let backend = backend.into();
        self.backends.get(backend).or_else(|| self.of_added(backend))
    }

    #[cold]
    fn of_added(&self, backend: usize) -> Option<&Settings> {
        self.added.get(backend - self.backends.len())?.get()
    }

    /// What the links to each backend go by.
    pub(crate) fn tuning(&self) -> Vec<Tuning> {
        self.backends.iter().map(|own| own.tuning.clone()).collect()
    }

    /// Waits until a backend is disabled, or until it is not.
    pub(crate) async fn is_disabled(&self, backend: usize, disabled: bool) {
        let is_so = |_: &u64| self.of(backend).is_none_or(|own| own.is_disabled() == disabled);
        // They are here for as long as whoever waits.
        drop(self.published().wait_for(is_so).await);
    }

    /// Waits until the overlay that added a backend is no more. Cancel safe.
    pub(crate) async fn is_gone(&self, backend: usize) {
        let is_so = |_: &u64| self.of(backend).is_some_and(Settings::is_gone);
        drop(self.published().wait_for(is_so).await);
    }
}

// === impl Settings ===

impl Settings {
    fn new(backend: &plan::Backend) -> Self {
        Self::with(backend, Tuning::new(backend))
    }

    fn with(backend: &plan::Backend, tuning: Tuning) -> Self {
        Self {
            timeout_ms: AtomicU64::new(backend.timeout_ms),
            admission: AtomicU8::new(Admission::Open as u8),
            weight: AtomicU32::new(AS_COMPILED),
            weighed: AtomicU32::new(0),
            tuning,
            asks: upstream::asks(backend),
        }
    }

    /// What an overlay says, and the compiled value of what it does not.
    fn set(&self, backend: &plan::Backend, tuned: &BackendSettings) {
        let admission = match tuned {
            BackendSettings { disabled: true, .. } => Admission::Disabled,
            BackendSettings { drain: true, .. } => Admission::Draining,
            _ => Admission::Open,
        };
        self.timeout_ms.store(tuned.timeout.map_or(backend.timeout_ms, |timeout| timeout.0), Relaxed);
        self.tuning.upkeep.set(!tuned.disabled);
        self.tuning.weights.set(backend, tuned.weights.as_deref());
        self.tuning.rules.set(tuned.traffic(backend));
        self.admission.store(admission as u8, Relaxed);
        let weight = tuned.weight.and_then(|weight| u32::try_from(weight).ok()).unwrap_or(AS_COMPILED);
        if self.weight.swap(weight, Relaxed) != weight {
            self.weighed.fetch_add(1, Release);
        }
    }

    /// How much of the calls of a route to several it gets, where that has it compiled with this weight.
    pub(crate) fn weight(&self, compiled: u32) -> u32 {
        match self.weight.load(Relaxed) {
            AS_COMPILED => compiled,
            weight => weight,
        }
    }

    /// Grows with every change of its weight on routes to several.
    pub(crate) fn weighed(&self) -> u32 {
        // Who reads the weight after it reads the one that it counts.
        self.weighed.load(Acquire)
    }

    /// Whether it has any weight on routes to several. What is compiled is never 0.
    pub(crate) fn is_weighed(&self) -> bool {
        self.weight(1) > 0
    }

    /// Whether it takes new calls of routes to several.
    pub(crate) fn takes_part(&self) -> bool {
        self.is_open() && self.is_weighed()
    }

    /// The longest a call to it may take.
    #[inline]
    pub(crate) fn timeout(&self) -> Duration {
        Duration::from_millis(self.timeout_ms.load(Relaxed))
    }

    /// What it may ask of clients.
    pub(crate) fn asks(&self) -> Profile {
        self.asks
    }

    /// Whether calls to it are refused, all of them.
    pub(crate) fn is_disabled(&self) -> bool {
        self.admission.load(Relaxed) >= Admission::Disabled as u8
    }

    /// Whether the backend was added, and is no more.
    pub(crate) fn is_gone(&self) -> bool {
        self.admission.load(Relaxed) == Admission::Gone as u8
    }

    /// Whether it takes new calls.
    #[inline]
    pub(crate) fn is_open(&self) -> bool {
        self.admission.load(Relaxed) == Admission::Open as u8
    }

    /// Refuses a call that it does not take. Whether that goes on with what was begun there is `goes_on`.
    #[inline]
    pub(crate) fn admit(&self, goes_on: bool) -> Result<(), Error> {
        if self.is_open() {
            return Ok(());
        }
        self.judge(goes_on)
    }

    #[cold]
    fn judge(&self, goes_on: bool) -> Result<(), Error> {
        if self.is_disabled() {
            return Err(Upkeep::disabled());
        }
        if goes_on { Ok(()) } else { Err(Error::unavailable("it takes no new calls: the overlay drains it")) }
    }
}
