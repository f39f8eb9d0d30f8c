//! One call of a function, as every door hands it to the engine.

use std::time::Instant;

use bytes::Bytes;

use crate::{AccountId, Qualifier, RequestId};

/// A call. Doors turn their requests into it; the engine sees nothing else of the outside.
#[derive(Debug, Clone)]
pub struct Invocation {
    /// Same across retries.
    pub request_id: RequestId,
    /// Who calls, by the name that is unique within the tenant.
    pub caller: String,
    /// Owner of the function.
    pub tenant: AccountId,
    /// Name of the function.
    pub function: String,
    /// Version or alias; `None` is `$LATEST`.
    pub qualifier: Option<Qualifier>,
    /// The payload, untouched.
    pub payload: Bytes,
    /// The caller's deadline (the first clock); the engine never waits beyond it.
    pub deadline: Instant,
    /// JSON text of the client context.
    pub client_context: Option<String>,
    /// Trace id in X-Ray's header form.
    pub trace_id: Option<String>,
    /// Return the end of the log with the outcome.
    pub log_tail: bool,
}
