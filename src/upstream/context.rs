//! What a transport needs of the gateway around it to open its links.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;

#[cfg(feature = "amendments")]
use super::Additions;
use super::heard::Lists;
use super::{Dropped, Group, OpenError, Patient, Rules, Upkeep, Weights};
use crate::catalog::plan;
use crate::clock::Clock;
use crate::references::{References, Unresolved};

/// One worker, as its links see it.
#[derive(Clone, Debug)]
pub struct Context {
    /// Index of the worker, from 0.
    pub(crate) worker: usize,
    /// Index of the endpoint, of several that a backend has.
    pub(crate) endpoint: usize,
    /// How many workers there are.
    pub(crate) workers: usize,
    /// Its clock.
    pub(crate) clock: Clock,
    /// What all workers share.
    pub(crate) shared: Arc<Shared>,
}

/// What is kept of one backend for all workers.
#[derive(Clone, Debug, Default)]
pub(super) struct Account {
    /// What became of its lists.
    pub(super) lists: Lists,
    /// What of it nobody got.
    pub(super) dropped: Dropped,
    /// Whether it is to be kept up.
    pub(super) upkeep: Upkeep,
}

/// What may change of one backend while the gateway runs, as far as its links go by it.
#[derive(Clone, Debug)]
pub(crate) struct Tuning {
    pub(crate) upkeep: Upkeep,
    pub(crate) weights: Weights,
    pub(crate) rules: Rules,
}

/// What the workers of one gateway share towards its backends.
#[derive(Debug)]
pub struct Shared {
    /// How `env:` and `file:` resolve.
    pub(crate) references: References,
    /// The executable that `command: self` starts.
    pub(crate) program: PathBuf,
    /// Of each backend, by its name.
    accounts: HashMap<String, Account>,
    /// The same of its endpoints.
    groups: HashMap<String, Arc<Group>>,
    /// What overlays add to both.
    #[cfg(feature = "amendments")]
    additions: Arc<Additions>,
    #[cfg(feature = "transport-stdio")]
    pub(super) hubs: super::stdio::Hubs,
}

impl Context {
    /// Where the endpoint is. A plan has as many as are opened.
    pub(super) fn url<'a>(&self, transport: &'a plan::Transport) -> &'a plan::Reference {
        const NOWHERE: &plan::Reference = &plan::Reference::Literal(std::borrow::Cow::Borrowed(""));
        transport.endpoints().get(self.endpoint).map_or(NOWHERE, |endpoint| &endpoint.url)
    }
}

// === impl Tuning ===

impl Tuning {
    /// As it is compiled.
    pub(crate) fn new(backend: &plan::Backend) -> Self {
        Self { upkeep: Upkeep::default(), weights: Weights::new(backend), rules: Rules::new(backend) }
    }
}

impl Shared {
    /// Prepares what the workers will share; starts nothing.
    #[must_use]
    pub(crate) fn new(references: References, program: PathBuf, backends: &[plan::Backend], tuning: &[Tuning]) -> Self {
        let account = |index: usize| {
            let upkeep = tuning.get(index).map(|own| own.upkeep.clone()).unwrap_or_default();
            Account { upkeep, ..Account::default() }
        };
        let accounts = backends.iter().enumerate().map(|(index, backend)| (backend.name.to_string(), account(index)));
        let accounts = accounts.collect();
        let group = |(index, backend): (usize, &plan::Backend)| {
            let tuning = tuning.get(index).map_or_else(|| Tuning::new(backend), Tuning::clone);
            (backend.name.to_string(), Arc::new(Group::new(backend, tuning)))
        };
        Self {
            references,
            program,
            groups: backends.iter().enumerate().map(group).collect(),
            #[cfg(feature = "amendments")]
            additions: Arc::default(),
            #[cfg(feature = "transport-stdio")]
            hubs: super::stdio::Hubs::new(backends, &accounts),
            accounts,
        }
    }

    /// The same, with what overlays add.
    #[cfg(feature = "amendments")]
    #[must_use]
    pub(crate) fn with(self, additions: Arc<Additions>) -> Self {
        Self { additions, ..self }
    }

    /// Every child that the workers will own, in the order of the backends.
    pub(crate) fn patients(&self) -> Vec<Patient> {
        #[cfg(feature = "transport-stdio")]
        return self.hubs.patients();
        #[cfg(not(feature = "transport-stdio"))]
        Vec::new()
    }

    /// The places of the children of this backend.
    #[cfg(feature = "transport-stdio")]
    pub(super) fn places(&self, backend: &plan::Backend) -> Option<Arc<super::stdio::Places>> {
        let places = self.hubs.of(&backend.name);
        #[cfg(feature = "amendments")]
        let places = places.or_else(|| self.additions.of(backend)?.lodging.map(|own| own.places()));
        places
    }

    /// What is kept of this backend.
    pub(super) fn account(&self, backend: &plan::Backend) -> Account {
        let account = self.accounts.get(&*backend.name).cloned();
        #[cfg(feature = "amendments")]
        let account = account.or_else(|| self.additions.of(backend).map(|own| own.account));
        account.unwrap_or_default()
    }

    /// What nobody got of each of these backends.
    pub(crate) fn dropped(&self, backends: &[plan::Backend]) -> Vec<Dropped> {
        backends.iter().map(|backend| self.account(backend).dropped).collect()
    }

    /// What workers share of the endpoints of this backend.
    pub(crate) fn group(&self, backend: &plan::Backend) -> Arc<Group> {
        let group = self.groups.get(&*backend.name).cloned();
        #[cfg(feature = "amendments")]
        let group = group.or_else(|| self.additions.of(backend).map(|own| own.group));
        group.unwrap_or_else(|| Arc::new(Group::new(backend, Tuning::new(backend))))
    }

    /// What workers share of the endpoints of every backend, in the order of these.
    pub(crate) fn groups(&self, backends: &[plan::Backend]) -> Vec<Arc<Group>> {
        backends.iter().map(|backend| self.group(backend)).collect()
    }

    /// The value a reference of this backend stands for.
    pub(super) fn resolve(&self, backend: &plan::Backend, reference: &plan::Reference) -> Result<String, OpenError> {
        let backend = backend.name.to_string();
        self.references.resolve(reference).map_err(|unresolved| match unresolved {
            Unresolved::Variable(name) => OpenError::VariableMissing { backend, name },
            Unresolved::File { path, source } => OpenError::FileUnreadable { backend, path, source },
        })
    }
}
