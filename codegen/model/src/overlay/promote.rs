//! The settings of an overlay, and what it adds, as an edit of the topology's text: comments and all that is not set stay as
//! they are.
//!
//! What an edit makes of the topology is not believed but read again: it must set what it is to set, and nothing else.

use super::edit;
use super::setting::SETTINGS;
use super::{Change, Overlay};
use crate::plan::Plan;
use crate::{Features, Source};

/// What comes of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Promotion {
    /// The topology's text with the settings.
    pub text: String,
    /// Those that it has now.
    pub promoted: Vec<Change>,
    /// Those that no topology has: they stay in the overlay.
    pub left: Vec<Change>,
}

/// A topology whose text is not edited.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{setting}` of backend `{backend}` cannot be written there: what it is written as, others have too; write `{setting}: {value}` by hand"
)]
pub struct Unwritable {
    /// The backend.
    pub backend: String,
    /// The key of the setting.
    pub setting: &'static str,
    /// What it is to be.
    pub value: String,
}

/// Edits the text of a topology that has no errors, without its lock, which is `plan`.
///
/// # Errors
/// When an alias stands where one of the settings belongs.
pub fn promote(topology: &Source, plan: &Plan, overlay: &Overlay) -> Result<Promotion, Unwritable> {
    let compiles = |change: &Change| SETTINGS.iter().any(|own| own.name == change.setting && own.compiles);
    let adds = |change: &Change| ADDITIONS.iter().any(|(setting, _)| *setting == change.setting);
    let (mut added, changes): (Vec<_>, Vec<_>) = overlay.changes(&plan.backends).into_iter().partition(adds);
    let (mut promoted, left): (Vec<_>, Vec<_>) = changes.into_iter().partition(compiles);
    let (mut text, mut edited) = (topology.text.clone(), Some(plan.clone()));
    for change in &promoted {
        let Change { backend, setting, overlay: value, .. } = change;
        let next = edit::set(&text, &["backends", backend, setting], value);
        let source = next.map(|text| Source { path: topology.path.clone(), text });
        let reread = source.as_ref().and_then(|source| crate::load(source, None, &Features::all()).ok());
        let (Some(before), Some(source), Some((after, _))) = (edited.take(), source, reread) else {
            return Err(unwritable(change));
        };
        if !differs_by(&before, &after, change) {
            return Err(unwritable(change));
        }
        (text, edited) = (source.text, Some(after));
    }
    for change in &added {
        let section = ADDITIONS.iter().find(|(setting, _)| *setting == change.setting).map(|(_, section)| *section);
        let next = section.and_then(|section| edit::set(&text, &[section, &change.backend], &change.overlay));
        let next = next.ok_or_else(|| unwritable(change))?;
        let source = Source { path: topology.path.clone(), text: next };
        let Some((before, Ok((after, _)))) =
            edited.take().map(|own| (own, crate::load(&source, None, &Features::all())))
        else {
            return Err(unwritable(change));
        };
        if !adds_to(&before, &after, change) {
            return Err(unwritable(change));
        }
        (text, edited) = (source.text, Some(after));
    }
    promoted.append(&mut added);
    Ok(Promotion { text, promoted, left })
}

/// What a change that adds something is called, and where that stands in a topology.
pub(super) const ADDITIONS: [(&str, &str); 2] = [(ADDED, "backends"), (VIEW, "views")];
/// An added backend.
pub(super) const ADDED: &str = "added";
/// An added view.
pub(super) const VIEW: &str = "view";

/// Whether this is all that there is besides.
fn adds_to(before: &Plan, after: &Plan, change: &Change) -> bool {
    let is_own = |name: &str| name == change.backend;
    let backends = |plan: &Plan| plan.backends.iter().filter(|own| !is_own(&own.name)).cloned().collect::<Vec<_>>();
    let views = |plan: &Plan| plan.views.iter().filter(|own| !is_own(&own.name)).cloned().collect::<Vec<_>>();
    let has = |plan: &Plan| match change.setting {
        ADDED => plan.backends.iter().any(|own| is_own(&own.name)),
        _ => plan.views.iter().any(|own| is_own(&own.name)),
    };
    has(after) && !has(before) && backends(before) == backends(after) && views(before) == views(after)
}

fn unwritable(change: &Change) -> Unwritable {
    Unwritable { backend: change.backend.clone(), setting: change.setting, value: change.overlay.clone() }
}

/// Whether this setting is all that differs.
fn differs_by(before: &Plan, after: &Plan, change: &Change) -> bool {
    let Some(setting) = SETTINGS.iter().find(|own| own.name == change.setting) else { return false };
    let is_meant = |plan: &Plan, value: &str| {
        plan.backends.iter().any(|own| *own.name == *change.backend && (setting.compiled)(own) == value)
    };
    let others = |plan: &Plan| -> Vec<(String, &'static str, String)> {
        let all = plan.backends.iter().flat_map(|own| SETTINGS.iter().map(move |setting| (own, setting)));
        let all = all.map(|(own, setting)| (own.name.to_string(), setting.name, (setting.compiled)(own)));
        all.filter(|(name, key, _)| (name, *key) != (&change.backend, change.setting)).collect()
    };
    is_meant(before, &change.compiled) && is_meant(after, &change.overlay) && others(before) == others(after)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What an overlay makes of a topology.
    fn check(topology: &str, overlay: &str) -> Result<Promotion, Unwritable> {
        let topology = Source { path: "t.yaml".to_owned(), text: topology.to_owned() };
        let overlay = Source { path: "overlay.yaml".to_owned(), text: overlay.to_owned() };
        let (plan, _no_lock) = crate::load(&topology, None, &Features::all()).expect("a good topology");
        let overlay = super::super::load(&overlay, plan.compiled()).expect("a good overlay");
        promote(&topology, &plan, &overlay)
    }

    #[test]
    fn a_setting_becomes_a_part_of_the_text_and_everything_else_stays() {
        let overlay = "backends: { math: { timeout: 5s } }";
        for (before, after) in [
            (
                "name: t\nbackends:\n  # Adds.\n  math:\n    transport: { stdio: { command: self } } # here\n",
                "name: t\nbackends:\n  # Adds.\n  math:\n    transport: { stdio: { command: self } } # here\n    timeout: 5s\n",
            ),
            (
                "name: t\nbackends:\n  math: { transport: { stdio: { command: self } } }\n",
                "name: t\nbackends:\n  math: { transport: { stdio: { command: self } }, timeout: 5s }\n",
            ),
            (
                "name: t\nbackends:\n  math:\n    transport: { stdio: { command: self } }\n    timeout: \"1m\" # slow\n",
                "name: t\nbackends:\n  math:\n    transport: { stdio: { command: self } }\n    timeout: 5s # slow\n",
            ),
            (
                "name: t\ndefaults: { timeout: 1m }\nbackends: {math: {transport: {stdio: {command: self}}, timeout: 9m}}\n",
                "name: t\ndefaults: { timeout: 1m }\nbackends: {math: {transport: {stdio: {command: self}}, timeout: 5s}}\n",
            ),
        ] {
            let promotion = check(before, overlay).expect("it can be edited");
            assert_eq!(promotion.text, after);
            assert_eq!((promotion.promoted.len(), promotion.left.len()), (1, 0));
        }
    }

    #[test]
    fn a_setting_takes_the_place_of_one_on_several_lines() {
        let before = "name: t\nbackends:\n  math:\n    retry: # gently\n      attempts: 3\n      # or more\n    transport: { stdio: { command: self } }\n";
        let promotion = check(before, "backends: { math: { retry: off } }").expect("it can be edited");
        let after =
            "name: t\nbackends:\n  math:\n    retry: off # gently\n    transport: { stdio: { command: self } }\n";
        assert_eq!(promotion.text, after);
    }

    #[test]
    fn what_is_added_becomes_a_part_of_the_text() {
        let adds = concat!(
            "backends: { more: { transport: { streamable_http: {} }, endpoints: [{ url: \"http://h:1/mcp\" }], drain: true } }\n",
            "views: { both: { include: [\"*\"] } }\n",
        );
        let more = r#"more: {"transport":{"streamable_http":{}},"endpoints":[{"url":"http://h:1/mcp"}]}"#;
        for (before, after) in [
            (
                "name: t\nbackends:\n  # Adds.\n  math: { transport: { stdio: { command: self } } }\n".to_owned(),
                format!(
                    "name: t\nbackends:\n  # Adds.\n  math: {{ transport: {{ stdio: {{ command: self }} }} }}\n  {more}\n\
                     views:\n  both: {{\"include\":[\"*\"]}}\n"
                ),
            ),
            (
                "name: t\nviews:\n  one: { include: [a] }\nbackends: { math: { transport: { stdio: { command: self } } } }".to_owned(),
                format!(
                    "name: t\nviews:\n  one: {{ include: [a] }}\n  both: {{\"include\":[\"*\"]}}\n\
                     backends: {{ math: {{ transport: {{ stdio: {{ command: self }} }} }}, {more} }}"
                ),
            ),
        ] {
            let promotion = check(&before, adds).expect("it can be edited");
            assert_eq!(promotion.text, after);
            assert_eq!((promotion.promoted.len(), promotion.left.len()), (2, 0));
        }
    }

    #[test]
    fn a_backend_that_is_started_becomes_a_part_of_the_text() {
        let topology = "name: t\nbackends:\n  math: { transport: { stdio: { command: self } } }\n";
        let overlay = "backends:\n  more:\n    transport:\n      stdio: { command: npx, args: [-y, a], env: { KEY: env:KEY }, sandbox: strict }\n";
        let promotion = check(topology, overlay).expect("it can be edited");
        let more = r#"  more: {"transport":{"stdio":{"command":"npx","args":["-y","a"],"env":{"KEY":"env:KEY"},"sandbox":"strict"}}}"#;
        assert_eq!(promotion.text, format!("{topology}{more}\n"));
    }

    #[test]
    fn what_no_topology_has_is_left_to_the_overlay() {
        let topology = "name: t\nbackends:\n  math: { transport: { stdio: { command: self } } }\n";
        let promotion = check(topology, "backends: { math: { drain: true, timeout: 30s } }").expect("nothing to edit");
        assert_eq!(promotion.text, topology);
        assert!(promotion.promoted.is_empty());
        assert_eq!(promotion.left[0].to_string(), "math.drain: false -> true");
    }

    #[test]
    fn what_others_have_too_is_not_edited() {
        let topology = "name: t\nbackends:\n  math: &one { transport: { stdio: { command: self } } }\n  more: *one\n";
        for name in ["math", "more"] {
            let refused = check(topology, &format!("backends: {{ {name}: {{ timeout: 5s }} }}"));
            let error = refused.expect_err("both would change").to_string();
            assert!(error.contains(name) && error.contains("write `timeout: 5s` by hand"), "{error}");
        }
    }
}
