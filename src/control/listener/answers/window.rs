//! Lists in parts: what is compiled in is bounded, and may still be more than one answer should hold.

use serde::Serialize;

use super::super::declined::Declined;
use super::super::petition::Petition;
use crate::limits;

/// How many items an answer has where the request does not say.
const ITEMS: usize = 1000;

/// Which part of a list is asked for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Window {
    limit: usize,
    offset: usize,
}

/// A part of a list.
#[derive(Debug, Serialize)]
pub(super) struct Part<T> {
    pub(super) items: Vec<T>,
    /// Of the whole list.
    total: usize,
    /// The offset of the next part, if there is one.
    next: Option<usize>,
}

// === impl Window ===

impl Window {
    pub(super) fn of(asked: &Petition) -> Result<Self, Declined> {
        let limit = asked.number("limit", limits::ADMIN_PAGE_ITEMS_MAX)?.unwrap_or(ITEMS);
        Ok(Self { limit, offset: asked.number("offset", usize::MAX)?.unwrap_or(0) })
    }

    /// Its part of all these, shown as `show` has them.
    pub(super) fn cut<I, T>(self, all: impl Iterator<Item = I>, show: impl FnMut(I) -> T) -> Part<T> {
        let all: Vec<I> = all.collect();
        let total = all.len();
        let items: Vec<T> = all.into_iter().skip(self.offset).take(self.limit).map(show).collect();
        let end = self.offset.saturating_add(items.len());
        Part { next: (end < total && !items.is_empty()).then_some(end), items, total }
    }
}
