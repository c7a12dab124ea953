//! A proxy that connections to a server go through, and who the gateway is towards it.

use super::credentials::{Auth, planned_auth};
use super::reach::Reach;
use crate::check::Check;
use crate::constant::constant;
use crate::diagnostic::Code;
use crate::plan::Reference;
use crate::yaml::{Step, steps};

constant! {
    /// A proxy that connections to a server go through.
    pub struct Proxy {
        /// `http://HOST:PORT`, or `env:NAME`.
        pub url: Reference,
        /// Who the gateway is towards it.
        pub auth: Option<Auth>,
    }
}

// === impl Reach ===

impl Reach<'_> {
    /// What the engine is given.
    pub(super) fn planned_proxy(self) -> Option<Proxy> {
        self.proxy.map(|url| Proxy { url: url.clone(), auth: planned_auth(self.proxy_auth) })
    }
}

// === impl Proxy ===

impl Proxy {
    /// What may be left to the process that starts, each with its name in a sentence.
    pub(super) fn references(&self) -> impl Iterator<Item = (String, &Reference)> {
        let auth = self.auth.iter().flat_map(Auth::references);
        let auth = auth.map(|(noun, reference)| (format!("{noun} of the proxy"), reference));
        [("proxy".to_owned(), &self.url)].into_iter().chain(auth)
    }
}

// === impl Check ===

impl Check<'_> {
    /// Every check of the proxy of a backend.
    pub(super) fn proxy(&mut self, name: &str, reach: Reach<'_>) {
        let Some(auth) = reach.proxy_auth else { return };
        let transport = ["backends", name, "transport", reach.key].map(Step::from);
        self.auth(&transport, "proxy_auth", auth);
        // A proxy that could not be read is a problem of its own.
        if reach.proxy.is_none() && !self.document.has(&[&transport[..], steps!["proxy"]].concat()) {
            let place = self.document.key(&[&transport[..], steps!["proxy_auth"]].concat());
            self.problems
                .error(Code::InvalidValue, place, "credentials for a proxy where there is none")
                .help("write `proxy: \"http://HOST:PORT\"` beside them, or leave them out");
        }
    }
}
