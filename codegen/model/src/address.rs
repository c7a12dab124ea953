//! URLs and listener addresses, as strict as the gateway needs them: what passes here can be connected to as written.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::diagnostic::{Code, Problems, quoted};
use crate::plan::Reference;
use crate::rule::{Rule, text_schema};
use crate::secret::suspect_url;
use crate::topology::VARIABLE;
use crate::yaml::Node;

/// What the URL of a server begins with: of HTTP, of WebSocket.
const SCHEMES: [&str; 4] = ["http://", "https://", "ws://", "wss://"];
/// What an origin begins with.
const ORIGIN_SCHEMES: [&str; 2] = ["http://", "https://"];
/// The longest path of a Unix socket that the system takes, without its final zero.
const SOCKET_PATH_BYTES_MAX: usize = 107;
/// The longest host name there is.
const HOST_BYTES_MAX: usize = 253;

/// The rule for the URL of an MCP endpoint, or the variable that holds it.
pub(crate) struct EndpointUrl;

impl Rule<Reference> for EndpointUrl {
    fn check(&self, value: &Reference, node: &Node, problems: &mut Problems) {
        let (message, why) = match value {
            Reference::Env(_) => return,
            Reference::File(_) => ("url is not read from files".to_owned(), "write it, or `env:NAME`"),
            Reference::Literal(url) => match check_url(url) {
                Ok(()) => return literal_secret(url, node, problems),
                Err(why) => (format!("url {} is not that of an endpoint", quoted(url)), why),
            },
        };
        problems.error(Code::InvalidUrl, node.place, message).label(why);
    }

    fn schema(&self, _of_type: String) -> String {
        let expression = format!("^(env:{}$|{})", VARIABLE.expression(), SCHEMES.join("|"));
        text_schema(&expression, "url begins with no scheme of HTTP or WebSocket, and is no `env:NAME`")
    }
}

/// The rule for the URL of a proxy, or the variable that holds it.
pub(crate) struct ProxyUrl;

impl Rule<Reference> for ProxyUrl {
    fn check(&self, value: &Reference, node: &Node, problems: &mut Problems) {
        let (message, why) = match value {
            Reference::Env(_) => return,
            Reference::File(_) => ("url of a proxy is not read from files".to_owned(), "write it, or `env:NAME`"),
            Reference::Literal(url) if url.contains('@') => {
                problems
                    .error(Code::LiteralSecret, node.place, "credentials in the url of a proxy")
                    .label("user and password do not belong into a URL")
                    .help("write `proxy_auth: { basic: { username: …, password: env:NAME } }` beside it");
                return;
            }
            Reference::Literal(url) => match check_proxy(url) {
                Ok(()) => return,
                Err(why) => (format!("url {} is not that of a proxy", quoted(url)), why),
            },
        };
        problems.error(Code::InvalidUrl, node.place, message).label(why).help("write `http://HOST:PORT`");
    }

    fn schema(&self, _of_type: String) -> String {
        let expression = format!("^(env:{}$|http://[^/?#@]+$)", VARIABLE.expression());
        text_schema(&expression, "url of a proxy is `http://HOST:PORT`, or `env:NAME`")
    }
}

fn literal_secret(url: &str, node: &Node, problems: &mut Problems) {
    if let Some(why) = suspect_url(url) {
        problems
            .error(Code::LiteralSecret, node.place, "secret in the url of an endpoint")
            .label(why)
            .help("write `env:NAME`: the gateway reads the whole url when it starts");
    }
}

/// Whether a text is the URL of an MCP endpoint.
pub(crate) fn check_url(url: &str) -> Result<(), &'static str> {
    let rest = SCHEMES.into_iter().find_map(|scheme| url.strip_prefix(scheme));
    let rest = rest.ok_or("it begins with none of `http://`, `https://`, `ws://` and `wss://`")?;
    let (authority, path) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
    if path.contains('#') {
        return Err("a fragment is never sent");
    }
    if path.starts_with('?') {
        return Err("the path is missing before `?`");
    }
    if !path.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err("blanks and characters beyond ASCII are percent-encoded");
    }
    check_authority(authority, 1)
}

/// Whether a text is the URL of a proxy: host and port, and nothing behind them.
pub(crate) fn check_proxy(url: &str) -> Result<(), &'static str> {
    let authority = url.strip_prefix("http://").ok_or("it does not begin with `http://`")?;
    if authority.contains(['/', '?', '#']) {
        return Err("it ends with its port");
    }
    check_authority(authority, 1)?;
    match split_port(authority)? {
        (_, None) => Err("a port is missing"),
        _ => Ok(()),
    }
}

/// Whether a text is what a browser sends as `Origin`: scheme, host and perhaps a port.
pub(crate) fn check_origin(origin: &str) -> Result<(), &'static str> {
    let authority = ORIGIN_SCHEMES.into_iter().find_map(|scheme| origin.strip_prefix(scheme));
    let authority = authority.ok_or("it begins with neither `http://` nor `https://`")?;
    if authority.contains(['/', '?', '#']) {
        return Err("an origin ends with its host or port");
    }
    check_authority(authority, 1)
}

/// Whether a text is `host:port` to listen on; port 0 lets the system choose.
pub(crate) fn check_address(address: &str) -> Result<(), &'static str> {
    if address.starts_with("unix:") {
        return Err("only the listener for MCP has a unix socket");
    }
    match split_port(address)? {
        (_, None) => Err("a port is missing"),
        _ => check_authority(address, 0),
    }
}

/// Whether a text is what the listener for MCP may have: `host:port`, or `unix:` and the path of a socket.
pub(crate) fn check_mcp_address(address: &str) -> Result<(), &'static str> {
    address.strip_prefix("unix:").map_or_else(|| check_address(address), check_socket_path)
}

/// Whether a path can be that of a Unix socket.
pub(crate) fn check_socket_path(path: &str) -> Result<(), &'static str> {
    if !path.starts_with('/') {
        return Err("the path of a socket begins with `/`");
    }
    if path.len() > SOCKET_PATH_BYTES_MAX {
        return Err("the path of a socket is longer than 107 bytes");
    }
    if path.ends_with('/') {
        return Err("the path of a socket ends with its name");
    }
    if path.contains(':') || path.chars().any(char::is_control) {
        return Err("the path of a socket has no colon and no control character");
    }
    Ok(())
}

/// Whether a text is a host without a port.
pub(crate) fn check_host(host: &str) -> Result<(), &'static str> {
    if let Some(address) = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')) {
        return address.parse::<Ipv6Addr>().map(drop).map_err(|_parse| "the brackets hold no IPv6 address");
    }
    if host.is_empty() {
        return Err("the host is missing");
    }
    if host.len() > HOST_BYTES_MAX {
        return Err("the host is longer than 253 characters");
    }
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
    };
    if !host.strip_suffix('.').unwrap_or(host).split('.').all(label) {
        return Err("the host is no name, IPv4 address or bracketed IPv6 address");
    }
    // `0x7f.1` and `2130706433` are addresses to some resolvers: only the form that all agree on passes.
    let last = host.trim_end_matches('.').rsplit('.').next().unwrap_or_default();
    let numeric = last.bytes().all(|byte| byte.is_ascii_digit()) || last.starts_with("0x") || last.starts_with("0X");
    if numeric && host.parse::<Ipv4Addr>().is_err() {
        return Err("an IPv4 address is four decimal numbers");
    }
    Ok(())
}

/// Whether only this machine can connect to an address that [`check_address`] lets pass.
pub(crate) fn is_loopback(address: &str) -> bool {
    match host_of(address) {
        Host::Name(name) => is_localhost(name),
        Host::Ip(ip) => ip.to_canonical().is_loopback(),
    }
}

/// Whether two listeners cannot have these addresses at once, as far as that is known before names are resolved. Port 0
/// is another one each time.
pub(crate) fn collide(one: &str, other: &str) -> bool {
    let port =
        |address| split_port(address).ok().and_then(|(_, port)| port?.parse::<u16>().ok()).filter(|port| *port > 0);
    let (Some(port_of_one), Some(port_of_other)) = (port(one), port(other)) else { return false };
    port_of_one == port_of_other && {
        let (one, other) = (host_of(one), host_of(other));
        one.holds(&other) || other.holds(&one)
    }
}

/// Whether who connects to an address reaches the one who listens on the other, as far as that is known before names are
/// resolved: what takes connections to all addresses of its machine is reached from there by its loopback address.
pub(crate) fn leads_to(address: &str, listener: &str) -> bool {
    let is_any = |address| matches!(host_of(address), Host::Ip(ip) if ip.is_unspecified());
    collide(address, listener) && (!is_any(listener) || is_loopback(address) || is_any(address))
}

/// The host of an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Host<'a> {
    Name(&'a str),
    Ip(IpAddr),
}

impl Host<'_> {
    /// Whether whoever listens here also takes what is sent there.
    fn holds(&self, other: &Self) -> bool {
        match (self, other) {
            // Takes IPv4 too, unless the system is told otherwise.
            (Self::Ip(IpAddr::V6(ip)), _) if ip.is_unspecified() => true,
            (Self::Ip(IpAddr::V4(ip)), other) if ip.is_unspecified() => !matches!(other, Self::Ip(IpAddr::V6(_))),
            (Self::Name(name), Self::Ip(ip)) => {
                is_localhost(name) && (*ip == Ipv4Addr::LOCALHOST || *ip == Ipv6Addr::LOCALHOST)
            }
            (Self::Name(name), Self::Name(other)) => name.eq_ignore_ascii_case(other),
            (one, other) => one == other,
        }
    }
}

fn host_of(address: &str) -> Host<'_> {
    let host = split_port(address).map_or(address, |(host, _)| host);
    let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    bare.parse().map_or(Host::Name(host), Host::Ip)
}

fn is_localhost(name: &str) -> bool {
    name.trim_end_matches('.').eq_ignore_ascii_case("localhost")
}

/// Whether a URL goes over TLS.
pub(crate) fn is_over_tls(url: &str) -> bool {
    url.starts_with("https://") || url.starts_with("wss://")
}

/// Whether a URL is that of a WebSocket.
pub(crate) fn is_websocket(url: &str) -> bool {
    url.starts_with("ws://") || url.starts_with("wss://")
}

fn check_authority(authority: &str, port_min: u16) -> Result<(), &'static str> {
    if authority.contains('@') {
        return Err("user and password do not belong into a URL");
    }
    let (host, port) = split_port(authority)?;
    check_host(host)?;
    let digits = |port: &str| port.bytes().all(|byte| byte.is_ascii_digit());
    match port.map(|port| port.parse::<u16>().ok().filter(|number| digits(port) && *number >= port_min)) {
        Some(None) => Err("the port is no number from 1 to 65535"),
        _ => Ok(()),
    }
}

/// The host with its brackets, and what follows its colon.
pub(crate) fn split_port(authority: &str) -> Result<(&str, Option<&str>), &'static str> {
    let host_end = if authority.starts_with('[') { authority.find(']').ok_or("a bracket stays open")? } else { 0 };
    match authority[host_end..].find(':').map(|at| host_end + at) {
        Some(at) => Ok((&authority[..at], Some(&authority[at + 1..]))),
        None => Ok((authority, None)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_that_can_be_connected_to_passes() {
        for url in [
            "http://10.0.0.4:8124/mcp",
            "https://mcp.example.com",
            "https://mcp.example.com./a?b=c",
            "http://[::1]:65535/",
            "http://localhost:1/mcp",
            "http://my_service-1:80",
        ] {
            assert_eq!(check_url(url), Ok(()), "{url}");
        }
    }

    #[test]
    fn a_url_that_cannot_be_connected_to_is_refused() {
        let graphic = "htp://a ftp://a HTTP://a //a http:// http:///mcp http://:80 http://a:0 http://a:65536 http://a:+80 \
            http://a: http://a:b http://u:p@a http://u@a http://a#b http://a?b http://a/é http://é/ http://[::1 \
            http://[::1]x http://[1.2.3.4] http://-a http://a..b http://1.2.3 http://2130706433 http://0x7f.1 \
            http://010.0.0.1 http://1.2.3.4.";
        let others = ["", "http://a/ b", "http://a b/", "http://a\n", "http://a/\u{0}"];
        for url in graphic.split(' ').chain(others) {
            assert!(check_url(url).is_err(), "{url}");
        }
    }

    #[test]
    fn a_proxy_is_a_host_and_a_port() {
        for url in ["http://proxy.internal:3128", "http://127.0.0.1:1", "http://[::1]:65535"] {
            assert_eq!(check_proxy(url), Ok(()), "{url}");
        }
        for url in [
            "",
            "proxy:3128",
            "https://proxy:3128",
            "socks5://proxy:1080",
            "http://proxy",
            "http://proxy:",
            "http://proxy:0",
            "http://proxy:65536",
            "http://proxy:3128/",
            "http://proxy:3128/a",
            "http://proxy:3128?a",
            "http://ops:hunter2@proxy:3128",
            "http://ops@proxy:3128",
            "http://pro xy:3128",
            "http://proxy:3128\r\n",
        ] {
            assert!(check_proxy(url).is_err(), "{url}");
        }
    }

    #[test]
    fn an_address_to_listen_on_has_host_and_port() {
        for address in ["127.0.0.1:8080", "0.0.0.0:0", "[::]:8080", "localhost:80"] {
            assert_eq!(check_address(address), Ok(()), "{address}");
        }
        for address in ["", "8080", ":8080", "localhost", "::1:80", "127.0.0.1:99999", "127.0.0.1:80/mcp", "[::1]"] {
            assert!(check_address(address).is_err(), "{address}");
        }
    }

    #[test]
    fn one_port_of_one_host_serves_one_listener() {
        for (one, other) in [
            ("127.0.0.1:80", "127.0.0.1:80"),
            ("127.0.0.1:80", "0.0.0.0:80"),
            ("[::]:80", "127.0.0.1:80"),
            ("[::]:80", "[::1]:80"),
            ("[::0]:80", "[::]:80"),
            ("localhost:80", "127.0.0.1:80"),
            ("[::1]:80", "LOCALHOST:80"),
            ("0.0.0.0:80", "gateway:80"),
            ("Gateway:80", "gateway:80"),
        ] {
            assert!(collide(one, other) && collide(other, one), "{one} {other}");
        }
        for (one, other) in [
            ("127.0.0.1:80", "127.0.0.1:81"),
            ("127.0.0.1:0", "127.0.0.1:0"),
            ("127.0.0.1:80", "127.0.0.2:80"),
            ("0.0.0.0:80", "[::1]:80"),
            ("localhost:80", "10.0.0.1:80"),
            ("gateway:80", "10.0.0.1:80"),
            ("localhost", "localhost"),
        ] {
            assert!(!collide(one, other) && !collide(other, one), "{one} {other}");
        }
    }

    #[test]
    fn a_listener_is_reached_by_its_own_address() {
        for (address, listener) in [
            ("127.0.0.1:80", "127.0.0.1:80"),
            ("localhost:80", "127.0.0.1:80"),
            ("127.0.0.1:80", "0.0.0.0:80"),
            ("[::1]:80", "[::]:80"),
            ("localhost:80", "[::]:80"),
            ("0.0.0.0:80", "127.0.0.1:80"),
            ("Gateway:80", "gateway:80"),
        ] {
            assert!(leads_to(address, listener), "{address} {listener}");
        }
        for (address, listener) in [
            ("weather:80", "0.0.0.0:80"),
            ("10.0.0.4:80", "[::]:80"),
            ("127.0.0.1:81", "127.0.0.1:80"),
            ("127.0.0.2:80", "127.0.0.1:80"),
            ("127.0.0.1:80", "127.0.0.1:0"),
        ] {
            assert!(!leads_to(address, listener), "{address} {listener}");
        }
    }

    #[test]
    fn loopback_is_what_only_this_machine_reaches() {
        for address in ["127.0.0.1:80", "127.8.0.1:80", "[::1]:80", "[::ffff:127.0.0.1]:80", "localhost:80"] {
            assert!(is_loopback(address), "{address}");
        }
        for address in ["0.0.0.0:80", "[::]:80", "10.0.0.1:80", "gateway:80", "localhost.example.com:80", "[::2]:80"] {
            assert!(!is_loopback(address), "{address}");
        }
    }

    #[test]
    fn an_origin_has_no_path() {
        assert_eq!(check_origin("https://app.example.com:8443"), Ok(()));
        for origin in ["https://app.example.com/", "app.example.com", "null", "*", "https://*.example.com"] {
            assert!(check_origin(origin).is_err(), "{origin}");
        }
    }
}
