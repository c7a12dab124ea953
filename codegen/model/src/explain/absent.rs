//! Why a name leads nowhere: denied, called otherwise, not locked.

use super::{Asked, Kind, Rule, Step, expose, matches, prefix};
use crate::decode::near_miss;
use crate::lock::Section;
use crate::yaml::steps;

/// How many names are suggested.
const NEAR_MAX: usize = 3;

// === impl Asked ===

impl Asked<'_> {
    /// Every reason there is.
    pub(super) fn why_absent(&self) -> Vec<Step> {
        let mut reasons = self.denied_on_the_way();
        if self.contracts.is_none() {
            let text = "the topology has no lock: nothing is known of what its backends offer".to_owned();
            reasons.push(self.step(Rule::Unlocked, text, Some(self.document.value(steps!["name"]))));
            return reasons;
        }
        for backend in self.topology.backends.names() {
            match self.section(backend) {
                None => reasons.extend(self.unlocked(backend)),
                Some(section) => {
                    let mut denied = self.denied(backend, section);
                    denied.retain(|rule| !reasons.contains(rule));
                    reasons.extend(denied);
                    reasons.extend(self.otherwise(backend, section));
                }
            }
        }
        reasons
    }

    /// Names that were perhaps meant, the nearest first.
    pub(super) fn near(&self) -> Vec<String> {
        let mut near: Vec<String> = Vec::new();
        while near.len() < NEAR_MAX {
            let all = Kind::ALL.into_iter().flat_map(|kind| self.found(kind)).map(|found| &*found.exposed.name);
            let Some(next) = near_miss(self.name, all.filter(|name| !near.iter().any(|known| known == name))) else {
                break;
            };
            near.push(next.to_owned());
        }
        near
    }

    fn unlocked(&self, backend: &str) -> Option<Step> {
        if !self.name.starts_with(&prefix(&self.topology.names, backend)) {
            return None;
        }
        let text = format!("backend `{backend}` is not in the lock: nothing is known of what it offers");
        Some(self.step(Rule::Unlocked, text, Some(self.document.key(steps!["backends", backend]))))
    }

    /// The rule that denies the name at the backend to which a route sends what no list holds.
    fn denied_on_the_way(&self) -> Vec<Step> {
        let Some(route) = self.wildcard(Kind::Tool) else { return Vec::new() };
        let backends = self.plan.led(route.backend, route.team).map(|index| &self.plan.backends[usize::from(index)]);
        backends.filter_map(|backend| self.rule(&backend.name, route.stripped(self.name))).collect()
    }

    /// The rules that deny what would have this name.
    fn denied(&self, backend: &str, section: &Section) -> Vec<Step> {
        let named = section.tools.iter().filter(|tool| {
            let renamed = self.rename(Kind::Tool, backend, &tool.name).unwrap_or(&tool.name);
            expose(&self.topology.names, backend, renamed) == self.name
        });
        named.filter_map(|tool| self.rule(backend, &tool.name)).collect()
    }

    /// The rule that denies a tool of a backend.
    fn rule(&self, backend: &str, own: &str) -> Option<Step> {
        let deny = &self.topology.backends.get(backend)?.tools.deny;
        let index = deny.iter().position(|pattern| matches(pattern, own))?;
        let text = format!("tool `{own}` of backend `{backend}` is denied by `{}`", deny[index]);
        let place = self.document.value(steps!["backends", backend, "tools", "deny", index]);
        Some(self.step(Rule::Deny, text, Some(place)))
    }

    /// What has this name with its backend, or had it without some rule, and is exposed under another.
    fn otherwise(&self, backend: &str, section: &Section) -> Vec<Step> {
        let mut steps = Vec::new();
        for (kind, items) in [(Kind::Tool, &section.tools), (Kind::Prompt, &section.prompts)] {
            for own in items.iter().map(|item| item.name.as_str()) {
                let rename = self.rename(kind, backend, own);
                let renamed = rename.unwrap_or(own);
                let before = prefix(&self.topology.names, backend);
                let former =
                    [own.to_owned(), renamed.to_owned(), format!("{before}{own}"), format!("{before}{renamed}")];
                if !former.iter().any(|name| name == self.name) {
                    continue;
                }
                // Of several backends of a route, clients see what one of them has.
                let is_shared = |exposed: &crate::plan::Exposed| {
                    let mut led = self.plan.led(exposed.backend, exposed.team).filter(|_| exposed.team.is_some());
                    led.any(|index| self.plan.backends[usize::from(index)].name == backend)
                };
                let found = |found: &&super::Found| {
                    found.exposed.upstream == own && (found.origin == backend || is_shared(&found.exposed))
                };
                let Some(found) = self.found(kind).iter().find(found) else { continue };
                let exposed = &found.exposed.name;
                let noun = kind.noun();
                let text = format!("{noun} `{own}` of backend `{backend}` is exposed as `{exposed}`");
                let (rule, place) = match rename {
                    Some(_) => (Rule::Rename, self.document.value(steps!["backends", backend, "tools", "rename", own])),
                    None => (Rule::Prefix, self.document.key(steps!["backends", backend])),
                };
                steps.push(self.step(rule, text, Some(place)));
            }
        }
        steps
    }
}
