//! Connections to web functions, kept open between requests, by instance.
//!
//! Guarantees: a connection serves one request at a time, and only requests of its own instance. A request that finds a kept
//! connection closed, before any of it was sent, goes over a new one.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use flint_engine::Session;
use http::{Request, Response};
use hyper::body::Incoming;
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;

use super::BodyError;

type Kept = Arc<Mutex<HashMap<u64, Vec<SendRequest<Incoming>>>>>;

/// All connections that wait for a request.
#[derive(Debug, Clone, Default)]
pub(crate) struct Connections {
    kept: Kept,
}

/// A connection whose answer is being read; given back when that is done.
#[derive(Debug)]
pub(crate) struct Connection {
    instance: u64,
    sender: SendRequest<Incoming>,
    kept: Kept,
}

/// Why there is no answer.
#[derive(Debug)]
pub(crate) enum Failed {
    /// Nothing of the request was sent: the server does not accept connections any more.
    Unsent(Box<Request<Incoming>>, std::io::Error),
    /// The server has seen the request, or a part of it.
    Lost(BodyError),
}

impl Connections {
    /// Sends a request over a kept connection or a new one, and waits for the head of the answer.
    pub(crate) async fn send(
        &self,
        session: &Session,
        request: Request<Incoming>,
    ) -> Result<(Response<Incoming>, Connection), Failed> {
        let instance = session.instance();
        let mut request = request;
        while let Some(mut sender) = self.take(instance) {
            match sender.try_send_request(request).await {
                Ok(response) => return Ok((response, self.lent(instance, sender))),
                Err(mut failed) => match failed.take_message() {
                    Some(unsent) => request = unsent,
                    None => return Err(Failed::Lost(failed.into_error().into())),
                },
            }
        }
        let stream = match session.connect().await {
            Ok(stream) => stream,
            Err(error) => return Err(Failed::Unsent(Box::new(request), error)),
        };
        let handshake = http1::handshake(TokioIo::new(stream)).await;
        let (mut sender, connection) = handshake.map_err(|error| Failed::Lost(error.into()))?;
        let kept = Arc::clone(&self.kept);
        tokio::spawn(async move {
            // What goes wrong on it is told to its request.
            drop(connection.with_upgrades().await);
            // The senders of an instance that is gone are of no use; those of a living one are found closed when used.
            lock(&kept).retain(|_, senders| {
                senders.retain(|sender| !sender.is_closed());
                !senders.is_empty()
            });
        });
        let sent = sender.send_request(request).await;
        let response = sent.map_err(|error| Failed::Lost(error.into()))?;
        Ok((response, self.lent(instance, sender)))
    }

    fn lent(&self, instance: u64, sender: SendRequest<Incoming>) -> Connection {
        Connection {
            instance,
            sender,
            kept: Arc::clone(&self.kept),
        }
    }

    fn take(&self, instance: u64) -> Option<SendRequest<Incoming>> {
        let mut kept = lock(&self.kept);
        let senders = kept.get_mut(&instance)?;
        while let Some(sender) = senders.pop() {
            if sender.is_ready() {
                return Some(sender);
            }
        }
        None
    }
}

impl Connection {
    /// The answer was read to its end: the connection may serve another request.
    pub(crate) fn give_back(self) {
        let Self {
            instance,
            mut sender,
            kept,
        } = self;
        tokio::spawn(async move {
            if sender.ready().await.is_ok() {
                lock(&kept).entry(instance).or_default().push(sender);
            }
        });
    }
}

fn lock(kept: &Kept) -> MutexGuard<'_, HashMap<u64, Vec<SendRequest<Incoming>>>> {
    kept.lock().unwrap_or_else(PoisonError::into_inner)
}
