//! `topology!` compiles a further topology into a crate; `#[derive(Dispatch)]` writes the dispatch over transports.
//!
//! Both are thin: what a topology becomes is `only1mcp_emit`'s to say.

mod dispatch;
mod topology;

use proc_macro::TokenStream;
use syn::{DeriveInput, parse_macro_input};

/// Compiles a topology: `topology!(pub Name = "path/to/topology.yaml")` declares the type `Name` and implements
/// `only1mcp::catalog::Topology` for it.
///
/// The path is relative to the package. Its lock, `path/to/topology.lock.json`, is read when there is one. Everything
/// but the type itself stays hidden, so that several topologies can stand in one module. Problems of the topology
/// become errors at the call, each with its place in the YAML; its warnings are left to `only1mcp validate`.
///
/// A transport that the topology uses has to be on where the gateway is depended on:
/// `only1mcp = { version = "0.1", default-features = false, features = ["transport-stdio", "transport-http"] }`.
#[proc_macro]
pub fn topology(input: TokenStream) -> TokenStream {
    topology::expand(parse_macro_input!(input)).into()
}

/// Implements `only1mcp::upstream::Transport` for an enum with one transport a variant: each call goes to the
/// transport at hand by a `match`, with no allocation and no vtable.
#[proc_macro_derive(Dispatch)]
pub fn dispatch(input: TokenStream) -> TokenStream {
    let input = parse_macro_input!(input as DeriveInput);
    dispatch::derive(&input).unwrap_or_else(syn::Error::into_compile_error).into()
}
