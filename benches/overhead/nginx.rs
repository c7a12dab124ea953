//! nginx as a blind proxy before the same backend: the yardstick.

use std::net::SocketAddr;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::Context as _;

use crate::process::Process;

/// Where Debian puts it, outside the PATH of ordinary users.
const PLACES: [&str; 3] = ["nginx", "/usr/sbin/nginx", "/usr/local/sbin/nginx"];

/// Starts nginx with one worker on `listen`; its files live in `directory`.
pub(crate) fn start(
    directory: &Path,
    listen: SocketAddr,
    upstream: SocketAddr,
    defaults: bool,
) -> anyhow::Result<Process> {
    let program = PLACES
        .into_iter()
        .find(|place| {
            Command::new(place)
                .arg("-v")
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .status()
                .is_ok_and(|s| s.success())
        })
        .context("nginx is not installed (Debian: nginx-light)")?;
    let file = directory.join("nginx.conf");
    std::fs::write(&file, configuration(directory, listen, upstream, if defaults { "" } else { BUFFERS }))?;
    let mut command = Command::new(program);
    command.arg("-c").arg(&file).arg("-e").arg(directory.join("nginx.log"));
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(std::fs::File::create(directory.join("nginx.err"))?);
    Process::spawn(&mut command)
}

/// Nothing on disk, and the sizes that were the cheapest of seven sets tried, at 10 KB and 1 MB alike.
const BUFFERS: &str = "proxy_buffer_size 16k;
    proxy_buffers 8 32k;
    proxy_busy_buffers_size 64k;
    proxy_max_temp_file_size 0;";

/// The least nginx has to do to proxy, with what it has to do it quickly: connections kept, no log.
fn configuration(directory: &Path, listen: SocketAddr, upstream: SocketAddr, buffers: &str) -> String {
    let at = directory.display();
    format!(
        "daemon off;
worker_processes 1;
pid {at}/nginx.pid;
events {{ worker_connections 4096; }}
http {{
    access_log off;
    client_body_temp_path {at}/client;
    proxy_temp_path {at}/proxy;
    fastcgi_temp_path {at}/fastcgi;
    uwsgi_temp_path {at}/uwsgi;
    scgi_temp_path {at}/scgi;
    keepalive_requests 1000000000;
    client_max_body_size 64m;
    {buffers}
    upstream backend {{
        server {upstream};
        keepalive 1024;
        keepalive_requests 1000000000;
    }}
    server {{
        listen {listen};
        location / {{
            proxy_pass http://backend;
            proxy_http_version 1.1;
            proxy_set_header Connection \"\";
        }}
    }}
}}
"
    )
}
