//! What of several that are alike becomes one, calls to a backend and what clients are told of lists: what a topology says
//! of it, and what the engine is given.

use crate::constant::constant;
use crate::decode::record;
use crate::names::matches;
use crate::plan::{Exposed, Table, Team, Text, led};
use crate::rule::Within;
use crate::topology::Millis;

const BATCH_WINDOW: Within<Millis> = Within { noun: "window", range: Millis(1)..=Millis(60_000) };
const BATCH_MAX: Within<usize> = Within { noun: "number of notifications", range: 2..=10_000 };

record! {
    /// Which calls become one where they are alike and under way at once.
    default struct CoalesceSettings: "coalescing settings" {
        /// Exposed names of tools that only read, by their lock; `*` stands for any run of characters.
        tools: Vec<String> = Vec::new(),
        /// Whether reading a resource is such a call.
        resources: bool = false,
        /// Whether getting a prompt is.
        prompts: bool = false,
    }
}

record! {
    /// For how long changes of lists are collected before a client is told of them.
    default struct BatchingSettings: "batching settings" {
        /// From the first one that it was not told of.
        window: Millis where BATCH_WINDOW = Millis(100),
        /// So many notifications of servers are told at once, although the window is not over.
        max: usize where BATCH_MAX = 10,
    }
}

constant! {
    /// Which calls become one where they are alike and under way at once.
    pub struct Coalesce {
        /// Tools, by backend and name, in this order.
        pub tools: Table<CoalescedTool>,
        /// Whether reading a resource is such a call.
        pub resources: bool,
        /// Whether getting a prompt is.
        pub prompts: bool,
    }
}

constant! {
    /// A tool whose calls become one.
    #[derive(PartialOrd, Ord)]
    pub struct CoalescedTool {
        /// The index of the backend that is called.
        pub backend: u16,
        /// The tool by the backend's own name for it.
        pub tool: Text,
    }
}

constant! {
    /// For how long changes of lists are collected before a client is told of them.
    #[derive(Copy)]
    pub struct Batching {
        /// In milliseconds.
        pub window_ms: u64,
        /// So many notifications of servers at most.
        pub max: u32,
    }
}

// === impl CoalesceSettings ===

impl CoalesceSettings {
    /// Of a tool of several backends, that of each of them.
    pub(crate) fn planned<'a>(&self, tools: impl Iterator<Item = &'a Exposed>, teams: &[Team]) -> Coalesce {
        let named = tools.filter(|tool| tool.read_only && self.names(&tool.name));
        let own = |tool: &'a Exposed| {
            let led = led(teams, tool.backend, tool.team);
            led.map(|backend| CoalescedTool { backend, tool: tool.upstream.clone().into() })
        };
        let mut tools: Vec<CoalescedTool> = named.flat_map(own).collect();
        tools.sort_unstable();
        tools.dedup();
        Coalesce { tools: tools.into(), resources: self.resources, prompts: self.prompts }
    }

    /// Whether a tool with this exposed name is meant.
    fn names(&self, name: &str) -> bool {
        self.tools.iter().any(|pattern| matches(pattern, name))
    }
}

// === impl BatchingSettings ===

impl BatchingSettings {
    pub(crate) fn planned(&self) -> Batching {
        // What is out of range has been reported.
        Batching { window_ms: self.window.0, max: u32::try_from(self.max).unwrap_or(u32::MAX) }
    }
}

// === impl Coalesce ===

impl Coalesce {
    /// Nothing does.
    pub const NONE: Self = Self { tools: Table::Borrowed(&[]), resources: false, prompts: false };

    /// Whether any call does.
    #[must_use]
    pub const fn any(&self) -> bool {
        let tools = match &self.tools {
            Table::Borrowed(tools) => tools.len(),
            Table::Owned(tools) => tools.len(),
        };
        tools > 0 || self.resources || self.prompts
    }

    /// Whether calls of a tool do, by its backend and the name that knows.
    #[must_use]
    pub fn has_tool(&self, backend: u16, tool: &str) -> bool {
        self.tools.binary_search_by(|known| (known.backend, &*known.tool).cmp(&(backend, tool))).is_ok()
    }
}
