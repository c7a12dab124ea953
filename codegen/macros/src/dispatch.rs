//! `#[derive(Dispatch)]`: a closed enum of transports is a transport.

use proc_macro2::TokenStream;
use quote::quote;
use syn::{Data, DeriveInput, Error, Fields, Ident, Result, Type};

/// Every method goes through the trait's path: a method of the same name elsewhere cannot come in between.
pub(crate) fn derive(input: &DeriveInput) -> Result<TokenStream> {
    let name = &input.ident;
    let (variants, types): (Vec<&Ident>, Vec<&Type>) = variants(input)?.into_iter().unzip();
    Ok(quote! {
        #[automatically_derived]
        impl ::only1mcp::upstream::Transport for #name {
            fn carries(transport: &::only1mcp::catalog::plan::Transport) -> bool {
                #(<#types as ::only1mcp::upstream::Transport>::carries(transport))||*
            }

            fn open(
                context: &::only1mcp::upstream::Context,
                backend: &::only1mcp::catalog::plan::Backend,
            ) -> ::core::result::Result<Self, ::only1mcp::upstream::OpenError> {
                #(if <#types as ::only1mcp::upstream::Transport>::carries(&backend.transport) {
                    return <#types as ::only1mcp::upstream::Transport>::open(context, backend).map(Self::#variants);
                })*
                ::core::result::Result::Err(::only1mcp::upstream::OpenError::NotCompiled {
                    backend: ::std::string::ToString::to_string(&backend.name),
                })
            }

            async fn exchange<R: ::only1mcp::upstream::Relay>(
                &self,
                call: &::only1mcp::upstream::Call<'_>,
                relay: &mut R,
            ) -> ::core::result::Result<(), ::only1mcp::upstream::Error> {
                match self {
                    #(Self::#variants(link) => {
                        <#types as ::only1mcp::upstream::Transport>::exchange(link, call, relay).await
                    })*
                }
            }

            async fn greet(
                &self,
            ) -> ::core::result::Result<::only1mcp::upstream::Greeting, ::only1mcp::upstream::Error> {
                match self {
                    #(Self::#variants(link) => <#types as ::only1mcp::upstream::Transport>::greet(link).await,)*
                }
            }

            fn era(&self) -> ::core::option::Option<::only1mcp::catalog::Era> {
                match self {
                    #(Self::#variants(link) => <#types as ::only1mcp::upstream::Transport>::era(link),)*
                }
            }

            async fn hear<H: ::only1mcp::upstream::Hearer>(
                &self,
                hearer: ::std::rc::Rc<H>,
            ) -> ::core::result::Result<(), ::only1mcp::upstream::Error> {
                match self {
                    #(Self::#variants(link) => <#types as ::only1mcp::upstream::Transport>::hear(link, hearer).await,)*
                }
            }

            fn leave(&self, session: ::only1mcp::upstream::SessionKey) {
                match self {
                    #(Self::#variants(link) => <#types as ::only1mcp::upstream::Transport>::leave(link, session),)*
                }
            }

            fn reconsider(&self) {
                match self {
                    #(Self::#variants(link) => <#types as ::only1mcp::upstream::Transport>::reconsider(link),)*
                }
            }

            async fn close(&self) {
                match self {
                    #(Self::#variants(link) => <#types as ::only1mcp::upstream::Transport>::close(link).await,)*
                }
            }
        }
    })
}

/// Each variant with the type of the transport it holds.
fn variants(input: &DeriveInput) -> Result<Vec<(&Ident, &Type)>> {
    let Data::Enum(data) = &input.data else {
        return Err(Error::new_spanned(&input.ident, "`Dispatch` is for enums: one variant a transport"));
    };
    if data.variants.is_empty() {
        return Err(Error::new_spanned(
            &input.ident,
            "`Dispatch` needs a variant: an enum without one is no transport",
        ));
    }
    if !input.generics.params.is_empty() {
        return Err(Error::new_spanned(&input.generics, "`Dispatch` is for enums without parameters"));
    }
    let transport = |variant: &'_ syn::Variant| match &variant.fields {
        Fields::Unnamed(fields) if fields.unnamed.len() == 1 => Ok(()),
        _ => Err(Error::new_spanned(variant, "`Dispatch` needs variants that hold one transport: `Stdio(Stdio)`")),
    };
    let mut transports = Vec::with_capacity(data.variants.len());
    for variant in &data.variants {
        transport(variant)?;
        transports.extend(variant.fields.iter().map(|field| (&variant.ident, &field.ty)));
    }
    Ok(transports)
}

#[cfg(test)]
mod tests {
    use syn::parse_quote;

    use super::*;

    #[test]
    fn what_is_no_enum_of_transports_is_refused() {
        let check = |input: DeriveInput, expect: &str| assert_eq!(derive(&input).unwrap_err().to_string(), expect);
        check(
            parse_quote!(
                struct S(T);
            ),
            "`Dispatch` is for enums: one variant a transport",
        );
        check(
            parse_quote!(
                enum E {}
            ),
            "`Dispatch` needs a variant: an enum without one is no transport",
        );
        check(
            parse_quote!(
                enum E<T> {
                    A(T),
                }
            ),
            "`Dispatch` is for enums without parameters",
        );
        let fields = "`Dispatch` needs variants that hold one transport: `Stdio(Stdio)`";
        check(
            parse_quote!(
                enum E {
                    A(T),
                    B,
                }
            ),
            fields,
        );
        check(
            parse_quote!(
                enum E {
                    A(T, T),
                }
            ),
            fields,
        );
        check(
            parse_quote!(
                enum E {
                    A { t: T },
                }
            ),
            fields,
        );
    }

    #[test]
    fn every_variant_is_asked_through_the_trait() {
        let code = derive(&parse_quote!(
            enum Upstream {
                One(a::One),
                Two(Two),
            }
        ))
        .unwrap()
        .to_string();
        for method in ["carries", "open", "exchange", "greet", "era", "hear", "leave", "close"] {
            for transport in ["a :: One", "Two"] {
                let call = format!("< {transport} as :: only1mcp :: upstream :: Transport > :: {method} (");
                assert!(code.contains(&call), "{call}");
            }
        }
        assert!(!code.contains("dyn"));
    }
}
