//! WebSocket towards a backend: one connection a worker, which all of its calls share, made again when it ends; for a
//! legacy backend one for each profile of clients.
//!
//! MCP has no such transport of its own. Servers in the field offer the subprotocol `mcp` and put one message into a text
//! frame; everything else is as over stdio, and in `channel`.

mod greeting;
mod open_socket;

use std::cell::Cell;
use std::rc::Rc;

use super::channel::{Door, Life, Link};
use super::endpoint::{Endpoint, Place, Speaks};
use super::heard::{Audience, Hearer};
use super::profiles::{self, ByProfile};
use super::{Call, Context, Error, Greeting, OpenError, Relay, Transport, plan};
use crate::catalog::Era;
use crate::limits;
use crate::mcp::client::Profile;
use open_socket::OpenSocket;

/// The links of one worker to one backend over WebSocket.
#[derive(Debug)]
pub struct WebSocket {
    links: ByProfile<Link>,
    source: Box<Source>,
    /// What it was greeted in last, was locked in or is pinned to.
    era: Cell<Option<Era>>,
}

/// What links are made from.
#[derive(Debug)]
struct Source {
    context: Context,
    backend: plan::Backend,
    endpoint: Rc<Endpoint>,
    audience: Rc<Audience>,
}

/// What a connection is made from.
#[derive(Debug)]
struct Line {
    endpoint: Rc<Endpoint>,
    /// For clients of which profile it is.
    profile: Profile,
}

// === impl Transport ===

impl Transport for WebSocket {
    fn carries(transport: &plan::Transport) -> bool {
        matches!(transport, plan::Transport::WebSocket(_))
    }

    fn open(context: &Context, backend: &plan::Backend) -> Result<Self, OpenError> {
        let plan::Transport::WebSocket(settings) = &backend.transport else {
            return Err(OpenError::NotCompiled { backend: backend.name.to_string() });
        };
        let place = Place {
            url: context.url(&backend.transport),
            ca: settings.ca.as_ref(),
            connect_timeout_ms: settings.connect_timeout_ms,
            credentials: &settings.credentials,
            proxy: settings.proxy.as_ref(),
            speaks: Speaks::WebSocket,
        };
        let endpoint = Rc::new(Endpoint::open(context, backend, &place)?);
        let audience = Rc::new(Audience::new(context.shared.account(backend)));
        let source = Box::new(Source { context: context.clone(), backend: backend.clone(), endpoint, audience });
        Ok(Self {
            links: ByProfile::new(source.link(Profile::NONE)?),
            source,
            era: Cell::new(backend.era.or(backend.locked_era)),
        })
    }

    async fn exchange<R: Relay>(&self, call: &Call<'_>, relay: &mut R) -> Result<(), Error> {
        // Only a legacy backend tells clients apart; which era it is of, the connection for all finds out.
        if self.era.get() != Some(Era::Legacy) {
            self.era.set(Some(self.links.none().ready().await?.1.era));
        }
        let profile = match self.era.get() {
            Some(Era::Legacy) => profiles::of(call),
            _ => Profile::NONE,
        };
        let link = self.links.of(profile, || self.source.link(profile));
        link.map_err(|error| Error::unavailable(error.why()))?.exchange(call, relay).await
    }

    async fn greet(&self) -> Result<Greeting, Error> {
        self.links.none().greet().await
    }

    fn era(&self) -> Option<Era> {
        self.links.none().era()
    }

    async fn hear<H: Hearer>(&self, hearer: Rc<H>) -> Result<(), Error> {
        self.links.none().hear(hearer).await
    }

    fn reconsider(&self) {
        self.links.all().iter().for_each(|link| link.nudge());
    }

    async fn close(&self) {
        let links = self.links.all();
        links.iter().for_each(|link| link.begin_close());
        for link in links {
            link.closed().await;
        }
    }
}

// === impl Source ===

impl Source {
    /// A link for clients of a profile.
    fn link(&self, profile: Profile) -> Result<Rc<Link>, OpenError> {
        let door = Door::new(self.context.shared.account(&self.backend));
        door.serve::<OpenSocket>(&self.backend, Line { endpoint: Rc::clone(&self.endpoint), profile })?;
        door.link(&self.context, &self.backend, &self.audience).map(Rc::new)
    }
}

// === impl Line ===

impl Line {
    /// Those for the clients of one profile are there while there are some.
    fn life(&self) -> Life {
        match self.profile {
            Profile::NONE => Life::default(),
            _ => Life { lazy: true, idle: Some(limits::PROFILE_IDLE), ..Life::default() },
        }
    }
}
