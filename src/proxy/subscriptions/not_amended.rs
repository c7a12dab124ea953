//! Without the feature `amendments`, in place of `amended`: lists are the compiled ones.

use std::rc::Rc;

use super::Listener;
use crate::catalog::{Catalog, View};
use crate::mcp::subscription::Filter;

/// Who would be told.
#[derive(Debug, Default)]
pub(crate) struct Amends;

/// The place of a client.
#[derive(Debug)]
pub(super) struct Placed;

// === impl Amends ===

#[expect(clippy::unused_self, reason = "as in a build with the feature")]
impl Amends {
    pub(super) fn enrol(&self, _: (Catalog, Catalog), _: &'static View, _: &Filter, _: &Rc<Listener>) -> Placed {
        Placed
    }

    pub(crate) fn follow(&self, _: Catalog) {}
}
