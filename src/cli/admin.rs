//! Asking a gateway that runs: where it is asked, with which token, and what an answer that is none means. What is asked
//! is up to the commands.

use std::net::IpAddr;
use std::time::Duration;

use anyhow::Context as _;
use bytes::Bytes;
use clap::Args;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::client::conn::http1;
use hyper::header::{AUTHORIZATION, CONNECTION, CONTENT_TYPE, HOST};
use hyper::{Method, Request, StatusCode};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::TcpStream;

use super::start::token;
use crate::catalog::{Topology, plan};
use crate::references::References;

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(30);
/// The longest answer that is read.
const ANSWER_BYTES_MAX: usize = 64 << 20;
/// Below it stands everything.
const BASE: &str = "/api/v1/admin";

/// Which gateway is asked, and by whom.
#[derive(Args, Debug)]
pub(super) struct Admin {
    /// The admin address of the gateway, `HOST:PORT`; unless given, the one that is compiled in.
    #[arg(long = "admin", value_name = "ADDR", env = "ONLY1MCP_ADMIN")]
    address: Option<String>,
    /// The token that it wants to see, `env:NAME` or `file:PATH`; unless given, the one that is compiled in.
    #[arg(long = "token", value_name = "REF", value_parser = token)]
    token: Option<plan::Reference>,
}

/// Where a gateway is asked.
#[derive(Debug)]
pub(super) struct Place {
    pub(super) address: String,
    token: Option<String>,
}

/// Nobody is there who could be asked.
#[derive(Debug, thiserror::Error)]
#[error("no gateway answers at {address}: {why}")]
pub(super) struct NotRunning {
    address: String,
    why: String,
}

/// A gateway does not take an overlay: why, with every problem.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(super) struct NotTaken(String);

// === impl Admin ===

impl Admin {
    /// Where, for the topology that is compiled in.
    pub(super) fn place<T: Topology>(&self) -> anyhow::Result<Place> {
        let (compiled, references) = (T::SPEC.listen.admin.as_ref(), References::default());
        let address = match (&self.address, compiled) {
            (Some(address), _) => address.trim_start_matches("http://").trim_end_matches('/').to_owned(),
            (None, Some(compiled)) => {
                references.resolve(&compiled.address).context("admin address does not resolve")?
            }
            (None, None) => anyhow::bail!(
                "admin address is unknown: topology `{}` has none; give `--admin HOST:PORT` or set `ONLY1MCP_ADMIN`",
                T::SPEC.name
            ),
        };
        let token = match (&self.token, compiled.and_then(|compiled| compiled.token.as_ref())) {
            (Some(token), _) => Some(references.resolve(token).context("token does not resolve")?),
            // Whoever only reads on the same machine needs none.
            (None, Some(token)) => references.resolve(token).ok(),
            (None, None) => None,
        };
        Ok(Place { address: reachable(address), token })
    }
}

/// What came of a change, for people.
pub(super) fn shown(outcome: &Value) -> String {
    let dry_run = if outcome["dry_run"] == true { " (nothing is changed)" } else { "" };
    let mut text = format!("{}{dry_run}\n", text(&outcome["result"]));
    for change in outcome["changes"].as_array().into_iter().flatten() {
        let [backend, setting, compiled, overlay] =
            ["backend", "setting", "compiled", "overlay"].map(|member| self::text(&change[member]));
        text += &format!("  {backend}.{setting}  {compiled} -> {overlay}\n");
    }
    text
}

/// Why an overlay is not taken, a problem a line and what helps below it.
fn problems(error: &Value) -> String {
    let mut shown = text(&error["message"]);
    for problem in error["diagnostics"].as_array().into_iter().flatten() {
        let place = &problem["place"];
        shown += &format!("\n  {}: {}", text(&problem["code"]), text(&problem["message"]));
        if !place.is_null() {
            shown += &format!(" ({}:{}:{})", text(&place["file"]), place["line"], place["column"]);
        }
        if let Some(help) = problem["help"].as_str() {
            shown += &format!("\n    help: {}", crate::telemetry::one_line(help.as_bytes()));
        }
    }
    shown
}

/// What a gateway says, on a terminal.
pub(super) fn text(value: &Value) -> String {
    crate::telemetry::one_line(super::list::text(value).as_bytes())
}

/// An address that is listened on as one that can be reached.
fn reachable(address: String) -> String {
    match address.rsplit_once(':').map(|(host, port)| (host.trim_matches(['[', ']']).parse::<IpAddr>(), port)) {
        Some((Ok(IpAddr::V4(ip)), port)) if ip.is_unspecified() => format!("127.0.0.1:{port}"),
        Some((Ok(IpAddr::V6(ip)), port)) if ip.is_unspecified() => format!("[::1]:{port}"),
        _ => address,
    }
}

// === impl Place ===

impl Place {
    /// What a path tells.
    pub(super) fn get(&self, path: &str) -> anyhow::Result<Value> {
        let (status, answer) = self.ask(Method::GET, path, None)?;
        if status.is_success() { Ok(answer) } else { Err(self.refused(status, &answer)) }
    }

    /// The status and the body that a request is answered with.
    pub(super) fn ask(&self, method: Method, path: &str, body: Option<&Value>) -> anyhow::Result<(StatusCode, Value)> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(async {
            let exchange = self.exchange(method, path, body);
            tokio::time::timeout(PATIENCE, exchange).await.unwrap_or_else(|_elapsed| {
                Err(self.not_running(format!("nothing came within {} seconds", PATIENCE.as_secs())))
            })
        })
    }

    /// What came of a change.
    pub(super) fn change(&self, method: &str, path: &str, body: Option<&Value>) -> anyhow::Result<Value> {
        let (status, answer) = self.ask(method.parse()?, path, body)?;
        match status {
            status if status.is_success() => Ok(answer),
            StatusCode::UNPROCESSABLE_ENTITY => Err(NotTaken(problems(&answer["error"])).into()),
            status => Err(self.refused(status, &answer)),
        }
    }

    async fn exchange(&self, method: Method, path: &str, body: Option<&Value>) -> anyhow::Result<(StatusCode, Value)> {
        let stream = TcpStream::connect(&self.address).await.map_err(|error| self.not_running(error.to_string()))?;
        let handshake = http1::handshake(TokioIo::new(stream)).await;
        let (mut requests, connection) = handshake.map_err(|error| self.not_running(error.to_string()))?;
        let mut request = Request::builder().method(method).uri(format!("{BASE}{path}")).header(HOST, &self.address);
        request = request.header(CONNECTION, "close");
        if let Some(token) = &self.token {
            request = request.header(AUTHORIZATION, format!("Bearer {token}"));
        }
        if body.is_some() {
            request = request.header(CONTENT_TYPE, "application/json");
        }
        let body = body.map(ToString::to_string).unwrap_or_default();
        let request = request.body(Full::new(Bytes::from(body))).context("admin address or token cannot be sent")?;
        let answering = async {
            let answer = requests.send_request(request).await.map_err(|error| self.not_running(error.to_string()))?;
            let status = answer.status();
            let body = Limited::new(answer.into_body(), ANSWER_BYTES_MAX).collect().await;
            anyhow::Ok((status, body.map_err(anyhow::Error::from_boxed)?.to_bytes()))
        };
        let (answer, _ended) = tokio::join!(answering, connection);
        let (status, body) = answer?;
        let answer = serde_json::from_slice(&body);
        Ok((status, answer.with_context(|| format!("what listens at {} is no gateway", self.address))?))
    }

    /// Why an answer is not what was asked for.
    pub(super) fn refused(&self, status: StatusCode, answer: &Value) -> anyhow::Error {
        let message = answer["error"]["message"].as_str().unwrap_or("it says no more");
        let help = if status == StatusCode::UNAUTHORIZED { "; `--token env:NAME` shows it" } else { "" };
        anyhow::anyhow!("gateway at {} refuses with {}: {message}{help}", self.address, status.as_u16())
    }

    fn not_running(&self, why: String) -> anyhow::Error {
        NotRunning { address: self.address.clone(), why }.into()
    }
}
