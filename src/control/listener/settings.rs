//! The settings of the compiled topology, each with who set it: read from their constant once somebody asks.

use std::collections::HashMap;
use std::sync::OnceLock;

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The settings of the compiled topology.
#[derive(Debug)]
pub(crate) struct Settings {
    json: &'static str,
    read: OnceLock<Read>,
}

#[derive(Debug)]
struct Read {
    all: Vec<Setting>,
    by_path: HashMap<String, usize>,
}

/// One setting.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Setting {
    pub(super) path: String,
    pub(super) value: Value,
    #[serde(flatten)]
    pub(super) by: SetBy,
}

/// Who sets something.
#[derive(Clone, Copy, Debug, Serialize)]
pub(super) struct SetBy {
    origin: Origin,
    /// Of the topology, where that says so.
    line: Option<usize>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Origin {
    Default,
    Topology,
    Env,
    File,
    Flag,
    Overlay,
}

/// A setting as it is compiled.
#[derive(Deserialize)]
struct Compiled {
    path: String,
    value: Value,
    line: Option<usize>,
}

// === impl Settings ===

impl Settings {
    /// Those that a constant of the topology has.
    pub(crate) fn new(json: &'static str) -> Self {
        Self { json, read: OnceLock::new() }
    }

    /// All of them, in the order of the schema.
    pub(super) fn all(&self) -> &[Setting] {
        &self.read().all
    }

    /// Where one of them stands among all.
    pub(super) fn position(&self, path: &str) -> Option<usize> {
        self.read().by_path.get(path).copied()
    }

    /// Who sets one of them, if there is such a one.
    pub(super) fn by(&self, path: &str) -> Option<SetBy> {
        self.position(path).map(|at| self.all()[at].by)
    }

    fn read(&self) -> &Read {
        self.read.get_or_init(|| {
            let compiled: Vec<Compiled> = serde_json::from_str(self.json).expect("the compiler wrote it");
            let all: Vec<Setting> = compiled.into_iter().map(Setting::from).collect();
            let by_path = all.iter().enumerate().map(|(at, setting)| (setting.path.clone(), at)).collect();
            Read { all, by_path }
        })
    }
}

// === impl SetBy ===

impl SetBy {
    pub(super) const NOBODY: Self = Self { origin: Origin::Default, line: None };
    /// Whoever started the gateway.
    pub(super) const START: Self = Self { origin: Origin::Flag, line: None };
    pub(super) const OVERLAY: Self = Self { origin: Origin::Overlay, line: None };
}

impl From<Compiled> for Setting {
    fn from(Compiled { path, value, line }: Compiled) -> Self {
        let origin = match (&value, line) {
            (_, None) => Origin::Default,
            (Value::String(text), _) if text.starts_with("env:") => Origin::Env,
            (Value::String(text), _) if text.starts_with("file:") => Origin::File,
            _ => Origin::Topology,
        };
        Self { path, value, by: SetBy { origin, line } }
    }
}
