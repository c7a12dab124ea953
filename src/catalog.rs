//! The compiled catalog: which names exist, where each leads, and the bytes that answer every list.
//!
//! The types here surround generated data: `build.rs` and `topology!` write a type that implements [`Topology`], and
//! the engine is generic over it. Pure lookups; no sockets, no clock, no allocation.

pub mod table;

use only1mcp_model::Features;
pub use only1mcp_model::plan;
pub use only1mcp_model::revision::{Era, Revision};
pub use table::NameTable;

pub use crate::mcp::method::ListKind;
use crate::upstream::Transport;

/// One compiled topology. Implemented by generated code only.
pub trait Topology: 'static {
    /// The dispatch over exactly the transports that this topology uses: an alias for one, a closed enum for several.
    type Upstream: Transport;
    /// Everything constant about it.
    const SPEC: &'static Spec;

    /// The tool that clients know by this name.
    fn tool(name: &str) -> Option<&'static Entry>;
    /// The prompt that clients know by this name.
    fn prompt(name: &str) -> Option<&'static Entry>;
    /// The resource with this URI.
    fn resource(uri: &str) -> Option<&'static Entry>;
    /// The index in [`Spec::backends`] of the backend with this name.
    fn backend(name: &str) -> Option<u16>;
}

/// One exposed tool, prompt or resource and where a call to it goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The name (or URI) that clients use.
    pub name: &'static str,
    /// The name (or URI) that the backend uses.
    pub upstream: &'static str,
    /// The bits of the views that show it, see [`View::bit`].
    pub views: u64,
    /// Indices in [`Spec::backends`] of those that take over where `backend` cannot take a call, the first one first.
    pub fallbacks: &'static [u16],
    /// Index in [`Spec::backends`].
    pub backend: u16,
    /// The lock says the tool only reads (`readOnlyHint`).
    pub read_only: bool,
    /// The lock says that calling twice is calling once (`idempotentHint`).
    pub idempotent: bool,
}

/// A resource template: URIs that begin with its literal part lead to its backend.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Template {
    /// The template as listed, RFC 6570.
    pub uri_template: &'static str,
    /// Index in [`Spec::backends`].
    pub backend: u16,
    /// See [`Entry::fallbacks`].
    pub fallbacks: &'static [u16],
    /// The bits of the views that show it, see [`View::bit`].
    pub views: u64,
}

/// What stands around the id and the result of an answer.
pub(crate) const RESULT_AROUND: [&[u8]; 3] = [br#"{"jsonrpc":"2.0","id":"#, br#","result":"#, b"}"];

/// One page of a list: its `result` object is `head`, then `items`, then `tail`.
#[derive(Clone, Copy, Debug)]
pub struct Page {
    /// The cursor that asks for this page; empty for the first.
    pub cursor: &'static str,
    /// From `{` to `[`.
    pub head: &'static str,
    /// The items, joined by commas: a range of [`Spec::items`].
    pub items: (u32, u32),
    /// From `]` to `}`, with `nextCursor` where a page follows.
    pub tail: &'static str,
}

/// What the clients at one path see: the whole catalog, or a view of it.
#[derive(Debug)]
pub struct View {
    /// Its name, which is empty for the whole catalog, and which names it shows.
    pub patterns: plan::View,
    /// Its bit in [`Entry::views`].
    pub bit: u64,
    /// What its tools take of a model's context, as [`only1mcp_model::tokens`] estimates it.
    pub tokens: usize,
    /// The `InitializeResult` of each legacy revision, by `Revision as usize`.
    pub initialize: [&'static str; 4],
    /// The `DiscoverResult`.
    pub discover: &'static str,
    /// The pages of each list, by `ListKind as usize` then `Revision as usize`. A list nobody offers has one empty page.
    pub lists: [[&'static [Page]; 5]; 4],
}

/// The constant part of a [`Topology`].
#[derive(Debug)]
pub struct Spec {
    /// `name:` of the topology.
    pub name: &'static str,
    /// SHA-256 of the topology, in hex.
    pub topology_digest: &'static str,
    /// SHA-256 of the lock, in hex; empty where there is none.
    pub lock_digest: &'static str,
    /// Where clients connect.
    pub listen: plan::Listen,
    /// Every backend, in topology order.
    pub backends: &'static [plan::Backend],
    /// Routes with a pattern, in topology order.
    pub wildcards: &'static [plan::WildcardRoute],
    /// Resource templates, longest literal part first.
    pub templates: &'static [Template],
    /// Every exposed tool, in list order (for listing; lookups go through [`Topology::tool`]).
    pub tools: &'static [Entry],
    /// Every exposed prompt, in list order.
    pub prompts: &'static [Entry],
    /// Every exposed resource, in list order.
    pub resources: &'static [Entry],
    /// Bytes of every list item, shared by all revisions and views.
    pub items: &'static [u8],
    /// The whole catalog, at the path of the listener.
    pub whole: View,
    /// Its views, each at a path of its own, in topology order.
    pub views: &'static [View],
    /// Whether any backend offers tools, prompts, resources (and templates): what `capabilities` declares.
    pub offers_tools: bool,
    /// See [`Spec::offers_tools`].
    pub offers_prompts: bool,
    /// See [`Spec::offers_tools`].
    pub offers_resources: bool,
}

// === impl View ===

impl View {
    /// Whether it is the whole catalog.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.patterns.name.is_empty()
    }

    /// Whether it shows what has these bits.
    #[inline]
    #[must_use]
    pub fn shows(&self, views: u64) -> bool {
        views & self.bit != 0
    }

    /// The page that `cursor` asks for, the first without one; `None` for a cursor this catalog never gave.
    #[must_use]
    pub fn page(&self, kind: ListKind, revision: Revision, cursor: Option<&str>) -> Option<&'static Page> {
        let pages = self.lists[kind as usize][revision as usize];
        match cursor {
            None => pages.first(),
            Some("") => None,
            Some(cursor) => pages.iter().find(|page| page.cursor == cursor),
        }
    }
}

#[cfg(test)]
impl View {
    /// One that has a name and a bit and nothing to show.
    pub(crate) const fn bare(name: &'static str, bit: u64) -> Self {
        use std::borrow::Cow::Borrowed;
        let patterns = plan::View { name: Borrowed(name), include: Borrowed(&[]), exclude: Borrowed(&[]) };
        Self { patterns, bit, tokens: 0, initialize: [""; 4], discover: "", lists: [[&[]; 5]; 4] }
    }
}

// === impl Spec ===

impl Spec {
    /// The view with this name.
    #[must_use]
    pub fn view(&self, name: &str) -> Option<&View> {
        self.views.iter().find(|view| view.patterns.name == name)
    }

    /// The answer to a list request with this id (as written): compiled bytes around it, nothing copied.
    #[must_use]
    pub fn list_answer<'a>(&self, page: &Page, id: &'a [u8]) -> [&'a [u8]; 7] {
        let [prefix, middle, end] = RESULT_AROUND;
        [prefix, id, middle, page.head.as_bytes(), self.items(page), page.tail.as_bytes(), end]
    }

    /// The items of a page.
    #[must_use]
    pub fn items(&self, page: &Page) -> &'static [u8] {
        &self.items[page.items.0 as usize..page.items.1 as usize]
    }
}

/// What this build can carry of a topology.
#[must_use]
pub fn features() -> Features {
    Features::of(|feature| env!("ONLY1MCP_FEATURES").split(',').any(|on| on == feature))
}
