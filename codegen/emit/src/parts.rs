//! The same tables as values, for a gateway that runs: what an overlay makes of its topology is answered as if it had been
//! compiled.

use only1mcp_model::plan::{self, Exposed, Plan};

use crate::greeting::{Declared, Greeting};
use crate::lists::{Kind, Lists};
use crate::{Error, Perfect, Scope, greeting, perfect, scope, tables};

/// What a plan comes to.
#[derive(Debug)]
pub struct Parts<'p> {
    /// The bytes of every list item.
    pub items: Vec<u8>,
    /// The tools in list order.
    pub tools: Vec<Named<'p>>,
    /// Where each of their names stands.
    pub tool_names: Perfect,
    /// The prompts in list order.
    pub prompts: Vec<Named<'p>>,
    /// The resources in list order.
    pub resources: Vec<Named<'p>>,
    /// The templates, the longest literal part first.
    pub templates: Vec<Named<'p>>,
    /// What all clients see.
    pub whole: Shown,
    /// What those of each view see.
    pub views: Vec<Shown>,
    /// What those of each backend alone see, by its index; empty where none is served so.
    pub alone: Vec<Shown>,
    /// Whether any backend offers tools, prompts, resources.
    pub offers: (bool, bool, bool),
}

/// One exposed item.
#[derive(Clone, Copy, Debug)]
pub struct Named<'p> {
    /// It.
    pub item: &'p Exposed,
    /// The bits of the views that show it.
    pub views: u64,
    /// Its name is not that of the backend behind its prefix.
    pub shortened: bool,
    /// Some backend that may be asked for it wants to see an argument as a header.
    pub has_headers: bool,
}

/// What the clients at one path see.
#[derive(Debug)]
pub struct Shown {
    /// Which names.
    pub patterns: plan::View,
    /// Its bit; none for a backend alone.
    pub bit: u64,
    /// What its tools take of a model's context.
    pub tokens: usize,
    /// The `InitializeResult` of each legacy revision.
    pub initialize: Vec<String>,
    /// The `DiscoverResult`.
    pub discover: String,
    /// What these declare that no list shows.
    pub declared: Declared,
    /// Of a backend alone, tools and prompts that the tables do not hold behind its prefix: its names for them, in their order,
    /// each with what it calls that.
    pub renamed: [Vec<(String, String)>; 2],
    /// The pages of each list, in the order of the protocol, those of the legacy era first.
    pub lists: [[Vec<Page>; 2]; 4],
}

/// One page of a list.
#[derive(Clone, Debug)]
pub struct Page {
    /// The cursor that asks for it; empty for the first.
    pub cursor: String,
    /// From `{` to `[`.
    pub head: String,
    /// Its items: a range of [`Parts::items`].
    pub items: (u32, u32),
    /// What is left out of them: so many bytes at each of these places.
    pub cuts: (u32, Vec<u32>),
    /// From `]` to `}`.
    pub tail: String,
}

/// Works out the tables of a plan.
///
/// # Errors
/// As [`emit`](crate::emit).
pub fn parts(plan: &Plan) -> Result<Parts<'_>, Error> {
    if let Some(view) = plan.views.get(plan::View::COUNT_MAX) {
        return Err(Error::TooManyViews(view.name.to_string()));
    }
    let lists = Lists::of(plan)?;
    let names: Vec<&str> = plan.tools.iter().map(|tool| &*tool.name).collect();
    let tool_names = perfect(&names)?;
    for (kind, items) in [("prompt", &plan.prompts), ("resource", &plan.resources)] {
        crate::perfect::refuse_duplicates(kind, &items.iter().map(|item| &*item.name).collect::<Vec<_>>())?;
    }
    let whole = shown(plan, &lists, Scope::Whole);
    let views = (0..plan.views.len()).map(|index| shown(plan, &lists, Scope::View(index))).collect();
    let alone = (0..).zip(&plan.alone).map(|(index, _)| shown(plan, &lists, Scope::Backend(index))).collect();
    let greeting::Offers { tools, prompts, resources } = greeting::Offers::of(plan, Scope::Whole);
    Ok(Parts {
        tools: all(plan, plan.tools.iter(), |tool| tables::has_headers(plan, tool)),
        prompts: all(plan, plan.prompts.iter(), |_| false),
        resources: all(plan, plan.resources.iter(), |_| false),
        templates: all(plan, tables::by_length(plan).into_iter(), |_| false),
        tool_names,
        whole,
        views,
        alone,
        offers: (tools, prompts, resources),
        items: lists.blob,
    })
}

fn all<'p>(
    plan: &Plan,
    items: impl Iterator<Item = &'p Exposed>,
    has_headers: impl Fn(&Exposed) -> bool,
) -> Vec<Named<'p>> {
    let named = |item: &'p Exposed| Named {
        item,
        views: tables::bits(plan, &item.name),
        shortened: tables::is_shortened(&item.name, &item.own),
        has_headers: has_headers(item),
    };
    items.map(named).collect()
}

fn shown(plan: &Plan, lists: &Lists, scope: Scope) -> Shown {
    let Greeting { initialize, discover, declared } = Greeting::of(plan, scope);
    let bare = |name: &plan::Text| plan::View { name: name.clone(), include: [][..].into(), exclude: [][..].into() };
    let (patterns, bit, tokens) = match scope {
        Scope::Whole => (crate::everything(), tables::view_bit(None), plan.size(None).tokens),
        Scope::View(index) => {
            let view = &plan.views[index];
            (view.clone(), tables::view_bit(Some(index)), plan.size(Some(view)).tokens)
        }
        Scope::Backend(index) => (bare(&plan.backends[usize::from(index)].name), 0, scope::alone_tokens(plan, index)),
    };
    let renamed = [Kind::Tools, Kind::Prompts].map(|kind| match scope {
        Scope::Whole | Scope::View(_) => Vec::new(),
        Scope::Backend(index) => {
            let names = scope::renamed(plan, index, kind).into_iter();
            names.map(|(own, upstream)| (own.to_owned(), upstream.to_owned())).collect()
        }
    });
    Shown { patterns, bit, tokens, initialize, discover, declared, renamed, lists: lists.pages(scope) }
}
