//! Whether each backend can be reached with what its topology says.

use super::Check;
use crate::Features;
use crate::address::{check_url, is_https};
use crate::diagnostic::{Code, quoted};
use crate::names::is_exposable;
use crate::plan::Reference;
use crate::secret::{suspect, suspect_variable};
use crate::topology::{Backend, Names, Stdio, StreamableHttp, Transport, is_variable_name};
use crate::yaml::{Step, steps};

// === impl Check ===

impl Check<'_> {
    /// Every check of every backend.
    pub(super) fn backends(&mut self, features: Features) {
        for (name, backend) in self.topology.backends.iter() {
            self.transport_features(name, backend, features);
            self.timeout(name, backend);
            self.renames(name, backend);
            match &backend.transport {
                Transport::Stdio(stdio) => {
                    self.no_endpoints(name, backend);
                    self.command(name, stdio);
                    self.variables(name, stdio);
                    self.arguments(name, stdio);
                }
                Transport::StreamableHttp(http) => {
                    self.one_endpoint(name, backend);
                    self.authorities(name, http);
                    self.tls(name, backend, http, features);
                }
            }
        }
    }

    fn timeout(&mut self, name: &str, backend: &Backend) {
        if let Some(timeout) = backend.timeout {
            self.timeout_bounds(steps!["backends", name, "timeout"], timeout);
        }
    }

    fn no_endpoints(&mut self, name: &str, backend: &Backend) {
        if !backend.endpoints.is_empty() {
            let place = self.document.key(steps!["backends", name, "endpoints"]);
            let message = format!("backend `{name}` is started, not reached: it has no endpoints");
            self.problems.error(Code::Endpoints, place, message);
        }
    }

    fn one_endpoint(&mut self, name: &str, backend: &Backend) {
        match &backend.endpoints[..] {
            [endpoint] => self.url(name, &endpoint.url),
            // Endpoints that could not be read are a problem of their own.
            [] if self.document.has(steps!["backends", name, "endpoints", 0]) => {}
            endpoints => {
                let place = self.document.key(steps!["backends", name, "endpoints"]);
                let message = format!("backend `{name}` has {} endpoints where one belongs", endpoints.len());
                self.problems.error(Code::Endpoints, place, message).help("write `endpoints: [{ url: \"http://…\" }]`");
            }
        }
    }

    fn url(&mut self, name: &str, url: &Reference) {
        let path = steps!["backends", name, "endpoints", 0, "url"];
        match url {
            Reference::Env(_) => {}
            Reference::File(_) => {
                let message = "url is not read from files".to_owned();
                self.invalid(Code::InvalidUrl, path, message, "write it, or `env:NAME`");
            }
            Reference::Literal(url) => {
                if let Err(why) = check_url(url) {
                    let message = format!("url {} is not that of an endpoint", quoted(url));
                    self.invalid(Code::InvalidUrl, path, message, why);
                }
            }
        }
    }

    fn authorities(&mut self, name: &str, http: &StreamableHttp) {
        if matches!(http.ca, Some(Reference::Literal(_) | Reference::Env(_))) {
            let path = steps!["backends", name, "transport", "streamable_http", "ca"];
            self.invalid(Code::InvalidValue, path, "authorities are read from a file".to_owned(), "write `file:PATH`");
        }
    }

    fn transport_features(&mut self, name: &str, backend: &Backend, features: Features) {
        let (key, on, feature) = match backend.transport {
            Transport::Stdio(_) => ("stdio", features.stdio, "transport-stdio"),
            Transport::StreamableHttp(_) => ("streamable_http", features.http, "transport-http"),
        };
        if !on {
            self.problems
                .error(
                    Code::TransportOff,
                    self.document.key(steps!["backends", name, "transport", key]),
                    format!("transport `{key}` is not part of this build"),
                )
                .help(format!("build with `--features {feature}`"));
        }
    }

    fn tls(&mut self, name: &str, backend: &Backend, http: &StreamableHttp, features: Features) {
        let https = matches!(&backend.endpoints[..], [endpoint, ..]
            if matches!(&endpoint.url, Reference::Literal(url) if is_https(url)));
        if features.tls || !(https || http.ca.is_some()) {
            return;
        }
        let place = if https {
            self.document.value(steps!["backends", name, "endpoints", 0, "url"])
        } else {
            self.document.key(steps!["backends", name, "transport", "streamable_http", "ca"])
        };
        self.problems
            .error(Code::TlsOff, place, format!("backend `{name}` needs TLS, which is not part of this build"))
            .help("build with `--features tls`");
    }

    fn command(&mut self, name: &str, stdio: &Stdio) {
        let at = |key| ["backends", name, "transport", "stdio", key].map(Step::from);
        if stdio.command.is_empty() || stdio.command.contains('\0') {
            self.invalid(Code::InvalidValue, &at("command"), "command is empty".to_owned(), "");
        } else if stdio.command.contains(char::is_whitespace) && !stdio.command.contains(['/', '\\']) {
            let message = format!("command {} holds blanks", quoted(&stdio.command));
            self.problems
                .error(Code::InvalidValue, self.document.value(&at("command")), message)
                .help("no shell reads it: the program goes into `command`, its arguments into `args`");
        }
        if stdio.cwd.as_ref().is_some_and(|cwd| cwd.is_empty() || cwd.contains('\0')) {
            self.invalid(Code::InvalidValue, &at("cwd"), "working directory is empty".to_owned(), "");
        }
    }

    fn variables(&mut self, name: &str, stdio: &Stdio) {
        for (variable, value) in stdio.env.iter() {
            let path = steps!["backends", name, "transport", "stdio", "env", variable];
            if !is_variable_name(variable) {
                let message = format!("variable {} is not letters, digits and `_`", quoted(variable));
                self.problems.error(Code::InvalidValue, self.document.key(path), message);
            }
            if let Reference::Literal(value) = value
                && let Some(why) = suspect_variable(variable, value)
            {
                self.problems
                    .error(Code::LiteralSecret, self.document.value(path), format!("secret in variable `{variable}`"))
                    .label(why)
                    .help(format!("write `env:{variable}`, or `file:PATH`: the gateway reads it when it starts"));
            }
        }
    }

    fn arguments(&mut self, name: &str, stdio: &Stdio) {
        for (index, arg) in stdio.args.iter().enumerate() {
            // `--key=VALUE` and `KEY=VALUE` hold their secret after the sign.
            let value = arg.split_once('=').map_or(arg.as_str(), |(_, value)| value);
            if let Some(why) = suspect(arg).or_else(|| suspect(value)) {
                let path = steps!["backends", name, "transport", "stdio", "args", index];
                self.problems
                    .error(Code::LiteralSecret, self.document.value(path), "secret among the arguments")
                    .label(why)
                    .help(
                        "arguments are visible to every process: hand it over in `env`, from `env:NAME` or `file:PATH`",
                    );
            }
            if arg.contains('\0') {
                let path = steps!["backends", name, "transport", "stdio", "args", index];
                self.invalid(Code::InvalidValue, path, "argument holds a zero byte".to_owned(), "");
            }
        }
    }

    fn renames(&mut self, name: &str, backend: &Backend) {
        let Names::Prefixed(prefixed) = &self.topology.names else { return };
        let length_max = prefixed.max_length.saturating_sub(name.len() + prefixed.separator.len());
        for (own, exposed) in backend.tools.rename.iter() {
            if !is_exposable(exposed, length_max) {
                let path = steps!["backends", name, "tools", "rename", own];
                let message = format!("rename to {}, which clients do not take", quoted(exposed));
                let why = format!("1 to {length_max} letters, digits, `_`, `-`");
                self.invalid(Code::InvalidRename, path, message, &why);
            }
        }
    }
}
