//! `topology!`: the emitter inline. A file it reads is also included, which is how the compiler learns to watch it.

use std::env;
use std::path::{Path, PathBuf};

use only1mcp_emit::{Emitted, Files, Items, emit};
use only1mcp_model::Features;
use proc_macro2::{Ident, TokenStream};
use quote::quote;
use syn::parse::{Parse, ParseStream};
use syn::{Attribute, Error, LitStr, Result, Token, Visibility};

/// `#[doc = ".."] pub Name = "path.yaml"`
pub(crate) struct Topology {
    attributes: Vec<Attribute>,
    visibility: Visibility,
    name: Ident,
    path: LitStr,
}

pub(crate) fn expand(input: Topology) -> TokenStream {
    let Topology { attributes, visibility, name, path } = input;
    let package = env::var_os("CARGO_MANIFEST_DIR").map_or_else(PathBuf::new, PathBuf::from);
    let files = Files::new(&package, &path.value());
    let body = compile(&files, &name).unwrap_or_else(|problems| {
        let errors = problems.iter().map(|problem| Error::new(path.span(), problem).into_compile_error());
        let stand_in = stand_in(&name);
        quote!(#(#errors)* #stand_in)
    });
    let watched = watch(&package, &files);
    quote! {
        #(#attributes)*
        #[derive(Clone, Copy, Debug)]
        #visibility struct #name;

        const _: () = {
            #watched
            #body
        };
    }
}

fn compile(files: &Files, name: &Ident) -> std::result::Result<TokenStream, Vec<String>> {
    // Whether a transport is compiled into the gateway is seen where the emitted code names it.
    let loaded = files.load(&Features::all())?;
    let Emitted { tokens, .. } = emit(&loaded.plan, name, Items::Inline).map_err(|error| vec![error.to_string()])?;
    Ok(tokens)
}

/// What stands for a topology that is refused, so that its errors are the only ones. It is never run, nor evaluated.
fn stand_in(name: &Ident) -> TokenStream {
    let lookups = ["tool", "prompt", "resource"].map(|kind| {
        let kind = Ident::new(kind, name.span());
        quote!(fn #kind(_: &str) -> Option<&'static ::only1mcp::catalog::Entry> { None })
    });
    quote! {
        impl ::only1mcp::catalog::Topology for #name {
            type Upstream = ::only1mcp::upstream::any::Any;
            type Balance = ::only1mcp::upstream::balance::Only;
            const SPEC: &'static ::only1mcp::catalog::Spec = panic!("the topology is refused");
            #(#lookups)*
            fn backend(_: &str) -> Option<u16> { None }
        }
    }
}

/// Also where the topology has errors, or the compiler would not notice that they are mended.
fn watch(package: &Path, files: &Files) -> TokenStream {
    let paths = [Some(files.topology().to_owned()), files.lock()].into_iter().flatten();
    let included = paths.filter(|path| package.join(path).is_file()).map(|path| {
        if Path::new(&path).is_absolute() {
            quote!(
                const _: &[u8] = include_bytes!(#path);
            )
        } else {
            // Spelled out by the compiler, so that no path of this machine stands in the expansion.
            quote!(
                const _: &[u8] = include_bytes!(concat!(env!("CARGO_MANIFEST_DIR"), "/", #path));
            )
        }
    });
    quote!(#(#included)*)
}

// === impl Topology ===

impl Parse for Topology {
    fn parse(input: ParseStream<'_>) -> Result<Self> {
        let (attributes, visibility, name): (_, _, Ident) =
            (input.call(Attribute::parse_outer)?, input.parse()?, input.parse()?);
        // What is emitted beside the type has one type of its own.
        if name == "Upstream" {
            return Err(Error::new(name.span(), "name `Upstream` is that of the dispatch over transports"));
        }
        input.parse::<Token![=]>()?;
        let path = input.parse()?;
        input.parse::<Option<Token![,]>>()?;
        Ok(Self { attributes, visibility, name, path })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn expansion(yaml: &str) -> String {
        let directory = env::temp_dir().join(format!("only1mcp-macros-{}-{}", std::process::id(), yaml.len()));
        std::fs::create_dir_all(&directory).expect("the directory of temporary files can be written");
        let path = directory.join(format!("{}.yaml", yaml.len()));
        std::fs::write(&path, yaml).expect("the directory can be written");
        let call = format!("pub Edge = {:?}", path.display().to_string());
        let expanded = expand(syn::parse_str(&call).expect("a call of the macro")).to_string();
        std::fs::remove_dir_all(&directory).ok();
        expanded
    }

    #[test]
    fn a_topology_becomes_an_implementation_for_the_type_that_is_named() {
        let code = expansion("name: edge\nbackends: { math: { transport: { stdio: { command: self } } } }\n");
        assert!(code.contains("pub struct Edge"), "{code}");
        assert!(code.contains(":: only1mcp :: catalog :: Topology for Edge"), "{code}");
        assert!(!code.contains("compile_error"), "{code}");
    }

    #[test]
    fn a_name_that_generated_code_uses_is_refused() {
        let refused = syn::parse_str::<Topology>("Upstream = \"edge.yaml\"").err().map(|error| error.to_string());
        assert_eq!(refused.as_deref(), Some("name `Upstream` is that of the dispatch over transports"));
    }

    #[test]
    fn every_problem_is_an_error_with_its_place_and_the_only_one() {
        let code = expansion("name: edge\nbackends:\n  math: { transport: { stdio: { comand: self } } }\nroute: []\n");
        assert_eq!(code.matches("compile_error").count(), 3, "{code}");
        for part in ["unknown key `comand`", "missing key `command`", "unknown key `route`", ".yaml:3:33", ".yaml:4:1"]
        {
            assert!(code.contains(part), "{part} in {code}");
        }
        assert!(code.contains("Topology for Edge"), "nothing that uses the type fails as well: {code}");
        assert!(code.contains("include_bytes"), "a file that is mended is noticed: {code}");
    }
}
