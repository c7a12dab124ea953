//! The pages that answer every `*/list` request: which bytes frame them, which items they hold, which cursor asks for
//! them. Items are edited per era by cutting whole members; everything else about them is the backend's. Who sees which
//! of them is the scope's.

use std::borrow::Cow;
use std::collections::HashMap;

use only1mcp_model::hash::hash64;
use only1mcp_model::plan::{Exposed, Plan};
use only1mcp_model::revision::{Era, Revision};
use proc_macro2::{Ident, Literal, TokenStream};
use quote::{format_ident, quote};

use crate::json::Edit;
use crate::{Error, Scope, greeting, json, parts};

/// The lists of the protocol, in the order of `catalog::ListKind`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
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
    /// Where the backends' prefixes stand in runs that also others are shown, each set once.
    cuts: Cuts,
    /// How many views there are.
    views: usize,
    /// How much of the blob is not there for the backends alone.
    pub(crate) shared_bytes: usize,
}

/// One list in one era, as one scope shows it.
struct List {
    kind: Kind,
    era: Era,
    scope: Scope,
    /// Position of an earlier list with the same pages.
    same: Option<usize>,
    pages: Vec<Page>,
}

/// `catalog::Page`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Page {
    cursor: String,
    head: String,
    items: (u32, u32),
    /// What is left out of the items: a set of [`Cuts`], and the length of each cut.
    cuts: Option<(usize, usize)>,
    tail: String,
}

/// Where a run of items stands, and what is cut from it: see [`Page`].
type Placed = ((u32, u32), Option<(usize, usize)>);

/// Sets of places in the blob.
#[derive(Default)]
struct Cuts {
    sets: Vec<Vec<u32>>,
    index: HashMap<Vec<u32>, usize>,
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

    pub(crate) fn of(self, plan: &Plan) -> &[Exposed] {
        match self {
            Self::Tools => &plan.tools,
            Self::Prompts => &plan.prompts,
            Self::Resources => &plan.resources,
            Self::Templates => &plan.templates,
        }
    }

    /// The name of the static that holds its pages.
    fn pages(self, era: Era, scope: Scope) -> Ident {
        let kind = format!("{self:?}").to_uppercase();
        let era = format!("{era:?}").to_uppercase();
        let scope = match scope {
            Scope::Whole => String::new(),
            Scope::View(index) => format!("_VIEW_{index}"),
            Scope::Backend(index) => format!("_BACKEND_{index}"),
        };
        format_ident!("{kind}_PAGES_{era}{scope}")
    }
}

// === impl Lists ===

impl Lists {
    pub(crate) fn of(plan: &Plan) -> Result<Self, Error> {
        let (mut blob, mut cuts) = (Blob::default(), Cuts::default());
        let mut lists: Vec<List> = Vec::new();
        let mut known = HashMap::new();
        let mut shared_bytes = 0;
        // The whole catalog first: its runs are the longest.
        for scope in Scope::all(plan) {
            for kind in Kind::ALL {
                let items = scope.items(plan, kind);
                for era in [Era::Legacy, Era::Modern] {
                    let pages = pages(plan, scope, &items, (kind, era), (&mut blob, &mut cuts))?;
                    let same = known.get(&(kind, pages.clone())).copied();
                    if same.is_none() {
                        known.insert((kind, pages.clone()), lists.len());
                    }
                    lists.push(List { kind, era, scope, same, pages });
                }
            }
            if !matches!(scope, Scope::Backend(_)) {
                shared_bytes = blob.bytes.len();
            }
        }
        Ok(Self { blob: blob.bytes, lists, cuts, views: plan.views.len(), shared_bytes })
    }

    /// One static a list, era and scope, unless there is one of the same pages.
    pub(crate) fn statics(&self) -> TokenStream {
        let own = self.lists.iter().filter(|list| list.same.is_none());
        let pages = own.map(|List { kind, era, scope, pages, .. }| {
            let (name, count) = (kind.pages(*era, *scope), Literal::usize_unsuffixed(pages.len()));
            let pages = pages.iter().map(Page::literal);
            quote!(static #name: [::only1mcp::catalog::Page; #count] = [#(#pages),*];)
        });
        let cuts = self.cuts.sets.iter().enumerate().map(|(index, set)| {
            let (name, count) = (cuts_name(index), Literal::usize_unsuffixed(set.len()));
            let places = set.iter().copied().map(Literal::u32_unsuffixed);
            quote!(static #name: [u32; #count] = [#(#places),*];)
        });
        quote!(#(#pages)* #(#cuts)*)
    }

    /// How many pages a list of a scope has for an era, and how many bytes they come to.
    pub(crate) fn size(&self, kind: Kind, era: Era, scope: Scope) -> (usize, usize) {
        self.find(kind, era, scope)
            .pages
            .iter()
            .fold((0, 0), |(count, bytes), page| (count + 1, bytes + page.bytes(self)))
    }

    /// How many places are cut, over all sets.
    pub(crate) fn cuts(&self) -> usize {
        self.cuts.sets.iter().map(Vec::len).sum()
    }

    /// The pages of every list of the whole catalog or a view, by `ListKind as usize` then `Revision as usize`.
    pub(crate) fn by_kind_and_revision(&self, scope: Scope) -> TokenStream {
        let lists = Kind::ALL.map(|kind| {
            let pages = Revision::ALL.map(|revision| self.name(kind, revision.era(), scope));
            quote!([#(&#pages),*])
        });
        quote!([#(#lists),*])
    }

    /// The pages of every list of a scope, by `ListKind as usize`, those of the legacy era first.
    pub(crate) fn by_kind_and_era(&self, scope: Scope) -> TokenStream {
        let lists = Kind::ALL.map(|kind| {
            let pages = [Era::Legacy, Era::Modern].map(|era| self.name(kind, era, scope));
            quote!([#(&#pages),*])
        });
        quote!([#(#lists),*])
    }

    /// The pages of every list of a scope, by `ListKind as usize`, those of the legacy era first.
    pub(crate) fn pages(&self, scope: Scope) -> [[Vec<parts::Page>; 2]; 4] {
        Kind::ALL.map(|kind| {
            [Era::Legacy, Era::Modern].map(|era| {
                let pages = &self.find(kind, era, scope).pages;
                pages.iter().map(|page| page.part(&self.cuts)).collect()
            })
        })
    }

    fn name(&self, kind: Kind, era: Era, scope: Scope) -> Ident {
        let list = self.find(kind, era, scope);
        let List { kind, era, scope, .. } = list.same.map_or(list, |same| &self.lists[same]);
        kind.pages(*era, *scope)
    }

    fn find(&self, kind: Kind, era: Era, scope: Scope) -> &List {
        let of_scope = match scope {
            Scope::Whole => 0,
            Scope::View(index) => 1 + index,
            Scope::Backend(index) => 1 + self.views + usize::from(index),
        };
        &self.lists[(of_scope * Kind::ALL.len() + kind as usize) * 2 + era as usize]
    }
}

fn cuts_name(index: usize) -> Ident {
    format_ident!("CUTS_{index}")
}

fn pages(
    plan: &Plan,
    scope: Scope,
    items: &[&Exposed],
    (kind, era): (Kind, Era),
    (blob, cuts): (&mut Blob, &mut Cuts),
) -> Result<Vec<Page>, Error> {
    let digest = digest(items, plan.page_items);
    let chunks: Vec<&[&Exposed]> = match items {
        [] => vec![&[]],
        items => items.chunks(plan.page_items.max(1)).collect(),
    };
    let mut pages = Vec::with_capacity(chunks.len());
    for (index, chunk) in chunks.iter().enumerate() {
        let run: Vec<Cow<'_, str>> =
            chunk.iter().map(|item| edition(kind, era, item, scope)).collect::<Result<_, _>>()?;
        let next = (index + 1 < chunks.len()).then(|| cursor(kind, index + 1, digest));
        let (items, cuts) = match scope {
            Scope::Whole | Scope::View(_) => (blob.place(&run)?, None),
            Scope::Backend(backend) => alone(&plan.alone[usize::from(backend)].prefix, chunk, &run, (blob, cuts))?,
        };
        pages.push(Page {
            cursor: if index == 0 { String::new() } else { cursor(kind, index, digest) },
            head: head(kind, era),
            items,
            cuts,
            tail: tail(plan, era, next.as_deref()),
        });
    }
    Ok(pages)
}

/// A run of items under the backend's own names. Where it stands in the catalog already, and every name there is the
/// backend's own behind its prefix, the prefixes are cut; else the run is stored again.
fn alone(
    prefix: &str,
    chunk: &[&Exposed],
    run: &[Cow<'_, str>],
    (blob, cuts): (&mut Blob, &mut Cuts),
) -> Result<Placed, Error> {
    if chunk.iter().all(|item| item.name == item.own || item.alone.is_some()) {
        return Ok((blob.place(run)?, None));
    }
    let prefixed = chunk.iter().all(|item| item.name.strip_prefix(prefix) == Some(&item.own));
    // What is escaped in JSON is not there as it is; no name that clients take has anything of the kind.
    let name =
        |item: &Exposed, text: &str| json::string_of(text, "name").filter(|found| text[found.clone()] == item.name);
    let names: Option<Vec<_>> = chunk.iter().zip(run).map(|(item, text)| name(item, text)).collect();
    if let (true, Some(names), Some((start, end))) = (prefixed, &names, blob.find(run)) {
        let mut at = start as usize;
        let mut places = Vec::with_capacity(run.len());
        for (name, text) in names.iter().zip(run) {
            places.push(u32::try_from(at + name.start).ok().ok_or(Error::TooLarge)?);
            at += text.len() + 1;
        }
        return Ok(((start, end), Some((cuts.place(places), prefix.len()))));
    }
    let own = |(item, text): (&&Exposed, &Cow<'_, str>)| {
        let Some(found) = json::string_of(text, "name") else { return text.to_string() };
        let own = json::string(&item.own);
        [&text[..found.start], &own[1..own.len() - 1], &text[found.end..]].concat()
    };
    let run: Vec<Cow<'_, str>> = chunk.iter().zip(run).map(own).map(Cow::Owned).collect();
    Ok((blob.place(&run)?, None))
}

/// An item as clients of an era may see it in a scope.
fn edition(kind: Kind, era: Era, item: &Exposed, scope: Scope) -> Result<Cow<'_, str>, Error> {
    let edit = |key: &str, value: &str| match (kind, era, key) {
        // Tasks left the core in 2026-07-28, and with them `execution.taskSupport`.
        (Kind::Tools, Era::Modern, "execution") => Edit::Cut,
        // Up to 2025-11-25 structured content is an object, and so is its schema.
        (Kind::Tools, Era::Legacy, "outputSchema") if !is_object_schema(value) => Edit::Cut,
        (Kind::Tools, Era::Legacy, "inputSchema" | "outputSchema") => replaced(value, with_object_properties(value)),
        _ => Edit::Keep,
    };
    let alone = item.alone.as_ref().filter(|_| matches!(scope, Scope::Backend(_)));
    json::edited(alone.unwrap_or(&item.item), edit).map_err(|source| Error::Item { name: item.name.clone(), source })
}

/// A schema whose properties are objects, as every revision up to 2025-11-25 has it: `true` and `false` are schemas too, and
/// there are objects that say the same (JSON Schema 2020-12, section 4.3.2).
fn with_object_properties(schema: &str) -> Option<Cow<'_, str>> {
    let as_object = |_: &str, schema: &str| match schema {
        "true" => Edit::Replace("{}".to_owned()),
        "false" => Edit::Replace(r#"{"not":{}}"#.to_owned()),
        _ => Edit::Keep,
    };
    let in_schema = |key: &str, value: &str| match key {
        "properties" => replaced(value, json::edited(value, as_object).ok()),
        _ => Edit::Keep,
    };
    // What is no object is the server's to answer for.
    json::edited(schema, in_schema).ok()
}

fn replaced(value: &str, edited: Option<Cow<'_, str>>) -> Edit {
    edited.filter(|edited| *edited != value).map_or(Edit::Keep, |edited| Edit::Replace(edited.into_owned()))
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

/// An opaque name for a page: list, page number and a digest of both, in the alphabet of base64url. With one letter changed
/// it names no other page.
fn cursor(kind: Kind, page: usize, digest: u64) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let mut bytes = [0; 18];
    bytes[..2].copy_from_slice(&(kind as u16).to_be_bytes());
    bytes[2..10].copy_from_slice(&(page as u64).to_be_bytes());
    let own = hash64(digest, &bytes[..10]);
    bytes[10..].copy_from_slice(&own.to_be_bytes());
    let sextets = bytes.as_chunks::<3>().0.iter().flat_map(|&[a, b, c]| {
        let triple = usize::from(a) << 16 | usize::from(b) << 8 | usize::from(c);
        [18, 12, 6, 0].map(|shift| triple >> shift & 63)
    });
    sextets.map(|sextet| char::from(ALPHABET[sextet])).collect()
}

// === impl Page ===

impl Page {
    fn bytes(&self, lists: &Lists) -> usize {
        let (start, end) = self.items;
        let cut = self.cuts.map_or(0, |(set, length)| lists.cuts.sets[set].len() * length);
        self.head.len() + (end - start) as usize - cut + self.tail.len()
    }

    fn part(&self, sets: &Cuts) -> parts::Page {
        let Self { cursor, head, items, cuts, tail } = self.clone();
        let cuts = cuts.map(|(set, length)| (u32::try_from(length).unwrap_or(u32::MAX), sets.sets[set].clone()));
        parts::Page { cursor, head, items, cuts: cuts.unwrap_or_default(), tail }
    }

    fn literal(&self) -> TokenStream {
        let Self { cursor, head, items: (start, end), cuts, tail } = self;
        let (start, end) = (Literal::u32_unsuffixed(*start), Literal::u32_unsuffixed(*end));
        let cuts = cuts.map_or(quote!((0, &[])), |(set, length)| {
            let (length, set) = (Literal::u32_unsuffixed(u32::try_from(length).unwrap_or(u32::MAX)), cuts_name(set));
            quote!((#length, &#set))
        });
        quote!(::only1mcp::catalog::Page {
            cursor: #cursor, head: #head, items: (#start, #end), cuts: #cuts, tail: #tail
        })
    }
}

// === impl Cuts ===

impl Cuts {
    /// The set of these places, which is a new one unless there is one of the same.
    fn place(&mut self, places: Vec<u32>) -> usize {
        let next = self.sets.len();
        let index = *self.index.entry(places.clone()).or_insert(next);
        if index == next {
            self.sets.push(places);
        }
        index
    }
}

// === impl Blob ===

impl Blob {
    /// Where a run stands, if it does.
    fn find(&self, run: &[Cow<'_, str>]) -> Option<(u32, u32)> {
        let text = run.join(",");
        let length = u32::try_from(text.len()).ok()?;
        // An item ends where its own braces say: equal bytes are equal items.
        let stands = |start: &&u32| self.bytes[**start as usize..].starts_with(text.as_bytes());
        let start = self.places.get(&**run.first()?)?.iter().find(stands)?;
        Some((*start, start + length))
    }

    /// Where a run stands, written unless it stands there already.
    fn place(&mut self, run: &[Cow<'_, str>]) -> Result<(u32, u32), Error> {
        if run.is_empty() {
            return Ok((0, 0));
        }
        if let Some(found) = self.find(run) {
            return Ok(found);
        }
        // Behind a comma: what follows one another in a list does so here, also from page to page.
        if !self.bytes.is_empty() {
            self.bytes.push(b',');
        }
        let text = run.join(",");
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
