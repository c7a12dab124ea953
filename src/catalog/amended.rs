//! The catalog as it is now: the compiled one, or what an overlay has made of it. How that is made is not decided here.
//!
//! An amended catalog lives as long as the process, like the compiled one, so that whoever looks something up needs to hold
//! nothing. There are only so many: see [`limits::AMENDMENTS_MAX`].
//!
//! **Invariant:** where no overlay amends the catalog, finding that out is one load.

use std::collections::HashMap;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::{Entry, NameTable, Page, Spec, Topology, View, plan};
use crate::limits;

/// What an overlay has made of the compiled catalog.
#[derive(Debug)]
pub(crate) struct Amended {
    /// What a compiled topology has as a constant. Indices of compiled backends are what they were; behind them come the
    /// places of added ones, of which some are free: they have no name.
    pub(crate) spec: Spec,
    pub(crate) tools: NameTable<Vec<u32>, Vec<Entry>>,
    pub(crate) prompts: HashMap<&'static str, &'static Entry>,
    pub(crate) resources: HashMap<&'static str, &'static Entry>,
    /// What everybody's lists come to, by the name of the view.
    pub(crate) digests: HashMap<String, Digests>,
    /// The same of the compiled catalog.
    pub(crate) compiled: HashMap<String, Digests>,
}

/// The name of a place where no backend is: no path leads to it, and no name is like it.
pub(crate) const NOBODY: &str = " ";

/// What lists come to: tools, prompts, resources with their templates. Lists that differ have others.
pub(crate) type Digests = [u64; 3];

/// Those that there were, and the one in force.
#[derive(Debug)]
pub(crate) struct Amendments {
    /// The position of the current one in `all`, counted from 1; 0 for the compiled catalog.
    current: AtomicUsize,
    all: Box<[OnceLock<&'static Amended>]>,
}

/// The catalog that is in force when it is asked for; the compiled one by default.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Catalog(Option<&'static Amended>);

/// What is seen of what is not there any more.
static NOTHING: View = {
    const fn page(head: &'static str, tail: &'static str) -> [Page; 1] {
        [Page { cursor: "", head, items: (0, 0), cuts: (0, &[]), tail }]
    }
    macro_rules! list {
        ($member:literal) => {{
            const LEGACY: &[Page] = &page(concat!(r#"{""#, $member, r#"":["#), "]}");
            const MODERN: &[Page] = &page(
                concat!(r#"{"resultType":"complete",""#, $member, r#"":["#),
                r#"],"ttlMs":0,"cacheScope":"public"}"#,
            );
            [LEGACY, LEGACY, LEGACY, LEGACY, MODERN]
        }};
    }
    macro_rules! greeting {
        ($revision:literal) => {
            concat!(
                r#"{"protocolVersion":""#,
                $revision,
                r#"","capabilities":{},"serverInfo":{"name":"only1mcp","version":""#,
                env!("CARGO_PKG_VERSION"),
                r#""}}"#
            )
        };
    }
    let mut view = View::bare("-", 0);
    view.lists = [list!("tools"), list!("prompts"), list!("resources"), list!("resourceTemplates")];
    view.initialize =
        [greeting!("2024-11-05"), greeting!("2025-03-26"), greeting!("2025-06-18"), greeting!("2025-11-25")];
    view.discover = r#"{"resultType":"complete","supportedVersions":["2026-07-28"],"capabilities":{},"ttlMs":0,"cacheScope":"public"}"#;
    view
};

/// Looks tools up as calls do, in the catalog that is in force where no overlay has made another: for who counts its
/// instructions.
#[doc(hidden)]
#[derive(Debug, Default)]
pub struct InForce(Amendments);

// === impl InForce ===

impl InForce {
    /// The tool that clients know by this name.
    #[inline]
    #[must_use]
    pub fn tool<T: Topology>(&self, name: &str) -> Option<&'static Entry> {
        self.0.catalog().tool::<T>(name)
    }
}

// === impl Amendments ===

impl Default for Amendments {
    fn default() -> Self {
        let count = if cfg!(feature = "amendments") { limits::AMENDMENTS_MAX } else { 0 };
        Self { current: AtomicUsize::new(0), all: (0..count).map(|_| OnceLock::new()).collect() }
    }
}

impl Amendments {
    /// The catalog that is in force.
    #[inline]
    pub(crate) fn catalog(&self) -> Catalog {
        match self.current.load(Ordering::Acquire) {
            0 => Catalog(None),
            position => self.find(position),
        }
    }

    /// Puts the one at a position in force, or with 0 the compiled catalog.
    pub(crate) fn publish(&self, position: usize) {
        self.current.store(position, Ordering::Release);
    }

    #[cold]
    fn find(&self, position: usize) -> Catalog {
        Catalog(self.all.get(position - 1).and_then(OnceLock::get).copied())
    }
}

#[cfg(feature = "amendments")]
impl Amendments {
    /// Keeps one more, and tells its position; `None` where there are as many as may be. Only one at a time does so.
    pub(crate) fn keep(&self, amended: Amended) -> Option<usize> {
        let free = self.all.iter().position(|place| place.get().is_none())?;
        self.all[free].set(Box::leak(Box::new(amended))).ok()?;
        Some(free + 1)
    }
}

// === impl Catalog ===

impl Catalog {
    /// Whether it is the compiled one.
    #[inline]
    pub(crate) fn is_compiled(self) -> bool {
        self.amended().is_none()
    }

    /// What it was made by an overlay, if it was. A build that has no means to does not ask.
    #[inline]
    fn amended(self) -> Option<&'static Amended> {
        if cfg!(feature = "amendments") { self.0 } else { None }
    }

    /// Everything constant about it.
    #[inline]
    pub(crate) fn spec<T: Topology>(self) -> &'static Spec {
        self.amended().map_or(T::SPEC, |amended| &amended.spec)
    }

    /// The same beside that of the compiled one.
    #[cfg(feature = "admin")]
    pub(crate) fn spec_or(self, compiled: &'static Spec) -> &'static Spec {
        self.amended().map_or(compiled, |amended| &amended.spec)
    }

    /// The tool that clients know by this name.
    #[inline]
    pub(crate) fn tool<T: Topology>(self, name: &str) -> Option<&'static Entry> {
        match self.amended() {
            None => T::tool(name),
            Some(amended) => amended.tools.get(name),
        }
    }

    /// The prompt that clients know by this name.
    pub(crate) fn prompt<T: Topology>(self, name: &str) -> Option<&'static Entry> {
        match self.amended() {
            None => T::prompt(name),
            Some(amended) => amended.prompts.get(name).copied(),
        }
    }

    /// The resource with this URI.
    pub(crate) fn resource<T: Topology>(self, uri: &str) -> Option<&'static Entry> {
        match self.amended() {
            None => T::resource(uri),
            Some(amended) => amended.resources.get(uri).copied(),
        }
    }

    /// The index of the backend with this name.
    pub(crate) fn index_of<T: Topology>(self, name: &str) -> Option<u16> {
        let added = || {
            let all = self.amended()?.spec.backends.iter();
            let index = all.skip(T::SPEC.backends.len()).position(|backend| backend.name == name)?;
            u16::try_from(T::SPEC.backends.len() + index).ok()
        };
        T::backend(name).or_else(added)
    }

    /// The backend with this index.
    #[inline]
    pub(crate) fn backend<T: Topology>(self, index: impl Into<usize>) -> Option<&'static plan::Backend> {
        self.spec::<T>().backends.get(index.into())
    }

    /// Its name.
    pub(crate) fn name_of<T: Topology>(self, index: u16) -> &'static str {
        // The compiler checked every index, and so was what an overlay makes.
        self.backend::<T>(index).map_or("?", |backend| &backend.name)
    }

    /// Whether the URIs of any backend bear its name.
    #[inline]
    pub(crate) fn rewrites_uris<T: Topology>(self) -> bool {
        T::REWRITES_URIS || !self.is_compiled()
    }

    /// What this view shows now, which was shown by this or an earlier catalog.
    #[inline]
    pub(crate) fn view(self, view: &'static View) -> &'static View {
        self.amended().map_or(view, |amended| amended.view(view))
    }

    /// What the lists of the view with this name come to, as this catalog has them and the compiled one; none of the compiled
    /// one itself, which does not know.
    #[cfg(feature = "amendments")]
    pub(crate) fn digests(self, view: &str) -> Option<[Digests; 2]> {
        let amended = self.amended()?;
        let of = |digests: &HashMap<String, Digests>| digests.get(view).copied().unwrap_or_default();
        Some([of(&amended.digests), of(&amended.compiled)])
    }

    /// The view, or the backend alone, with this name.
    pub(crate) fn named(self, name: &str) -> Option<&'static View> {
        let spec = &self.amended()?.spec;
        let alone = || spec.alone.iter().find(|own| own.patterns.name == name);
        spec.views.iter().find(|view| view.patterns.name == name).or_else(alone)
    }
}

// === impl Amended ===

impl Amended {
    #[cold]
    fn view(&'static self, view: &'static View) -> &'static View {
        if view.is_whole() {
            return &self.spec.whole;
        }
        Catalog(Some(self)).named(&view.patterns.name).unwrap_or(&NOTHING)
    }
}
