//! The URL of an MCP endpoint, taken apart for whoever connects to it.

use crate::address;

/// The parts of a URL that [`parse`] accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Parts<'a> {
    /// `https` or `wss`.
    pub tls: bool,
    /// `ws` or `wss`.
    pub websocket: bool,
    /// Host and port as written.
    pub authority: &'a str,
    /// The host; an IPv6 address keeps its brackets.
    pub host: &'a str,
    /// The port, that of the scheme where none is written.
    pub port: u16,
    /// Path and query; `/` where none is written.
    pub path: &'a str,
}

/// Takes a URL apart.
///
/// # Errors
/// What is wrong with it.
pub fn parse(url: &str) -> Result<Parts<'_>, &'static str> {
    address::check_url(url)?;
    let (tls, websocket) = (address::is_over_tls(url), address::is_websocket(url));
    let rest = url.split_once("://").map_or(url, |(_scheme, rest)| rest);
    let (authority, path) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
    let (host, port) = address::split_port(authority)?;
    let port = match port {
        // Within bounds, or the check had refused it.
        Some(port) => port.parse().unwrap_or_default(),
        None if tls => 443,
        None => 80,
    };
    Ok(Parts { tls, websocket, authority, host, port, path: if path.is_empty() { "/" } else { path } })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_taken_apart() {
        for (url, tls, authority, host, port, path) in [
            ("wss://mcp.example.com/message", true, "mcp.example.com", "mcp.example.com", 443, "/message"),
            ("ws://10.0.0.4:8124", false, "10.0.0.4:8124", "10.0.0.4", 8124, "/"),
            ("http://10.0.0.4:8124/mcp", false, "10.0.0.4:8124", "10.0.0.4", 8124, "/mcp"),
            ("https://mcp.example.com", true, "mcp.example.com", "mcp.example.com", 443, "/"),
            ("http://[::1]:9/a?b=c", false, "[::1]:9", "[::1]", 9, "/a?b=c"),
            ("http://[::1]/", false, "[::1]", "[::1]", 80, "/"),
        ] {
            let websocket = url.starts_with("ws");
            assert_eq!(parse(url), Ok(Parts { tls, websocket, authority, host, port, path }), "{url}");
        }
        assert!(parse("http://a?b").is_err());
        assert!(parse("ftp://a/").is_err());
    }
}
