//! The links of one worker to the backends. One to a backend that is disabled is not even opened: what it is reached with
//! need not be there before it is enabled.

use std::cell::{OnceCell, RefCell};
use std::fmt;

use super::Link;
use super::settings::Tuned;
use crate::catalog::{Topology, plan};
use crate::upstream::{self, Error, OpenError, Transport as _};

/// See the module.
pub(crate) struct Links<T: Topology> {
    /// By the index of the backend.
    links: Box<[OnceCell<Link<T>>]>,
    /// What further ones are opened with, until the gateway stops.
    context: RefCell<Option<upstream::Context>>,
}

// === impl Links ===

impl<T: Topology> fmt::Debug for Links<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Links").finish_non_exhaustive()
    }
}

impl<T: Topology> Links<T> {
    /// Opens those to all backends that are not disabled.
    pub(crate) fn open(context: upstream::Context, tuned: &Tuned) -> Result<Self, OpenError> {
        let open = |(index, backend): (usize, &plan::Backend)| {
            let link = OnceCell::new();
            if tuned.of(index).is_none_or(|own| !own.is_disabled()) {
                drop(link.set(Link::<T>::open(&context, backend)?));
            }
            Ok(link)
        };
        let links = T::SPEC.backends.iter().enumerate().map(open).collect::<Result<_, _>>()?;
        Ok(Self { links, context: RefCell::new(Some(context)) })
    }

    /// The link to the backend of this index, whether or not it takes calls now; `None` while none was needed.
    #[inline]
    pub(crate) fn of(&self, backend: impl Into<usize>) -> Option<&Link<T>> {
        self.links.get(backend.into())?.get()
    }

    /// The same for a call that the backend takes.
    #[inline]
    pub(crate) fn for_call(&self, backend: usize) -> Result<&Link<T>, Error> {
        match self.links.get(backend).and_then(OnceCell::get) {
            Some(link) => Ok(link),
            None => self.open_late(backend),
        }
    }

    /// Opens one that was not needed before.
    #[cold]
    fn open_late(&self, index: usize) -> Result<&Link<T>, Error> {
        let (Some(link), Some(backend)) = (self.links.get(index), T::SPEC.backends.get(index)) else {
            return Err(Error::unavailable("the topology has no such backend"));
        };
        let Some(context) = &*self.context.borrow() else { return Err(Error::unavailable("the gateway stops")) };
        let opened = Link::<T>::open(context, backend).map_err(|error| {
            tracing::error!(backend = &*backend.name, error = error.why(), "backend cannot be enabled");
            Error::unavailable("it cannot be enabled: the log of the gateway says why")
        })?;
        Ok(link.get_or_init(|| opened))
    }

    /// All that were opened.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Link<T>> {
        self.links.iter().filter_map(OnceCell::get)
    }

    /// Takes up that settings were published: opens what is needed from now on, tells the others to look.
    pub(crate) fn follow(&self, tuned: &Tuned) {
        for (index, link) in self.links.iter().enumerate() {
            match link.get() {
                Some(link) => link.reconsider(),
                None if tuned.of(index).is_some_and(super::Settings::is_disabled) => {}
                // What goes wrong has been logged, and is what calls come to.
                None => drop(self.open_late(index)),
            }
        }
    }

    /// Opens no more from now on, and holds on to nothing that workers share.
    pub(crate) fn seal(&self) {
        self.context.take();
    }
}
