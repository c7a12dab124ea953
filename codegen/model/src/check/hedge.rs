//! Whether calls that are to be made a second time can be: in time, and somewhere else.

use super::Check;
use crate::diagnostic::Code;
use crate::topology::Backend;
use crate::traffic::HedgeSettings;
use crate::yaml::steps;

// === impl Check ===

impl Check<'_> {
    /// Every check of `hedge`, of each backend and of `defaults`.
    pub(super) fn hedges(&mut self) {
        let defaults = &self.topology.defaults;
        if let Some(hedge) = defaults.hedge.on()
            && hedge.after >= defaults.timeout
        {
            self.never_in_time(None, hedge);
        }
        for (name, backend) in self.topology.backends.iter() {
            let Some(hedge) = backend.hedge.as_ref().and_then(|own| own.on()) else { continue };
            if hedge.after >= backend.timeout.unwrap_or(defaults.timeout) {
                self.never_in_time(Some((name, backend)), hedge);
            }
            let is_alone = backend.endpoints.len() < 2 && !self.topology.is_one_of_several(name);
            // Whom routes that cannot be read lead to is not known.
            if is_alone && self.is_sound(steps!["routes"]) && self.is_sound(steps!["backends", name, "endpoints"]) {
                let place = self.document.key(steps!["backends", name, "hedge"]);
                let message = format!("calls to backend `{name}` have no other place where they could be made");
                self.problems
                    .error(Code::InvalidValue, place, message)
                    .label("it has no two endpoints, and no route leads to it among several backends")
                    .help("add an endpoint or such a route, or take `hedge` out");
            }
        }
    }

    fn never_in_time(&mut self, backend: Option<(&str, &Backend)>, hedge: &HedgeSettings) {
        let defaults = &self.topology.defaults;
        let timeout = backend.and_then(|(_, own)| own.timeout).unwrap_or(defaults.timeout);
        let place = match backend {
            Some((name, _)) => self.document.value(steps!["backends", name, "hedge", "after"]),
            None => self.document.value(steps!["defaults", "hedge", "after"]),
        };
        let message = format!("calls that take `{timeout}` at most are made a second time after `{}`", hedge.after);
        self.problems.error(Code::InvalidValue, place, message).help("write a time that is shorter than `timeout`");
    }
}
