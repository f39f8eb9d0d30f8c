//! The Lambda Runtime API for one instance, on the listener that was opened inside its network namespace.
//!
//! Source: AWS Lambda developer guide, "Using the Lambda runtime API" (2018-06-01). Identity is the listener: whoever
//! connects to it is this instance. Guarantees: an answer counts only for a call that was fetched, once. An instance that runs
//! several calls at once asks for them on as many connections.

mod answer;
mod serve;

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use tokio::net::TcpListener;
use tokio::sync::{Notify, oneshot};
use tokio::task::AbortHandle;

use crate::channel::Heard;
use crate::instance::Call;
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

impl NextCall {
    pub(crate) fn of(call: &Call) -> Self {
        Self {
            request_id: call.request_id.clone(),
            deadline_ms: call.until_ms,
            arn: call.arn.clone(),
            client_context: call.client_context.clone(),
            trace_id: call.trace_id.clone(),
            payload: call.payload.clone(),
            sink: call.sink.clone(),
        }
    }
}

#[derive(Debug, Default)]
struct State {
    /// The runtime has asked for work at least once, so its init is over.
    ready: bool,
    /// Who waits for the end of the init.
    init: Option<oneshot::Sender<Heard>>,
    /// What was said of the init before anybody listened.
    early: Option<Heard>,
    /// Given to the instance, not yet fetched.
    waiting: VecDeque<NextCall>,
    /// Calls without an answer, by request id.
    open: HashMap<String, Open>,
    /// Of the call given last.
    number: u64,
}

/// A call without an answer.
#[derive(Debug)]
struct Open {
    /// Tells it from another one with its request id: a second try of an event keeps the id.
    number: u64,
    /// Only what was fetched can be answered.
    fetched: bool,
    sink: Option<Sink>,
    reply: oneshot::Sender<Heard>,
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

    /// Says how the init ended.
    fn say(&self, heard: Heard) {
        let mut state = self.lock();
        match state.init.take() {
            Some(listener) => {
                let _ = listener.send(heard);
            }
            None => state.early = Some(heard),
        }
    }

    /// Takes a call that was fetched: whoever has it is the only one to answer it.
    fn take(&self, id: &str) -> Option<Open> {
        let mut state = self.lock();
        if state.open.get(id).is_some_and(|open| open.fetched) {
            state.open.remove(id)
        } else {
            None
        }
    }
}

/// A call that is with the runtime; dropped, nobody waits for its answer any more, and none is taken.
#[derive(Debug)]
pub(crate) struct Asked {
    shared: Arc<Shared>,
    id: String,
    number: u64,
    reply: oneshot::Receiver<Heard>,
}

impl Asked {
    /// Waits for the answer. May be dropped and called again.
    pub(crate) async fn answer(&mut self) -> Heard {
        (&mut self.reply).await.unwrap_or(Heard::Closed)
    }
}

impl Drop for Asked {
    fn drop(&mut self) {
        let mut state = self.shared.lock();
        if state
            .open
            .get(&self.id)
            .is_some_and(|open| open.number == self.number)
        {
            state.open.remove(&self.id);
            state.waiting.retain(|call| call.request_id != self.id);
        }
    }
}

/// Serves one instance; ends when dropped.
#[derive(Debug)]
pub(crate) struct RuntimeApi {
    shared: Arc<Shared>,
    server: AbortHandle,
    hearing: Option<oneshot::Receiver<Heard>>,
    /// The call that is out, where there is one at a time.
    asked: Option<Asked>,
}

impl RuntimeApi {
    /// For an instance that gets so many calls at once.
    pub(crate) fn serve(listener: TcpListener, calls: u32) -> Self {
        let shared = Arc::new(Shared::default());
        let accepting = serve::accept(listener, Arc::clone(&shared), calls);
        let server = tokio::spawn(accepting).abort_handle();
        Self {
            shared,
            server,
            hearing: None,
            asked: None,
        }
    }

    /// Starts anew for a fresh process in the same sandbox.
    pub(crate) fn reset(&mut self) {
        self.asked = None;
        *self.shared.lock() = State::default();
        self.hearing = None;
    }

    /// Waits until the runtime asks for work, or says that its init failed. May be dropped and called again.
    pub(crate) async fn hear_init(&mut self) -> Heard {
        if self.hearing.is_none() {
            let mut state = self.shared.lock();
            if let Some(heard) = state.early.take() {
                return heard;
            }
            let (say, hear) = oneshot::channel();
            state.init = Some(say);
            self.hearing = Some(hear);
        }
        let Some(hearing) = &mut self.hearing else {
            return Heard::Closed;
        };
        let heard = hearing.await.unwrap_or(Heard::Closed);
        self.hearing = None;
        heard
    }

    /// Offers a call to the runtime, beside those that are out.
    pub(crate) fn ask(&self, call: NextCall) -> Asked {
        let (say, reply) = oneshot::channel();
        let id = call.request_id.clone();
        let mut state = self.shared.lock();
        state.number += 1;
        let number = state.number;
        let open = Open {
            number,
            fetched: false,
            sink: call.sink.clone(),
            reply: say,
        };
        state.open.insert(id.clone(), open);
        state.waiting.push_back(call);
        drop(state);
        self.shared.offered.notify_one();
        Asked {
            shared: Arc::clone(&self.shared),
            id,
            number,
            reply,
        }
    }

    /// Offers a call to a runtime that has one at a time.
    pub(crate) fn call(&mut self, call: NextCall) {
        self.asked = None;
        self.asked = Some(self.ask(call));
    }

    /// The call is over: nobody is told anything of it any more.
    pub(crate) fn end_stream(&mut self) {
        if let Some(asked) = &self.asked
            && let Some(open) = self.shared.lock().open.get_mut(&asked.id)
        {
            open.sink = None;
        }
    }

    /// Waits for the answer to the current call. May be dropped and called again.
    pub(crate) async fn hear_answer(&mut self) -> Heard {
        match &mut self.asked {
            Some(asked) => asked.answer().await,
            None => Heard::Closed,
        }
    }
}

impl Drop for RuntimeApi {
    fn drop(&mut self) {
        self.server.abort();
    }
}

#[cfg(test)]
mod tests;
