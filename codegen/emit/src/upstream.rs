//! The dispatch over exactly the transports in use: no other transport is linked into the binary.

use std::collections::BTreeSet;

use only1mcp_model::plan::{Balance, HashKey, Plan};
use only1mcp_model::transport::{KINDS, Kind};
use proc_macro2::TokenStream;
use quote::{format_ident, quote};

use crate::Error;

/// `type Upstream` for one transport, a closed `enum Upstream` for several.
pub(crate) fn alias_or_enum(plan: &Plan) -> Result<TokenStream, Error> {
    match used(plan)[..] {
        [] => Err(Error::NoBackend(plan.name.clone())),
        [kind] => {
            let (doc, link) = (format!(" The transport that every backend uses. {}", kind.meaning), link(kind));
            Ok(quote! {
                #[doc = #doc]
                pub type Upstream = #link;
            })
        }
        ref kinds => {
            let variants = kinds.iter().map(|kind| {
                let (doc, name, link) = (format!(" {}", kind.meaning), format_ident!("{}", kind.link), link(kind));
                quote!(#[doc = #doc] #name(#link))
            });
            Ok(quote! {
                /// The transports that the backends use.
                #[derive(::only1mcp::Dispatch)]
                pub enum Upstream {
                    #(#variants,)*
                }
            })
        }
    }
}

/// `type Balance`: exactly the strategies that backends with several endpoints use, and routes to several backends.
pub(crate) fn balance(plan: &Plan) -> TokenStream {
    let uses = |is: fn(&Balance) -> bool| balances(plan).any(is);
    let strategies: [(&str, bool); 5] = [
        ("RoundRobin", uses(|balance| matches!(balance, Balance::RoundRobin))),
        ("LeastConnections", uses(|balance| matches!(balance, Balance::LeastConnections))),
        ("Random", uses(|balance| matches!(balance, Balance::Random))),
        ("WeightedRandom", uses(|balance| matches!(balance, Balance::WeightedRandom))),
        ("ConsistentHash", uses(|balance| matches!(balance, Balance::ConsistentHash(_)))),
    ];
    let used = strategies.into_iter().filter(|(_, used)| *used).map(|(name, _)| {
        let name = format_ident!("{name}");
        quote!(::only1mcp::upstream::balance::#name)
    });
    let several = |first, second| quote!(::only1mcp::upstream::balance::Either<#first, #second>);
    used.reduce(several).unwrap_or_else(|| quote!(::only1mcp::upstream::balance::Only))
}

/// `const KEY_HEADERS`: the headers of clients that some of them go by; nothing where none does.
pub(crate) fn key_headers(plan: &Plan) -> TokenStream {
    let header = |balance: &Balance| match balance {
        Balance::ConsistentHash(HashKey::Header(name)) => Some(name.to_string()),
        _ => None,
    };
    let names: BTreeSet<String> = balances(plan).filter_map(header).collect();
    if names.is_empty() {
        return TokenStream::new();
    }
    quote!(const KEY_HEADERS: &'static [&'static str] = &[#(#names),*];)
}

/// How calls are spread, wherever there are several to choose from.
fn balances(plan: &Plan) -> impl Iterator<Item = &Balance> {
    let several = plan.backends.iter().filter(|backend| backend.transport.endpoints().len() > 1);
    several.map(|backend| &backend.balance).chain(plan.teams.iter().map(|team| &team.balance))
}

/// The kinds of transport that some backend uses, in the order in which they are registered.
pub(crate) fn used(plan: &Plan) -> Vec<&'static Kind> {
    KINDS.iter().filter(|kind| plan.backends.iter().any(|backend| backend.transport.kind() == *kind)).collect()
}

/// The type of its links.
fn link(kind: &Kind) -> TokenStream {
    let (module, link) = (format_ident!("{}", kind.key), format_ident!("{}", kind.link));
    quote!(::only1mcp::upstream::#module::#link)
}
