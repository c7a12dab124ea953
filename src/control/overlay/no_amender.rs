//! Without the feature `amendments`, in place of `amender`: no overlay makes another catalog.

use only1mcp_model::Source;
use only1mcp_model::diagnostic::Diagnostic;
use only1mcp_model::overlay::{self, Overlay};

use super::OverlayError;
use crate::catalog::Topology;
use crate::proxy::Tuned;
use crate::upstream::Shared;

/// What would make catalogs.
#[derive(Debug)]
pub(crate) struct Amender;

/// What came of asking added backends: there are none.
#[derive(Clone, Debug, Default)]
pub(crate) struct Heard(());

/// What an overlay makes of the compiled catalog: nothing.
#[derive(Debug, Default)]
pub(super) struct Amendment;

/// The same, made.
#[derive(Debug, Default)]
pub(super) struct Amended;

// === impl Amendment ===

#[expect(clippy::unused_self, reason = "as in a build with the feature")]
impl Amendment {
    pub(super) fn heard(&self) -> Heard {
        Heard(())
    }
}

// === impl Amender ===

#[expect(clippy::unused_self, clippy::extra_unused_type_parameters, reason = "as in a build with the feature")]
impl Amender {
    pub(crate) fn of<T: Topology>(_shared: Shared, _tuned: &Tuned, _workers: usize, _commands: bool) -> Self {
        Self
    }

    pub(super) fn check(
        &self,
        source: &Source,
        overlay: &Overlay,
        _heard: &Heard,
    ) -> Result<Amendment, Vec<Diagnostic>> {
        if overlay.amends() { Err(overlay::refuse_amendments(source, overlay)) } else { Ok(Amendment) }
    }

    #[expect(clippy::unnecessary_wraps, reason = "as in a build with the feature")]
    pub(super) fn foresee(&self, _amendment: &Amendment, _tuned: &Tuned) -> Result<(), OverlayError> {
        Ok(())
    }

    #[expect(clippy::unnecessary_wraps, reason = "as in a build with the feature")]
    pub(super) fn make(&self, _amendment: Amendment, _tuned: &Tuned) -> Result<Amended, OverlayError> {
        Ok(Amended)
    }

    pub(super) fn publish(&self, _amended: Amended, _overlay: &Overlay, _tuned: &Tuned) {}

    pub(super) fn lacks(&self, _overlay: &Overlay) -> bool {
        false
    }
}
