//! The first words with an HTTP backend, and what is kept of them.

use std::cell::Cell;
use std::convert::Infallible;
use std::rc::Rc;

use tokio::sync::watch;

use super::{Berth, Greeted, Link, Peer, Posted, Staleness};
use crate::catalog::{Era, Revision};
use crate::limits;
use crate::mcp::client::Profile;
use crate::mcp::method::Level;
use crate::upstream::greeting::Collected;
use crate::upstream::http;
use crate::upstream::{Call, Error, Greeting, Kind, Relay, greeting, profiles, verbosity};

impl Link {
    /// The backend as the client of a call may meet it.
    pub(super) async fn peer_for(self: &Rc<Self>, call: &Call<'_>) -> Greeted {
        if let Some(peer) = self.modern_peer() {
            return Ok(peer);
        }
        let profile = profiles::of(call);
        let berth = self.berths.of(profile, || Ok::<_, Infallible>(Rc::new(Berth::new(profile))));
        self.peer(&berth.unwrap_or_else(|never| match never {})).await
    }

    /// The backend, if it was greeted and is a modern one, which is told with each message what its client can do.
    fn modern_peer(&self) -> Option<Rc<Peer>> {
        self.berths.none().peer.borrow().as_ref().filter(|peer| peer.greeting.era == Era::Modern).cloned()
    }

    /// The backend as it was greeted; greets it first where that has not happened. Whoever asks meanwhile waits for the
    /// same greeting, and the greeting outlives whoever began it: a call's deadline may be shorter than a server's start.
    pub(super) async fn peer(self: &Rc<Self>, berth: &Rc<Berth>) -> Greeted {
        if let Some(peer) = &*berth.peer.borrow() {
            return Ok(Rc::clone(peer));
        }
        let mut greeting = berth.greeting.borrow_mut().get_or_insert_with(|| self.begin_greeting(berth)).clone();
        let outcome = greeting.wait_for(Option::is_some).await.ok().and_then(|outcome| outcome.clone());
        outcome.unwrap_or_else(|| Err(Error::unavailable("the gateway stops")))
    }

    fn begin_greeting(self: &Rc<Self>, berth: &Rc<Berth>) -> watch::Receiver<Option<Greeted>> {
        let (sender, outcome) = watch::channel(None);
        let (link, berth) = (Rc::clone(self), Rc::clone(berth));
        tokio::task::spawn_local(async move {
            let greeted = link.introduce(berth.profile).await.map(Rc::new).map_err(Error::before_the_call);
            if let Ok(peer) = &greeted {
                tracing::info!(backend = link.backend, revision = %peer.greeting.revision, "backend greeted");
                link.attend_to(peer);
                link.assumed_era.set(Some(peer.greeting.era));
                link.settle(peer, &berth);
            }
            berth.greeting.replace(None);
            sender.send_replace(Some(greeted));
        });
        outcome
    }

    /// A legacy backend has a session for this profile from now on, a modern one none for any.
    fn settle(&self, peer: &Rc<Peer>, berth: &Rc<Berth>) {
        let berth = match peer.greeting.era {
            Era::Legacy => berth,
            Era::Modern => {
                self.berths.all().iter().filter_map(|berth| berth.peer.take()).for_each(|peer| peer.end());
                self.berths.none()
            }
        };
        berth.peer.replace(Some(Rc::clone(peer)));
    }

    pub(super) fn forget(&self, peer: &Rc<Peer>) {
        for berth in self.berths.all() {
            berth.peer.borrow_mut().take_if(|current| Rc::ptr_eq(current, peer));
        }
        peer.end();
    }

    /// Greets the backend in the era it is pinned to or was locked in, else in the modern one first.
    async fn introduce(&self, profile: Profile) -> Result<Peer, Error> {
        let assumed_era = self.assumed_era.get();
        if assumed_era != Some(Era::Legacy) {
            let discovered = tokio::time::timeout(limits::PROBE_TIMEOUT, self.discover()).await;
            // Silence is what some servers have for methods they do not know.
            match discovered.unwrap_or(Ok(greeting::Verdict::Legacy))? {
                greeting::Verdict::Modern(greeting) => return Ok(self.modern(greeting)),
                greeting::Verdict::Incompatible(detail) => return Err(Error::new(Kind::Protocol, false, detail)),
                greeting::Verdict::Legacy if self.pinned_era == Some(Era::Modern) => {
                    return Err(Error::new(
                        Kind::Protocol,
                        false,
                        "it is pinned to the modern era and does not speak it",
                    ));
                }
                greeting::Verdict::Legacy => {}
            }
        }
        let initialized = tokio::time::timeout(limits::PROBE_TIMEOUT, self.initialize(profile)).await;
        match initialized.unwrap_or_else(|_elapsed| Err(Error::unavailable("it answered no greeting in time"))) {
            Err(error)
                if assumed_era == Some(Era::Legacy) && self.pinned_era.is_none() && error.kind == Kind::Protocol =>
            {
                // Locked as legacy, refused now: it may have become modern only.
                let discovered = tokio::time::timeout(limits::PROBE_TIMEOUT, self.discover()).await;
                match discovered.unwrap_or(Ok(greeting::Verdict::Legacy))? {
                    greeting::Verdict::Modern(greeting) => Ok(self.modern(greeting)),
                    _ => Err(error),
                }
            }
            other => other,
        }
    }

    async fn discover(&self) -> Result<greeting::Verdict, Error> {
        let head = self.client.post_head(&self.client.endpoint.path) + &fields_of(Revision::MODERN, None);
        let head = head + "mcp-method: server/discover\r\n";
        for again in [false, true] {
            let (id, mut collected) = (self.ids.mint(), Collected::default());
            let body = greeting::discover(id);
            let posted = self.post(head.as_bytes(), body.as_bytes(), Era::Modern, id, &mut collected).await?;
            match (posted, collected.0) {
                (Posted::Answered { .. }, Some((source, head))) => {
                    if again || !greeting::wants_another(&source, &head) {
                        return Ok(greeting::verdict(&source, &head));
                    }
                }
                // It says nothing of the eras that it speaks.
                (busy @ Posted::Busy(..), _) => return Err(self.unanswered(&busy).before_the_call()),
                _ => break,
            }
        }
        Ok(greeting::Verdict::Legacy)
    }

    async fn initialize(&self, profile: Profile) -> Result<Peer, Error> {
        let id = self.ids.mint();
        let refused = |detail: String| Error::new(Kind::Protocol, false, detail);
        let mut collected = Collected::default();
        let posted = self
            .post(
                self.client.post_head(&self.client.endpoint.path).as_bytes(),
                greeting::initialize(id, profile).as_bytes(),
                Era::Legacy,
                id,
                &mut collected,
            )
            .await?;
        let (Posted::Answered { session_id, .. }, Some((source, outgoing))) = (&posted, collected.0) else {
            return Err(self.unanswered(&posted));
        };
        let greeting = greeting::initialized(&source, &outgoing).map_err(refused)?;
        let fields = fields_of(greeting.revision, session_id.as_deref());
        let head = self.client.post_head(&self.client.endpoint.path);
        let peer = Peer::legacy((greeting, profile), session_id.clone(), head, fields, &self.audience);
        let sent = Cell::new(false);
        match self
            .post_to(
                &peer.head,
                greeting::INITIALIZED.as_bytes(),
                peer.greeting.era,
                None,
                &sent,
                &mut Collected::default(),
            )
            .await?
        {
            Posted::Refused(status) => {
                Err(refused(format!("`notifications/initialized` was answered with status {status}")))
            }
            busy @ Posted::Busy(..) => Err(self.unanswered(&busy).before_the_call()),
            Posted::Over | Posted::NotFound => {
                Err(refused("`notifications/initialized` was answered with status 404".to_owned()))
            }
            Posted::Accepted | Posted::Answered { .. } => Ok(peer),
        }
    }

    /// Tells a legacy backend to log more. One that does not is not worth a call.
    pub(super) async fn set_level(&self, peer: &Peer, level: Level) {
        let (id, mut answered) = (self.ids.mint(), Collected::default());
        let message = verbosity::set_level(id, level);
        let posted = self.post(&peer.head, message.as_bytes(), Era::Legacy, id, &mut answered);
        match tokio::time::timeout(limits::PROBE_TIMEOUT, posted).await {
            Ok(Ok(_posted)) => {}
            Ok(Err(error)) => tracing::debug!(backend = self.backend, %error, "it was not told to log more"),
            Err(_elapsed) => tracing::debug!(backend = self.backend, "it does not say whether it logs more"),
        }
    }

    fn modern(&self, greeting: Greeting) -> Peer {
        let head = self.client.post_head(&self.client.endpoint.path) + &fields_of(greeting.revision, None);
        Peer::modern(greeting, head.into_bytes())
    }

    async fn post(
        &self,
        head: &[u8],
        body: &[u8],
        era: Era,
        id: u64,
        collected: &mut Collected,
    ) -> Result<Posted, Error> {
        let sent = Cell::new(false);
        self.post_to(head, body, era, Some(id), &sent, collected).await
    }

    pub(super) async fn post_to<R: Relay>(
        &self,
        head: &[u8],
        body: &[u8],
        era: Era,
        id: Option<u64>,
        sent: &Cell<bool>,
        relay: &mut R,
    ) -> Result<Posted, Error> {
        let mut request = head.to_vec();
        http::end_head(&mut request, body.len());
        request.extend_from_slice(body);
        let connection = self.client.send(&request, sent).await?;
        self.receive(connection, id, era, Staleness::None, None, relay).await
    }
}

/// What every request says of its revision and session.
fn fields_of(revision: Revision, session_id: Option<&str>) -> String {
    let mut fields = String::new();
    // The field exists since 2025-06-18; older servers may refuse a version they do not know.
    if revision >= Revision::V2025_06_18 {
        fields.push_str(&format!("mcp-protocol-version: {revision}\r\n"));
    }
    if let Some(session_id) = session_id {
        fields.push_str(&format!("mcp-session-id: {session_id}\r\n"));
    }
    fields
}
