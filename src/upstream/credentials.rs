//! What a backend is shown with every request, and a proxy before it, as fields. Their values are secrets, mostly: nothing shows them.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use only1mcp_model::check_token;
use only1mcp_model::transport::{check_field_value, check_password, check_username};

use super::{OpenError, Shared, plan};

/// The fields, each with its line end.
#[derive(Default)]
pub(super) struct Fields(String);

// === impl Fields ===

impl Fields {
    /// Resolves the credentials of a backend.
    pub(super) fn new(
        shared: &Shared,
        backend: &plan::Backend,
        credentials: &plan::Credentials,
    ) -> Result<Self, OpenError> {
        let mut fields = Self::default();
        for header in credentials.headers.iter() {
            let value = resolve(shared, backend, "value of a header", &header.value, check_field_value)?;
            fields.add(&header.name, &value);
        }
        if let Some(auth) = &credentials.auth {
            fields.add_auth("authorization", shared, backend, auth)?;
        }
        Ok(fields)
    }

    /// Adds the field of this name that says who the gateway is.
    pub(super) fn add_auth(
        &mut self,
        name: &str,
        shared: &Shared,
        backend: &plan::Backend,
        auth: &plan::Auth,
    ) -> Result<(), OpenError> {
        let value = match auth {
            plan::Auth::Bearer(token) => format!("Bearer {}", resolve(shared, backend, "token", token, check_token)?),
            plan::Auth::Basic(basic) => {
                let username = resolve(shared, backend, "username", &basic.username, check_username)?;
                let password = resolve(shared, backend, "password", &basic.password, check_password)?;
                format!("Basic {}", STANDARD.encode(format!("{username}:{password}")))
            }
        };
        self.add(name, &value);
        Ok(())
    }

    fn add(&mut self, name: &str, value: &str) {
        self.0.extend([name, ": ", value, "\r\n"]);
    }

    /// For the head of a request.
    pub(super) fn as_str(&self) -> &str {
        &self.0
    }
}

/// What a reference stands for, if that is what it has to be.
fn resolve(
    shared: &Shared,
    backend: &plan::Backend,
    noun: &str,
    reference: &plan::Reference,
    check: fn(&str) -> Result<(), &'static str>,
) -> Result<String, OpenError> {
    let value = shared.resolve(backend, reference)?;
    check(&value).map(|()| value).map_err(|why| OpenError::Invalid {
        backend: backend.name.to_string(),
        // What a reference stands for is never shown.
        detail: format!("reference `{reference}` stands for no {noun}: {why}"),
    })
}

impl fmt::Debug for Fields {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Fields").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_not_shown() {
        let mut fields = Fields::default();
        fields.add("x-api-key", "hunter2");
        assert_eq!(fields.as_str(), "x-api-key: hunter2\r\n");
        assert!(!format!("{fields:?}").contains("hunter2"));
    }
}
