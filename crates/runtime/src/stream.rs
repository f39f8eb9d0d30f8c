//! An answer that is handed on while the handler makes it.
//!
//! Guarantees: no more of it is held than `WINDOW` on its way from the runtime and `PIECES` pieces that wait for whoever
//! reads; a runtime that is not read from is told nothing and sends nothing (credits, decision 004), and its time runs. When
//! nobody reads any more, the rest is thrown away and the handler runs on to its end, as on Lambda.

use bytes::Bytes;
use tokio::sync::mpsc;

/// Bytes that a runtime may send before the host has handed them on.
pub(crate) const WINDOW: u32 = 256 * 1024;
/// Pieces that wait for whoever reads.
const PIECES: usize = 16;

/// A part of a streamed answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Piece {
    /// It begins, and is of this type. Once, before any bytes.
    Head(String),
    /// Bytes.
    Data(Bytes),
}

/// Where the parts of an answer go.
#[derive(Debug, Clone)]
pub struct Sink(mpsc::Sender<Piece>);

/// Where they come from; ends with the call.
pub type Pieces = mpsc::Receiver<Piece>;

/// A sink and its other end.
pub fn stream() -> (Sink, Pieces) {
    let (sender, pieces) = mpsc::channel(PIECES);
    (Sink(sender), pieces)
}

/// Leave to put one part in; `None` when nobody reads.
pub(crate) type Place<'s> = Option<mpsc::Permit<'s, Piece>>;

impl Sink {
    /// The answer begins: HEAD's JSON says of what type it is. The first part, so there is room for it.
    pub(crate) fn begin(&self, head: &[u8]) {
        #[derive(serde::Deserialize)]
        struct Head {
            content_type: Option<String>,
        }
        let head = serde_json::from_slice::<Head>(head).ok();
        let kind = head.and_then(|head| head.content_type);
        self.begin_as(kind);
    }

    /// The same of a known type.
    pub(crate) fn begin_as(&self, kind: Option<String>) {
        let kind = kind.unwrap_or_else(|| "application/octet-stream".to_owned());
        let _ = self.0.try_send(Piece::Head(kind));
    }

    /// Waits for a place. May be dropped and called again.
    pub(crate) async fn place(&self) -> Place<'_> {
        self.0.reserve().await.ok()
    }

    /// Puts a part in; it is dropped when nobody reads. Not to be dropped half way.
    pub(crate) async fn put(&self, piece: Piece) {
        let _ = self.0.send(piece).await;
    }
}

/// What a runtime may still send of a streamed answer, and what is to be given back to it.
#[derive(Debug)]
pub(crate) struct Credit {
    left: u32,
    owed: u32,
}

impl Credit {
    pub(crate) fn new() -> Self {
        Self {
            left: WINDOW,
            owed: 0,
        }
    }

    /// So many bytes came; an error when they were not allowed.
    pub(crate) fn spend(&mut self, bytes: usize) -> Result<(), String> {
        let spent = u32::try_from(bytes)
            .ok()
            .and_then(|bytes| self.left.checked_sub(bytes));
        match spent {
            Some(left) => {
                self.left = left;
                Ok(())
            }
            None => Err(format!("DATA of {bytes} bytes with a credit of {}", self.left)),
        }
    }

    /// So many bytes were handed on; what is to be said to the runtime now, if anything. Told in halves of the window: each
    /// telling is a write.
    pub(crate) fn earn(&mut self, bytes: usize) -> Option<u32> {
        self.owed = self.owed.saturating_add(u32::try_from(bytes).unwrap_or(u32::MAX));
        (self.owed >= WINDOW / 2).then(|| {
            let owed = std::mem::take(&mut self.owed);
            self.left = self.left.saturating_add(owed);
            owed
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credit_is_spent_and_earned_in_halves() {
        let mut credit = Credit::new();
        let half = (WINDOW / 2) as usize;
        assert!(credit.spend(half * 2).is_ok());
        assert!(credit.spend(1).is_err());
        assert_eq!(credit.earn(half - 1), None);
        assert_eq!(credit.earn(1), Some(WINDOW / 2));
        assert!(credit.spend(half).is_ok());
        assert!(credit.spend(1).is_err());
    }
}
