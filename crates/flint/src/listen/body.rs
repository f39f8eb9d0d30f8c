//! Bodies that are held whole: read within their limit, the room for all of them, and their time.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use flint_gateway::{Answer, aws_error};
use flint_model::Code;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::body::Incoming;
use tokio::sync::{Semaphore, SemaphorePermit};

use super::Doors;

/// How long a body may take to arrive.
const BODY_TIME: Duration = Duration::from_secs(60);

/// Bodies held at the same time, all requests together: 512 MiB in units of 64 KiB. More wait before they are read.
const BODY_UNITS: usize = 8_192;
const BODY_UNIT: u64 = 64 * 1024;

/// The room for all bodies.
pub(crate) fn body_room() -> Arc<Semaphore> {
    Arc::new(Semaphore::new(BODY_UNITS))
}

/// What a body may take: its stated length, else the limit.
fn body_units(body: &Incoming, limit: usize) -> u32 {
    let most = u64::try_from(limit).unwrap_or(u64::MAX);
    let bytes = hyper::body::Body::size_hint(body)
        .upper()
        .unwrap_or(most)
        .min(most);
    u32::try_from(bytes.div_ceil(BODY_UNIT)).unwrap_or(u32::MAX)
}

/// Why a body was not read to its end.
pub(super) enum Unread {
    TooLarge,
    BrokeOff(String),
    Late,
    Stopping,
}

impl Unread {
    pub(super) fn answer(self) -> Answer {
        let (code, message) = match self {
            Self::TooLarge => {
                let limit = "Request must be smaller than 6291456 bytes for the InvokeFunction operation";
                (Code::RequestTooLarge, limit.to_owned())
            }
            Self::Stopping => (
                Code::ShuttingDown,
                "the server is stopping; retry elsewhere".to_owned(),
            ),
            Self::BrokeOff(error) => (Code::BadRequest, format!("the body broke off: {error}")),
            Self::Late => (
                Code::BadRequest,
                "the body took longer than 60 seconds to arrive".to_owned(),
            ),
        };
        aws_error(code, &message, None)
    }
}

impl Doors {
    /// Reads a body within its limit, once there is room for it among all others.
    pub(super) async fn hold(
        &self,
        body: Incoming,
        limit: usize,
    ) -> Result<(SemaphorePermit<'_>, Bytes), Unread> {
        let room = self.bodies.acquire_many(body_units(&body, limit)).await;
        let room = room.map_err(|_| Unread::Stopping)?;
        Ok((room, read(body, limit).await?))
    }
}

async fn read(body: Incoming, limit: usize) -> Result<Bytes, Unread> {
    let collected = tokio::time::timeout(BODY_TIME, Limited::new(body, limit).collect()).await;
    match collected {
        Ok(Ok(body)) => Ok(body.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => Err(Unread::TooLarge),
        Ok(Err(error)) => Err(Unread::BrokeOff(error.to_string())),
        Err(_) => Err(Unread::Late),
    }
}
