//! `only1mcp topology new`: a topology to start from, which compiles as it stands.

use std::fs::{self, File};
use std::io::{ErrorKind, Write as _};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use clap::Args;
use only1mcp_model::plan::Plan;
use only1mcp_model::{Features, Source, schema, topology_path};
use toml_edit::{Array, DocumentMut, Item, value};

use super::{Exit, files, print};

/// What is written, with the name in place of `NAME` and, in place of `CHOICE`, what commands are given to mean it.
const TEMPLATE: &str = include_str!("template.yaml");
/// What its first line names, beside it.
const SCHEMA: &str = "topology.schema.json";
/// Where topologies are that have no path.
const TOPOLOGIES: &str = "topologies";
/// Where the features of topologies are.
const MANIFEST: &str = "Cargo.toml";

/// Write a topology to start from.
#[derive(Args, Debug)]
pub(in crate::cli) struct New {
    /// A name, for `topologies/NAME.yaml`, or a path, for a topology outside this tree. What is there stays.
    #[arg(value_name = "NAME|PATH")]
    topology: String,
    /// Add the feature `topology-NAME` to `Cargo.toml` too, with what the topology needs; also for a topology that is
    /// there already.
    #[arg(long)]
    feature: bool,
}

impl New {
    pub(in crate::cli) fn run(self) -> anyhow::Result<Exit> {
        let given = &self.topology;
        if given.starts_with('-') {
            bail!(
                "topology `{given}` would be taken for an option by other commands; give another name, or `./{given}`"
            );
        }
        let path = PathBuf::from(topology_path(given));
        let by_name = path.as_os_str() != given.as_str();
        if self.feature && by_name && path.exists() {
            return add_feature(&path);
        }
        let stem = path.file_stem().and_then(|stem| stem.to_str()).context("topology has no name")?;
        let (text, plan) = filled(stem)?;
        // By its path it is found from everywhere, by that in the file from beside it.
        let beside = path.file_name().unwrap_or_default().to_string_lossy();
        let text = text.replace("CHOICE", &in_shell(if by_name { stem } else { &beside }));
        // Everything that may go wrong does so before anything is written, or takes back what was.
        let manifest = match (self.feature, by_name) {
            (false, _) => None,
            (true, true) => Some(with_feature(&plan)?),
            (true, false) => bail!("feature is for a topology in `topologies/`; give a name, not a path"),
        };
        let mut written = Vec::new();
        if let Err(error) = write(&path, &text, manifest.as_deref(), &mut written) {
            // Nothing more can be done about one that cannot be removed.
            written.iter().for_each(|path| drop(fs::remove_file(path)));
            return Err(error);
        }
        let mut told = format!("wrote {}\n", path.display());
        for schema in &written[1..] {
            told += &format!("wrote {}, by which editors complete it\n", schema.display());
        }
        if manifest.is_some() {
            told += &format!("wrote feature topology-{stem} into {MANIFEST}\n");
        }
        let build = match (&manifest, by_name) {
            (Some(_), _) => format!("cargo build --release --no-default-features --features topology-{stem}"),
            (None, true) => format!("TOPOLOGY={given} cargo build --release"),
            // The build begins at the directory of the package, which need not be this one.
            (None, false) => format!("TOPOLOGY={} cargo build --release", in_shell(&absolute(&path)?)),
        };
        let (path, topology) = (in_shell(&path.display().to_string()), in_shell(given));
        print(&format!("{told}next:\n  edit {path}\n  only1mcp topology lock {topology}\n  {build}\n"))?;
        Ok(Exit::Ok)
    }
}

/// Adds the feature of a topology that is there.
fn add_feature(path: &Path) -> anyhow::Result<Exit> {
    let topology = files::read("topology", path)?;
    let (plan, _no_lock) = only1mcp_model::load(&topology, None, &Features::all())
        .map_err(|problems| files::Refused::new(&topology, problems))?;
    files::write_whole(Path::new(MANIFEST), &with_feature(&plan)?)?;
    let (path, name) = (path.display(), &plan.name);
    print(&format!("`{path}` was there; wrote feature topology-{name} into {MANIFEST}\n"))?;
    Ok(Exit::Ok)
}

/// Writes the topology, the schema beside it where there is none, and the manifest. What was not there before is in
/// `written`, the topology first.
fn write(path: &Path, text: &str, manifest: Option<&str>, written: &mut Vec<PathBuf>) -> anyhow::Result<()> {
    if let Some(directory) = path.parent().filter(|directory| *directory == Path::new(TOPOLOGIES)) {
        fs::create_dir_all(directory).with_context(|| format!("`{TOPOLOGIES}` cannot be made"))?;
    }
    create(path, text, written)?;
    let schema = path.with_file_name(SCHEMA);
    if !schema.exists() {
        create(&schema, &schema::topology(), written)?;
    }
    manifest.map_or(Ok(()), |manifest| files::write_whole(Path::new(MANIFEST), manifest))
}

fn absolute(path: &Path) -> anyhow::Result<String> {
    let absolute = fs::canonicalize(path).with_context(|| format!("`{}` cannot be found again", path.display()))?;
    Ok(absolute.display().to_string())
}

/// An argument as a shell takes it.
fn in_shell(text: &str) -> String {
    let plain = |c: char| c.is_alphanumeric() || matches!(c, '/' | '.' | '-' | '_' | ':' | '@' | '+' | ',');
    if text.chars().all(plain) { text.to_owned() } else { format!("'{}'", text.replace('\'', r"'\''")) }
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
fn create(path: &Path, text: &str, written: &mut Vec<PathBuf>) -> anyhow::Result<()> {
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
    written.push(path.to_owned());
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
    fn what_a_shell_would_read_otherwise_is_quoted() {
        for (text, quoted) in [("/srv/a.yaml", "/srv/a.yaml"), ("a b", "'a b'"), ("it's", r"'it'\''s'"), ("$x", "'$x'")]
        {
            assert_eq!(in_shell(text), quoted);
        }
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
