//! What the gateway says of itself: the results of `initialize` and `server/discover`. Where a view is asked for, the
//! gateway is what the view shows.

use only1mcp_model::plan::{Plan, Subject, View};
use only1mcp_model::revision::{Era, Revision};

use crate::json;

/// The `_meta` member that names the gateway in results of the modern era.
pub(crate) fn meta() -> String {
    format!(r#""_meta":{{"io.modelcontextprotocol/serverInfo":{}}}"#, server_info())
}

/// What `capabilities` declares.
pub(crate) struct Offers {
    pub(crate) tools: bool,
    pub(crate) prompts: bool,
    pub(crate) resources: bool,
}

/// The `InitializeResult` of a legacy revision.
pub(crate) fn initialize(plan: &Plan, view: Option<&View>, revision: Revision) -> String {
    let (capabilities, server_info) = (capabilities(plan, view, revision), server_info());
    let instructions = instructions(plan, view);
    format!(
        r#"{{"protocolVersion":"{revision}","capabilities":{capabilities},"serverInfo":{server_info}{instructions}}}"#
    )
}

/// The `DiscoverResult`. Legacy revisions are left out: who reads it speaks a modern one.
pub(crate) fn discover(plan: &Plan, view: Option<&View>) -> String {
    let modern = Revision::MODERN;
    let (capabilities, instructions, ttl_ms, meta) =
        (capabilities(plan, view, modern), instructions(plan, view), plan.ttl_ms, meta());
    format!(
        r#"{{"resultType":"complete","supportedVersions":["{modern}"],"capabilities":{capabilities}{instructions},"ttlMs":{ttl_ms},"cacheScope":"public",{meta}}}"#
    )
}

fn server_info() -> String {
    format!(r#"{{"name":"only1mcp","version":"{}"}}"#, env!("CARGO_PKG_VERSION"))
}

/// In the legacy eras the gateway itself keeps a level for every session; a modern request names its own.
fn capabilities(plan: &Plan, view: Option<&View>, revision: Revision) -> String {
    let Offers { tools, prompts, resources } = Offers::of(plan, view);
    let logging = revision.era() == Era::Legacy && (tools || prompts || resources);
    let offered = [("logging", logging), ("tools", tools), ("prompts", prompts), ("resources", resources)];
    let members: Vec<String> =
        offered.iter().filter(|(_, offered)| *offered).map(|(name, _)| format!(r#""{name}":{{}}"#)).collect();
    format!("{{{}}}", members.join(","))
}

/// The member with its leading comma, or nothing.
fn instructions(plan: &Plan, view: Option<&View>) -> String {
    plan.instructions(view).map_or_else(String::new, |text| format!(r#","instructions":{}"#, json::string(&text)))
}

// === impl Offers ===

impl Offers {
    /// What is listed, what a wildcard route can reach and, of the whole catalog, what a backend declares although it
    /// lists nothing.
    pub(crate) fn of(plan: &Plan, view: Option<&View>) -> Self {
        let routed = |subject| plan.wildcards.iter().any(|route| route.subject == subject);
        let (tools, prompts, resources) = if view.is_none() { plan.offers } else { (false, false, false) };
        let size = plan.size(view);
        Self {
            tools: tools || size.tools > 0 || routed(Subject::Tools),
            prompts: prompts || size.prompts > 0 || routed(Subject::Prompts),
            resources: resources || size.resources + size.templates > 0 || routed(Subject::Resources),
        }
    }
}
