//! `only1mcp topology new`: a topology to start from, which compiles as it stands.

use std::fs::{self, File};
use std::io::{ErrorKind, Write as _};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use clap::Args;
use only1mcp_model::plan::Plan;
use only1mcp_model::{Features, Source, schema};
use toml_edit::{Array, DocumentMut, Item, value};

use super::{Exit, files, print};

/// What is written, with the name in place of `NAME`.
const TEMPLATE: &str = include_str!("template.yaml");
/// What its first line names, beside it.
const SCHEMA: &str = "topology.schema.json";
/// Where the features of topologies are.
const MANIFEST: &str = "Cargo.toml";

/// Write a topology to start from.
#[derive(Args, Debug)]
pub(in crate::cli) struct New {
    /// A name, for `topologies/NAME.yaml`, or a path, for a topology outside this tree. What is there stays.
    #[arg(value_name = "NAME|PATH")]
    topology: String,
    /// Add the feature `topology-NAME` to `Cargo.toml` too, with what the topology needs.
    #[arg(long)]
    feature: bool,
}

impl New {
    pub(in crate::cli) fn run(self) -> anyhow::Result<Exit> {
        let path = PathBuf::from(only1mcp_model::topology_path(&self.topology));
        let by_name = path.as_os_str() != self.topology.as_str();
        let stem = path.file_stem().and_then(|stem| stem.to_str()).context("topology has no name")?;
        let (text, plan) = filled(stem)?;
        // Everything that may go wrong does so before anything is written.
        let manifest = match (self.feature, by_name) {
            (false, _) => None,
            (true, true) => Some(with_feature(&plan)?),
            (true, false) => bail!("feature is for a topology in `topologies/`; give a name, not a path"),
        };
        create(&path, &text)?;
        let mut told = format!("wrote {}\n", path.display());
        let schema = path.with_file_name(SCHEMA);
        if !schema.exists() {
            create(&schema, &schema::topology())?;
            told += &format!("wrote {}, by which editors complete it\n", schema.display());
        }
        if let Some(manifest) = &manifest {
            files::write_whole(Path::new(MANIFEST), manifest)?;
            told += &format!("wrote feature topology-{stem} into {MANIFEST}\n");
        }
        let topology = &self.topology;
        let build = match &manifest {
            Some(_) => format!("cargo build --release --no-default-features --features topology-{stem}"),
            None => format!("TOPOLOGY={topology} cargo build --release"),
        };
        print(&format!("{told}next:\n  edit {}\n  only1mcp topology lock {topology}\n  {build}\n", path.display()))?;
        Ok(Exit::Ok)
    }
}

/// The template under a name that the model takes, and what it amounts to.
fn filled(name: &str) -> anyhow::Result<(String, Plan)> {
    let load = |value: &str| {
        let text = TEMPLATE.replace("name: NAME", &format!("name: {value}"));
        let source = Source { path: String::new(), text };
        only1mcp_model::load(&source, None, &Features::all()).map(|(plan, _no_lock)| (source.text, plan))
    };
    let quoted = serde_json::to_string(name)?;
    let in_quotes = match load(&quoted) {
        Ok(loaded) => loaded,
        Err(problems) => bail!("{}", problems.first().map_or("name is none for a topology", |found| &found.message)),
    };
    // A name such as `2024` or `null` is text only in quotes.
    let plain = load(name).ok().filter(|(_, plan)| plan.name == name);
    let (text, plan) = plain.unwrap_or(in_quotes);
    Ok((text.replace("NAME", name), plan))
}

/// Writes a file that is not there yet.
fn create(path: &Path, text: &str) -> anyhow::Result<()> {
    let mut file = match File::create_new(path) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {
            bail!("`{}` exists; nothing was written", path.display())
        }
        Err(error) if error.kind() == ErrorKind::NotFound => {
            let directory = path.parent().unwrap_or(Path::new("."));
            bail!("directory `{}` does not exist; make it, or run this elsewhere", directory.display())
        }
        Err(error) => return Err(error).with_context(|| format!("`{}` cannot be written", path.display())),
    };
    file.write_all(text.as_bytes()).with_context(|| format!("`{}` cannot be written", path.display()))
}

/// The manifest in this directory with the feature of a topology; everything else in it stays as it is.
fn with_feature(plan: &Plan) -> anyhow::Result<String> {
    let text = fs::read_to_string(MANIFEST)
        .with_context(|| format!("`{MANIFEST}` cannot be read; a feature is added where the gateway's own is"))?;
    let mut manifest: DocumentMut = text.parse().with_context(|| format!("`{MANIFEST}` is not TOML"))?;
    let is_package = manifest.get("package").is_some_and(Item::is_table);
    let Some(table) = manifest.get_mut("features").and_then(Item::as_table_mut).filter(|_| is_package) else {
        bail!("`{MANIFEST}` is not that of a package with features");
    };
    let feature = format!("topology-{}", plan.name);
    if table.contains_key(&feature) {
        bail!("`{MANIFEST}` has a feature `{feature}`; nothing was written");
    }
    table.insert(&feature, value(plan.features.iter().copied().collect::<Array>()));
    Ok(manifest.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_template_is_valid_as_it_stands_and_with_every_example() {
        let (text, plan) = filled("prod").expect("it compiles");
        assert!(text.starts_with("# yaml-language-server: $schema=./topology.schema.json\n"));
        assert_eq!((plan.name.as_str(), plan.backends.len(), text.contains("NAME")), ("prod", 1, false));
        // What an example's line looks like, other than a sentence.
        let example = |line: &str| {
            let key = line.trim_start().trim_start_matches("- ").trim_start_matches("{ ").split(": ").next();
            let key = key.map(|key| key.trim_end_matches(':'));
            line.contains(':') && key.is_some_and(|key| key.chars().all(|c| c.is_ascii_lowercase() || c == '_'))
        };
        let uncommented = text.lines().map(|line| match line.split_once("# ") {
            Some((indent, rest)) if indent.trim().is_empty() && example(rest) => format!("{indent}{rest}\n"),
            _ => format!("{line}\n"),
        });
        let source = Source { path: "all.yaml".to_owned(), text: uncommented.collect() };
        let all = only1mcp_model::load(&source, None, &Features::all());
        let (all, _no_lock) =
            all.unwrap_or_else(|found| panic!("{}", only1mcp_model::diagnostic::render(&found, &source, false)));
        assert_eq!((all.backends.len(), all.wildcards.len()), (3, 2), "{}", source.text);
    }

    #[test]
    fn names_are_taken_by_the_rule_of_the_model() {
        for name in ["a", "eu-west", "2024", "null", "true"] {
            assert_eq!(filled(name).expect(name).1.name, name);
        }
        for name in ["", "Prod", "my_prod", "a b", "prod # x", "a: b", "a\nb: c", "\"a\"", &"x".repeat(33)] {
            let error = filled(name).expect_err(name).to_string();
            assert!(
                error.starts_with("name `") && error.ends_with("is not 1 to 32 of `a` to `z`, `0` to `9`, `-`"),
                "{error}"
            );
        }
    }
}
