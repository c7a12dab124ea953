//! The links of one worker to the backends. One to a backend that is disabled is not even opened: what it is reached with
//! need not be there before it is enabled.

use std::cell::{OnceCell, RefCell};
use std::fmt;

use super::Link;
use super::settings::Tuned;
use crate::catalog::{Catalog, Topology, plan};
use crate::limits;
use crate::upstream::{self, Error, OpenError, Transport as _};

/// See the module.
pub(crate) struct Links<T: Topology> {
    /// By the index of the backend.
    links: Box<[OnceCell<Link<T>>]>,
    /// The same of those that overlays added, behind the compiled ones.
    added: Box<[OnceCell<Box<Link<T>>>]>,
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
        let added = (0..limits::added_ever()).map(|_| OnceCell::new()).collect();
        Ok(Self { links, added, context: RefCell::new(Some(context)) })
    }

    /// How many backends it may have links to.
    pub(crate) fn places(&self) -> usize {
        self.links.len() + self.added.len()
    }

    /// The link to the backend of this index, whether or not it takes calls now; `None` while none was needed.
    #[inline]
    pub(crate) fn of(&self, backend: impl Into<usize>) -> Option<&Link<T>> {
        let backend = backend.into();
        match self.links.get(backend) {
            Some(link) => link.get(),
            None => self.of_added(backend),
        }
    }

    #[cold]
    fn of_added(&self, backend: usize) -> Option<&Link<T>> {
        self.added.get(backend - self.links.len())?.get().map(|link| &**link)
    }

    /// The same for a call that the backend takes.
    #[inline]
    pub(crate) fn for_call(&self, catalog: Catalog, backend: usize) -> Result<&Link<T>, Error> {
        match self.links.get(backend).and_then(OnceCell::get) {
            Some(link) => Ok(link),
            None => self.open_late(catalog, backend),
        }
    }

    /// Opens one that was not needed before.
    #[cold]
    fn open_late(&self, catalog: Catalog, index: usize) -> Result<&Link<T>, Error> {
        if let Some(link) = self.of(index) {
            return Ok(link);
        }
        let Some(backend) = catalog.backend::<T>(index) else {
            return Err(Error::unavailable("the topology has no such backend"));
        };
        let Some(context) = &*self.context.borrow() else { return Err(Error::unavailable("the gateway stops")) };
        let opened = Link::<T>::open(context, backend).map_err(|error| {
            tracing::error!(backend = &*backend.name, error = error.why(), "backend cannot be enabled");
            Error::unavailable("it cannot be enabled: the log of the gateway says why")
        })?;
        match (self.links.get(index), index.checked_sub(self.links.len()).and_then(|own| self.added.get(own))) {
            (Some(link), _) => Ok(link.get_or_init(|| opened)),
            (None, Some(link)) => Ok(link.get_or_init(|| Box::new(opened))),
            (None, None) => Err(Error::unavailable("the topology has no such backend")),
        }
    }

    /// All that were opened.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Link<T>> {
        let added = self.added.iter().filter_map(|link| Some(&**link.get()?));
        self.links.iter().filter_map(OnceCell::get).chain(added)
    }

    /// Takes up that settings were published: opens what is needed from now on, tells the others to look. Those that the
    /// overlay has added are opened when they are called; returns the indices of open ones that it has no more.
    pub(crate) fn follow(&self, tuned: &Tuned) -> Vec<usize> {
        for (index, link) in self.links.iter().enumerate() {
            match link.get() {
                Some(link) => link.reconsider(),
                None if tuned.of(index).is_some_and(super::Settings::is_disabled) => {}
                // What goes wrong has been logged, and is what calls come to.
                None => drop(self.open_late(Catalog::default(), index)),
            }
        }
        let open = self.added.iter().enumerate().filter_map(|(position, link)| Some((position, link.get()?)));
        let looked = open.map(|(position, link)| {
            link.reconsider();
            self.links.len() + position
        });
        looked.filter(|index| tuned.of(*index).is_some_and(super::Settings::is_gone)).collect()
    }

    /// Opens no more from now on, and holds on to nothing that workers share.
    pub(crate) fn seal(&self) {
        self.context.take();
    }
}
