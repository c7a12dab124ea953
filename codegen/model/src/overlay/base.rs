//! What an overlay makes of the topology that was compiled: another one, checked and resolved as if it had been written so.
//!
//! How the backends that it adds come to say what they offer is not decided here.
//!
//! **Invariant:** what is compiled keeps its name, its place and its policies: an overlay that would change any of that is
//! refused.

use std::collections::BTreeMap;

use super::Overlay;
use crate::check::Check;
use crate::decode::Decode as _;
use crate::diagnostic::{Code, Diagnostic, Problems, Severity, listed, quoted};
use crate::features::AMENDMENTS;
use crate::lock::{Lock, Section};
use crate::names::matches;
use crate::plan::{self, Plan};
use crate::topology::{Topology, TransportSettings};
use crate::yaml::{Document, steps};
use crate::{Features, Source, resolve};

/// The topology that was compiled, with its lock.
#[derive(Clone, Debug)]
pub struct Base {
    topology: Topology,
    lock: Lock,
    sources: (Source, Option<Source>),
    features: Features,
    /// Whether an overlay may add backends that are started.
    commands: bool,
}

/// What the added backends offer, by their names. One that is not in it has not said so yet.
pub type Sections = BTreeMap<String, Section>;

// === impl Base ===

impl Base {
    /// Reads the topology and the lock that were compiled by a build with these features.
    ///
    /// # Errors
    /// When they are not the ones that passed the checks of the build.
    pub fn read(topology: Source, lock: Option<Source>, features: Features) -> Result<Self, Vec<Diagnostic>> {
        let document = Document::parse(&topology.text).map_err(|refused| vec![*refused])?;
        let mut problems = Problems::default();
        let Some(decoded) = Topology::decode(&document.root, &mut problems) else {
            return Err(problems.locate(&document, None));
        };
        let contracts = match &lock {
            Some(lock) => crate::read_lock(lock, &topology).map_err(|refused| vec![*refused])?.0,
            None => Lock::default(),
        };
        drop(document);
        Ok(Self { topology: decoded, lock: contracts, sources: (topology, lock), features, commands: false })
    }

    /// Whether whoever starts the process lets overlays add backends that are started; none may unless this says so.
    #[must_use]
    pub fn commands(self, commands: bool) -> Self {
        Self { commands, ..self }
    }

    /// What it comes to with this overlay, which was read from `source` by [`super::load`], and with what the added
    /// backends are known to offer.
    ///
    /// # Errors
    /// Every problem, each with its place in the overlay.
    pub fn with(&self, source: &Source, overlay: &Overlay, sections: &Sections) -> Result<Plan, Vec<Diagnostic>> {
        let document = Document::parse(&source.text).map_err(|refused| vec![*refused])?;
        let mut problems = Problems::default();
        if overlay.amends() && !self.features.has(AMENDMENTS) {
            return Err(super::refuse_amendments(source, overlay));
        }
        self.shadowed(&document, overlay, &mut problems);
        if !self.commands {
            started(&document, overlay, &mut problems);
        }
        let (topology, lock) = (self.amended(overlay), self.locked(overlay, sections));
        let choice = self.sources.0.choice();
        let mut check = Check {
            document: &document,
            choice,
            topology: &topology,
            problems: &mut problems,
            features: &self.features,
        };
        check.topology();
        let backends = resolve::backends(&topology, &lock);
        let catalog = resolve::catalog(&topology, &lock, &backends);
        check.exposure(&catalog);
        led_there(&document, overlay, (&backends, &catalog), &mut problems);
        self.keyed(&document, (&backends, &catalog.teams), &mut problems);
        let mut found = problems.locate(&document, None);
        found.retain(|found| found.severity == Severity::Error);
        if !found.is_empty() {
            return Err(found);
        }
        let sources = (&self.sources.0, self.sources.1.as_ref());
        Ok(resolve::plan(&topology, &lock, backends, catalog, (sources, &self.features)))
    }

    /// Reports views that are compiled. Of backends, reading the overlay has done so.
    fn shadowed(&self, document: &Document<'_>, overlay: &Overlay, problems: &mut Problems) {
        for (name, _) in overlay.views.iter().filter(|(name, _)| self.topology.views.get(name).is_some()) {
            problems
                .error(
                    Code::Shadowed,
                    document.key(steps!["views", name]),
                    format!("view {} is compiled, and not added once more", quoted(name)),
                )
                .label("what it shows is compiled")
                .help("name the view otherwise, or compile what it is to show");
        }
    }

    /// Reports headers by which calls of added backends would go, and that nobody keeps of a request.
    fn keyed(
        &self,
        document: &Document<'_>,
        (backends, teams): (&[plan::Backend], &[plan::Team]),
        problems: &mut Problems,
    ) {
        let (compiled, added) = backends.split_at(self.topology.backends.len());
        let kept = plan::key_headers(compiled, teams);
        for backend in added {
            let name = &*backend.name;
            let own = plan::key_headers(std::slice::from_ref(backend), &[]);
            for header in own.difference(&kept) {
                let place = document.value(steps!["backends", name, "balance", "consistent_hash", "key", "header"]);
                let message = format!("header {} by which calls of backend `{name}` are to go", quoted(header));
                let by = listed(kept.iter().copied());
                let help = match kept.len() {
                    0 => "write another key, such as `session`, or compile a backend that goes by it".to_owned(),
                    _ => format!(
                        "the compiled topology goes by {by}: write that, or compile a backend that goes by this one"
                    ),
                };
                let label = "of a request nothing is kept but what the compiled topology goes by";
                problems.error(Code::InvalidValue, place, message).label(label).help(help);
            }
        }
    }

    /// The topology as if it had been written with the overlay.
    fn amended(&self, overlay: &Overlay) -> Topology {
        let mut topology = self.topology.clone();
        for (name, settings) in overlay.backends.iter() {
            if let Some(backend) = topology.backends.get_mut(name) {
                backend.tools.deny.extend(settings.tools.deny.iter().cloned());
            }
        }
        for (name, added) in overlay.added.iter().filter(|(name, _)| self.topology.backends.get(name).is_none()) {
            topology.backends.push(name, added.value.clone());
        }
        for (name, added) in overlay.views.iter().filter(|(name, _)| self.topology.views.get(name).is_none()) {
            topology.views.push(name, added.value.clone());
        }
        topology
    }

    /// The lock as if the added backends had been locked.
    fn locked(&self, overlay: &Overlay, sections: &Sections) -> Lock {
        let mut lock = self.lock.clone();
        let added = sections.iter().filter(|(name, _)| overlay.added.get(name).is_some());
        lock.backends.extend(added.map(|(name, section)| (name.clone(), section.clone())));
        lock
    }
}

/// Reports backends that would be started: who may write an overlay is not to choose what runs on this machine, unless who
/// started the gateway says so.
fn started(document: &Document<'_>, overlay: &Overlay, problems: &mut Problems) {
    for (name, added) in overlay.added.iter() {
        if matches!(added.value.transport, TransportSettings::Stdio(_)) {
            problems
                .error(
                    Code::StartedByOverlay,
                    document.key(steps!["backends", name, "transport", "stdio"]),
                    format!("backend {} would be started", quoted(name)),
                )
                .label("this gateway starts no command of an overlay")
                .help(
                    "start the gateway with `--overlay-commands` if whoever writes its overlay may run programs as its user; \
                     or compile the backend",
                );
        }
    }
}

/// Reports patterns that hide a tool at a backend to which a route leads calls of it from elsewhere: they would go on.
fn led_there(
    document: &Document<'_>,
    overlay: &Overlay,
    (backends, catalog): (&[plan::Backend], &resolve::Catalog),
    problems: &mut Problems,
) {
    for (name, settings) in overlay.backends.iter() {
        let leads_there = |item: &&resolve::Found| {
            let led = plan::led(&catalog.teams, item.exposed.backend, item.exposed.team);
            let mut led = led.filter_map(|own| backends.get(usize::from(own)));
            item.origin != *name && led.any(|own| own.name == *name)
        };
        for (index, pattern) in settings.tools.deny.iter().enumerate() {
            let Some(item) =
                catalog.tools.iter().filter(leads_there).find(|item| matches(pattern, &item.exposed.upstream))
            else {
                continue;
            };
            let place = document.value(steps!["backends", name, "tools", "deny", index]);
            let message = format!("a route leads calls of tool {} to backend `{name}`", quoted(&item.exposed.name));
            problems
                .error(Code::Unserved, place, message)
                .label("they would be made all the same")
                .help("deny it where it comes from, or `drain` the backend");
        }
    }
}
