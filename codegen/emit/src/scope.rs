//! Who sees what: everybody the whole catalog, the clients of a view what it shows, those of a backend alone what that
//! has, under its own names.

use std::collections::{HashMap, HashSet};

use only1mcp_model::plan::{Exposed, Plan, of_backend, visible};
use only1mcp_model::tokens::tokens_as;
use proc_macro2::{Ident, Literal, TokenStream};
use quote::{format_ident, quote};

use crate::greeting::Greeting;
use crate::lists::{Kind, Lists};

/// What the clients at one path see.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scope {
    /// The whole catalog.
    Whole,
    /// What the view with this index shows.
    View(usize),
    /// What the backend with this index has.
    Backend(u16),
}

// === impl Scope ===

impl Scope {
    /// Every one, the whole catalog first, then the views, then the backends.
    pub(crate) fn all(plan: &Plan) -> impl Iterator<Item = Self> {
        let views = (0..plan.views.len()).map(Self::View);
        [Self::Whole].into_iter().chain(views).chain((0..).zip(&plan.alone).map(|(index, _)| Self::Backend(index)))
    }

    /// Where it is served over Streamable HTTP.
    pub(crate) fn path(self, plan: &Plan) -> String {
        match self {
            Self::Whole => plan.listen.path.to_string(),
            Self::View(index) => plan.listen.view_path(&plan.views[index].name),
            Self::Backend(index) => plan.listen.view_path(&plan.backends[usize::from(index)].name),
        }
    }

    /// What one list holds.
    pub(crate) fn items(self, plan: &Plan, kind: Kind) -> Vec<&Exposed> {
        let items = kind.of(plan);
        let backend = match self {
            Self::Whole => return items.iter().collect(),
            Self::View(index) => return visible(items, Some(&plan.views[index])).collect(),
            Self::Backend(index) => index,
        };
        let alone = &plan.alone[usize::from(backend)];
        let shadowed = match kind {
            Kind::Tools => &alone.tools[..],
            Kind::Prompts => &alone.prompts[..],
            Kind::Resources => &alone.resources[..],
            Kind::Templates => &alone.templates[..],
        };
        of_backend(items, backend).chain(shadowed).collect()
    }
}

/// What the tools of a backend alone take of a model's context.
pub(crate) fn alone_tokens(plan: &Plan, backend: u16) -> usize {
    Scope::Backend(backend).items(plan, Kind::Tools).into_iter().map(|tool| tokens_as(tool, &tool.own)).sum()
}

/// The `catalog::View`s of the backends alone, and the greetings, which many of them share.
pub(crate) fn backends(plan: &Plan, lists: &Lists) -> (Vec<TokenStream>, TokenStream) {
    let mut greetings: HashMap<Greeting, Ident> = HashMap::new();
    let mut constants = Vec::new();
    let mut backends = Vec::with_capacity(plan.alone.len());
    for (index, (alone, backend)) in (0..).zip(plan.alone.iter().zip(&plan.backends)) {
        let scope = Scope::Backend(index);
        let next = format_ident!("GREETING_{}", greetings.len());
        let greeting = greetings.entry(Greeting::of(plan, scope)).or_insert_with_key(|greeting| {
            let Greeting { initialize, discover, declared } = greeting;
            let declared = declared.expression();
            constants.push(quote! {
                const #next: ([&str; 4], &str, ::only1mcp::catalog::Declared) =
                    ([#(#initialize),*], #discover, #declared);
            });
            next
        });
        let [tools, prompts] = [Kind::Tools, Kind::Prompts].map(|kind| {
            let names = renamed(plan, index, kind);
            let names = names.iter().map(|(own, upstream)| quote!((#own, #upstream)));
            quote!(&[#(#names),*])
        });
        let tokens = alone_tokens(plan, index);
        let (index, tokens) = (Literal::u16_unsuffixed(index), Literal::usize_unsuffixed(tokens));
        let (name, prefix, pages) = (&*backend.name, &alone.prefix, lists.by_kind_and_era(scope));
        let [resources, templates] = [&alone.resources, &alone.templates].map(|shadowed| {
            let uris = shadowed.iter().map(|item| &item.name);
            quote!(&[#(#uris),*])
        });
        backends.push(quote! {
            ::only1mcp::catalog::View::alone(#name, #tokens, #greeting, #pages, ::only1mcp::catalog::Alone {
                backend: #index, prefix: #prefix, tools: #tools, prompts: #prompts, resources: #resources,
                templates: #templates,
            })
        });
    }
    (backends, quote!(#(#constants)*))
}

/// What a backend has that the tables of the catalog do not hold behind its prefix: under the name by which it alone shows
/// each, what it calls that, in the order of names.
pub(crate) fn renamed(plan: &Plan, index: u16, kind: Kind) -> Vec<(&str, &str)> {
    let alone = &plan.alone[usize::from(index)];
    let is_behind = |item: &&Exposed| item.origin == index && item.team.is_none_or(|_| item.name != item.own);
    let in_catalog: HashSet<&str> = kind.of(plan).iter().filter(is_behind).map(|item| &*item.own).collect();
    let items = Scope::Backend(index).items(plan, kind).into_iter().filter(|item| !in_catalog.contains(&*item.own));
    let mut names: Vec<(&str, &str)> = items.map(|item| (&*item.own, &*item.upstream)).collect();
    // Without a prefix, every name is its own.
    names.retain(|_| !alone.prefix.is_empty());
    names.sort_unstable();
    names
}
