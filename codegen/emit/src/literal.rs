//! Values of the plan as constant expressions. Every field is named, so that a field the plan gains is not forgotten.

use only1mcp_model::plan::{
    Backend, Listen, Program, Reference, Stdio, StreamableHttp, Subject, Transport, Variable, WildcardRoute,
};
use only1mcp_model::revision::Era;
use proc_macro2::{Literal, TokenStream};
use quote::quote;

pub(crate) fn listen(listen: &Listen) -> TokenStream {
    let Listen { address, path, origins, hosts } = listen;
    let (address, path) = (reference(address), text(path));
    let (origins, hosts) = (table(origins, |origin| text(origin)), table(hosts, |host| text(host)));
    quote! {
        ::only1mcp::catalog::plan::Listen { address: #address, path: #path, origins: #origins, hosts: #hosts }
    }
}

pub(crate) fn backend(backend: &Backend) -> TokenStream {
    let Backend { name, transport, era, locked_era, timeout_ms } = backend;
    let (name, transport) = (text(name), self::transport(transport));
    let (era, locked_era) = (option(era.as_ref(), self::era), option(locked_era.as_ref(), self::era));
    let timeout_ms = Literal::u64_unsuffixed(*timeout_ms);
    quote! {
        ::only1mcp::catalog::plan::Backend {
            name: #name,
            transport: #transport,
            era: #era,
            locked_era: #locked_era,
            timeout_ms: #timeout_ms,
        }
    }
}

pub(crate) fn wildcard(route: &WildcardRoute) -> TokenStream {
    let WildcardRoute { subject, pattern, backend, prefix } = route;
    let subject = match subject {
        Subject::Tools => quote!(Tools),
        Subject::Prompts => quote!(Prompts),
        Subject::Resources => quote!(Resources),
    };
    let (pattern, prefix) = (text(pattern), text(prefix));
    let backend = Literal::u16_unsuffixed(*backend);
    quote! {
        ::only1mcp::catalog::plan::WildcardRoute {
            subject: ::only1mcp::catalog::plan::Subject::#subject,
            pattern: #pattern,
            backend: #backend,
            prefix: #prefix,
        }
    }
}

fn transport(transport: &Transport) -> TokenStream {
    match transport {
        Transport::Stdio(Stdio { program, args, env, cwd }) => {
            let program = self::program(program);
            let (args, env) = (table(args, |arg| text(arg)), table(env, variable));
            let cwd = option(cwd.as_ref(), |path| text(path));
            quote! {
                ::only1mcp::catalog::plan::Transport::Stdio(::only1mcp::catalog::plan::Stdio {
                    program: #program, args: #args, env: #env, cwd: #cwd,
                })
            }
        }
        Transport::StreamableHttp(StreamableHttp { url, ca }) => {
            let (url, ca) = (reference(url), option(ca.as_ref(), reference));
            quote! {
                ::only1mcp::catalog::plan::Transport::StreamableHttp(::only1mcp::catalog::plan::StreamableHttp {
                    url: #url, ca: #ca,
                })
            }
        }
    }
}

fn program(program: &Program) -> TokenStream {
    match program {
        Program::Current => quote!(::only1mcp::catalog::plan::Program::Current),
        Program::Named(name) => {
            let name = text(name);
            quote!(::only1mcp::catalog::plan::Program::Named(#name))
        }
    }
}

fn variable(variable: &Variable) -> TokenStream {
    let Variable { name, value } = variable;
    let (name, value) = (text(name), reference(value));
    quote!(::only1mcp::catalog::plan::Variable { name: #name, value: #value })
}

fn reference(reference: &Reference) -> TokenStream {
    let (variant, value) = match reference {
        Reference::Literal(value) => (quote!(Literal), value),
        Reference::Env(name) => (quote!(Env), name),
        Reference::File(path) => (quote!(File), path),
    };
    let value = text(value);
    quote!(::only1mcp::catalog::plan::Reference::#variant(#value))
}

fn era(era: &Era) -> TokenStream {
    match era {
        Era::Legacy => quote!(::only1mcp::catalog::Era::Legacy),
        Era::Modern => quote!(::only1mcp::catalog::Era::Modern),
    }
}

fn text(text: &str) -> TokenStream {
    quote!(::std::borrow::Cow::Borrowed(#text))
}

fn table<T>(rows: &[T], literal: impl Fn(&T) -> TokenStream) -> TokenStream {
    let rows = rows.iter().map(literal);
    quote!(::std::borrow::Cow::Borrowed(&[#(#rows),*]))
}

fn option<T>(option: Option<&T>, literal: impl Fn(&T) -> TokenStream) -> TokenStream {
    match option.map(literal) {
        Some(value) => quote!(Some(#value)),
        None => quote!(None),
    }
}
