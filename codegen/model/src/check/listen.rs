//! Whether the listeners can be listened on, and by whom they can be reached.

use super::Check;
use crate::address::{check_address, check_host, check_mcp_address, check_origin, collide, is_loopback};
use crate::diagnostic::{Code, quoted};
use crate::features::{ADMIN, TLS};
use crate::plan::Reference;
use crate::topology::AdminListener;
use crate::yaml::{Step, steps};

// === impl Check ===

impl Check<'_> {
    /// Every check of the listener for MCP.
    pub(super) fn mcp_listener(&mut self) {
        let mcp = &self.topology.listen.mcp;
        self.address(steps!["listen", "mcp", "address"], &mcp.address, check_mcp_address);
        self.listener_tls();
        if !mcp.path.starts_with('/') || !mcp.path.bytes().all(|b| b.is_ascii_graphic() && !matches!(b, b'?' | b'#')) {
            let message = format!("path {} is not that of a URL", quoted(&mcp.path));
            self.invalid(Code::InvalidListen, steps!["listen", "mcp", "path"], message, "a path begins with `/`");
        }
        for (index, origin) in mcp.origins.iter().enumerate() {
            let path = steps!["listen", "mcp", "origins", index];
            if let Err(why) = check_origin(origin)
                && self.is_sound(path)
            {
                let message = format!("origin {} is none that a browser sends", quoted(origin));
                self.invalid(Code::InvalidListen, path, message, why);
            }
        }
        for (index, host) in mcp.hosts.iter().enumerate() {
            self.host(steps!["listen", "mcp", "hosts", index], host);
        }
    }

    /// Every check of the listener for administration.
    pub(super) fn admin_listener(&mut self) {
        let Some(admin) = &self.topology.listen.admin else { return };
        self.address(steps!["listen", "admin", "address"], &admin.address, check_address);
        for (index, host) in admin.hosts.iter().enumerate() {
            self.host(steps!["listen", "admin", "hosts", index], host);
        }
        self.admin_feature();
        self.literal_token(admin);
        if let Reference::Literal(address) = &admin.address {
            self.open_admin(admin, address);
        }
        self.same_port(admin);
    }

    fn listener_tls(&mut self) {
        let mcp = &self.topology.listen.mcp;
        if mcp.tls.is_none() {
            return;
        }
        let (place, address) = (self.document.key(steps!["listen", "mcp", "tls"]), steps!["listen", "mcp", "address"]);
        if matches!(&mcp.address, Reference::Literal(address) if address.starts_with("unix:")) && self.is_sound(address)
        {
            let also = self.document.value(address);
            self.problems
                .error(Code::InvalidListen, place, "TLS on a unix socket")
                .label("nothing but this machine reaches a socket, and its file says who may")
                .help("drop `tls`, or listen on `host:port`")
                .also(also, "the address of the listener");
        }
        if !self.features.has(TLS) {
            self.problems
                .error(Code::TlsOff, place, "listener for MCP needs TLS, which is not part of this build")
                .help(self.features.remedy(self.topology));
        }
    }

    fn address(&mut self, path: &[Step<'_>], address: &Reference, check: fn(&str) -> Result<(), &'static str>) {
        match address {
            Reference::Env(_) => {}
            Reference::File(_) => {
                let message = "address is not read from files".to_owned();
                self.invalid(Code::InvalidListen, path, message, "write it, or `env:NAME`");
            }
            Reference::Literal(address) => {
                if let Err(why) = check(address) {
                    let message = format!("address {} cannot be listened on", quoted(address));
                    self.invalid(Code::InvalidListen, path, message, why);
                }
            }
        }
    }

    fn host(&mut self, path: &[Step<'_>], host: &str) {
        if let Err(why) = check_host(host)
            && self.is_sound(path)
        {
            let message = format!("host {} is not a host name", quoted(host));
            self.invalid(Code::InvalidListen, path, message, why);
        }
    }

    fn admin_feature(&mut self) {
        if !self.features.has(ADMIN) {
            let place = self.document.key(steps!["listen", "admin"]);
            self.problems
                .error(Code::AdminOff, place, "admin listener is not part of this build")
                .help(self.features.remedy(self.topology));
        }
    }

    fn literal_token(&mut self, admin: &AdminListener) {
        if let Some(Reference::Literal(_)) = admin.token {
            let place = self.document.value(steps!["listen", "admin", "token"]);
            self.problems
                .error(Code::LiteralSecret, place, "secret in the admin listener")
                .label("a token is never written into a topology")
                .help("write `env:ONLY1MCP_ADMIN_TOKEN`, or `file:PATH`: the gateway reads it when it starts");
        }
    }

    /// Whether other machines reach this address of the admin listener, and need no token.
    pub(super) fn open_admin(&mut self, admin: &AdminListener, address: &str) {
        // An address that is none has a problem of its own.
        if admin.token.is_some()
            || check_address(address).is_err()
            || is_loopback(address)
            || !self.is_sound(steps!["listen", "admin", "token"])
        {
            return;
        }
        let place = self.document.value(steps!["listen", "admin", "address"]);
        // As the topology has it: what a variable holds is not shown.
        let shown = quoted(&admin.address.to_string());
        self.problems
            .error(Code::OpenAdmin, place, format!("admin address {shown} is open to other machines"))
            .label("no token protects it")
            .help("write `127.0.0.1` for its host, or add `token: env:ONLY1MCP_ADMIN_TOKEN`");
    }

    fn same_port(&mut self, admin: &AdminListener) {
        let (Reference::Literal(mcp), Reference::Literal(own)) = (&self.topology.listen.mcp.address, &admin.address)
        else {
            return;
        };
        let path = steps!["listen", "mcp", "address"];
        if !collide(mcp, own) || !self.is_sound(path) {
            return;
        }
        let place = self.document.value(steps!["listen", "admin", "address"]);
        let other = self.document.has(path).then(|| self.document.value(path));
        let problem = self.problems.error(Code::SamePort, place, format!("two listeners on {}", quoted(own)));
        problem.label("the admin listener").help("give one of them another port");
        match other {
            Some(other) => problem.also(other, "the listener for MCP"),
            None => problem.note(format!("the listener for MCP is at `{mcp}` where no other address is written")),
        };
    }
}
