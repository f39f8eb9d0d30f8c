//! The body of a web function's answer: passed on piece by piece, and the end of the call when it ends.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use flint_engine::{Ended, Session};
use http_body::{Body, Frame, SizeHint};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use tokio::time::Sleep;

use super::connections::Connection;
use super::{BodyError, boxed};

/// A whole body, or one that streams from a function.
#[derive(Debug)]
pub struct WebBody(Kind);

#[derive(Debug)]
enum Kind {
    /// One that is there, or that comes of a call that settles by itself.
    Whole(UnsyncBoxBody<Bytes, BodyError>),
    Streaming(Box<Streaming>),
}

#[derive(Debug)]
struct Streaming {
    body: Incoming,
    /// Taken when the call is over. Dropped before, the call counts as left by its caller.
    call: Option<Call>,
    time_up: Pin<Box<Sleep>>,
}

#[derive(Debug)]
struct Call {
    session: Session,
    connection: Connection,
    line: String,
}

impl WebBody {
    pub(crate) fn whole(body: Full<Bytes>) -> Self {
        Self(Kind::Whole(boxed(body)))
    }

    /// A body of any other kind.
    pub(crate) fn of<B>(body: B) -> Self
    where
        B: Body<Data = Bytes, Error = BodyError> + Send + 'static,
    {
        Self(Kind::Whole(body.boxed_unsync()))
    }

    pub(crate) fn streaming(body: Incoming, session: Session, connection: Connection, line: String) -> Self {
        let time_up = Box::pin(tokio::time::sleep_until(session.until().into()));
        let mut streaming = Streaming {
            body,
            call: Some(Call {
                session,
                connection,
                line,
            }),
            time_up,
        };
        if streaming.body.is_end_stream() {
            streaming.end(None);
        }
        Self(Kind::Streaming(Box::new(streaming)))
    }
}

impl Streaming {
    /// The call is over: well, or for a reason.
    fn end(&mut self, failure: Option<(&str, bool)>) {
        let Some(Call {
            session,
            connection,
            line,
        }) = self.call.take()
        else {
            return;
        };
        match failure {
            None => {
                // A status of 5xx says that the server failed, in its own words.
                let ok = !line
                    .rsplit(' ')
                    .next()
                    .is_some_and(|status| status.starts_with('5'));
                session.finish(Ended {
                    line,
                    ok,
                    late: false,
                });
                connection.give_back();
            }
            Some((reason, late)) => {
                let line = format!("{line} ({reason})");
                session.finish(Ended {
                    line,
                    ok: false,
                    late,
                });
            }
        }
    }
}

impl Body for WebBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let streaming = match &mut self.0 {
            Kind::Whole(body) => return Pin::new(body).poll_frame(cx),
            Kind::Streaming(streaming) => streaming,
        };
        match Pin::new(&mut streaming.body).poll_frame(cx) {
            Poll::Ready(Some(Ok(frame))) => {
                if streaming.body.is_end_stream() {
                    streaming.end(None);
                }
                Poll::Ready(Some(Ok(frame)))
            }
            Poll::Ready(None) => {
                streaming.end(None);
                Poll::Ready(None)
            }
            Poll::Ready(Some(Err(error))) => {
                streaming.end(Some(("the answer broke off", false)));
                Poll::Ready(Some(Err(error.into())))
            }
            Poll::Pending if streaming.call.is_some() && streaming.time_up.as_mut().poll(cx).is_ready() => {
                streaming.end(Some(("time is up, the answer is cut off", true)));
                Poll::Ready(Some(Err("the function's time-out has passed".into())))
            }
            Poll::Pending => Poll::Pending,
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.0 {
            Kind::Whole(body) => body.is_end_stream(),
            Kind::Streaming(streaming) => streaming.body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.0 {
            Kind::Whole(body) => body.size_hint(),
            Kind::Streaming(streaming) => streaming.body.size_hint(),
        }
    }
}
