//! Without the feature `transport-stdio`, in place of `stdio/ward`: nothing is started.

use std::sync::Arc;

use tokio::sync::oneshot;

use super::context::Account;
use super::{Group, Patient, Shared, Told, plan};

/// Where children would live.
#[derive(Debug, Default)]
pub(crate) struct Ward;

/// There is none.
#[derive(Debug)]
pub(crate) enum Lodging {}

/// There is none.
#[derive(Debug)]
pub(crate) enum Guest {}

// === impl Lodging ===

impl Lodging {
    pub(super) fn new(_: &plan::Backend, _: &Account) -> Option<Arc<Self>> {
        None
    }

    pub(crate) fn patients(&self) -> std::iter::Empty<Patient> {
        match *self {}
    }

    pub(crate) fn nudge(&self) {
        match *self {}
    }
}

// === impl Guest ===

impl Guest {
    pub(super) fn new(_: &plan::Backend, lodging: &Arc<Lodging>, _: &Arc<Group>, _: &Arc<Shared>, _: usize) -> Self {
        match **lodging {}
    }
}

// === impl Ward ===

#[expect(clippy::unused_self, reason = "as in a build with the feature")]
impl Ward {
    pub(crate) fn admit(&self, guest: Guest) -> Result<(), String> {
        match guest {}
    }

    pub(crate) fn ask(&self, guest: Guest) -> oneshot::Receiver<Told> {
        match guest {}
    }

    pub(crate) fn close(&self) {}
}
