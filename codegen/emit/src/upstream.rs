//! The dispatch over exactly the transports in use: no other transport is linked into the binary.

use only1mcp_model::plan::{Plan, Transport};
use proc_macro2::TokenStream;
use quote::quote;

use crate::Error;

/// `type Upstream` for one transport, a closed `enum Upstream` for several.
pub(crate) fn alias_or_enum(plan: &Plan) -> Result<TokenStream, Error> {
    let uses = |kind: fn(&Transport) -> bool| plan.backends.iter().any(|backend| kind(&backend.transport));
    let stdio = uses(|transport| matches!(transport, Transport::Stdio(_)));
    let streamable_http = uses(|transport| matches!(transport, Transport::StreamableHttp(_)));
    match (stdio, streamable_http) {
        (false, false) => Err(Error::NoBackend(plan.name.clone())),
        (true, false) => Ok(quote! {
            /// Every backend is a child process.
            pub type Upstream = ::only1mcp::upstream::stdio::Stdio;
        }),
        (false, true) => Ok(quote! {
            /// Every backend is reached by Streamable HTTP.
            pub type Upstream = ::only1mcp::upstream::streamable_http::StreamableHttp;
        }),
        (true, true) => Ok(quote! {
            /// The transports that the backends use.
            #[derive(::only1mcp::Dispatch)]
            pub enum Upstream {
                /// A child process.
                Stdio(::only1mcp::upstream::stdio::Stdio),
                /// A server reached by Streamable HTTP.
                StreamableHttp(::only1mcp::upstream::streamable_http::StreamableHttp),
            }
        }),
    }
}
