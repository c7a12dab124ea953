//! Which values a topology leaves to the process, and whether they are there.
//!
//! How a reference resolves is up to the caller: this crate reads neither the environment nor files named by a topology.

use super::Check;
use crate::address::{check_address, check_mcp_address, check_proxy, check_url};
use crate::diagnostic::{Code, quoted};
use crate::plan::Reference;
use crate::seal_key::seal_keys;
use crate::secret::check_token;
use crate::transport::{check_field_value, check_password, check_username};
use crate::yaml::{Place, Step, steps};

/// The value of a reference, or why there is none.
pub(crate) type Resolves<'r> = &'r dyn Fn(&Reference) -> Result<String, String>;

/// What a reference has to stand for.
#[derive(Clone, Copy)]
pub(crate) enum Form {
    Any,
    Url,
    ProxyUrl,
    Address,
    AdminAddress,
    Token,
    FieldValue,
    Username,
    Password,
    SealKey,
}

// === impl Check ===

impl<'a> Check<'a> {
    /// Reports every reference that does not resolve, or to something of another form. The value itself is never shown.
    pub(crate) fn references(&mut self, resolves: Resolves<'_>) {
        for (place, reference, form) in self.all_references() {
            let [absent, other] = match reference {
                Reference::Literal(_) => continue,
                Reference::Env(_) => ["set the variable where the gateway starts", "set the variable to such a one"],
                Reference::File(_) => ["write the file, or correct its path", "write such a one into the file"],
            };
            let text = quoted(&reference.to_string());
            match resolves(reference) {
                Err(why) => {
                    let message = format!("reference {text} does not resolve");
                    self.problems.error(Code::UndefinedReference, place, message).label(why).help(absent);
                }
                Ok(value) => {
                    if let Err((noun, why)) = form.check(&value) {
                        let message = format!("reference {text} stands for no {noun}");
                        self.problems.error(Code::UndefinedReference, place, message).label(why).help(other);
                    } else if let (Form::AdminAddress, Some(admin)) = (form, &self.topology.listen.admin) {
                        self.open_admin(admin, &value);
                    }
                }
            }
        }
    }

    fn all_references(&self) -> Vec<(Place, &'a Reference, Form)> {
        let (topology, document) = (self.topology, self.document);
        let mcp = &topology.listen.mcp.address;
        let mut found = vec![(document.value(steps!["listen", "mcp", "address"]), mcp, Form::Address)];
        if let Some(tls) = &topology.listen.mcp.tls {
            let place = |key| document.value(steps!["listen", "mcp", "tls", key]);
            found.extend([(place("cert"), &tls.cert, Form::Any), (place("key"), &tls.key, Form::Any)]);
            found.extend(tls.client_ca.iter().map(|ca| (place("client_ca"), ca, Form::Any)));
        }
        if let Some(admin) = &topology.listen.admin {
            let place = document.value(steps!["listen", "admin", "address"]);
            found.push((place, &admin.address, Form::AdminAddress));
            let place = document.value(steps!["listen", "admin", "token"]);
            found.extend(admin.token.iter().map(|token| (place, token, Form::Token)));
        }
        if let Some(key) = &topology.sessions.seal_key {
            found.push((document.value(steps!["sessions", "seal_key"]), key, Form::SealKey));
        }
        for (name, backend) in topology.backends.iter() {
            for (index, endpoint) in backend.endpoints.iter().enumerate() {
                let place = document.value(steps!["backends", name, "endpoints", index, "url"]);
                found.push((place, &endpoint.url, Form::Url));
            }
            let transport = ["backends", name, "transport", backend.transport.kind().key].map(Step::from);
            found.extend(backend.transport.references().into_iter().map(|(steps, reference, form)| {
                let place = document.value(&transport.iter().chain(&steps).copied().collect::<Vec<_>>());
                (place, reference, form)
            }));
        }
        found
    }
}

// === impl Form ===

impl Form {
    /// What a value is not, and why.
    fn check(self, value: &str) -> Result<(), (&'static str, &'static str)> {
        let (noun, checked) = match self {
            Self::Any => return Ok(()),
            Self::Url => ("URL of an endpoint", check_url(value)),
            Self::ProxyUrl => ("URL of a proxy", check_proxy(value)),
            Self::Address => ("address to listen on", check_mcp_address(value)),
            Self::AdminAddress => ("address to listen on", check_address(value)),
            Self::Token => ("token", check_token(value)),
            Self::FieldValue => ("value of a header", check_field_value(value)),
            Self::Username => ("username", check_username(value)),
            Self::Password => ("password", check_password(value)),
            Self::SealKey => ("key to seal with", seal_keys(value).map(drop)),
        };
        checked.map_err(|why| (noun, why))
    }
}
