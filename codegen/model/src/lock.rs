//! The lock: what every backend offered when it was last asked, reviewed and committed beside its topology.
//!
//! Items keep the tokens the server sent; their digest is over a canonical form, so that white space and key order
//! do not count as change. Whether a lock fits its topology is checked in `crate::check`.

mod answers;
mod diff;
mod parse;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde_json::value::RawValue;

use crate::digest;
use crate::json::{LOCK_DEPTH_MAX, Member, Tree, token};
use crate::plan::{Changing, Extension};
use crate::revision::{Era, Revision};

pub use answers::{Answers, LeftOut, SectionError};
pub(crate) use diff::printable;
pub use diff::{Change, ChangeKind, Subject, diff};
pub(crate) use parse::Marks;
pub use parse::{LockError, LockErrorKind};

/// The version of the format that is written and read.
const VERSION: &str = "1";
/// The capabilities of servers that some revision has a meaning for, but for `experimental`, which means whatever is agreed.
const CAPABILITIES: [&str; 7] = ["tools", "prompts", "resources", "completions", "logging", "tasks", "extensions"];

/// The contracts of every backend, by its name.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Lock {
    /// In the order of names.
    pub backends: BTreeMap<String, Section>,
}

/// What one backend offered.
#[derive(Clone, Debug, PartialEq)]
pub struct Section {
    /// [`Transport::record`](crate::plan::Transport::record) of the transport it was reached by.
    pub transport: Json,
    /// The revision it spoke.
    pub revision: Revision,
    /// How it names itself (`serverInfo`), if it does.
    pub server: Option<Json>,
    /// Its capabilities, an object.
    pub capabilities: Json,
    /// Its instructions.
    pub instructions: Option<String>,
    /// By name.
    pub tools: Vec<Item>,
    /// By name.
    pub prompts: Vec<Item>,
    /// By URI.
    pub resources: Vec<Item>,
    /// By URI template.
    pub templates: Vec<Item>,
}

/// One item of a list.
#[derive(Clone, Debug, PartialEq)]
pub struct Item {
    /// Its name, URI or URI template, decoded.
    pub name: String,
    /// `sha256:` and the digest of its canonical form.
    pub digest: String,
    /// Itself.
    pub json: Json,
}

/// A JSON text: tokens as they were sent, no white space between them.
#[derive(Clone, Debug)]
pub struct Json(Box<RawValue>);

/// The four lists.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum List {
    /// `tools/list`
    Tools,
    /// `prompts/list`
    Prompts,
    /// `resources/list`
    Resources,
    /// `resources/templates/list`
    Templates,
}

/// Where the lock of a topology is: `prod.yaml` has `prod.lock.json`.
#[must_use]
pub fn lock_path(topology: &Path) -> PathBuf {
    topology.with_extension("lock.json")
}

// === impl Lock ===

impl Lock {
    /// Reads a lock; every digest is verified.
    ///
    /// # Errors
    /// The first thing that is not as [`Lock::render`] writes it, with its position.
    pub fn parse(text: &str) -> Result<Self, LockError> {
        parse::parse(text).map(|(lock, _)| lock)
    }

    /// As [`Lock::parse`], with where its parts stand.
    pub(crate) fn parse_marked(text: &str) -> Result<(Self, Marks), LockError> {
        parse::parse(text)
    }

    /// The text of the file: indented by two spaces, one line per member, a final line end.
    #[must_use]
    pub fn render(&self) -> String {
        let backends: Vec<String> =
            self.backends.iter().map(|(name, section)| format!("{}:{}", token(name), section.json())).collect();
        let json = Json::composed(format!(r#"{{"version":{VERSION},"backends":{{{}}}}}"#, backends.join(",")));
        let mut out = String::new();
        json.tree().write_pretty(&mut out, 0);
        out.push('\n');
        out
    }
}

// === impl Section ===

impl Section {
    /// The era of [`Section::revision`].
    #[must_use]
    pub fn era(&self) -> Era {
        self.revision.era()
    }

    /// Whether it declared that it completes arguments; `None` of a revision in which nobody could.
    #[must_use]
    pub fn completions(&self) -> Option<bool> {
        let declared = self.capabilities.tree().member("completions").is_some();
        (declared || self.revision > Revision::V2024_11_05).then_some(declared)
    }

    /// What it declared that it tells by itself.
    #[must_use]
    pub fn tells(&self) -> Vec<Changing> {
        let capabilities = self.capabilities.tree();
        let declared = [
            ("tools", "listChanged", Changing::Tools),
            ("prompts", "listChanged", Changing::Prompts),
            ("resources", "listChanged", Changing::Resources),
            ("resources", "subscribe", Changing::Contents),
        ];
        let tells = |what: &str, how: &str| {
            let how = capabilities.member(what).and_then(|what| what.member(how));
            how.is_some_and(Tree::is_true)
        };
        declared.into_iter().filter(|(what, how, _)| tells(what, how)).map(|(.., change)| change).collect()
    }

    /// Whether it declared that it runs tools as tasks, which only 2025-11-25 has a word for.
    #[must_use]
    pub fn tasks(&self) -> bool {
        let capabilities = self.capabilities.tree();
        let path = ["tasks", "requests", "tools", "call"];
        let declared = path.iter().try_fold(&capabilities, |within, key| within.member(key));
        self.revision == Revision::V2025_11_25 && matches!(declared, Some(Tree::Object(_)))
    }

    /// The extensions that it declared.
    #[must_use]
    pub fn extensions(&self) -> Vec<Extension> {
        let capabilities = self.capabilities.tree();
        let objects = capabilities.member("extensions").map_or(&[][..], Tree::members).iter();
        objects.filter(|extension| matches!(extension.value, Tree::Object(_))).map(extension).collect()
    }

    /// The capabilities that it declared beside those that the protocol has a meaning for: `experimental` is one, unless
    /// nothing is in it.
    #[must_use]
    pub fn beyond(&self) -> Vec<Extension> {
        let capabilities = self.capabilities.tree();
        let declared = |member: &&Member<'_>| match &member.value {
            Tree::Object(inside) => member.key != "experimental" || !inside.is_empty(),
            Tree::Scalar(token) => !matches!(*token, "null" | "false"),
            Tree::Array(_) => true,
        };
        let members = capabilities.members().iter().filter(|member| !CAPABILITIES.contains(&&*member.key));
        members.filter(declared).map(extension).collect()
    }

    /// The items of a list.
    #[must_use]
    pub fn list(&self, list: List) -> &[Item] {
        match list {
            List::Tools => &self.tools,
            List::Prompts => &self.prompts,
            List::Resources => &self.resources,
            List::Templates => &self.templates,
        }
    }

    /// The same with the earlier text of every item that has not changed, so that a new lock differs from the old one
    /// only where a contract does.
    #[must_use]
    pub fn keeping(mut self, earlier: &Self) -> Self {
        let lists = [
            (&mut self.tools, &earlier.tools),
            (&mut self.prompts, &earlier.prompts),
            (&mut self.resources, &earlier.resources),
            (&mut self.templates, &earlier.templates),
        ];
        for (items, earlier) in lists {
            for item in items {
                if let Some(same) = find(earlier, &item.name).filter(|old| old.digest == item.digest) {
                    item.json = same.json.clone();
                }
            }
        }
        self
    }

    fn json(&self) -> String {
        let (transport, era) = (self.transport.as_str(), era_word(self.era()));
        let mut out = format!(r#"{{"transport":{transport},"era":"{era}","revision":"{}""#, self.revision);
        if let Some(server) = &self.server {
            out += &format!(r#","server":{}"#, server.as_str());
        }
        out += &format!(r#","capabilities":{}"#, self.capabilities.as_str());
        if let Some(instructions) = &self.instructions {
            out += &format!(r#","instructions":{}"#, token(instructions));
        }
        for list in List::ALL {
            let items: Vec<String> = self
                .list(list)
                .iter()
                .map(|item| format!(r#"{{"digest":{},"item":{}}}"#, token(&item.digest), item.json.as_str()))
                .collect();
            out += &format!(r#","{}":[{}]"#, list.key(), items.join(","));
        }
        out + "}"
    }
}

fn extension(member: &Member<'_>) -> Extension {
    Extension { name: member.key.to_string().into(), settings: member.value.minified().into() }
}

/// The item of a list, which is in the order of names, that has this one.
pub(crate) fn find<'i>(items: &'i [Item], name: &str) -> Option<&'i Item> {
    let position = items.binary_search_by(|item| item.name.as_str().cmp(name));
    position.ok().map(|position| &items[position])
}

/// An era as a lock and a topology write it.
pub(crate) fn era_word(era: Era) -> &'static str {
    match era {
        Era::Legacy => "legacy",
        Era::Modern => "modern",
    }
}

// === impl Item ===

impl Item {
    /// The item that a tree is, unless it is not an object with the member that names it.
    fn from_tree(tree: &Tree<'_>, list: List) -> Option<Self> {
        let name = tree.member(list.name_key()).and_then(Tree::string)?.into_owned();
        let digest = digest::tagged(tree.canonical().as_bytes());
        Some(Self { name, digest, json: Json::from_tree(tree) })
    }

    /// Whether a tool is annotated with this hint.
    pub(crate) fn has_hint(&self, hint: &str) -> bool {
        self.json
            .tree()
            .member("annotations")
            .and_then(|annotations| annotations.member(hint))
            .is_some_and(Tree::is_true)
    }

    /// Whether a tool runs as a task or not at all.
    pub(crate) fn requires_task(&self) -> bool {
        let tree = self.json.tree();
        let support = tree.member("execution").and_then(|execution| execution.member("taskSupport"));
        support.and_then(Tree::string).is_some_and(|support| support == "required")
    }
}

// === impl Json ===

impl Json {
    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.0.get()
    }

    /// Whether another object has the same at a key, whatever the order of members there; also where neither has any.
    pub(crate) fn has_alike(&self, other: &Self, key: &str) -> bool {
        let own = |tree: Tree<'_>| tree.member(key).map(Tree::canonical);
        own(self.tree()) == own(other.tree())
    }

    /// The text with the value of one member of the object replaced by a string.
    pub(crate) fn with_member(&self, key: &str, value: &str) -> String {
        let (mut tree, value) = (self.tree(), token(value));
        if let Some(member) = tree.member_mut(key) {
            *member = Tree::Scalar(&value);
        }
        tree.minified()
    }

    /// The text of a tool with the URI of its interface as `uri` has it (MCP Apps: `_meta.ui.resourceUri`, or a key of
    /// `_meta` by that name); `None` where that changes nothing.
    pub(crate) fn with_interface(&self, uri: &dyn Fn(&str) -> String) -> Option<Self> {
        let mut tree = self.tree();
        let meta = tree.member_mut("_meta")?;
        let changed = |own: Option<&mut Tree<'_>>| {
            let own = own.and_then(|own| own.string())?;
            let exposed = uri(&own);
            (exposed != own).then(|| token(&exposed))
        };
        let nested = changed(meta.member_mut("ui").and_then(|ui| ui.member_mut("resourceUri")));
        let flat = changed(meta.member_mut("ui/resourceUri"));
        if let (Some(nested), Some(own)) = (&nested, meta.member_mut("ui").and_then(|ui| ui.member_mut("resourceUri")))
        {
            *own = Tree::Scalar(nested);
        }
        if let (Some(flat), Some(own)) = (&flat, meta.member_mut("ui/resourceUri")) {
            *own = Tree::Scalar(flat);
        }
        (nested.is_some() || flat.is_some()).then(|| Self::from_tree(&tree))
    }

    pub(crate) fn tree(&self) -> Tree<'_> {
        Tree::read(&self.0, LOCK_DEPTH_MAX).expect("a text made from trees nests no deeper than they do")
    }

    fn from_tree(tree: &Tree<'_>) -> Self {
        Self::composed(tree.minified())
    }

    pub(crate) fn composed(text: String) -> Self {
        Self(RawValue::from_string(text).expect("valid tokens in valid places are valid JSON"))
    }
}

impl PartialEq for Json {
    fn eq(&self, other: &Self) -> bool {
        self.as_str() == other.as_str()
    }
}

// === impl List ===

impl List {
    /// Every list.
    pub const ALL: [Self; 4] = [Self::Tools, Self::Prompts, Self::Resources, Self::Templates];

    /// The method that lists it.
    #[must_use]
    pub const fn method(self) -> &'static str {
        match self {
            Self::Tools => "tools/list",
            Self::Prompts => "prompts/list",
            Self::Resources => "resources/list",
            Self::Templates => "resources/templates/list",
        }
    }

    /// What one of its items is.
    const fn item(self) -> &'static str {
        match self {
            Self::Tools => "tool",
            Self::Prompts => "prompt",
            Self::Resources => "resource",
            Self::Templates => "resource template",
        }
    }

    /// Its member in a section.
    const fn key(self) -> &'static str {
        match self {
            Self::Tools => "tools",
            Self::Prompts => "prompts",
            Self::Resources => "resources",
            Self::Templates => "templates",
        }
    }

    /// Its member in an answer.
    const fn answer_key(self) -> &'static str {
        match self {
            Self::Templates => "resourceTemplates",
            _ => self.key(),
        }
    }

    /// The member that names an item.
    pub(crate) const fn name_key(self) -> &'static str {
        match self {
            Self::Tools | Self::Prompts => "name",
            Self::Resources => "uri",
            Self::Templates => "uriTemplate",
        }
    }
}

#[cfg(test)]
mod tests;
