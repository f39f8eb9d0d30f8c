//! The Lambda Runtime API for one instance, on the listener that was opened inside its network namespace.
//!
//! Source: AWS Lambda developer guide, "Using the Lambda runtime API" (2018-06-01). Identity is the listener: whoever
//! connects to it is this instance. Guarantees: an answer counts only for the one call that is out, once.

mod answer;
mod serve;

use std::sync::{Arc, Mutex};

use bytes::Bytes;
use tokio::net::TcpListener;
use tokio::sync::{Notify, oneshot};
use tokio::task::AbortHandle;

use crate::channel::Heard;
use crate::stream::Sink;

/// A call as `GET …/next` hands it out.
#[derive(Debug, Clone)]
pub(crate) struct NextCall {
    pub(crate) request_id: String,
    pub(crate) deadline_ms: i64,
    pub(crate) arn: String,
    pub(crate) client_context: Option<String>,
    pub(crate) trace_id: Option<String>,
    pub(crate) payload: Bytes,
    /// Where the answer goes while it is made; without one it is wanted whole.
    pub(crate) sink: Option<Sink>,
}

#[derive(Debug, Default)]
struct State {
    /// The runtime has asked for work at least once, so its init is over.
    ready: bool,
    /// Given to the instance, not yet fetched.
    waiting: Option<NextCall>,
    /// Fetched and not yet answered: only this id is accepted.
    out: Option<String>,
    /// Of the call that is out.
    sink: Option<Sink>,
    /// Who waits for what the runtime says.
    listener: Option<oneshot::Sender<Heard>>,
    /// What it said before anybody listened (during init).
    early: Option<Heard>,
}

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    offered: Notify,
}

impl Shared {
    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    fn say(&self, heard: Heard) {
        let mut state = self.lock();
        match state.listener.take() {
            Some(listener) => {
                let _ = listener.send(heard);
            }
            None => state.early = Some(heard),
        }
    }
}

/// Serves one instance; ends when dropped.
#[derive(Debug)]
pub(crate) struct RuntimeApi {
    shared: Arc<Shared>,
    server: AbortHandle,
    hearing: Option<oneshot::Receiver<Heard>>,
}

impl RuntimeApi {
    pub(crate) fn serve(listener: TcpListener) -> Self {
        let shared = Arc::new(Shared::default());
        let server = tokio::spawn(serve::accept(listener, Arc::clone(&shared))).abort_handle();
        Self {
            shared,
            server,
            hearing: None,
        }
    }

    /// Starts anew for a fresh process in the same sandbox.
    pub(crate) fn reset(&mut self) {
        *self.shared.lock() = State::default();
        self.hearing = None;
    }

    /// Waits until the runtime asks for work, or says that its init failed.
    pub(crate) async fn hear_init(&mut self) -> Heard {
        self.hear().await
    }

    /// Offers a call to the runtime.
    pub(crate) fn call(&mut self, call: NextCall) {
        let mut state = self.shared.lock();
        let (say, hear) = oneshot::channel();
        self.hearing = Some(hear);
        state.listener = Some(say);
        state.early = None;
        state.sink.clone_from(&call.sink);
        state.waiting = Some(call);
        drop(state);
        self.shared.offered.notify_one();
    }

    /// The call is over: nobody is told anything of it any more.
    pub(crate) fn end_stream(&mut self) {
        self.shared.lock().sink = None;
    }

    /// Waits for the answer to the current call. May be dropped and called again.
    pub(crate) async fn hear_answer(&mut self) -> Heard {
        self.hear().await
    }

    async fn hear(&mut self) -> Heard {
        if self.hearing.is_none() {
            let mut state = self.shared.lock();
            if let Some(heard) = state.early.take() {
                return heard;
            }
            let (say, hear) = oneshot::channel();
            state.listener = Some(say);
            self.hearing = Some(hear);
        }
        let Some(hearing) = &mut self.hearing else {
            return Heard::Closed;
        };
        let heard = hearing.await.unwrap_or(Heard::Closed);
        self.hearing = None;
        heard
    }
}

impl Drop for RuntimeApi {
    fn drop(&mut self) {
        self.server.abort();
    }
}

#[cfg(test)]
mod tests;
