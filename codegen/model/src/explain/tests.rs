//! Explanations of names of the fixtures, with the place of every rule.

use std::path::Path;

use super::*;

fn fixture(name: &str, end: &str) -> Source {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/fixtures/pass/{name}.{end}"));
    Source { path: format!("{name}.{end}"), text: std::fs::read_to_string(path).expect("a fixture") }
}

fn explained(fixture_name: &str, name: &str) -> Explanation {
    let lock = fixture(fixture_name, "lock.json");
    explain(&fixture(fixture_name, "yaml"), Some(&lock), name).expect("the fixture compiles")
}

/// Compares what people read; digests of items are theirs.
#[track_caller]
fn check(fixture: &str, name: &str, expected: &[&str]) {
    let shown = explained(fixture, name).to_string();
    let lines: Vec<String> = shown
        .lines()
        .map(|line| match line.split_once("sha256:") {
            Some((before, _)) => format!("{before}sha256:…"),
            None => line.to_owned(),
        })
        .collect();
    assert_eq!(lines, expected, "\n{shown}");
}

#[test]
fn a_renamed_tool_is_explained_rule_by_rule() {
    check(
        "full",
        "math--sum",
        &[
            "tool `math--sum` is `add` of backend `math`",
            "  offered    backend `math` offers tool `add`  (full.yaml:13:3)",
            "  rename     `add` is renamed to `sum`  (full.yaml:22:48)",
            "  prefix     `math--` goes before it  (full.yaml:9:8)",
            "  route      route for tools `math--*` sends it to backend `math`  (full.yaml:28:5)",
            "  timeout    2m, set by its backend  (full.yaml:21:14)",
            "  lock       of `math`: legacy 2025-11-25, read-only, idempotent, sha256:…",
        ],
    );
}

#[test]
fn a_route_leads_to_another_backend_than_the_one_that_offers() {
    check(
        "full",
        "math--mul",
        &[
            "tool `math--mul` is `mul` of backend `data`",
            "  offered    backend `math` offers tool `mul`  (full.yaml:13:3)",
            "  prefix     `math--` goes before it  (full.yaml:9:8)",
            "  route      route for tools `math--mul` sends it to backend `data`  (full.yaml:29:5)",
            "  timeout    20s, set by `defaults`  (full.yaml:10:22)",
            "  lock       of `math`: legacy 2025-11-25, sha256:…",
        ],
    );
}

#[test]
fn of_a_route_to_several_backends_all_are_named_and_what_each_is_called_alone() {
    check(
        "team",
        "math_add",
        &[
            "tool `math_add` is `math_add` of backends `math-a` and `math-b`",
            "  offered    backend `math-a` offers tool `math_add`  (team.yaml:5:3)",
            "  prefix     without a prefix: it is of several backends, and the route has it by its own name",
            "  route      route for tools `math_*` sends it to backends `math-a` and `math-b`  (team.yaml:14:5)",
            "  balance    least_connections: `math-a` (3), `math-b` (1)",
            "  timeout    30s, as nothing else is written",
            "  fallback   `spare`",
            "  lock       of `math-a`: modern 2026-07-28, read-only, sha256:…",
        ],
    );
    let absent = explained("team", "math-b__math_add");
    let reasons: Vec<&str> = absent.reasons.iter().map(|reason| &*reason.text).collect();
    assert_eq!(reasons, ["tool `math_add` of backend `math-b` is exposed as `math_add`"]);
}

#[test]
fn a_name_that_no_list_holds_is_routed_by_a_pattern_and_loses_its_prefix() {
    check(
        "full",
        "math--new",
        &[
            "tool `math--new` is `new` of backend `math`",
            "  route      route for tools `math--*` sends it, which no list holds, to backend `math`  (full.yaml:28:5)",
            "  prefix     `math--` is taken off its front  (full.yaml:9:8)",
            "  timeout    2m, set by its backend  (full.yaml:21:14)",
            "  lock       of `math`: legacy 2025-11-25, no item has this name",
        ],
    );
    let exact = explained("full", "unlisted");
    assert_eq!((exact.decisions[0].kind, exact.decisions[0].rule), (Kind::Prompt, Rule::WildcardRoute));
}

#[test]
fn what_is_denied_is_denied_to_patterns_too() {
    let explanation = explained("full", "math--admin_reset");
    assert_eq!(explanation.decisions, []);
    let place = Origin { path: "full.yaml".to_owned(), line: 22, column: 21 };
    let text = "tool `admin_reset` of backend `math` is denied by `admin_*`".to_owned();
    assert_eq!(explanation.reasons, [Step { rule: Rule::Deny, text, place: Some(place) }]);
}

#[test]
fn resources_are_found_by_their_uri_a_pattern_or_a_template() {
    let listed = &explained("full", "data://one").decisions[0];
    assert_eq!((listed.kind, listed.rule, &*listed.backend), (Kind::Resource, Rule::Route, "data"));
    let pattern = &explained("full", "data://other").decisions[0];
    assert_eq!((pattern.kind, pattern.rule), (Kind::Resource, Rule::WildcardRoute));
    let lock = fixture("full", "lock.json");
    let mut unrouted = fixture("full", "yaml");
    unrouted.text.truncate(unrouted.text.find("routes:").expect("the fixture has routes"));
    let template = explain(&unrouted, Some(&lock), "data://other").expect("it compiles");
    let [template] = &template.decisions[..] else { panic!("{template}") };
    assert_eq!((template.kind, template.rule, &*template.upstream), (Kind::Resource, Rule::Template, "data://other"));
    assert!(template.contract.as_ref().is_some_and(|contract| contract.digest.is_some()), "{template}");
}

#[test]
fn views_and_fallbacks_are_told() {
    check(
        "views",
        "data__review",
        &[
            "prompt `data__review` is `review` of backend `data`",
            "  offered    backend `data` offers prompt `review`  (views.yaml:4:3)",
            "  prefix     `data__` goes before it",
            "  timeout    30s, as nothing else is written",
            "  views      `coding`",
            "  lock       of `data`: modern 2026-07-28, sha256:…",
        ],
    );
    let views = |uri: &str| explained("views", uri).decisions[0].views.clone();
    assert_eq!((views("data://tables/x"), views("data://tables/x%2Fy")), (vec!["reading".to_owned()], Vec::new()));
    let taken_over = |name: &str| explained("fallback", name).decisions[0].fallbacks.clone();
    assert_eq!(taken_over("search__find"), ["search-old", "mirror"]);
    assert_eq!(taken_over("search__index"), ["search-old"]);
}

#[test]
fn a_shortened_name_is_explained() {
    let lock = fixture("shortened", "lock.json");
    let (plan, _) = crate::load(&fixture("shortened", "yaml"), Some(&lock), &Features::all()).expect("it compiles");
    for tool in &plan.tools {
        let decision = &explained("shortened", &tool.name).decisions[0];
        let shortened: Vec<&Step> = decision.steps.iter().filter(|step| step.rule == Rule::Shortened).collect();
        let changed = tool.name != format!("files__{}", tool.upstream);
        assert_eq!(shortened.len(), usize::from(changed), "{decision}");
        if changed {
            assert!(shortened[0].place.is_some(), "{decision}");
            let whole = explained("shortened", &format!("files__{}", tool.upstream));
            assert!(
                whole.decisions.is_empty() && whole.reasons[0].text.ends_with(&format!("`{}`", tool.name)),
                "{whole}"
            );
        }
    }
}

#[test]
fn a_name_that_leads_nowhere_says_why() {
    check(
        "full",
        "add",
        &[
            "`add` is no name that topology `full.yaml` offers",
            "  rename     tool `add` of backend `math` is exposed as `math--sum`  (full.yaml:22:48)",
        ],
    );
    check(
        "full",
        "data--gett",
        &["`data--gett` is no name that topology `full.yaml` offers", "  near       `data--get`, `data--greet`"],
    );
    check(
        "partly_locked",
        "data__get",
        &[
            "`data__get` is no name that topology `partly_locked.yaml` offers",
            "  unlocked   backend `data` is not in the lock: nothing is known of what it offers  (partly_locked.yaml:6:3)",
        ],
    );
}

#[test]
fn a_denied_tool_says_by_which_rule() {
    let mut topology = fixture("full", "yaml");
    topology.text = topology.text.replace("  - { tools: \"math--*\", to: math }\n", "");
    let lock = fixture("full", "lock.json");
    let explanation = explain(&topology, Some(&lock), "math--admin_reset").expect("it compiles");
    assert!(explanation.decisions.is_empty());
    assert_eq!(explanation.reasons.iter().map(|step| step.rule).collect::<Vec<_>>(), [Rule::Deny]);
}

#[test]
fn without_a_lock_nothing_is_known_but_patterns() {
    let explanation = explain(&fixture("full", "yaml"), None, "data--get").expect("it compiles");
    assert_eq!((explanation.decisions.len(), explanation.reasons.len()), (0, 1));
    assert_eq!(explanation.reasons[0].rule, Rule::Unlocked);
    let denied = explain(&fixture("full", "yaml"), None, "math--admin_any").expect("it compiles");
    assert_eq!(denied.decisions, []);
    assert_eq!(denied.reasons.iter().map(|step| step.rule).collect::<Vec<_>>(), [Rule::Deny, Rule::Unlocked]);
    let routed = explain(&fixture("full", "yaml"), None, "math--any").expect("it compiles");
    assert_eq!((routed.decisions[0].rule, &routed.decisions[0].contract), (Rule::WildcardRoute, &None));
}

#[test]
fn a_topology_that_does_not_compile_explains_nothing() {
    let source = Source { path: "t.yaml".to_owned(), text: "name: t\n".to_owned() };
    assert!(explain(&source, None, "any").is_err());
}

#[test]
fn a_uri_that_bears_the_name_of_its_backend_is_explained_by_that() {
    check(
        "rewritten_uris",
        "data://two/shared",
        &[
            "resource `data://two/shared` is `data://shared` of backend `two`",
            "  offered    backend `two` offers resource `data://shared`  (rewritten_uris.yaml:6:3)",
            "  prefix     `two/` goes behind its scheme  (rewritten_uris.yaml:8:24)",
            "  timeout    30s, as nothing else is written",
            "  views      `of-two`",
            "  lock       of `two`: modern 2026-07-28, sha256:…",
        ],
    );
    check(
        "rewritten_uris",
        "data://two/unlisted",
        &[
            "resource `data://two/unlisted` is `data://unlisted` of backend `two`",
            "  prefix     `two/` goes behind its scheme  (rewritten_uris.yaml:8:24)",
            "  timeout    30s, as nothing else is written",
            "  views      `of-two`",
            "  lock       of `two`: modern 2026-07-28, no item has this name",
        ],
    );
    let decided = |name: &str| {
        let decision = explained("rewritten_uris", name).decisions.remove(0);
        (decision.rule, decision.backend, decision.upstream)
    };
    let to_two = |rule, upstream: &str| (rule, "two".to_owned(), upstream.to_owned());
    assert_eq!(decided("data://routed/x"), to_two(Rule::WildcardRoute, "data://routed/x"));
    assert_eq!(decided("data://routed"), to_two(Rule::Route, "data://routed"));
    assert_eq!(decided("data://shared").1, "one");
}
