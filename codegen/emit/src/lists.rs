//! The pages that answer every `*/list` request: which bytes frame them, which items they hold, which cursor asks for
//! them. Items are edited per era by cutting whole members; everything else about them is the backend's.

use std::borrow::Cow;
use std::collections::HashMap;

use only1mcp_model::hash::hash64;
use only1mcp_model::plan::{Exposed, Plan, visible};
use only1mcp_model::revision::{Era, Revision};
use proc_macro2::{Literal, TokenStream};
use quote::{format_ident, quote};

use crate::{Error, greeting, json};

/// The lists of the protocol, in the order of `catalog::ListKind`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Tools,
    Prompts,
    Resources,
    Templates,
}

/// Every page of every list, and the bytes of the items they point at.
pub(crate) struct Lists {
    /// Runs of items, joined by commas within a page. A run that is part of an earlier one is not stored again, so that
    /// eras and views share what they can.
    pub(crate) blob: Vec<u8>,
    lists: Vec<List>,
}

/// One list in one era, as one view shows it.
struct List {
    kind: Kind,
    era: Era,
    /// Index of the view; `None` for the whole catalog.
    view: Option<usize>,
    pages: Vec<Page>,
}

/// `catalog::Page`.
#[derive(Debug)]
struct Page {
    cursor: String,
    head: String,
    items: (u32, u32),
    tail: String,
}

/// The items as they are written down, with what has been written so far.
#[derive(Default)]
struct Blob {
    bytes: Vec<u8>,
    /// Where an item stands, by its text.
    places: HashMap<String, Vec<u32>>,
}

// === impl Kind ===

impl Kind {
    pub(crate) const ALL: [Self; 4] = [Self::Tools, Self::Prompts, Self::Resources, Self::Templates];

    /// The member of the result that holds the list.
    const fn member(self) -> &'static str {
        match self {
            Self::Tools => "tools",
            Self::Prompts => "prompts",
            Self::Resources => "resources",
            Self::Templates => "resourceTemplates",
        }
    }

    /// What it lists.
    pub(crate) const fn noun(self) -> &'static str {
        match self {
            Self::Templates => "templates",
            _ => self.member(),
        }
    }

    fn of(self, plan: &Plan) -> &[Exposed] {
        match self {
            Self::Tools => &plan.tools,
            Self::Prompts => &plan.prompts,
            Self::Resources => &plan.resources,
            Self::Templates => &plan.templates,
        }
    }

    /// The name of the static that holds its pages.
    fn pages(self, era: Era, view: Option<usize>) -> proc_macro2::Ident {
        let kind = format!("{self:?}").to_uppercase();
        let era = format!("{era:?}").to_uppercase();
        let view = view.map_or_else(String::new, |index| format!("_VIEW_{index}"));
        format_ident!("{kind}_PAGES_{era}{view}")
    }
}

// === impl Lists ===

impl Lists {
    pub(crate) fn of(plan: &Plan) -> Result<Self, Error> {
        let mut blob = Blob::default();
        let mut lists = Vec::new();
        // The whole catalog first: its runs are the longest.
        for view in [None].into_iter().chain((0..plan.views.len()).map(Some)) {
            for kind in Kind::ALL {
                let shown = visible(kind.of(plan), view.map(|index| &plan.views[index]));
                let items: Vec<&Exposed> = shown.collect();
                for era in [Era::Legacy, Era::Modern] {
                    lists.push(List { kind, era, view, pages: pages(plan, &items, kind, era, &mut blob)? });
                }
            }
        }
        Ok(Self { blob: blob.bytes, lists })
    }

    /// One static a list, era and view.
    pub(crate) fn statics(&self) -> TokenStream {
        let statics = self.lists.iter().map(|List { kind, era, view, pages }| {
            let (name, count) = (kind.pages(*era, *view), Literal::usize_unsuffixed(pages.len()));
            let pages = pages.iter().map(Page::literal);
            quote!(static #name: [::only1mcp::catalog::Page; #count] = [#(#pages),*];)
        });
        quote!(#(#statics)*)
    }

    /// How many pages a list of a view has for an era, and how many bytes they come to.
    pub(crate) fn size(&self, kind: Kind, era: Era, view: Option<usize>) -> (usize, usize) {
        let wanted = |list: &&List| (list.kind, list.era, list.view) == (kind, era, view);
        let pages = self.lists.iter().filter(wanted).flat_map(|list| &list.pages);
        pages.fold((0, 0), |(count, bytes), page| (count + 1, bytes + page.bytes()))
    }
}

/// The pages of every list of a view, by `ListKind as usize` then `Revision as usize`.
pub(crate) fn by_kind_and_revision(view: Option<usize>) -> TokenStream {
    let lists = Kind::ALL.map(|kind| {
        let pages = Revision::ALL.map(|revision| kind.pages(revision.era(), view));
        quote!([#(&#pages),*])
    });
    quote!([#(#lists),*])
}

fn pages(plan: &Plan, items: &[&Exposed], kind: Kind, era: Era, blob: &mut Blob) -> Result<Vec<Page>, Error> {
    let digest = digest(items, plan.page_items);
    let chunks: Vec<&[&Exposed]> = match items {
        [] => vec![&[]],
        items => items.chunks(plan.page_items.max(1)).collect(),
    };
    let mut pages = Vec::with_capacity(chunks.len());
    for (index, chunk) in chunks.iter().enumerate() {
        let run: Vec<Cow<'_, str>> = chunk.iter().map(|item| edition(kind, era, item)).collect::<Result<_, _>>()?;
        let next = (index + 1 < chunks.len()).then(|| cursor(kind, index + 1, digest));
        pages.push(Page {
            cursor: if index == 0 { String::new() } else { cursor(kind, index, digest) },
            head: head(kind, era),
            items: blob.place(&run)?,
            tail: tail(plan, era, next.as_deref()),
        });
    }
    Ok(pages)
}

/// An item as clients of an era may see it.
fn edition(kind: Kind, era: Era, item: &Exposed) -> Result<Cow<'_, str>, Error> {
    let cut = |key: &str, value: &str| match (kind, era, key) {
        // Tasks left the core in 2026-07-28, and with them `execution.taskSupport`.
        (Kind::Tools, Era::Modern, "execution") => true,
        // Up to 2025-11-25 structured content is an object, and so is its schema.
        (Kind::Tools, Era::Legacy, "outputSchema") => !is_object_schema(value),
        _ => false,
    };
    json::without(&item.item, cut).map_err(|source| Error::Item { name: item.name.clone(), source })
}

fn is_object_schema(schema: &str) -> bool {
    #[derive(serde::Deserialize)]
    struct Root {
        r#type: String,
    }
    serde_json::from_str::<Root>(schema).is_ok_and(|root| root.r#type == "object")
}

fn head(kind: Kind, era: Era) -> String {
    let member = kind.member();
    match era {
        Era::Legacy => format!(r#"{{"{member}":["#),
        Era::Modern => format!(r#"{{"resultType":"complete","{member}":["#),
    }
}

fn tail(plan: &Plan, era: Era, next: Option<&str>) -> String {
    let next = next.map_or_else(String::new, |cursor| format!(r#","nextCursor":"{cursor}""#));
    match era {
        Era::Legacy => format!("]{next}}}"),
        Era::Modern => {
            let (ttl_ms, meta) = (plan.ttl_ms, greeting::meta());
            format!(r#"],"ttlMs":{ttl_ms},"cacheScope":"public"{next},{meta}}}"#)
        }
    }
}

/// What a cursor is bound to: the same list cut into the same pages. Other changes of a topology leave cursors valid.
fn digest(items: &[&Exposed], page_items: usize) -> u64 {
    items.iter().fold(page_items as u64, |digest, item| hash64(digest, item.item.as_bytes()))
}

/// An opaque name for a page: list, page number and digest, in the alphabet of base64url.
fn cursor(kind: Kind, page: usize, digest: u64) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let mut bytes = [0; 18];
    bytes[..2].copy_from_slice(&(kind as u16).to_be_bytes());
    bytes[2..10].copy_from_slice(&(page as u64).to_be_bytes());
    bytes[10..].copy_from_slice(&digest.to_be_bytes());
    let sextets = bytes.as_chunks::<3>().0.iter().flat_map(|&[a, b, c]| {
        let triple = usize::from(a) << 16 | usize::from(b) << 8 | usize::from(c);
        [18, 12, 6, 0].map(|shift| triple >> shift & 63)
    });
    sextets.map(|sextet| char::from(ALPHABET[sextet])).collect()
}

// === impl Page ===

impl Page {
    fn bytes(&self) -> usize {
        let (start, end) = self.items;
        self.head.len() + (end - start) as usize + self.tail.len()
    }

    fn literal(&self) -> TokenStream {
        let Self { cursor, head, items: (start, end), tail } = self;
        let (start, end) = (Literal::u32_unsuffixed(*start), Literal::u32_unsuffixed(*end));
        quote!(::only1mcp::catalog::Page { cursor: #cursor, head: #head, items: (#start, #end), tail: #tail })
    }
}

// === impl Blob ===

impl Blob {
    /// Where a run stands, written unless it stands there already.
    fn place(&mut self, run: &[Cow<'_, str>]) -> Result<(u32, u32), Error> {
        let Some(first) = run.first() else { return Ok((0, 0)) };
        let text = run.join(",");
        let length = u32::try_from(text.len()).ok().ok_or(Error::TooLarge)?;
        let starts = self.places.get(&**first).into_iter().flatten();
        for &start in starts {
            // An item ends where its own braces say: equal bytes are equal items.
            if self.bytes[start as usize..].starts_with(text.as_bytes()) {
                return Ok((start, start + length));
            }
        }
        let start = u32::try_from(self.bytes.len()).ok().ok_or(Error::TooLarge)?;
        self.bytes.extend_from_slice(text.as_bytes());
        let end = u32::try_from(self.bytes.len()).ok().ok_or(Error::TooLarge)?;
        let mut at = start;
        for item in run {
            self.places.entry(item.to_string()).or_default().push(at);
            // No item is longer than the run, whose end was just found to have 32 bits.
            at = at.saturating_add(u32::try_from(item.len()).unwrap_or(u32::MAX)).saturating_add(1);
        }
        Ok((start, end))
    }
}
