//! Who may ask the control plane: by the name asked for, the page that asks, the machine, the token.

use std::net::IpAddr;

use hyper::header::{AUTHORIZATION, HOST, HeaderName, ORIGIN};
use hyper::{Request, Version};
use subtle::ConstantTimeEq as _;

use crate::http1::Field;
use crate::proxy::{Foreign, Site};

const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// Who may ask.
#[derive(Debug)]
pub(crate) struct Access {
    site: Site,
    token: Option<Token>,
}

/// The bearer token that other machines show.
pub(crate) struct Token(String);

/// Why a request is turned away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Denied {
    /// It does not say clearly for whom it is.
    Malformed,
    /// It was meant for someone else, or made by a page of someone else.
    Foreign(Foreign),
    /// It comes from another machine, or would change something, without the token.
    Token,
    /// It would change something, and there is no token that it could show.
    NoToken,
}

// === impl Access ===

impl Access {
    pub(crate) fn new(site: Site, token: Option<Token>) -> Self {
        Self { site, token }
    }

    /// Checks the head of a request; everyone on this machine may read.
    pub(super) fn check<B>(&self, peer: IpAddr, request: &Request<B>) -> Result<(), Denied> {
        let host = field(request, &HOST);
        // The general server lets several hosts, none, and whole URLs pass.
        let needed = u32::from(request.version() > Version::HTTP_10);
        if !(needed..=1).contains(&host.count) || request.uri().authority().is_some() {
            return Err(Denied::Malformed);
        }
        self.site.check(host, field(request, &ORIGIN), field(request, &SEC_FETCH_SITE)).map_err(Denied::Foreign)?;
        // An IPv4 peer of an IPv6 socket has a mapped address.
        let local = peer.to_canonical().is_loopback();
        if local || self.is_shown(field(request, &AUTHORIZATION)) { Ok(()) } else { Err(Denied::Token) }
    }

    /// Checks the same head for a request that changes something: on this machine are programs that may not.
    pub(super) fn check_change<B>(&self, request: &Request<B>) -> Result<(), Denied> {
        match &self.token {
            None => Err(Denied::NoToken),
            Some(_) if self.is_shown(field(request, &AUTHORIZATION)) => Ok(()),
            Some(_) => Err(Denied::Token),
        }
    }

    fn is_shown(&self, authorization: Field<'_>) -> bool {
        let shown = authorization.once().and_then(|value| value.split_at_checked(b"Bearer ".len()));
        let (Some(token), Some((scheme, shown))) = (&self.token, shown) else { return false };
        scheme.eq_ignore_ascii_case(b"Bearer ") && bool::from(shown.trim_ascii().ct_eq(token.0.as_bytes()))
    }
}

fn field<'a, B>(request: &'a Request<B>, name: &HeaderName) -> Field<'a> {
    let mut field = Field::default();
    for value in request.headers().get_all(name) {
        field.add(value.as_bytes());
    }
    field
}

// === impl Token ===

impl Token {
    /// `None` for a text that no client could show.
    pub(crate) fn new(text: String) -> Option<Self> {
        only1mcp_model::check_token(&text).is_ok().then_some(Self(text))
    }
}

impl std::fmt::Debug for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Token(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ELSEWHERE: &str = "10.0.0.7";

    fn check(peer: &str, token: Option<&str>, fields: &[(&str, &str)]) -> Result<(), Denied> {
        let mut request = Request::get("/metrics");
        for (name, value) in fields {
            request = request.header(*name, *value);
        }
        let request = request.body(()).expect("a request");
        let token = token.map(|token| Token::new(token.to_owned()).expect("a token"));
        Access::new(Site::new(vec!["10.0.0.1".to_owned()], Vec::new()), token)
            .check(peer.parse().expect("an address"), &request)
    }

    #[test]
    fn other_machines_show_the_token() {
        let host = ("Host", "10.0.0.1:9090");
        for peer in ["127.0.0.1", "::1", "::ffff:127.0.0.1"] {
            assert_eq!(check(peer, Some("secret"), &[host]), Ok(()), "{peer}");
        }
        for peer in [ELSEWHERE, "::ffff:10.0.0.7", "2001:db8::1"] {
            assert_eq!(check(peer, Some("secret"), &[host]), Err(Denied::Token), "{peer}");
        }
        for value in ["Bearer secret", "bearer secret", "Bearer  secret "] {
            assert_eq!(check(ELSEWHERE, Some("secret"), &[host, ("Authorization", value)]), Ok(()), "{value}");
        }
        for value in
            ["", "Bearer", "Bearer ", "Bearer secre", "Bearer secrets", "Bearer SECRET", "Basic secret", "secret"]
        {
            assert_eq!(
                check(ELSEWHERE, Some("secret"), &[host, ("Authorization", value)]),
                Err(Denied::Token),
                "{value}"
            );
        }
        let twice = [host, ("Authorization", "Bearer secret"), ("Authorization", "Bearer secret")];
        assert_eq!(check(ELSEWHERE, Some("secret"), &twice), Err(Denied::Token));
        assert_eq!(check(ELSEWHERE, None, &[host, ("Authorization", "Bearer ")]), Err(Denied::Token));
    }

    #[test]
    fn a_change_needs_the_token_from_wherever_it_comes() {
        let change = |token: Option<&str>, shown: Option<&str>| {
            let mut request = Request::put("/");
            if let Some(shown) = shown {
                request = request.header("Authorization", format!("Bearer {shown}"));
            }
            let token = token.map(|token| Token::new(token.to_owned()).expect("a token"));
            let access = Access::new(Site::new(Vec::new(), Vec::new()), token);
            access.check_change(&request.body(()).expect("a request"))
        };
        assert_eq!(change(Some("secret"), Some("secret")), Ok(()));
        assert_eq!(change(Some("secret"), Some("secreT")), Err(Denied::Token));
        assert_eq!(change(Some("secret"), None), Err(Denied::Token));
        assert_eq!(change(None, None), Err(Denied::NoToken));
        assert_eq!(change(None, Some("secret")), Err(Denied::NoToken));
    }

    #[test]
    fn a_token_is_a_word() {
        for text in ["", "a b", "a\n", "é"] {
            assert!(Token::new(text.to_owned()).is_none(), "{text:?}");
        }
        assert_eq!(format!("{:?}", Token::new("secret".to_owned())), "Some(Token(…))");
    }

    #[test]
    fn a_request_says_once_for_whom_it_is() {
        let local = "127.0.0.1";
        for fields in [&[][..], &[("Host", "localhost"), ("Host", "localhost")]] {
            assert_eq!(check(local, None, fields), Err(Denied::Malformed), "{fields:?}");
        }
        for host in ["evil.example", "evil.example:9090", "localhost.evil.example"] {
            assert_eq!(check(local, None, &[("Host", host)]), Err(Denied::Foreign(Foreign::Host)), "{host}");
        }
        let page = [("Host", "localhost"), ("Origin", "https://evil.example")];
        assert_eq!(check(local, None, &page), Err(Denied::Foreign(Foreign::Origin)));
        let embedded = [("Host", "localhost"), ("Sec-Fetch-Site", "cross-site")];
        assert_eq!(check(local, None, &embedded), Err(Denied::Foreign(Foreign::Origin)));
        assert_eq!(check(local, None, &[("Host", "localhost"), ("Origin", "http://localhost:3000")]), Ok(()));
    }
}
