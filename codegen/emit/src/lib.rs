//! From a checked [`Plan`] to Rust source: name tables, precomputed catalogs and the dispatch over transports.
//!
//! Every decision is in the plan; this crate only writes it down. The generated code holds data and no logic of its
//! own. `build.rs` and `topology!` are the two callers of that. Of the gateway the commands about topologies link this
//! crate, for [`report()`], and what makes another catalog of an overlay, for [`parts()`].

mod error;
mod greeting;
mod json;
mod lists;
mod load;
mod parts;
mod perfect;
pub mod report;
mod scope;
pub mod select;
mod tables;
mod upstream;

use only1mcp_model::Constant;
use only1mcp_model::plan::{self, Plan};
use proc_macro2::{Ident, Literal, TokenStream};
use quote::{ToTokens, format_ident, quote};

pub use error::Error;
pub use greeting::Declared;
pub use load::{Files, Loaded};
pub use parts::{Named, Page, Parts, Shown, parts};
pub use perfect::{Perfect, perfect};
pub use report::{Report, report};

use lists::Lists;
use scope::Scope;

/// How the generated code reaches the bytes of the list items.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Items {
    /// `include_bytes!` of `OUT_DIR/items.json`, which the caller writes.
    File,
    /// A byte string in the code.
    Inline,
}

/// One topology as code.
#[derive(Debug)]
pub struct Emitted {
    /// Statics, the type `Upstream` and the `impl Topology`; the type that it is for is the caller's to declare.
    pub tokens: TokenStream,
    /// The bytes of every list item.
    pub items: Vec<u8>,
}

/// What `build.rs` writes into `OUT_DIR`.
#[derive(Debug)]
pub struct Module {
    /// `topology.rs`
    pub code: String,
    /// `items.json`
    pub items: Vec<u8>,
    /// `topology.yaml` and `lock.json`.
    pub sources: [String; 2],
}

impl Module {
    /// Every file, with its name.
    #[must_use]
    pub fn files(&self) -> [(&'static str, &[u8]); 4] {
        let [topology, lock] = &self.sources;
        let texts = [("topology.rs", &self.code), ("topology.yaml", topology), ("lock.json", lock)];
        let [code, topology, lock] = texts.map(|(name, text)| (name, text.as_bytes()));
        [code, ("items.json", &self.items), topology, lock]
    }
}

/// Writes `plan` as an implementation of `Topology` for the type `name`.
///
/// # Errors
/// When two entries have one name, an item is no JSON object, or the items pass 4 GiB.
pub fn emit(plan: &Plan, name: &Ident, items: Items) -> Result<Emitted, Error> {
    if let Some(view) = plan.views.get(plan::View::COUNT_MAX) {
        return Err(Error::TooManyViews(view.name.to_string()));
    }
    let lists = Lists::of(plan)?;
    let bytes = match items {
        Items::File => quote!(include_bytes!(concat!(env!("OUT_DIR"), "/items.json"))),
        Items::Inline => Literal::byte_string(&lists.blob).to_token_stream(),
    };
    let [topology, lock] = sources(plan, items);
    let (upstream, balance) = (upstream::alias_or_enum(plan)?, upstream::balance(plan));
    let backends = tables::backends(plan)?;
    let tools = tables::tools(plan)?;
    let prompts = tables::cold("prompt", &plan.prompts, plan)?;
    let resources = tables::cold("resource", &plan.resources, plan)?;
    let (pages, spec) = (lists.statics(), spec(plan, &lists, &bytes)?);
    let (settings, key_headers) = (plan.settings_json(), upstream::key_headers(plan));
    let has_fallbacks = tables::has_fallbacks(plan);
    let lookups = [&tools, &prompts, &resources, &backends].map(|table| &table.lookup);
    let statics = [&tools, &prompts, &resources, &backends].map(|table| &table.statics);
    let tokens = quote! {
        #upstream

        impl ::only1mcp::catalog::Topology for #name {
            type Upstream = Upstream;
            type Balance = #balance;
            const SPEC: &'static ::only1mcp::catalog::Spec = &SPEC;
            const SETTINGS: &'static str = #settings;
            #key_headers
            #has_fallbacks
            const SOURCES: [&'static str; 2] = [#topology, #lock];
            #(#lookups)*
        }

        #spec
        #(#statics)*
        #pages
    };
    Ok(Emitted { tokens, items: lists.blob })
}

/// The module that `build.rs` writes: the type `Compiled`, formatted, under a line that says where it comes from.
///
/// # Errors
/// As [`emit`].
pub fn module(plan: &Plan, path: &str) -> Result<Module, Error> {
    let Emitted { tokens, items } = emit(plan, &format_ident!("Compiled"), Items::File)?;
    let doc = format!(" The topology `{}`.", plan.name);
    let file = quote! {
        #[doc = #doc]
        #[derive(Clone, Copy, Debug)]
        pub struct Compiled;

        #tokens
    };
    let file = syn::parse2(file).map_err(Error::Syntax)?;
    let origin = format!("// generated from {path} (sha256 {}); do not edit\n\n", plan.topology_digest);
    let sources = [plan.sources.topology.clone(), plan.sources.lock.clone().unwrap_or_default()];
    Ok(Module { code: origin + &prettyplease::unparse(&file), items, sources })
}

/// The texts of the topology and of its lock, which is empty where there is none.
fn sources(plan: &Plan, items: Items) -> [TokenStream; 2] {
    let lock = plan.sources.lock.as_deref().unwrap_or_default();
    match items {
        Items::File => [
            quote!(include_str!(concat!(env!("OUT_DIR"), "/topology.yaml"))),
            quote!(include_str!(concat!(env!("OUT_DIR"), "/lock.json"))),
        ],
        Items::Inline => [plan.sources.topology.to_token_stream(), lock.to_token_stream()],
    }
}

/// `static SPEC`.
fn spec(plan: &Plan, lists: &Lists, items: &TokenStream) -> Result<TokenStream, Error> {
    let (name, topology, lock) = (&plan.name, &plan.topology_digest, &plan.lock_digest);
    let (listen, sessions, limits) = (constant(&plan.listen)?, constant(&plan.sessions)?, constant(&plan.limits)?);
    let (coalesce, batching) = (constant(&plan.coalesce)?, constant(&plan.batching)?);
    let wildcards = plan.wildcards.iter().map(constant).collect::<Result<Vec<_>, _>>()?;
    let tool_headers = plan.tool_headers.iter().map(constant).collect::<Result<Vec<_>, _>>()?;
    let teams = plan.teams.iter().map(constant).collect::<Result<Vec<_>, _>>()?;
    let task_tools = plan.task_tools.iter().map(constant).collect::<Result<Vec<_>, _>>()?;
    let templates = tables::templates(plan);
    let whole = view(plan, lists, None)?;
    let views = (0..plan.views.len()).map(|index| view(plan, lists, Some(index))).collect::<Result<Vec<_>, _>>()?;
    let (alone, greetings) = scope::backends(plan, lists);
    let name_bytes_max = Literal::usize_unsuffixed(plan.name_bytes_max);
    let greeting::Offers { tools, prompts, resources } = greeting::Offers::of(plan, Scope::Whole);
    Ok(quote! {
        #greetings
        static SPEC: ::only1mcp::catalog::Spec = ::only1mcp::catalog::Spec {
            name: #name,
            topology_digest: #topology,
            lock_digest: #lock,
            listen: #listen,
            sessions: #sessions,
            limits: #limits,
            coalesce: #coalesce,
            batching: #batching,
            backends: &BACKENDS,
            teams: &[#(#teams),*],
            wildcards: &[#(#wildcards),*],
            templates: &[#(#templates),*],
            tools: &TOOLS,
            prompts: &PROMPTS,
            resources: &RESOURCES,
            tool_headers: &[#(#tool_headers),*],
            task_tools: &[#(#task_tools),*],
            items: #items,
            whole: #whole,
            views: &[#(#views),*],
            alone: &[#(#alone),*],
            name_bytes_max: #name_bytes_max,
            offers_tools: #tools,
            offers_prompts: #prompts,
            offers_resources: #resources,
        };
    })
}

/// A value of the plan as an expression.
pub(crate) fn constant(value: &impl Constant) -> Result<TokenStream, Error> {
    syn::parse_str(&value.expression()).map_err(Error::Syntax)
}

/// What the whole catalog shows.
pub(crate) fn everything() -> plan::View {
    plan::View { name: "".into(), include: vec!["*".into()].into(), exclude: vec![].into() }
}

/// What the view with this index has to say; without one, the whole catalog.
fn view(plan: &Plan, lists: &Lists, index: Option<usize>) -> Result<TokenStream, Error> {
    let everything = everything();
    let view = index.map(|index| &plan.views[index]);
    let scope = index.map_or(Scope::Whole, Scope::View);
    let (patterns, bit) = (constant(view.unwrap_or(&everything))?, tables::view_bit(index));
    let (bit, tokens) = (Literal::u64_unsuffixed(bit), Literal::usize_unsuffixed(plan.size(view).tokens));
    let greeting::Greeting { initialize, discover, declared } = greeting::Greeting::of(plan, scope);
    let declared = declared.expression();
    let pages = lists.by_kind_and_revision(scope);
    Ok(quote! {
        ::only1mcp::catalog::View {
            patterns: #patterns,
            bit: #bit,
            tokens: #tokens,
            initialize: [#(#initialize),*],
            discover: #discover,
            declared: #declared,
            lists: #pages,
            alone: None,
        }
    })
}
