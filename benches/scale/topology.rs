//! Topologies of any size, with their locks.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use only1mcp_model::lock::{Answers, Lock, Section};
use only1mcp_model::plan::{Credentials, Endpoint, HttpVersion, Reference, StreamableHttp, Transport};
use only1mcp_model::revision::Revision;
use serde_json::value::RawValue;

/// How large a topology is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Size {
    pub(crate) name: &'static str,
    pub(crate) backends: usize,
    /// Of each backend.
    pub(crate) tools: usize,
    /// Of each tool, about.
    pub(crate) item_bytes: usize,
}

// === impl Size ===

impl Size {
    pub(crate) fn names(self) -> usize {
        self.backends * self.tools
    }

    /// Writes a topology and its lock into a directory: the path of the topology, and the bytes of the lock.
    pub(crate) fn write(self, directory: &Path) -> anyhow::Result<(PathBuf, u64)> {
        let topology = directory.join(format!("{}.yaml", self.name));
        // In block style: the reader bounds how many brackets a text may hold.
        let mut yaml = format!("name: {}\nbackends:\n", self.name);
        let mut lock = Lock::default();
        for index in 0..self.backends {
            let url = url(index);
            writeln!(yaml, "  backend-{index}:\n    transport:\n      streamable_http: {{}}")?;
            writeln!(yaml, "    endpoints:\n      - url: {url}")?;
            lock.backends.insert(format!("backend-{index}"), self.section(url)?);
        }
        fs::write(&topology, yaml)?;
        let lock = lock.render();
        fs::write(only1mcp_model::lock_path(&topology), &lock)?;
        Ok((topology, lock.len() as u64))
    }

    fn section(self, url: String) -> anyhow::Result<Section> {
        let tools: Vec<String> = (0..self.tools).map(|index| self.tool(index)).collect();
        let raw = RawValue::from_string;
        let version = Revision::MODERN;
        let url = Reference::Literal(url.into());
        let (section, _left_out) = Section::new(&Answers {
            transport: &Transport::StreamableHttp(StreamableHttp {
                endpoints: vec![Endpoint { url, weight: 1 }].into(),
                ca: None,
                connect_timeout_ms: None,
                http: HttpVersion::Auto,
                credentials: Credentials::default(),
                proxy: None,
            }),
            revision: version,
            greeting: &raw(format!(r#"{{"supportedVersions":["{version}"],"capabilities":{{"tools":{{}}}}}}"#))?,
            tools: &[raw(format!(r#"{{"tools":[{}]}}"#, tools.join(",")))?],
            prompts: &[],
            resources: &[],
            templates: &[],
        })?;
        Ok(section)
    }

    fn tool(self, index: usize) -> String {
        let around = r#"{"name":"tool_00000","description":"","inputSchema":{"type":"object","properties":{}},"annotations":{"readOnlyHint":true}}"#;
        let words = "What it does, in words that nobody reads while a compiler is measured. ";
        let description: String = words.chars().cycle().take(self.item_bytes.saturating_sub(around.len())).collect();
        format!(
            r#"{{"name":"tool_{index:05}","description":"{description}","inputSchema":{{"type":"object","properties":{{}}}},"annotations":{{"readOnlyHint":true}}}}"#
        )
    }
}

fn url(index: usize) -> String {
    format!("http://10.0.{}.{}:8080/mcp", index / 250, index % 250 + 1)
}
