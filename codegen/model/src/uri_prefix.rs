//! URIs of resources behind the name of their backend: `scheme://rest` of `data` is `scheme://data/rest`. Which backends are
//! served so is the topology's to say.

use std::borrow::Cow;

use crate::plan::Backend;

// === impl Backend ===

impl Backend {
    /// The URI, or URI template, under which clients know one of this backend. What may be fetched from the web, and what
    /// has no `://`, is known to them as it is.
    #[must_use]
    pub fn exposed_uri<'u>(&self, own: &'u str) -> Cow<'u, str> {
        match split(own).filter(|_| self.rewrites_uris) {
            Some((scheme, rest)) => Cow::Owned(format!("{scheme}://{}/{rest}", self.name)),
            None => Cow::Borrowed(own),
        }
    }

    /// What this backend calls a URI, or URI template, that clients know.
    #[must_use]
    pub fn own_uri<'u>(&self, exposed: &'u str) -> Cow<'u, str> {
        let split = split(exposed).filter(|_| self.rewrites_uris);
        let own = split.and_then(|(scheme, rest)| Some((scheme, rest.strip_prefix(&*self.name)?.strip_prefix('/')?)));
        own.map_or(Cow::Borrowed(exposed), |(scheme, rest)| Cow::Owned(format!("{scheme}://{rest}")))
    }
}

/// The name that stands where a URI has that of its backend, if it has one.
#[must_use]
pub fn backend_name(exposed: &str) -> Option<&str> {
    split(exposed)?.1.split_once('/').map(|(name, _)| name)
}

/// What stands before `://` and behind it, of a URI that may be rewritten.
fn split(uri: &str) -> Option<(&str, &str)> {
    let (scheme, rest) = uri.split_once("://")?;
    // RFC 3986, section 3.1: `{` begins an expression of a template, and any of these would be part of a path.
    let is_scheme = scheme.starts_with(|first: char| first.is_ascii_alphabetic())
        && scheme.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.'));
    let is_web = ["http", "https"].iter().any(|web| scheme.eq_ignore_ascii_case(web));
    (is_scheme && !is_web).then_some((scheme, rest))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{Features, Source};

    fn backend(rewrites_uris: bool) -> Backend {
        let text = "name: t\nbackends: { data: { transport: { stdio: { command: self } } } }\n".to_owned();
        let source = Source { path: "t.yaml".to_owned(), text };
        let (plan, _no_lock) = crate::load(&source, None, &Features::all()).expect("a good topology");
        Backend { rewrites_uris, ..plan.backends[0].clone() }
    }

    #[test]
    fn the_name_goes_behind_the_scheme_of_what_is_not_of_the_web() {
        for (own, exposed) in [
            ("db://tables/a", "db://data/tables/a"),
            ("db://", "db://data/"),
            ("file:///a/b", "file://data//a/b"),
            ("db://data/x", "db://data/data/x"),
            ("a+b-c.1://x", "a+b-c.1://data/x"),
            ("db://{table}/rows{?page}", "db://data/{table}/rows{?page}"),
            ("https://example.com/a", "https://example.com/a"),
            ("HTTP://example.com/{a}", "HTTP://example.com/{a}"),
            ("urn:isbn:1", "urn:isbn:1"),
            ("{+path}", "{+path}"),
            ("{scheme}://x", "{scheme}://x"),
            ("1db://x", "1db://x"),
            ("urn:a?of=db://x", "urn:a?of=db://x"),
            ("", ""),
        ] {
            assert_eq!(backend(true).exposed_uri(own), exposed);
            assert_eq!(backend(true).own_uri(exposed), own);
            assert_eq!(
                (backend(false).exposed_uri(own), backend(false).own_uri(exposed)),
                (own.into(), exposed.into())
            );
        }
    }

    #[test]
    fn what_bears_another_name_is_nobodys_own() {
        for uri in ["db://datax/a", "db://data", "db://Data/a", "db:///data/a", "https://data/a"] {
            assert_eq!(backend(true).own_uri(uri), uri);
        }
        assert_eq!(backend_name("db://data/x/y"), Some("data"));
        assert_eq!(backend_name("db:///x"), Some(""));
        assert_eq!([backend_name("db://data"), backend_name("https://data/x"), backend_name("urn:x")], [None; 3]);
    }

    proptest! {
        #[test]
        fn what_is_exposed_leads_back_to_what_it_was(own in "[a-z0-9+]{0,4}(:|://)[a-z/{}?:]{0,12}") {
            let backend = backend(true);
            let exposed = backend.exposed_uri(&own).into_owned();
            if exposed == own {
                // It may look like one that bears the name: then it is taken for that.
                prop_assert!(split(&own).is_none());
            }
            prop_assert_eq!(backend.own_uri(&exposed), own);
        }
    }
}
