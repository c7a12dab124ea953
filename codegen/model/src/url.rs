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

/// Takes the URL of a proxy apart: its host, where an IPv6 address keeps its brackets, and its port.
///
/// # Errors
/// What is wrong with it.
pub fn parse_proxy(url: &str) -> Result<(&str, u16), &'static str> {
    address::check_proxy(url)?;
    let (host, port) = address::split_port(url.strip_prefix("http://").unwrap_or(url))?;
    // It is there and within bounds, or the check had refused it.
    Ok((host, port.and_then(|port| port.parse().ok()).unwrap_or_default()))
}

/// The path of the Unix socket that an address such as `unix:/run/gateway.sock` names; `None` where it names none.
///
/// # Errors
/// What is wrong with the path.
#[must_use]
pub fn socket_path(address: &str) -> Option<Result<&str, &'static str>> {
    let path = address.strip_prefix("unix:")?;
    Some(address::check_socket_path(path).map(|()| path))
}

/// Takes the URL of an endpoint behind a Unix socket apart: `unix:/path/of/the/socket`, and behind a colon the path of the
/// endpoint, `/mcp` where none is written. `None` where it is no such URL.
///
/// # Errors
/// What is wrong with either path.
#[must_use]
pub fn parse_unix(url: &str) -> Option<Result<(&str, &str), &'static str>> {
    let rest = url.strip_prefix("unix:")?;
    let (socket, path) = rest.split_once(':').unwrap_or((rest, "/mcp"));
    Some(address::check_socket_path(socket).and_then(|()| {
        let is_path = path.starts_with('/') && path.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'#');
        if is_path { Ok((socket, path)) } else { Err("the path behind the socket is none of a URL") }
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_socket_is_named_by_its_path() {
        assert_eq!(socket_path("127.0.0.1:80"), None);
        assert_eq!(socket_path("unix:/run/a b.sock"), Some(Ok("/run/a b.sock")));
        let long = format!("unix:/{}", "x".repeat(107));
        for address in
            ["unix:", "unix:run/a", "unix:@a", "unix:/", "unix:/run/", "unix:/a:b", "unix:/a\n", "unix:/\0", &long]
        {
            assert!(matches!(socket_path(address), Some(Err(_))), "{address}");
        }
        assert!(matches!(socket_path(&long[..long.len() - 1]), Some(Ok(_))));
        assert_eq!(parse_unix("unix:/run/a"), Some(Ok(("/run/a", "/mcp"))));
        assert_eq!(parse_unix("unix:/run/a:/mcp/coding?x"), Some(Ok(("/run/a", "/mcp/coding?x"))));
        assert_eq!(parse_unix("http://a"), None);
        for url in ["unix:/run/a:", "unix:/run/a:mcp", "unix::/mcp", "unix:/a:/m cp"] {
            assert!(matches!(parse_unix(url), Some(Err(_))), "{url}");
        }
    }

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
