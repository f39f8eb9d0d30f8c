//! What a connection of many requests is at: closes it when it idles, or takes back most of what it asks for.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use bytes::Bytes;
use flint_gateway::{BodyError, WebAnswer, WebBody};
use http_body::{Body, Frame, SizeHint};

/// So many requests may be taken back before anybody wonders.
const TAKEN_BACK: u64 = 100;

/// Counts of one connection.
#[derive(Debug)]
pub(super) struct Activity {
    begun: Instant,
    under_way: AtomicU64,
    answered: AtomicU64,
    taken_back: AtomicU64,
    /// Milliseconds after `begun` at which a request last began or ended.
    last: AtomicU64,
}

/// A request under way. Dropped before its answer began, it was taken back by its client.
#[derive(Debug)]
pub(super) struct UnderWay {
    activity: Arc<Activity>,
    answered: bool,
}

impl Activity {
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Self {
            begun: Instant::now(),
            under_way: AtomicU64::new(0),
            answered: AtomicU64::new(0),
            taken_back: AtomicU64::new(0),
            last: AtomicU64::new(0),
        })
    }

    pub(super) fn begin(self: &Arc<Self>) -> UnderWay {
        self.under_way.fetch_add(1, Ordering::Relaxed);
        self.touch();
        UnderWay {
            activity: Arc::clone(self),
            answered: false,
        }
    }

    /// Nothing was asked for so long.
    pub(super) fn is_idle(&self, limit: Duration) -> bool {
        let last = Duration::from_millis(self.last.load(Ordering::Relaxed));
        self.under_way.load(Ordering::Relaxed) == 0 && self.begun.elapsed() > last + limit
    }

    /// Most requests are taken back as soon as they are made (CVE-2023-44487): each costs us work and its sender nothing.
    pub(super) fn is_abusive(&self) -> bool {
        let taken_back = self.taken_back.load(Ordering::Relaxed);
        taken_back > TAKEN_BACK && taken_back > self.answered.load(Ordering::Relaxed)
    }

    fn touch(&self) {
        let now = u64::try_from(self.begun.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.last.store(now, Ordering::Relaxed);
    }
}

impl UnderWay {
    /// The answer begins; the request lasts until its body was sent.
    pub(super) fn answer(mut self, answer: WebAnswer) -> http::Response<Counted> {
        self.answered = true;
        self.activity.answered.fetch_add(1, Ordering::Relaxed);
        answer.map(|body| Counted {
            body,
            _under_way: self,
        })
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        if !self.answered {
            self.activity.taken_back.fetch_add(1, Ordering::Relaxed);
        }
        self.activity.under_way.fetch_sub(1, Ordering::Relaxed);
        self.activity.touch();
    }
}

/// The body of an answer, whose request is under way as long as it is.
#[derive(Debug)]
pub(super) struct Counted {
    body: WebBody,
    _under_way: UnderWay,
}

impl Body for Counted {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_that_are_taken_back_add_up_and_answered_ones_excuse_them() {
        let activity = Activity::new();
        for _ in 0..=TAKEN_BACK {
            assert!(!activity.is_abusive());
            drop(activity.begin());
        }
        assert!(activity.is_abusive());
        for _ in 0..=TAKEN_BACK {
            let plain = flint_gateway::plain(flint_gateway::Answer::default());
            drop(activity.begin().answer(plain));
        }
        assert!(!activity.is_abusive());
        assert!(activity.is_idle(Duration::ZERO) && !activity.is_idle(Duration::from_secs(60)));
        let under_way = activity.begin();
        assert!(!activity.is_idle(Duration::ZERO));
        drop(under_way);
    }
}
