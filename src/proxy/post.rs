//! A message of a client, with what brought it.

use std::borrow::Cow;

use super::Agreement;
use crate::catalog::{Catalog, Topology, View};
use crate::http1::RequestHead;
use crate::mcp::envelope::Incoming;
use crate::upstream::balance::{HeaderKey, HeaderKeys};

/// What brought a message, with what that says beside it.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Carrier<'a> {
    /// A request of Streamable HTTP. Its head repeats parts of the message and names the session.
    Http(&'a RequestHead<'a>),
    /// A connection that carries messages and nothing else. What was agreed on stands in here.
    Connection(&'a Agreement),
}

/// A client's message, scanned.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Post<'a> {
    /// The catalog that it is about.
    pub(crate) catalog: Catalog,
    /// What its client sees of that.
    pub(crate) view: &'static View,
    pub(crate) carrier: Carrier<'a>,
    pub(crate) body: &'a [u8],
    pub(crate) message: &'a Incoming,
}

// === impl Post ===

impl<'a> Post<'a> {
    /// One to a view as it is compiled.
    pub(crate) fn new(view: &'static View, carrier: Carrier<'a>, body: &'a [u8], message: &'a Incoming) -> Self {
        Self { catalog: Catalog::default(), view, carrier, body, message }
    }

    /// The same to what the view is in this catalog.
    #[inline]
    pub(super) fn in_catalog(&self, catalog: Catalog) -> Self {
        Self { catalog, view: catalog.view(self.view), ..*self }
    }
}

// === impl Carrier ===

impl<'a> Carrier<'a> {
    /// The head of an HTTP request.
    pub(super) fn head(self) -> Option<&'a RequestHead<'a>> {
        match self {
            Self::Http(head) => Some(head),
            Self::Connection(_) => None,
        }
    }

    /// What it says that decides where calls go.
    pub(super) fn header_keys<T: Topology>(self) -> Cow<'a, [HeaderKey]> {
        match self {
            _ if T::KEY_HEADERS.is_empty() => Cow::Borrowed(&[]),
            Self::Http(head) => Cow::Owned(header_keys::<T>(head).into()),
            Self::Connection(agreement) => Cow::Borrowed(agreement.header_keys()),
        }
    }

    /// Fields that servers over HTTP get as they came.
    pub(super) fn passed_on(self) -> &'a [(&'a str, &'a [u8])] {
        self.head().map_or(&[], |head| &head.passed_on)
    }
}

/// What a head says that decides where calls go.
pub(crate) fn header_keys<T: Topology>(head: &RequestHead<'_>) -> HeaderKeys {
    if T::KEY_HEADERS.is_empty() {
        return HeaderKeys::default();
    }
    head.kept.iter().map(|(name, value)| HeaderKey::of(name, value)).collect()
}
