//! Stands for `tls` in a build without its feature: a listener that is to speak TLS is an error.

use super::StartError;
use crate::catalog::plan;
use crate::downstream::Shown;
use crate::references::References;

/// None exists.
#[derive(Debug)]
pub(super) enum Watch {}

impl Watch {
    /// Refuses to serve in plain what was to be served over TLS.
    pub(super) fn start(_: plan::ListenerTls, _: &References) -> Result<Self, StartError> {
        Err(StartError::TlsOff)
    }

    pub(super) fn shown(&self) -> Shown {
        match *self {}
    }

    pub(super) fn look(&self) {
        match *self {}
    }
}
