//! Which topology a build compiles: cargo features `topology-NAME`, the variable `TOPOLOGY`, or `default`.

use std::ffi::OsString;
use std::fs;
use std::path::Path;

use only1mcp_model::{TOPOLOGIES, topology_path as path};

/// The topology that a build compiles.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chosen {
    /// Its path, relative to the package or absolute.
    pub path: String,
    /// The one feature that says the same.
    pub feature: Option<String>,
    /// Nobody chose it: it is what there is by default.
    pub by_default: bool,
}

/// What follows `topology-` in the features that are on, as cargo spells it in the names of the variables of a build
/// script; sorted.
pub fn features(variables: impl Iterator<Item = OsString>) -> Vec<String> {
    let names = variables.filter_map(|name| name.into_string().ok());
    let mut features: Vec<String> =
        names.filter_map(|name| Some(name.strip_prefix("CARGO_FEATURE_TOPOLOGY_")?.to_owned())).collect();
    features.sort();
    features
}

/// Which topology to compile.
///
/// `features` are those of [`features`]; `variable` is `TOPOLOGY`: a name,
/// or a path when it holds a `/` or ends in `.yaml`; `known` are the names of the files there are.
///
/// # Errors
/// When features and variable choose several topologies.
pub fn select(features: &[String], variable: Option<&str>, known: &[String]) -> Result<Chosen, String> {
    let by_feature: Vec<String> = features.iter().map(|feature| named(feature, known)).collect();
    let by_variable = variable.filter(|variable| !variable.is_empty());
    match (by_variable, &*by_feature) {
        (None, []) => Ok(Chosen { path: path("default"), feature: None, by_default: true }),
        (None, [name]) => Ok(chosen(name, Some(name))),
        (None, names) => {
            let names: Vec<String> = names.iter().map(|name| format!("`topology-{name}`")).collect();
            Err(format!("features {} select several topologies; enable exactly one", names.join(", ")))
        }
        (Some(variable), [name]) if path(variable) != path(name) => {
            Err(format!("TOPOLOGY={variable} and feature `topology-{name}` select different topologies; drop one"))
        }
        (Some(variable), [name]) => Ok(chosen(variable, Some(name))),
        (Some(variable), _) => Ok(chosen(variable, None)),
    }
}

fn chosen(choice: &str, feature: Option<&String>) -> Chosen {
    let feature = feature.map(|name| format!("topology-{name}"));
    Chosen { path: path(choice), feature, by_default: false }
}

/// The names of the topologies in the package's directory of them, sorted.
#[must_use]
pub fn known(package: &Path) -> Vec<String> {
    let entries = fs::read_dir(package.join(TOPOLOGIES)).into_iter().flatten().flatten();
    let mut names: Vec<String> =
        entries.filter_map(|entry| Some(entry.file_name().to_str()?.strip_suffix(".yaml")?.to_owned())).collect();
    names.sort();
    names
}

/// The topology a feature means. Cargo writes `topology-my-prod` as `TOPOLOGY_MY_PROD`, so `-` and `_` are told apart
/// by the files there are.
fn named(feature: &str, known: &[String]) -> String {
    let plain = |name: &str| name.to_lowercase().replace('_', "-");
    known.iter().find(|name| plain(name) == plain(feature)).cloned().unwrap_or_else(|| plain(feature))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(features: &[&str], variable: Option<&str>, expect: Result<&str, &str>) {
        let owned = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        let known = owned(&["default", "large", "my_prod", "eu-west"]);
        let chosen = select(&owned(features), variable, &known);
        assert_eq!(chosen.as_ref().map(|chosen| &*chosen.path).map_err(String::as_str), expect);
    }

    #[test]
    fn features_of_topologies_are_told_from_others() {
        let variables = ["CARGO_FEATURE_TOPOLOGY_MY_PROD", "CARGO_FEATURE_TLS", "TOPOLOGY", "CARGO_FEATURE_TOPOLOGY_A"];
        assert_eq!(features(variables.into_iter().map(OsString::from)), ["A", "MY_PROD"]);
    }

    #[test]
    fn the_default_is_built_when_nothing_selects() {
        check(&[], None, Ok("topologies/default.yaml"));
        check(&[], Some(""), Ok("topologies/default.yaml"));
    }

    #[test]
    fn what_somebody_chose_is_told_from_the_default() {
        let by_default = |features: &[&str], variable| {
            let features: Vec<String> = features.iter().map(|feature| (*feature).to_owned()).collect();
            select(&features, variable, &["default".to_owned()]).unwrap().by_default
        };
        assert!(by_default(&[], None) && by_default(&[], Some("")));
        assert!(!by_default(&[], Some("default")) && !by_default(&["DEFAULT"], None));
    }

    #[test]
    fn one_feature_selects_the_file_it_names() {
        check(&["LARGE"], None, Ok("topologies/large.yaml"));
        check(&["MY_PROD"], None, Ok("topologies/my_prod.yaml"));
        check(&["EU_WEST"], Some(""), Ok("topologies/eu-west.yaml"));
        check(&["GONE_AWAY"], None, Ok("topologies/gone-away.yaml"));
    }

    #[test]
    fn the_feature_that_selects_is_known_by_its_name_in_the_manifest() {
        let known = ["my_prod".to_owned()];
        let by = |features: &[&str], variable| {
            let features: Vec<String> = features.iter().map(|feature| (*feature).to_owned()).collect();
            select(&features, variable, &known).unwrap().feature
        };
        assert_eq!(by(&["MY_PROD"], None).as_deref(), Some("topology-my_prod"));
        assert_eq!(by(&["MY_PROD"], Some("my_prod")).as_deref(), Some("topology-my_prod"));
        assert_eq!((by(&[], None), by(&[], Some("my_prod"))), (None, None));
        assert_eq!(by(&["MY_PROD", "LARGE"], Some("my_prod")), None);
    }

    #[test]
    fn the_variable_is_a_name_or_a_path() {
        check(&[], Some("staging"), Ok("topologies/staging.yaml"));
        check(&[], Some("/srv/prod.yaml"), Ok("/srv/prod.yaml"));
        check(&[], Some("prod.yaml"), Ok("prod.yaml"));
        check(&[], Some("./prod"), Ok("./prod"));
    }

    #[test]
    fn several_features_are_an_error_that_names_them() {
        check(
            &["LARGE", "MY_PROD"],
            None,
            Err("features `topology-large`, `topology-my_prod` select several topologies; enable exactly one"),
        );
    }

    #[test]
    fn a_variable_and_a_feature_must_agree() {
        check(&["LARGE"], Some("large"), Ok("topologies/large.yaml"));
        check(&["LARGE"], Some("topologies/large.yaml"), Ok("topologies/large.yaml"));
        check(
            &["LARGE"],
            Some("default"),
            Err("TOPOLOGY=default and feature `topology-large` select different topologies; drop one"),
        );
    }

    #[test]
    fn the_variable_wins_over_several_features() {
        check(&["LARGE", "MY_PROD"], Some("default"), Ok("topologies/default.yaml"));
    }
}
