//! Lists that change because an overlay makes another catalog: who asked to be told of such lists, and of what they came to
//! when that was last told.

use std::cell::{Cell, RefCell};
use std::rc::{Rc, Weak};

use super::Listener;
use crate::catalog::{Catalog, View};
use crate::mcp::subscription::Filter;

/// Who is told, of one worker.
#[derive(Debug, Default)]
pub(crate) struct Amends {
    places: RefCell<Vec<Place>>,
    last_place: Cell<u64>,
}

/// What one of them sees.
#[derive(Debug)]
struct Place {
    number: u64,
    view: &'static View,
    /// The lists that it wants to be told of.
    wanted: Filter,
    listener: Rc<Listener>,
    /// The catalog that its lists are of, as far as it was told.
    known: Catalog,
}

/// The place of a client; it has left when this is dropped.
#[derive(Debug)]
pub(super) struct Placed {
    amends: Weak<Amends>,
    number: u64,
}

// === impl Amends ===

impl Amends {
    /// Gives a client a place, which has the lists of one catalog while another one may be in force.
    pub(super) fn enrol(
        self: &Rc<Self>,
        (known, now): (Catalog, Catalog),
        view: &'static View,
        wanted: &Filter,
        listener: &Rc<Listener>,
    ) -> Placed {
        let number = self.last_place.get() + 1;
        self.last_place.set(number);
        let mut place = Place { number, view, wanted: wanted.lists(), listener: Rc::clone(listener), known };
        place.follow(now);
        self.places.borrow_mut().push(place);
        Placed { amends: Rc::downgrade(self), number }
    }

    /// Tells everybody whose lists are others in this catalog.
    pub(crate) fn follow(&self, catalog: Catalog) {
        self.places.borrow_mut().iter_mut().for_each(|place| place.follow(catalog));
    }
}

/// Which lists of a view are others than they were.
fn changed(before: Catalog, now: Catalog, view: &View) -> Filter {
    let name = &*view.patterns.name;
    let (before, now) = match (before.digests(name), now.digests(name)) {
        (None, None) => return Filter::default(),
        (Some([before, compiled]), None) => (before, compiled),
        (None, Some([now, compiled])) => (compiled, now),
        (Some([before, _]), Some([now, _])) => (before, now),
    };
    let [tools, prompts, resources] = [0, 1, 2].map(|list| before[list] != now[list]);
    Filter {
        tools_list_changed: tools,
        prompts_list_changed: prompts,
        resources_list_changed: resources,
        ..Filter::default()
    }
}

// === impl Place ===

impl Place {
    fn follow(&mut self, catalog: Catalog) {
        let changed = changed(self.known, catalog, self.view);
        self.known = catalog;
        self.listener.changed(&changed.common(&self.wanted));
    }
}

// === impl Placed ===

impl Drop for Placed {
    fn drop(&mut self) {
        if let Some(amends) = self.amends.upgrade() {
            amends.places.borrow_mut().retain(|place| place.number != self.number);
        }
    }
}
