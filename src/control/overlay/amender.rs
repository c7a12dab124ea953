//! What makes another catalog of the compiled one, as an overlay says: the topology is resolved once more, with the overlay
//! and with what the backends that it adds say they offer, by what has compiled it. How they are asked is in [`listing`],
//! how the tables of the catalog come to be in [`tables`].
//!
//! **Invariant:** what was made once is not made again: an overlay that comes back finds its catalog.

mod listing;
mod tables;

use std::collections::{BTreeMap, HashMap};
#[expect(clippy::disallowed_types, reason = "no worker takes it")]
use std::sync::Mutex;
use std::sync::{Arc, MutexGuard, OnceLock, PoisonError};

use only1mcp_emit::Parts;
use only1mcp_model::diagnostic::Diagnostic;
use only1mcp_model::lock::{self, Section};
use only1mcp_model::overlay::base::Sections;
use only1mcp_model::overlay::{Base, Overlay};
use only1mcp_model::plan::{self, Plan};
use only1mcp_model::{Source, lock_path};

use super::OverlayError;
use crate::catalog::{self, Spec, Topology};
use crate::limits;
use crate::proxy::Tuned;
use crate::upstream::{Addition, Additions, Shared, Trial};
use listing::Asking;

/// See the module.
#[derive(Debug)]
pub(crate) struct Amender {
    spec: &'static Spec,
    sources: [&'static str; 2],
    /// What backends are asked with.
    shared: Arc<Shared>,
    /// Where those are entered that overlays add.
    additions: Arc<Additions>,
    workers: usize,
    /// Whether an overlay may add backends that are started.
    commands: bool,
    /// The compiled topology, once an overlay asks for it.
    base: OnceLock<Result<Base, Vec<Diagnostic>>>,
    #[expect(clippy::disallowed_types, reason = "no worker takes it")]
    made: Mutex<Made>,
}

/// What was made.
#[derive(Debug, Default)]
struct Made {
    /// The position of each catalog, by the digest of what it was made of.
    positions: HashMap<String, usize>,
    bytes: usize,
    /// What the backends offer that the overlay in force adds.
    listed: Listed,
}

/// What added backends offer, by their names; each with how it is reached.
type Listed = BTreeMap<String, (String, Section)>;

/// What came of asking added backends, so that nobody asks them once more for the same change. Those that were started to be
/// asked live for as long as somebody holds it: none is started a second time because another overlay came meanwhile.
#[derive(Clone, Debug, Default)]
pub(crate) struct Heard {
    listed: Listed,
    /// How those are reached that did not say what they offer, by their names.
    silent: BTreeMap<String, String>,
    trials: Vec<Arc<Trial>>,
}

/// What an overlay makes of the compiled catalog, checked: nothing, or another one.
#[derive(Debug, Default)]
pub(super) struct Amendment {
    plan: Option<Plan>,
    /// The text that it was made of.
    of: String,
    heard: Heard,
}

/// The same, made.
#[derive(Debug, Default)]
pub(super) struct Amended {
    /// The position of the catalog; 0 for the compiled one.
    catalog: usize,
    added: Vec<(plan::Backend, Addition)>,
    listed: Listed,
    /// Behind what holds the same.
    trials: Vec<Arc<Trial>>,
}

// === impl Amendment ===

impl Amendment {
    /// What came of asking the backends that it adds.
    pub(super) fn heard(&self) -> Heard {
        self.heard.clone()
    }
}

// === impl Amender ===

impl Amender {
    /// Makes catalogs of this one for so many workers. Backends are asked with what these share; such as are started may be
    /// added if `commands` says so.
    pub(crate) fn of<T: Topology>(shared: Shared, tuned: &Tuned, workers: usize, commands: bool) -> Self {
        let (base, made, additions) = (OnceLock::new(), Default::default(), Arc::clone(&tuned.additions));
        let shared = Arc::new(shared.with(Arc::clone(&additions)));
        Self { spec: T::SPEC, sources: T::SOURCES, shared, additions, workers, commands, base, made }
    }

    /// Checks what an overlay, which was read from `source`, makes of the compiled catalog. Backends that it adds are asked
    /// what they offer, unless that is known, or was `heard` before; one that does not say is left out for now.
    pub(super) fn check(
        &self,
        source: &Source,
        overlay: &Overlay,
        heard: &Heard,
    ) -> Result<Amendment, Vec<Diagnostic>> {
        if !overlay.amends() {
            return Ok(Amendment::default());
        }
        let base = self.base.get_or_init(|| self.read()).as_ref().map_err(Vec::clone)?;
        let (mut listed, mut silent) = (self.made().listed.clone(), heard.silent.clone());
        listed.extend(heard.listed.clone());
        let is_added =
            |name: &str, written: &str| overlay.added.get(name).is_some_and(|own| reach(&own.json) == written);
        listed.retain(|name, (written, _)| is_added(name, written));
        silent.retain(|name, written| is_added(name, written) && !listed.contains_key(name));
        // What is wrong by itself is told without asking anybody.
        let mut plan = base.with(source, overlay, &sections(&listed))?;
        let unlisted: Vec<plan::Backend> = self
            .added(&plan)
            .iter()
            .filter(|backend| !listed.contains_key(&*backend.name) && !silent.contains_key(&*backend.name))
            .filter(|backend| overlay.backends.get(&backend.name).is_none_or(|own| !own.disabled))
            .cloned()
            .collect();
        let mut trials = heard.trials.clone();
        // More than may be are not asked, and refused when it is made.
        let are_few = plan.backends.len() - self.spec.backends.len() <= limits::ADDED_BACKENDS_MAX;
        if are_few && !unlisted.is_empty() {
            let mut trial = Trial::new(&self.additions);
            let asking = self.asking(unlisted, &mut trial);
            trials.push(Arc::new(trial));
            for (name, asked) in listing::ask_all(asking, &self.shared.references) {
                let Some(added) = overlay.added.get(&name) else { continue };
                match asked {
                    Ok(section) => drop(listed.insert(name, (reach(&added.json), section))),
                    Err(why) => {
                        tracing::warn!(backend = name, why, "added backend does not say what it offers");
                        silent.insert(name, reach(&added.json));
                    }
                }
            }
            plan = base.with(source, overlay, &sections(&listed))?;
        }
        let contracts = lock::Lock { backends: sections(&listed) };
        let of = format!("{}\n{}", overlay.amendment(), contracts.render());
        Ok(Amendment { plan: Some(plan), of, heard: Heard { listed, silent, trials } })
    }

    /// Whether it can be made. Nothing is kept of it.
    pub(super) fn foresee(&self, amendment: &Amendment, tuned: &Tuned) -> Result<(), OverlayError> {
        let Amendment { plan: Some(plan), of, .. } = amendment else { return Ok(()) };
        let made = self.made();
        let places = self.places(plan, tuned)?;
        if made.positions.contains_key(&digest(of, &places)) { Ok(()) } else { made.parts(plan).map(drop) }
    }

    /// How each of these backends is asked: such as are started, by the children that they have for as long as they are on
    /// trial.
    fn asking(&self, backends: Vec<plan::Backend>, trial: &mut Trial) -> Vec<Asking> {
        let asking = backends.into_iter().filter_map(|backend| {
            if !matches!(backend.transport, plan::Transport::Stdio(_)) {
                return Some(Asking { backend, told: None });
            }
            // Where there is no place for it, there is none for the overlay.
            let guest = trial.enter(&backend)?.guest(&backend, &self.shared, self.workers)?;
            Some(Asking { backend, told: Some(self.additions.ward.ask(guest)) })
        });
        asking.collect()
    }

    /// Makes it, unless that was done before.
    pub(super) fn make(&self, amendment: Amendment, tuned: &Tuned) -> Result<Amended, OverlayError> {
        let Amendment { plan: Some(plan), of, heard: Heard { listed, mut trials, .. } } = amendment else {
            return Ok(Amended::default());
        };
        // What is entered and does not come to be in force is forgotten with it.
        trials.push(Arc::new(Trial::new(&self.additions)));
        let mut made = self.made();
        if self.added(&plan).len() > limits::ADDED_BACKENDS_MAX {
            return Err(OverlayError::Exhausted);
        }
        let enter = |backend: &plan::Backend| Some((backend.clone(), tuned.additions.enter(backend)?));
        let added: Option<Vec<_>> = self.added(&plan).iter().map(enter).collect();
        let added = added.ok_or(OverlayError::Exhausted)?;
        let places: Vec<usize> =
            added.iter().map(|(_, addition)| self.spec.backends.len() + addition.position).collect();
        let made_of = digest(&of, &places);
        let catalog = match made.positions.get(&made_of) {
            Some(known) => *known,
            None => {
                let (parts, bytes) = made.parts(&plan)?;
                let amended = tables::amended(self.spec, &plan, parts, &places);
                let catalog = tuned.amendments.keep(amended).ok_or(OverlayError::Exhausted)?;
                made.bytes = bytes;
                made.positions.insert(made_of, catalog);
                catalog
            }
        };
        Ok(Amended { catalog, added, listed, trials })
    }

    /// The backends of a plan that are not compiled.
    fn added<'p>(&self, plan: &'p Plan) -> &'p [plan::Backend] {
        &plan.backends[self.spec.backends.len()..]
    }

    /// The indices that they would have while the gateway runs.
    fn places(&self, plan: &Plan, tuned: &Tuned) -> Result<Vec<usize>, OverlayError> {
        let added = self.added(plan);
        let positions = tuned.additions.foresee(added).filter(|_| added.len() <= limits::ADDED_BACKENDS_MAX);
        let positions = positions.ok_or(OverlayError::Exhausted)?;
        Ok(positions.iter().map(|position| self.spec.backends.len() + position).collect())
    }

    /// Puts it in force for all workers.
    pub(super) fn publish(&self, amended: Amended, overlay: &Overlay, tuned: &Tuned) {
        let Amended { catalog, added, listed, trials } = amended;
        // Held to the end: no places are foreseen meanwhile.
        let mut made = self.made();
        made.listed = listed;
        tuned.set_added(&added, overlay);
        for (backend, addition) in &added {
            let is_due = overlay.backends.get(&backend.name).is_none_or(|own| !own.disabled);
            // Before a worker hears of it.
            if let Some(guest) = addition.guest(backend, &self.shared, self.workers).filter(|_| is_due)
                && let Err(why) = self.additions.ward.admit(guest)
            {
                tracing::warn!(backend = &*backend.name, why, "added backend cannot be started");
            }
            addition.nudge();
        }
        tuned.amendments.publish(catalog);
        let positions: Vec<usize> = added.iter().map(|(_, addition)| addition.position).collect();
        tuned.additions.keep(&positions);
        // By now it is decided whether they are to be kept up.
        drop(trials);
    }

    /// Whether a backend that an overlay adds has not said yet what it offers, and could.
    pub(super) fn lacks(&self, overlay: &Overlay) -> bool {
        let made = self.made();
        let is_asked = |name: &str| overlay.backends.get(name).is_none_or(|own| !own.disabled);
        overlay.added.iter().any(|(name, _)| is_asked(name) && !made.listed.contains_key(name))
    }

    fn read(&self) -> Result<Base, Vec<Diagnostic>> {
        let [topology, lock] = self.sources.map(str::to_owned);
        let path = format!("{}.yaml", self.spec.name);
        let beside = lock_path(path.as_ref()).display().to_string();
        let lock = (!lock.is_empty()).then_some(Source { path: beside, text: lock });
        let base = Base::read(Source { path, text: topology }, lock, catalog::features())?;
        Ok(base.commands(self.commands))
    }

    fn made(&self) -> MutexGuard<'_, Made> {
        self.made.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// === impl Made ===

impl Made {
    /// What the tables of one more catalog are made of, and how many bytes all would then come to.
    fn parts<'p>(&self, plan: &'p Plan) -> Result<(Parts<'p>, usize), OverlayError> {
        let parts = only1mcp_emit::parts(plan).map_err(|error| OverlayError::Unmakeable(error.to_string()))?;
        let bytes = self.bytes + tables::bytes(&parts);
        let is_full = bytes > limits::AMENDMENTS_BYTES_MAX || self.positions.len() >= limits::AMENDMENTS_MAX;
        if is_full { Err(OverlayError::Exhausted) } else { Ok((parts, bytes)) }
    }
}

/// What a catalog is made of: its text, and the places of its backends.
fn digest(of: &str, places: &[usize]) -> String {
    Source { path: String::new(), text: format!("{of}\n{places:?}") }.digest()
}

/// What of an added backend decides what it says that it offers: everything else may change without its being asked again.
fn reach(json: &str) -> String {
    const KEYS: [&str; 4] = ["transport", "endpoints", "era", "client_capabilities"];
    let own: BTreeMap<String, serde_json::Value> = serde_json::from_str(json).unwrap_or_default();
    KEYS.iter().filter_map(|key| Some(format!("{key}: {}\n", own.get(*key)?))).collect()
}

fn sections(listed: &Listed) -> Sections {
    listed.iter().map(|(name, (_, section))| (name.clone(), section.clone())).collect()
}
