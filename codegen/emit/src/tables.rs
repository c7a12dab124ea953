//! Names to entries: the perfect-hash table of the tools, which every call asks, and plain `phf::Map`s for the rest.

use only1mcp_model::names::literal_part;
use only1mcp_model::plan::{Exposed, Plan};
use proc_macro2::{Ident, Literal, TokenStream};
use quote::{format_ident, quote};

use crate::perfect::refuse_duplicates;
use crate::{Error, constant, perfect};

/// One kind of name.
pub(crate) struct Table {
    /// The list in its order, and the index over its names.
    pub(crate) statics: TokenStream,
    /// The function of `Topology` that asks the index.
    pub(crate) lookup: TokenStream,
}

/// `TOOLS` and `TOOL_BY_NAME`, a `NameTable`.
pub(crate) fn tools(plan: &Plan) -> Result<Table, Error> {
    let names = names("tool", &plan.tools)?;
    let list = entries(&format_ident!("TOOLS"), &plan.tools, plan, |tool| has_headers(plan, tool));
    if names.is_empty() {
        return Ok(Table { statics: list, lookup: nothing("tool") });
    }
    let perfect::Perfect { seed, pilots, slots } = perfect(&names)?;
    let (buckets, len) = (Literal::usize_unsuffixed(pilots.len()), Literal::usize_unsuffixed(slots.len()));
    let seed = Literal::u64_unsuffixed(seed);
    let pilots = pilots.into_iter().map(Literal::u32_unsuffixed);
    // Indices, and not entries: of a hundred thousand entries written twice, the compiler makes hard work.
    let slots = slots.into_iter().map(Literal::usize_unsuffixed);
    let statics = quote! {
        #list
        static TOOL_BY_NAME: ::only1mcp::catalog::NameTable<[u32; #buckets], [::only1mcp::catalog::Entry; #len]> =
            ::only1mcp::catalog::NameTable { seed: #seed, pilots: [#(#pilots),*], slots: ::only1mcp::catalog::table::arrange(&TOOLS, &[#(#slots),*]) };
    };
    let lookup = quote! {
        #[inline]
        fn tool(name: &str) -> Option<&'static ::only1mcp::catalog::Entry> {
            TOOL_BY_NAME.get(name)
        }
    };
    Ok(Table { statics, lookup })
}

/// The list and the map of `kind`: prompt or resource.
pub(crate) fn cold(kind: &'static str, items: &[Exposed], plan: &Plan) -> Result<Table, Error> {
    let names = names(kind, items)?;
    let list_name = format_ident!("{}S", kind.to_uppercase());
    let list = entries(&list_name, items, plan, |_| false);
    if names.is_empty() {
        return Ok(Table { statics: list, lookup: nothing(kind) });
    }
    let (function, map_name) = (format_ident!("{kind}"), format_ident!("{}_BY_NAME", kind.to_uppercase()));
    let map = map(&names, |index| format!("&{list_name}[{index}]"))?;
    let statics = quote! {
        #list
        static #map_name: ::only1mcp::phf::Map<&'static str, &'static ::only1mcp::catalog::Entry> = #map;
    };
    let lookup = quote! {
        fn #function(name: &str) -> Option<&'static ::only1mcp::catalog::Entry> {
            #map_name.get(name).copied()
        }
    };
    Ok(Table { statics, lookup })
}

/// `BACKENDS` and `BACKEND_BY_NAME`.
pub(crate) fn backends(plan: &Plan) -> Result<Table, Error> {
    let names: Vec<&str> = plan.backends.iter().map(|backend| &*backend.name).collect();
    refuse_duplicates("backend", &names)?;
    if let Some(name) = names.get(usize::from(u16::MAX) + 1) {
        return Err(Error::TooManyBackends((*name).to_owned()));
    }
    let count = Literal::usize_unsuffixed(names.len());
    let backends = plan.backends.iter().map(constant).collect::<Result<Vec<_>, _>>()?;
    let map = map(&names, |index| index.to_string())?;
    let statics = quote! {
        static BACKENDS: [::only1mcp::catalog::plan::Backend; #count] = [#(#backends),*];
        static BACKEND_BY_NAME: ::only1mcp::phf::Map<&'static str, u16> = #map;
    };
    let lookup = quote! {
        fn backend(name: &str) -> Option<u16> {
            BACKEND_BY_NAME.get(name).copied()
        }
    };
    Ok(Table { statics, lookup })
}

/// The templates, the longest literal part first: the most specific one is tried before those it begins with.
pub(crate) fn by_length(plan: &Plan) -> Vec<&Exposed> {
    let mut sorted: Vec<&Exposed> = plan.templates.iter().collect();
    sorted.sort_by_key(|template| std::cmp::Reverse(literal_part(&template.name).len()));
    sorted
}

/// `catalog::Template`s, in that order.
pub(crate) fn templates(plan: &Plan) -> Vec<TokenStream> {
    let literal = |template: &Exposed| {
        let name = &template.name;
        let [backend, origin] = [template.backend, template.origin].map(Literal::u16_unsuffixed);
        let (views, fallbacks, team) = (mask(plan, name), fallbacks(template), team(template));
        quote! {
            ::only1mcp::catalog::Template {
                uri_template: #name, backend: #backend, team: #team, origin: #origin, fallbacks: #fallbacks, views: #views,
            }
        }
    };
    by_length(plan).into_iter().map(literal).collect()
}

fn names<'a>(kind: &'static str, items: &'a [Exposed]) -> Result<Vec<&'a str>, Error> {
    let names: Vec<&str> = items.iter().map(|item| &*item.name).collect();
    refuse_duplicates(kind, &names)?;
    Ok(names)
}

fn entries(name: &Ident, items: &[Exposed], plan: &Plan, has_headers: impl Fn(&Exposed) -> bool) -> TokenStream {
    let count = Literal::usize_unsuffixed(items.len());
    let entries = items.iter().map(|item| {
        let Exposed { name, upstream, own, origin, backend, read_only, idempotent, .. } = item;
        let (fallbacks, team) = (fallbacks(item), team(item));
        let [backend, origin] = [*backend, *origin].map(Literal::u16_unsuffixed);
        let (views, shortened) = (mask(plan, name), is_shortened(name, own));
        let has_headers = has_headers(item);
        quote! {
            ::only1mcp::catalog::Entry {
                name: #name,
                upstream: #upstream,
                views: #views,
                fallbacks: #fallbacks,
                backend: #backend,
                team: #team,
                origin: #origin,
                shortened: #shortened,
                read_only: #read_only,
                idempotent: #idempotent,
                has_headers: #has_headers,
            }
        }
    });
    quote!(static #name: [::only1mcp::catalog::Entry; #count] = [#(#entries),*];)
}

/// Whether an exposed name is not that of the backend behind its prefix.
pub(crate) fn is_shortened(name: &str, own: &str) -> bool {
    !name.ends_with(own)
}

/// Whether whoever may be asked for a tool wants to see some argument of it as a header.
pub(crate) fn has_headers(plan: &Plan, tool: &Exposed) -> bool {
    let wanted = |backend: u16| {
        let key = (backend, tool.upstream.as_str());
        plan.tool_headers.binary_search_by(|known| (known.backend, &*known.tool).cmp(&key)).is_ok()
    };
    let members = tool.team.map_or(&[][..], |team| &plan.teams[usize::from(team)].members);
    let members = members.iter().map(|member| &member.backend);
    [tool.origin, tool.backend].iter().chain(members).chain(&tool.fallbacks).any(|backend| wanted(*backend))
}

fn team(item: &Exposed) -> TokenStream {
    match item.team.map(Literal::u16_unsuffixed) {
        Some(team) => quote!(Some(#team)),
        None => quote!(None),
    }
}

/// `const HAS_FALLBACKS`, where any backend stands in for another; nothing where none does.
pub(crate) fn has_fallbacks(plan: &Plan) -> TokenStream {
    let mut all = [&plan.tools, &plan.prompts, &plan.resources, &plan.templates].into_iter().flatten();
    if all.all(|item| item.fallbacks.is_empty()) {
        return TokenStream::new();
    }
    quote!(
        const HAS_FALLBACKS: bool = true;
    )
}

fn fallbacks(item: &Exposed) -> TokenStream {
    let backends = item.fallbacks.iter().copied().map(Literal::u16_unsuffixed);
    quote!(&[#(#backends),*])
}

fn mask(plan: &Plan, name: &str) -> Literal {
    Literal::u64_unsuffixed(bits(plan, name))
}

/// The bits of the views that show a name: the lowest is that of the whole catalog.
pub(crate) fn bits(plan: &Plan, name: &str) -> u64 {
    let bits = (0..).zip(&plan.views).filter(|(_, view)| view.shows(name)).map(|(index, _)| view_bit(Some(index)));
    bits.fold(view_bit(None), |mask, bit| mask | bit)
}

/// The bit of a view, by its index; `None` is the whole catalog. The plan has no more views than there are bits.
pub(crate) fn view_bit(index: Option<usize>) -> u64 {
    1 << index.map_or(0, |index| index + 1)
}

/// A lookup in an empty set.
fn nothing(kind: &str) -> TokenStream {
    let function = format_ident!("{kind}");
    quote! {
        fn #function(_: &str) -> Option<&'static ::only1mcp::catalog::Entry> {
            None
        }
    }
}

/// A `phf::Map` from names to what `value` says of their index.
fn map(names: &[&str], value: impl Fn(usize) -> String) -> Result<TokenStream, Error> {
    let mut map = phf_codegen::Map::new();
    map.phf_path("::only1mcp::phf");
    for (index, name) in names.iter().enumerate() {
        map.entry(*name, value(index));
    }
    syn::parse_str(&map.build().to_string()).map_err(Error::Syntax)
}
