//! Asks an endpoint whether it is well: by `ping` or `server/discover`, whichever its era has, or by a plain request of
//! HTTP. How often, and what follows from that, is not decided here.

use std::future::pending;
use std::time::Duration;

use super::greeting::{self, Collected};
#[cfg(any(feature = "transport-http", feature = "transport-sse"))]
use super::http::Client;
use super::plan::HealthCheck;
use super::{Call, Context, Error, OpenError, Transport, Upkeep, plan};
use crate::catalog::Era;
use crate::mcp::envelope;

/// One endpoint, with a link of its own: what is asked waits for no call.
#[derive(Debug)]
pub(crate) struct Probe<U> {
    way: Way<U>,
    timeout: Duration,
    upkeep: Upkeep,
}

/// How it is asked.
#[derive(Debug)]
enum Way<U> {
    Mcp(U),
    #[cfg(any(feature = "transport-http", feature = "transport-sse"))]
    Http(Client, plan::HttpProbe),
}

// === impl Probe ===

impl<U: Transport> Probe<U> {
    /// Connects nothing yet. The endpoint is that of the context.
    pub(crate) fn open(context: &Context, backend: &plan::Backend, check: &HealthCheck) -> Result<Self, OpenError> {
        let (timeout, upkeep) = (Duration::from_millis(check.timeout_ms), context.shared.account(backend).upkeep);
        #[cfg(any(feature = "transport-http", feature = "transport-sse"))]
        if let Some(probe) = &check.http {
            let client = Client::open(context, backend)?;
            return Ok(Self { way: Way::Http(client, probe.clone()), timeout, upkeep });
        }
        Ok(Self { way: Way::Mcp(U::open(context, backend)?), timeout, upkeep })
    }

    /// Whether its backend is to be asked anything: one that is disabled is not.
    pub(crate) fn is_due(&self) -> bool {
        self.upkeep.is_due()
    }

    /// Asks once.
    ///
    /// # Errors
    /// Why it is not well, in a few words.
    pub(crate) async fn ask(&self) -> Result<(), String> {
        let asked = async {
            match &self.way {
                Way::Mcp(link) => mcp(link).await,
                #[cfg(any(feature = "transport-http", feature = "transport-sse"))]
                Way::Http(client, probe) => client.probe(probe).await,
            }
        };
        match tokio::time::timeout(self.timeout, asked).await {
            Ok(asked) => asked.map_err(|error| error.to_string()),
            Err(_elapsed) => Err(format!("no answer within {:?}", self.timeout)),
        }
    }

    /// Ends what is open at the endpoint.
    pub(crate) async fn close(&self) {
        match &self.way {
            Way::Mcp(link) => link.close().await,
            #[cfg(any(feature = "transport-http", feature = "transport-sse"))]
            Way::Http(..) => {}
        }
    }
}

/// Any answer will do, also that there is no such method: it is there.
async fn mcp(link: &impl Transport) -> Result<(), Error> {
    let era = link.greet().await?.era;
    let (method, source) = match era {
        Era::Modern => ("server/discover", greeting::discover(0)),
        Era::Legacy => ("ping", r#"{"jsonrpc":"2.0","id":0,"method":"ping"}"#.to_owned()),
    };
    let Ok(head) = envelope::incoming(source.as_bytes()) else { return pending().await };
    link.exchange(&Call::own(source.as_bytes(), &head, method, era), &mut Collected::default()).await
}
