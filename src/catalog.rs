//! The compiled catalog: which names exist, where each leads, and the bytes that answer every list.
//!
//! The types here surround generated data: `build.rs` and `topology!` write a type that implements [`Topology`], and
//! the engine is generic over it. Pure lookups; no sockets, no clock, no allocation.

mod amended;
pub mod table;

#[doc(hidden)]
pub use amended::InForce;
#[cfg(feature = "amendments")]
pub(crate) use amended::{Amended, Digests};
pub(crate) use amended::{Amendments, Catalog, NOBODY};
use only1mcp_model::Features;
use only1mcp_model::overlay::Compiled;
pub use only1mcp_model::plan;
pub use only1mcp_model::revision::{Era, Revision};
pub use table::NameTable;

pub use crate::mcp::method::ListKind;
use crate::upstream::Transport;
use crate::upstream::balance::Strategy;

/// One compiled topology. Implemented by generated code only.
pub trait Topology: 'static {
    /// The dispatch over exactly the transports that this topology uses: an alias for one, a closed enum for several.
    type Upstream: Transport;
    /// Exactly the strategies by which it chooses among the endpoints of backends that have several, and among the backends
    /// of routes that lead to several.
    type Balance: Strategy;
    /// Everything constant about it.
    const SPEC: &'static Spec;
    /// Every setting of it as it is in force unless something else is said at the start or later: a list in JSON of
    /// objects with `path`, `value` and the `line` that says so, null for what nobody wrote. No secrets. A constant, so
    /// that it is not linked where nobody asks for it.
    const SETTINGS: &'static str = "[]";
    /// The texts of the topology and of its lock, which is empty where there is none: of them a gateway that runs makes
    /// another catalog when its overlay amends this one. Constants as well.
    const SOURCES: [&'static str; 2] = ["", ""];
    /// Whether its clients come over TLS: a constant, so that nothing of TLS is linked where they do not.
    const SERVES_TLS: bool = Self::SPEC.listen.tls.is_some();
    /// Whether the URIs of any backend bear its name, so that nobody else's calls look for that.
    const REWRITES_URIS: bool = Self::SPEC.rewrites_uris();
    /// The headers of clients that decide where a call goes, in lower case, so that nothing is kept of any other.
    const KEY_HEADERS: &'static [&'static str] = &[];
    /// Whether any route leads to several backends, so that nothing that chooses among them is linked where none does.
    const HAS_TEAMS: bool = !Self::SPEC.teams.is_empty();
    /// Whether any backend stands in for another, or one that an overlay adds may, so that nobody else's calls are looked at for
    /// whom they go on with. Emitted where one does.
    const HAS_FALLBACKS: bool = cfg!(feature = "amendments");
    /// Whether any backend is asked whether it is well, so that nothing that asks is linked where none is.
    const CHECKS_HEALTH: bool = Self::SPEC.checks_health();
    /// Whether calls to any backend are made a second time, or may be to one that an overlay adds, so that nobody else's are
    /// looked at for that.
    const HEDGES: bool = cfg!(feature = "amendments") || Self::SPEC.hedges();
    /// Whether any calls become one, so that nobody else's are looked at for that.
    const COALESCES: bool = Self::SPEC.coalesce.any();

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
    /// Index in [`Spec::backends`]; of several the first.
    pub backend: u16,
    /// Index in [`Spec::teams`] of the backends that take its calls between them, where there are several.
    pub team: Option<u16>,
    /// Index in [`Spec::backends`] of the backend that has it: a route may lead elsewhere.
    pub origin: u16,
    /// The name is not that of the backend behind its prefix: it had to be shortened.
    pub shortened: bool,
    /// The lock says the tool only reads (`readOnlyHint`), wherever its calls may go by a route.
    pub read_only: bool,
    /// The lock says that calling twice is calling once (`idempotentHint`), likewise.
    pub idempotent: bool,
    /// Some backend that may be asked for it wants to see an argument as a header: [`Spec::headers_of`].
    pub has_headers: bool,
}

/// A resource template: URIs that begin with its literal part lead to its backend.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Template {
    /// The template as listed, RFC 6570.
    pub uri_template: &'static str,
    /// Index in [`Spec::backends`]; of several the first.
    pub backend: u16,
    /// See [`Entry::team`].
    pub team: Option<u16>,
    /// See [`Entry::origin`].
    pub origin: u16,
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
    /// What of them is left out: so many bytes at each of these places in [`Spec::items`], which lie in order.
    pub cuts: (u32, &'static [u32]),
    /// From `]` to `}`, with `nextCursor` where a page follows.
    pub tail: &'static str,
}

/// What the clients at one path see: the whole catalog, a view of it, or one backend alone.
#[derive(Debug)]
pub struct View {
    /// Its name, which is empty for the whole catalog, and which names it shows; no patterns for a backend alone.
    pub patterns: plan::View,
    /// Its bit in [`Entry::views`]; none for a backend alone.
    pub bit: u64,
    /// What its tools take of a model's context, as [`only1mcp_model::tokens`] estimates it.
    pub tokens: usize,
    /// The `InitializeResult` of each legacy revision, by `Revision as usize`.
    pub initialize: [&'static str; 4],
    /// The `DiscoverResult`.
    pub discover: &'static str,
    /// What these declare that no list shows.
    pub declared: Declared,
    /// The pages of each list, by `ListKind as usize` then `Revision as usize`. A list nobody offers has one empty page.
    pub lists: [[&'static [Page]; 5]; 4],
    /// The backend that is all there is to see.
    pub alone: Option<Alone>,
}

/// What is declared because some backend that a view shows something of has declared it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Declared {
    /// Completions of arguments.
    pub completions: bool,
    /// Tasks of 2025-11-25.
    pub tasks: bool,
    /// Tasks of the modern era, an extension.
    pub task_extension: bool,
    /// Index in [`Spec::backends`] of the backend that is asked what the gateway does not know, by the era of who asks: it
    /// alone of those shown declares something that the gateway does not know either.
    pub beyond: [Option<u16>; 2],
}

/// One backend under its own names. What it has is found in the tables of the whole catalog, behind its prefix: it needs
/// none of its own.
#[derive(Clone, Copy, Debug)]
pub struct Alone {
    /// Index in [`Spec::backends`].
    pub backend: u16,
    /// What stands before its own names of tools and prompts in the catalog.
    pub prefix: &'static str,
    /// Tools that the catalog does not hold so, because a route shares them among backends: the name by which it alone shows
    /// each, and what it calls that, in the order of names.
    pub tools: &'static [(&'static str, &'static str)],
    /// Prompts of which that is so.
    pub prompts: &'static [(&'static str, &'static str)],
    /// Resources it has under URIs that the catalog holds from another backend.
    pub resources: &'static [&'static str],
    /// Templates of which that is so.
    pub templates: &'static [&'static str],
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
    /// How sessions of clients are kept.
    pub sessions: plan::Sessions,
    /// What the gateway takes on at once.
    pub limits: plan::Limits,
    /// Which calls become one where they are alike and under way at once.
    pub coalesce: plan::Coalesce,
    /// For how long changes of lists are collected before a client is told of them.
    pub batching: Option<plan::Batching>,
    /// Every backend, in topology order.
    pub backends: &'static [plan::Backend],
    /// The backends of each route that leads to several, in topology order.
    pub teams: &'static [plan::Team],
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
    /// What tools want to see as headers, sorted by backend and tool.
    pub tool_headers: &'static [plan::ToolHeaders],
    /// Tools of legacy servers that run as tasks or not at all, sorted by backend and tool.
    pub task_tools: &'static [plan::TaskTool],
    /// Bytes of every list item, shared by all revisions and views.
    pub items: &'static [u8],
    /// The whole catalog, at the path of the listener.
    pub whole: View,
    /// Its views, each at a path of its own, in topology order.
    pub views: &'static [View],
    /// Each backend alone, at a path of its own, by its index; empty where none is served so.
    pub alone: &'static [View],
    /// The longest name of a tool or prompt that clients take; longer ones are shortened.
    pub name_bytes_max: usize,
    /// Whether any backend offers tools, prompts, resources (and templates): what `capabilities` declares.
    pub offers_tools: bool,
    /// See [`Spec::offers_tools`].
    pub offers_prompts: bool,
    /// See [`Spec::offers_tools`].
    pub offers_resources: bool,
}

// === impl View ===

impl View {
    /// A backend alone, with its greetings, and the pages of its lists by `ListKind as usize`, those for the legacy era
    /// first.
    #[must_use]
    pub const fn alone(
        name: &'static str,
        tokens: usize,
        (initialize, discover, declared): ([&'static str; 4], &'static str, Declared),
        pages: [[&'static [Page]; 2]; 4],
        alone: Alone,
    ) -> Self {
        let [tools, prompts, resources, templates] = pages;
        let lists = [by_revision(tools), by_revision(prompts), by_revision(resources), by_revision(templates)];
        let mut view = Self::bare(name, 0);
        (view.tokens, view.initialize, view.discover, view.declared) = (tokens, initialize, discover, declared);
        (view.lists, view.alone) = (lists, Some(alone));
        view
    }

    /// One that has a name and a bit and nothing to show.
    pub(crate) const fn bare(name: &'static str, bit: u64) -> Self {
        use std::borrow::Cow::Borrowed;
        let patterns = plan::View { name: Borrowed(name), include: Borrowed(&[]), exclude: Borrowed(&[]) };
        Self {
            patterns,
            bit,
            tokens: 0,
            initialize: [""; 4],
            discover: "",
            declared: Declared { completions: false, tasks: false, task_extension: false, beyond: [None; 2] },
            lists: [[&[]; 5]; 4],
            alone: None,
        }
    }

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

const fn by_revision([legacy, modern]: [&'static [Page]; 2]) -> [&'static [Page]; 5] {
    [legacy, legacy, legacy, legacy, modern]
}

// === impl Spec ===

impl Spec {
    /// What overlays set otherwise.
    #[must_use]
    pub const fn compiled(&self) -> Compiled<'static> {
        Compiled { backends: self.backends, teams: self.teams }
    }

    /// Whether the URIs of any backend bear its name.
    #[must_use]
    pub const fn rewrites_uris(&self) -> bool {
        let mut index = 0;
        while index < self.backends.len() {
            if self.backends[index].rewrites_uris {
                return true;
            }
            index += 1;
        }
        false
    }

    /// Whether any backend is asked whether it is well.
    #[must_use]
    pub const fn checks_health(&self) -> bool {
        let mut index = 0;
        while index < self.backends.len() {
            if self.backends[index].health.is_some() {
                return true;
            }
            index += 1;
        }
        false
    }

    /// Whether calls to any backend are made a second time.
    #[must_use]
    pub const fn hedges(&self) -> bool {
        let mut index = 0;
        while index < self.backends.len() {
            if self.backends[index].hedge.is_some() {
                return true;
            }
            index += 1;
        }
        false
    }

    /// The backends that something leads to: this one, or the team that it is the first of.
    pub fn led(&self, backend: u16, team: Option<u16>) -> impl Iterator<Item = u16> + use<> {
        let team = team.and_then(|team| self.teams.get(usize::from(team)));
        let members: &'static [plan::Member] = team.map_or(&[], |team| &team.members);
        members.iter().map(|member| member.backend).chain(Some(backend).filter(move |_| members.is_empty()))
    }

    /// Whether something that leads to this backend, or to the team that it is the first of, leads to the one of this index.
    #[must_use]
    pub fn leads(&self, (backend, team): (u16, Option<u16>), index: usize) -> bool {
        self.led(backend, team).any(|led| usize::from(led) == index)
    }

    /// The view with this name.
    #[must_use]
    pub fn view(&self, name: &str) -> Option<&View> {
        self.views.iter().find(|view| view.patterns.name == name)
    }

    /// The arguments that a tool wants to see as headers, by its backend and the name that knows.
    #[must_use]
    pub fn headers_of(&self, backend: u16, tool: &str) -> &'static [plan::ParamHeader] {
        let found = self.tool_headers.binary_search_by(|known| (known.backend, &*known.tool).cmp(&(backend, tool)));
        found.map_or(&[], |index| &self.tool_headers[index].headers)
    }

    /// Whether a tool runs as a task or not at all, by its backend and the name that knows.
    #[must_use]
    pub fn requires_task(&self, backend: u16, tool: &str) -> bool {
        self.task_tools.binary_search_by(|known| (known.backend, &*known.tool).cmp(&(backend, tool))).is_ok()
    }

    /// The answer to a list request with this id (as written): compiled bytes around it, nothing copied. `None` for a
    /// page whose items do not stand in one piece: [`Spec::cut_answer`].
    #[must_use]
    pub fn list_answer<'a>(&self, page: &Page, id: &'a [u8]) -> Option<[&'a [u8]; 7]> {
        let ((start, end), (_, [])) = (page.items, page.cuts) else { return None };
        let [prefix, middle, close] = RESULT_AROUND;
        let items = &self.items[start as usize..end as usize];
        Some([prefix, id, middle, page.head.as_bytes(), items, page.tail.as_bytes(), close])
    }

    /// The same for any page.
    #[must_use]
    pub fn cut_answer<'a>(&self, page: &Page, id: &'a [u8]) -> Vec<&'a [u8]> {
        let [prefix, middle, close] = RESULT_AROUND;
        let mut answer: Vec<&'a [u8]> = vec![prefix, id, middle, page.head.as_bytes()];
        answer.extend(self.items(page).map(|piece| -> &'a [u8] { piece }));
        answer.extend([page.tail.as_bytes(), close]);
        answer
    }

    /// The items of a page, in consecutive pieces.
    pub fn items(&self, page: &Page) -> impl Iterator<Item = &'static [u8]> + use<> {
        let (items, (start, end), (length, places)) = (self.items, page.items, page.cuts);
        let ends = places.iter().copied().chain([end]);
        let starts = [start].into_iter().chain(places.iter().map(move |place| place + length));
        starts.zip(ends).map(|(start, end)| &items[start as usize..end as usize])
    }
}

/// What this build can carry of a topology.
#[must_use]
pub fn features() -> Features {
    Features::of(|feature| env!("ONLY1MCP_FEATURES").split(',').any(|on| on == feature))
}
