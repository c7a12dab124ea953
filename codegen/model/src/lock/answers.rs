//! From what a backend answered to its section of the lock. An item that nests too deep is left out; whatever else is not
//! as it may be, the answers make no section.

use std::borrow::Cow;
use std::collections::BTreeSet;

use serde_json::value::RawValue;

use super::{Item, Json, List, Section};
use crate::diagnostic::quoted;
use crate::json::{ITEM_DEPTH_MAX, Tree, TreeError};
use crate::plan::Transport;
use crate::revision::{Era, Revision};

/// The member of `_meta` in which a modern server names itself.
const SERVER_INFO: &str = "io.modelcontextprotocol/serverInfo";

/// What a backend answered.
#[derive(Clone, Copy, Debug)]
pub struct Answers<'a> {
    /// How it was reached.
    pub transport: &'a Transport,
    /// The revision that was agreed on.
    pub revision: Revision,
    /// The result of `initialize` or `server/discover`.
    pub greeting: &'a RawValue,
    /// The results of `tools/list`, page by page.
    pub tools: &'a [Box<RawValue>],
    /// The results of `prompts/list`.
    pub prompts: &'a [Box<RawValue>],
    /// The results of `resources/list`.
    pub resources: &'a [Box<RawValue>],
    /// The results of `resources/templates/list`.
    pub templates: &'a [Box<RawValue>],
}

/// An item that a backend lists, and that nests too deep for any client.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{} {} is left out: it nests deeper than {ITEM_DEPTH_MAX} levels", list.item(), quoted(name))]
pub struct LeftOut {
    /// The list that it stood in.
    pub list: List,
    /// Its name, URI or URI template.
    pub name: String,
}

/// Why answers make no section.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SectionError {
    /// The answer is not an object with the member that the protocol requires.
    #[error("answer to `{method}` has no {member}")]
    Member {
        /// The method that was answered.
        method: &'static str,
        /// What is missing.
        member: &'static str,
    },
    /// An item cannot be named.
    #[error("item {index} of `{method}` has no `{key}`")]
    Unnamed {
        /// The method that was answered.
        method: &'static str,
        /// Which item, from zero, over all pages.
        index: usize,
        /// The member that names it.
        key: &'static str,
    },
    /// Two items have one name.
    #[error("answer to `{method}` lists {} twice", quoted(name))]
    Twice {
        /// The method that was answered.
        method: &'static str,
        /// The name.
        name: String,
    },
    /// A greeting nests too deep, or an answer repeats a key.
    #[error("answer to `{method}` is ambiguous or too deep: {reason}")]
    Tree {
        /// The method that was answered.
        method: &'static str,
        /// What is wrong with it.
        reason: String,
    },
}

// === impl Section ===

impl Section {
    /// Records what a backend answered, and says what of it is left out. Items are sorted by name; their tokens stay.
    ///
    /// # Errors
    /// The first answer that is not as the protocol wants it, or not unambiguous.
    pub fn new(answers: &Answers<'_>) -> Result<(Self, Vec<LeftOut>), SectionError> {
        let (era, method) = match answers.revision.era() {
            Era::Legacy => (Era::Legacy, "initialize"),
            Era::Modern => (Era::Modern, "server/discover"),
        };
        let greeting = Tree::read(answers.greeting, ITEM_DEPTH_MAX).map_err(|error| wrong(method, error))?;
        let capabilities = greeting.member("capabilities").filter(|value| matches!(value, Tree::Object(_)));
        let server = match era {
            Era::Legacy => greeting.member("serverInfo"),
            Era::Modern => greeting.member("_meta").and_then(|meta| meta.member(SERVER_INFO)),
        };
        let mut left_out = Vec::new();
        let mut items = |list, pages| items(list, pages, &mut left_out);
        let section = Self {
            transport: answers.transport.record(),
            revision: answers.revision,
            server: server.map(Json::from_tree),
            capabilities: capabilities
                .map(Json::from_tree)
                .ok_or(SectionError::Member { method, member: "`capabilities` object" })?,
            instructions: greeting.member("instructions").and_then(Tree::string).map(Cow::into_owned),
            tools: items(List::Tools, answers.tools)?,
            prompts: items(List::Prompts, answers.prompts)?,
            resources: items(List::Resources, answers.resources)?,
            templates: items(List::Templates, answers.templates)?,
        };
        Ok((section, left_out))
    }
}

/// The items of all pages, by name.
fn items(list: List, pages: &[Box<RawValue>], left_out: &mut Vec<LeftOut>) -> Result<Vec<Item>, SectionError> {
    let method = list.method();
    let mut items = Vec::new();
    let mut names = BTreeSet::new();
    for page in pages {
        // The page and its list.
        let page = Tree::outline(page, 2).map_err(|error| wrong(method, error))?;
        let Some(Tree::Array(found)) = page.member(list.answer_key()) else {
            return Err(SectionError::Member { method, member: list.answer_key() });
        };
        for written in found {
            let item = read(written, list).map_err(|error| wrong(method, error))?;
            let item = item.ok_or(SectionError::Unnamed { method, index: names.len(), key: list.name_key() })?;
            let name = item.as_ref().map_or_else(String::clone, |item| item.name.clone());
            if !names.insert(name.clone()) {
                return Err(SectionError::Twice { method, name });
            }
            match item {
                Ok(item) => items.push(item),
                Err(name) => left_out.push(LeftOut { list, name }),
            }
        }
    }
    items.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(items)
}

/// An item as it is written; of one that nests too deep its name; `None` of one that has none.
fn read<'a>(written: &Tree<'a>, list: List) -> Result<Option<Result<Item, String>>, TreeError<'a>> {
    match written.unfold(ITEM_DEPTH_MAX) {
        Ok(tree) => Ok(Item::from_tree(&tree, list).map(Ok)),
        Err(TreeError::Depth) => {
            let outline = written.unfold_outline(1)?;
            Ok(outline.member(list.name_key()).and_then(Tree::string).map(|name| Err(name.into_owned())))
        }
        Err(error) => Err(error),
    }
}

fn wrong(method: &'static str, error: TreeError<'_>) -> SectionError {
    SectionError::Tree { method, reason: error.to_string() }
}
