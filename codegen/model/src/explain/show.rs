//! An explanation as people read it.

use std::fmt;

use super::{Contract, Decision, Explanation, Kind, Millis, Rule, SetBy, Step, Team, Timeout};
use crate::diagnostic::{Origin, listed, quoted};
use crate::lock::printable;

/// Where the text of a line begins.
const LABEL_CHARS: usize = 11;

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for decision in &self.decisions {
            write!(f, "{decision}")?;
        }
        if self.decisions.is_empty() {
            writeln!(f, "{} is no name that topology `{}` offers", quoted(&self.name), self.topology)?;
        }
        for step in &self.reasons {
            write!(f, "{step}")?;
        }
        match &self.near[..] {
            [] => Ok(()),
            near => {
                let near: Vec<String> = near.iter().map(|name| quoted(name)).collect();
                line(f, "near", &near.join(", "), None)
            }
        }
    }
}

impl fmt::Display for Decision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { kind, backend, exposed, upstream, .. } = self;
        let name = quoted(exposed);
        let whose = match &self.team {
            None => format!("backend `{backend}`"),
            Some(team) => format!("backends {}", listed(team.members.iter().map(|(name, _)| &**name))),
        };
        writeln!(f, "{} {name} is {} of {whose}", kind.noun(), quoted(upstream))?;
        for step in &self.steps {
            write!(f, "{step}")?;
        }
        if let Some(Team { members, balance }) = &self.team {
            let members: Vec<String> = members.iter().map(|(name, weight)| format!("`{name}` ({weight})")).collect();
            line(f, "balance", &format!("{balance}: {}", members.join(", ")), None)?;
        }
        write!(f, "{}", self.timeout)?;
        for (label, names) in [("fallback", &self.fallbacks), ("views", &self.views)] {
            if !names.is_empty() {
                let names: Vec<String> = names.iter().map(|name| quoted(name)).collect();
                line(f, label, &names.join(", "), None)?;
            }
        }
        match &self.contract {
            Some(contract) => show_contract(f, *kind, contract),
            None => line(f, "lock", &format!("backend `{backend}` is not in the lock"), None),
        }
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let label = match self.rule {
            Rule::Backend => "offered",
            Rule::Prefix => "prefix",
            Rule::Rename => "rename",
            Rule::Shortened => "shortened",
            Rule::Route | Rule::WildcardRoute => "route",
            Rule::Template => "template",
            Rule::Deny => "denied",
            Rule::Unlocked => "unlocked",
        };
        line(f, label, &self.text, self.place.as_ref())
    }
}

impl fmt::Display for Timeout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let who = match self.set_by {
            SetBy::Backend => "set by its backend",
            SetBy::Defaults => "set by `defaults`",
            SetBy::Nobody => "as nothing else is written",
        };
        line(f, "timeout", &format!("{}, {who}", Millis(self.ms)), self.place.as_ref())
    }
}

fn show_contract(f: &mut fmt::Formatter<'_>, kind: Kind, contract: &Contract) -> fmt::Result {
    let Contract { backend, era, revision, digest, read_only, idempotent } = contract;
    let hints = match (kind, read_only, idempotent) {
        (Kind::Tool, true, true) => ", read-only, idempotent",
        (Kind::Tool, true, false) => ", read-only",
        (Kind::Tool, false, true) => ", idempotent",
        _ => "",
    };
    let item = digest.as_deref().unwrap_or("no item has this name");
    line(f, "lock", &format!("of `{backend}`: {era} {revision}{hints}, {item}"), None)
}

fn line(f: &mut fmt::Formatter<'_>, label: &str, text: &str, place: Option<&Origin>) -> fmt::Result {
    let text = printable(text);
    match place {
        Some(place) => writeln!(f, "  {label:LABEL_CHARS$}{text}  ({place})"),
        None => writeln!(f, "  {label:LABEL_CHARS$}{text}"),
    }
}
