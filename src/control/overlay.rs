//! The overlay of a running gateway: what of it is in force, what was before, and the file that it is kept in. An edit
//! takes effect once it stands in the file, and what somebody else writes there takes effect too.
//!
//! When the file is looked at is in [`watch`]; what an overlay may say is checked in the crate `only1mcp-model`.
//!
//! **Invariant:** what does not pass the checks of an overlay changes nothing.

#[cfg(feature = "amendments")]
mod amender;
mod found;
#[cfg(not(feature = "amendments"))]
mod no_amender;
mod refused;
mod relisting;
mod watch;

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
#[expect(clippy::disallowed_types, reason = "no worker takes it")]
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, MutexGuard, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use only1mcp_model::Source;
use only1mcp_model::diagnostic::Diagnostic;
use only1mcp_model::overlay::{self, Compiled, Overlay};

use crate::proxy::{Settings, Tuned};
use crate::upstream::Patient;
use crate::{file, limits, telemetry};
use amender::{Amended, Amendment};
pub(crate) use amender::{Amender, Heard};
pub(crate) use found::Beginning;
use found::Found;
#[cfg(not(feature = "amendments"))]
use no_amender as amender;
pub use refused::{OverlayError, Rejected};
pub(super) use relisting::relist;
pub(super) use watch::watch;

/// What the path of an overlay is for messages where it has none.
const NAMELESS: &str = "overlay";

/// The overlay of a running gateway.
#[derive(Debug)]
pub struct OverlayStore {
    compiled: Compiled<'static>,
    amender: Amender,
    tuned: Arc<Tuned>,
    file: Option<PathBuf>,
    #[expect(clippy::disallowed_types, reason = "no worker takes it")]
    state: Mutex<State>,
    /// How often the file was read anew, by what came of it.
    reloads: [AtomicU64; Reload::ALL.len()],
    /// When an overlay was taken last, in milliseconds since 1970.
    taken_ms: AtomicU64,
}

#[derive(Debug)]
struct State {
    current: Arc<Published>,
    /// Those before it, the latest last.
    earlier: VecDeque<Arc<Published>>,
    /// What of the file is in force, or was found to be of no use and said so.
    judged: Found,
    rejected: Option<Rejected>,
}

/// One overlay that was in force, or is.
#[derive(Debug)]
#[non_exhaustive]
pub struct Published {
    /// The document.
    pub text: String,
    /// What it says.
    pub overlay: Overlay,
    /// Counts the overlays of this process from 0.
    pub generation: u64,
    /// How it came to be.
    pub by: By,
    /// Since when it is in force.
    pub since: SystemTime,
}

/// What a document comes to that passes its checks.
#[derive(Debug)]
pub(crate) struct Considered {
    pub(crate) overlay: Overlay,
    amendment: Amendment,
}

/// How an overlay came to be in force.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum By {
    /// The gateway started with it.
    Start,
    /// It stood in the file.
    File,
    /// Somebody gave it to the gateway.
    Edit,
    /// The one after it was taken back.
    Rollback,
}

/// What came of reading the file anew.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reload {
    /// It holds another overlay, which is in force now.
    Applied,
    /// It holds what is in force.
    Unchanged,
    /// What it holds is not taken: see [`OverlayStore::rejected`].
    Rejected,
}

// === impl Considered ===

#[cfg(feature = "admin")]
impl Considered {
    /// What came of asking the backends that it adds.
    pub(crate) fn heard(&self) -> Heard {
        self.amendment.heard()
    }
}

// === impl By ===

impl By {
    /// In a word.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::File => "file",
            Self::Edit => "edit",
            Self::Rollback => "rollback",
        }
    }
}

// === impl Reload ===

impl Reload {
    /// Every one, each at its index.
    pub const ALL: [Self; 3] = [Self::Applied, Self::Unchanged, Self::Rejected];

    /// In a word.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Applied => "applied",
            Self::Unchanged => "unchanged",
            Self::Rejected => "rejected",
        }
    }
}

// === impl OverlayStore ===

impl OverlayStore {
    /// Goes on from what a gateway starts with.
    ///
    /// # Errors
    /// When that does not go with what is compiled.
    pub(crate) fn new(
        compiled: Compiled<'static>,
        amender: Amender,
        tuned: Arc<Tuned>,
        beginning: Beginning,
    ) -> Result<Self, OverlayError> {
        let Beginning { file, found, overlay, text } = beginning;
        let path = file.as_ref().map_or(NAMELESS.to_owned(), |file| file.display().to_string());
        let source = Source { path, text: text.clone() };
        let amendment = amender.check(&source, &overlay, &Heard::default());
        let amendment = amendment.map_err(|problems| OverlayError::Refused { file: source, problems })?;
        amender.publish(amender.make(amendment, &tuned)?, &overlay, &tuned);
        let (generation, since) = (0, SystemTime::now());
        let current = Arc::new(Published { text, overlay, generation, by: By::Start, since });
        let state = State { current, earlier: VecDeque::new(), judged: found, rejected: None };
        #[expect(clippy::disallowed_types, reason = "no worker takes it")]
        let state = Mutex::new(state);
        let (reloads, taken_ms) = (Default::default(), AtomicU64::default());
        let own = Self { compiled, amender, tuned, file, state, reloads, taken_ms };
        own.note_taken(since);
        Ok(own)
    }

    /// The file that it is kept in, if it is.
    #[must_use]
    pub fn file(&self) -> Option<&Path> {
        self.file.as_deref()
    }

    /// What is in force.
    #[must_use]
    pub fn current(&self) -> Arc<Published> {
        Arc::clone(&self.state().current)
    }

    /// What of the file was not taken, unless something was since.
    #[must_use]
    pub fn rejected(&self) -> Option<Rejected> {
        self.state().rejected.clone()
    }

    /// How many overlays [`rollback`](Self::rollback) leads back through.
    #[must_use]
    pub fn earlier(&self) -> usize {
        self.state().earlier.len()
    }

    /// How often this came of reading the file anew.
    #[must_use]
    pub fn reloads(&self, reload: Reload) -> u64 {
        self.reloads[reload as usize].load(Relaxed)
    }

    /// When an overlay was taken last, in seconds since 1970; the first is the one that the gateway started with.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "milliseconds of this age are exact")]
    pub fn taken_seconds(&self) -> f64 {
        self.taken_ms.load(Relaxed) as f64 / 1e3
    }

    /// What the workers go by.
    pub(super) fn tuned(&self) -> &Arc<Tuned> {
        &self.tuned
    }

    /// Whether the backend of this index is disabled.
    pub(crate) fn is_disabled(&self, backend: usize) -> bool {
        self.tuned.of(backend).is_some_and(Settings::is_disabled)
    }

    /// The children of the backends that it adds.
    pub(crate) fn added_children(&self) -> Vec<Patient> {
        self.tuned.added_children()
    }

    /// Ends them; none is started after that.
    pub(crate) fn end_children(&self) {
        self.tuned.end_children();
    }

    /// Checks whether a document would be put in force, and changes nothing.
    ///
    /// # Errors
    /// When it does not pass its checks, or what it adds finds no place.
    pub fn check(&self, text: &str) -> Result<Overlay, OverlayError> {
        let considered = self.consider(text, &Heard::default())?;
        self.foresee(&considered)?;
        Ok(considered.overlay)
    }

    /// What a document comes to, for whoever puts it in force or only wants to know. Backends that it adds are asked what they
    /// offer, unless that was `heard` before.
    ///
    /// # Errors
    /// When it does not pass its checks.
    pub(crate) fn consider(&self, text: &str, heard: &Heard) -> Result<Considered, OverlayError> {
        let source = self.source(text);
        match self.read(&source, heard) {
            Ok((overlay, amendment)) => Ok(Considered { overlay, amendment }),
            Err(problems) => Err(OverlayError::Refused { file: source, problems }),
        }
    }

    /// Whether it could be put in force, as far as there is a place for what it adds.
    ///
    /// # Errors
    /// When there is none.
    pub(crate) fn foresee(&self, considered: &Considered) -> Result<(), OverlayError> {
        self.amender.foresee(&considered.amendment, &self.tuned)
    }

    /// What a document says, and what it makes of the compiled catalog.
    fn read(&self, source: &Source, heard: &Heard) -> Result<(Overlay, Amendment), Vec<Diagnostic>> {
        let overlay = overlay::load(source, self.compiled)?;
        let amendment = self.amender.check(source, &overlay, heard)?;
        Ok((overlay, amendment))
    }

    /// Puts a document in force, once it stands in the file.
    ///
    /// # Errors
    /// When it does not pass its checks or cannot be written. Then nothing has changed.
    pub fn apply(&self, text: &str) -> Result<Arc<Published>, OverlayError> {
        let applied = self.apply_over(text, self.consider(text, &Heard::default())?, None)?;
        Ok(applied.unwrap_or_else(|| self.current()))
    }

    /// Puts what was considered in force, written as this text, unless another overlay has come into force than the one of this
    /// generation, if one is given: then nothing has changed, and there is nothing to tell.
    pub(crate) fn apply_over(
        &self,
        text: &str,
        considered: Considered,
        generation: Option<u64>,
    ) -> Result<Option<Arc<Published>>, OverlayError> {
        let Considered { overlay, amendment } = considered;
        let mut state = self.state();
        if generation.is_some_and(|generation| generation != state.current.generation) {
            return Ok(None);
        }
        let amended = self.amender.make(amendment, &self.tuned)?;
        self.write(&mut state, text)?;
        Ok(Some(self.publish(&mut state, text.to_owned(), (overlay, amended), By::Edit)))
    }

    /// Puts the overlay in force that was before the current one, once it stands in the file.
    ///
    /// # Errors
    /// When none is known or it cannot be written. Then nothing has changed.
    pub fn rollback(&self) -> Result<Arc<Published>, OverlayError> {
        let mut heard = Heard::default();
        let (before, amendment, mut state) = loop {
            let (before, generation) = {
                let state = self.state();
                (state.earlier.back().cloned().ok_or(OverlayError::NoEarlier)?, state.current.generation)
            };
            // Whoever asks what is in force does not wait for backends that are asked what they offer.
            let read = self.amender.check(&self.source(&before.text), &before.overlay, &heard);
            let amendment =
                read.map_err(|problems| OverlayError::Refused { file: self.source(&before.text), problems })?;
            let state = self.state();
            if state.current.generation == generation {
                break (before, amendment, state);
            }
            heard = amendment.heard();
        };
        let amended = self.amender.make(amendment, &self.tuned)?;
        self.write(&mut state, &before.text)?;
        Ok(self.publish(&mut state, before.text.clone(), (before.overlay.clone(), amended), By::Rollback))
    }

    /// Reads the file anew, whether or not it has changed.
    pub fn reload(&self) -> Reload {
        let mut heard = Heard::default();
        let reload = loop {
            let (found, generation) = {
                let state = self.state();
                let found = self.found();
                // What was refused is judged once more: it may be taken by now, and who asks is to hear if it is not.
                if found == state.judged && found.is_usable() && state.rejected.is_none() {
                    tracing::info!("overlay is unchanged");
                    break Reload::Unchanged;
                }
                (found, state.current.generation)
            };
            if let Some(reload) = self.judge(found, generation, &mut heard) {
                break reload;
            }
        };
        self.reloads[reload as usize].fetch_add(1, Relaxed);
        reload
    }

    /// The same where somebody may have written it. What was judged before is not judged again, and not counted. What is
    /// written meanwhile is seen at the next look.
    fn look(&self) {
        let (found, generation) = {
            let state = self.state();
            let found = self.found();
            if found == state.judged {
                return;
            }
            (found, state.current.generation)
        };
        if let Some(reload) = self.judge(found, generation, &mut Heard::default()) {
            self.reloads[reload as usize].fetch_add(1, Relaxed);
        }
    }

    /// Takes up what the file holds; `None` where it was written, or another overlay came, while backends were asked what they
    /// offer: whoever asks what is in force does not wait for that. What came of asking them is `heard`.
    fn judge(&self, found: Found, generation: u64, heard: &mut Heard) -> Option<Reload> {
        let taken = self.take(&found, heard);
        let mut state = self.state();
        if state.current.generation != generation || self.found() != found {
            return None;
        }
        state.judged = found;
        Some(match taken {
            Ok((_, text)) if text == state.current.text => {
                state.rejected = None;
                Reload::Unchanged
            }
            Ok((taken, text)) => {
                self.publish(&mut state, text, taken, By::File);
                Reload::Applied
            }
            Err(error) => {
                error.log();
                state.rejected = Some(Rejected { at: SystemTime::now(), error: Arc::new(error) });
                Reload::Rejected
            }
        })
    }

    /// What the file says, and its text.
    fn take(&self, found: &Found, heard: &mut Heard) -> Result<((Overlay, Amended), String), OverlayError> {
        match found {
            Found::Text(source) => {
                let refused = |problems| OverlayError::Refused { file: source.clone(), problems };
                let (overlay, amendment) = self.read(source, heard).map_err(refused)?;
                *heard = amendment.heard();
                Ok(((overlay, self.amender.make(amendment, &self.tuned)?), source.text.clone()))
            }
            Found::Absent => {
                tracing::warn!(file = self.name(), "overlay is deleted: all settings are as they were compiled");
                Ok((Default::default(), Overlay::default().to_string()))
            }
            Found::Nowhere => Err(self.unreadable("its directory is not there")),
            Found::Unreadable(why) => Err(self.unreadable(why)),
        }
    }

    /// Whether the overlay in force adds a backend that has not said what it offers.
    fn lacks(&self) -> bool {
        self.amender.lacks(&self.current().overlay)
    }

    /// Asks such backends once more. What they offer is added to what is in force, unless that has changed meanwhile.
    fn relist(&self) {
        let current = self.current();
        let source = self.source(&current.text);
        let made = self.amender.check(&source, &current.overlay, &Heard::default());
        let made = made.map_err(|problems| OverlayError::Refused { file: source, problems });
        let made = made.and_then(|amendment| self.amender.make(amendment, &self.tuned));
        let state = self.state();
        match made {
            Ok(amended) if state.current.generation == current.generation => {
                self.amender.publish(amended, &current.overlay, &self.tuned);
                self.tuned.publish(self.compiled.backends, &current.overlay);
            }
            Ok(_) => {}
            Err(error) => error.log(),
        }
    }

    /// Puts an overlay in force, with the catalog that it makes.
    fn publish(
        &self,
        state: &mut State,
        text: String,
        (overlay, amended): (Overlay, Amended),
        by: By,
    ) -> Arc<Published> {
        self.amender.publish(amended, &overlay, &self.tuned);
        self.tuned.publish(self.compiled.backends, &overlay);
        let (generation, since) = (state.current.generation + 1, SystemTime::now());
        let changes: Vec<String> = overlay.changes(self.compiled.backends).iter().map(ToString::to_string).collect();
        let changes = telemetry::one_line(changes.join(", ").as_bytes());
        tracing::info!(generation, by = by.as_str(), changes, "overlay is in force");
        let published = Arc::new(Published { text, overlay, generation, by, since });
        let before = std::mem::replace(&mut state.current, Arc::clone(&published));
        if by == By::Rollback {
            // It is the current one by now, and what was taken back does not come again.
            state.earlier.pop_back();
        } else {
            if state.earlier.len() >= limits::OVERLAYS_KEPT {
                state.earlier.pop_front();
            }
            state.earlier.push_back(before);
        }
        state.rejected = None;
        self.note_taken(since);
        published
    }

    /// Writes the file, if there is one to be, so that it is not taken up once more.
    fn write(&self, state: &mut State, text: &str) -> Result<(), OverlayError> {
        let Some(path) = &self.file else { return Ok(()) };
        let unwritten = |source| OverlayError::Unwritten { path: path.clone(), source };
        file::write_whole(path, text).map_err(unwritten)?;
        state.judged = Found::Text(self.source(text));
        Ok(())
    }

    fn found(&self) -> Found {
        self.file.as_deref().map_or(Found::Absent, Found::read)
    }

    fn source(&self, text: &str) -> Source {
        Source { path: self.name(), text: text.to_owned() }
    }

    fn name(&self) -> String {
        self.file.as_ref().map_or(NAMELESS.to_owned(), |file| file.display().to_string())
    }

    fn unreadable(&self, why: &str) -> OverlayError {
        OverlayError::Unreadable { path: self.name().into(), why: why.to_owned() }
    }

    fn note_taken(&self, at: SystemTime) {
        let taken = at.duration_since(UNIX_EPOCH).unwrap_or_default().as_millis();
        self.taken_ms.store(u64::try_from(taken).unwrap_or(u64::MAX), Relaxed);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Whoever panicked has left it whole: it is changed by single steps.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
