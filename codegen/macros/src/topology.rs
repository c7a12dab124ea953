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
        quote!(#(#errors)*)
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
        let (attributes, visibility, name) = (input.call(Attribute::parse_outer)?, input.parse()?, input.parse()?);
        input.parse::<Token![=]>()?;
        let path = input.parse()?;
        input.parse::<Option<Token![,]>>()?;
        Ok(Self { attributes, visibility, name, path })
    }
}
