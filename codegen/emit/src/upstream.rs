//! The dispatch over exactly the transports in use: no other transport is linked into the binary.

use only1mcp_model::plan::{self, Balance, Plan};
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
    let uses = |is: fn(&Balance) -> bool| plan::balances(&plan.backends, &plan.teams).any(is);
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
    let names = plan::key_headers(&plan.backends, &plan.teams);
    if names.is_empty() {
        return TokenStream::new();
    }
    let names = names.into_iter();
    quote!(const KEY_HEADERS: &'static [&'static str] = &[#(#names),*];)
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
