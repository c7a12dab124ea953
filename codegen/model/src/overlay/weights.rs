//! How much of the calls each of several gets where an overlay has a say: the endpoints of a backend, and the backends of a
//! route.

use super::{Compiled, Overlay};
use crate::diagnostic::{Code, Problems, quoted};
use crate::traffic::WEIGHT;
use crate::yaml::{Document, Place, steps};

/// Whether weights are some for the endpoints of a backend.
pub(super) fn check_endpoints(
    (name, weights): (&str, &[usize]),
    endpoints: usize,
    place: Place,
    problems: &mut Problems,
) {
    let (count, most) = (weights.len(), *WEIGHT.range.end());
    if count != endpoints {
        let message = format!("{count} weights for the {endpoints} endpoints of backend `{name}`");
        problems.error(Code::Endpoints, place, message).help("write one for each, in the order of the topology");
    } else if let Some(weight) = weights.iter().find(|weight| **weight > most) {
        problems.error(Code::InvalidValue, place, format!("weight {weight} is not between 0 and {most}"));
    } else if weights.iter().all(|weight| *weight == 0) {
        let message = format!("weights that leave backend `{name}` no endpoint");
        problems.error(Code::Endpoints, place, message).help("write `disabled: true` to have its calls refused");
    }
}

/// Whether backends that have a weight are on routes to several, and whether every such route keeps one that gets calls.
pub(super) fn check_routes(
    overlay: &Overlay,
    Compiled { backends, teams }: Compiled<'_>,
    document: &Document<'_>,
    problems: &mut Problems,
) {
    let weighed: Vec<_> =
        overlay.backends.iter().filter_map(|(name, settings)| Some((name, settings.weight?))).collect();
    let index = |name: &str| backends.iter().position(|own| own.name == name).and_then(|own| u16::try_from(own).ok());
    for &(name, _) in &weighed {
        if index(name).is_none_or(|own| teams.iter().all(|team| !team.has(own))) {
            let place = document.key(steps!["backends", name, "weight"]);
            let message = format!("backend {} is on no compiled route to several", quoted(name));
            problems
                .error(Code::InvalidValue, place, message)
                .label("there is nobody to share calls with")
                .help("`weights` are those of its endpoints; `disabled: true` and `drain: true` keep calls away");
        }
    }
    for team in teams {
        let own = |backend: u16| weighed.iter().find(|(name, _)| index(name) == Some(backend));
        if team.members.iter().all(|member| own(member.backend).is_some_and(|(_, weight)| *weight == 0))
            && let Some(&(name, _)) = team.members.last().and_then(|last| own(last.backend))
        {
            let names = team.members.iter().filter_map(|member| own(member.backend));
            let names: Vec<String> = names.map(|(name, _)| format!("`{name}`")).collect();
            let place = document.value(steps!["backends", name, "weight"]);
            let message = format!("weights that leave the route to {} no backend", names.join(", "));
            problems.error(Code::Endpoints, place, message).help("leave one of them a weight above 0");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::overlay::load;
    use crate::plan::Plan;
    use crate::{Features, Source};

    fn plan() -> Plan {
        let topology = Source {
            path: "t.yaml".to_owned(),
            text: concat!(
                "name: t\nbackends:\n  math: { transport: { stdio: { command: self } } }\n",
                "  data:\n    transport: { streamable_http: {} }\n    endpoints: [{ url: env:DATA_URL }]\n",
                "  more: { transport: { stdio: { command: self } } }\n",
                "routes:\n  - { tools: \"sum_*\", to: [{ backend: math, weight: 3 }, more] }\n",
            )
            .to_owned(),
        };
        crate::load(&topology, None, &Features::all()).expect("a good topology").0
    }

    fn read(text: &str) -> Result<Overlay, String> {
        let source = Source { path: "overlay.yaml".to_owned(), text: text.to_owned() };
        load(&source, plan().compiled()).map_err(|found| crate::diagnostic::render(&found, &source, false))
    }

    fn changes(overlay: &Overlay) -> Vec<String> {
        overlay.changes(&plan().backends).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn weights_are_one_for_each_endpoint() {
        for (text, expected) in [
            ("backends: { data: { weights: [0] } }", "weights that leave backend `data` no endpoint"),
            ("backends: { data: { weights: [1, 2] } }", "2 weights for the 1 endpoints of backend `data`"),
            ("backends: { math: { weights: [1] } }", "1 weights for the 0 endpoints of backend `math`"),
            ("backends: { data: { weights: [1001] } }", "weight 1001 is not between 0 and 1000"),
            ("backends: { data: { weights: [-1] } }", "number `-1` is out of range"),
        ] {
            let shown = read(text).expect_err(text);
            assert!(shown.contains(expected), "{expected}:\n{shown}");
        }
        let overlay = read("backends: { data: { weights: [7] } }").expect("a good overlay");
        assert_eq!(overlay.to_string(), "backends:\n  data: { weights: [7] }\n");
        assert_eq!(changes(&overlay), ["data.weights: [1] -> [7]"]);
    }

    #[test]
    fn a_weight_is_for_backends_on_routes_to_several_and_leaves_each_route_one() {
        for (text, expected) in [
            ("backends: { data: { weight: 2 } }", "backend `data` is on no compiled route to several"),
            (
                "backends: { new: { transport: { streamable_http: {} }, endpoints: [{ url: 'http://h:1/mcp' }], weight: 2 } }",
                "unknown key `weight` in a backend",
            ),
            (
                "backends: { math: { weight: 0 }, more: { weight: 0 } }",
                "weights that leave the route to `math`, `more` no backend",
            ),
            ("backends: { math: { weight: 1001 } }", "weight 1001 is not between 0 and 1000"),
            ("backends: { math: { weight: -1 } }", "number `-1` is out of range"),
        ] {
            let shown = read(text).expect_err(text);
            assert!(shown.contains(expected), "{expected}:\n{shown}");
        }
        let overlay = read("backends: { math: { weight: 0 }, more: { weight: 5 } }").expect("a good overlay");
        assert_eq!(overlay.to_string(), "backends:\n  math: { weight: 0 }\n  more: { weight: 5 }\n");
        assert_eq!(changes(&overlay), ["math.weight: that of each route -> 0", "more.weight: that of each route -> 5"]);
        assert_eq!(read(&overlay.json()), Ok(overlay));
    }
}
