//! The instances of one web version: each runs many calls at once.
//!
//! Guarantees: a call goes to a provisioned instance while one has room, else to any; among those to the one that has the
//! most calls and room for one more, so that the others can go idle; none is given to one that has died or is to end. An
//! instance leaves when its last call has.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use flint_runtime::Shared;
use tokio::sync::oneshot;

use crate::pool::{Counted, StartFailed};

#[derive(Debug)]
struct Member {
    shared: Arc<Shared>,
    counted: Counted,
    busy: u32,
    since: Instant,
    /// Gets no more calls.
    ending: bool,
    /// Calls in a row that took too long.
    late: u32,
}

impl Member {
    fn may_go(&self) -> bool {
        self.busy == 0 && !self.counted.is_provisioned()
    }
}

#[derive(Debug, Default)]
struct State {
    members: Vec<Member>,
    line: VecDeque<oneshot::Sender<Place>>,
    starting: usize,
    closed: bool,
}

/// A place in an instance, or why none could be started.
pub(crate) type Place = Result<Taken, StartFailed>;

/// A call's place in an instance. Must be given back with `release`.
#[derive(Debug)]
pub(crate) struct Taken {
    pub(crate) shared: Arc<Shared>,
    /// This call waited for its start.
    pub(crate) fresh: bool,
}

/// An instance that has left; to be stopped.
#[derive(Debug)]
pub(crate) struct Left {
    pub(crate) shared: Arc<Shared>,
    pub(crate) counted: Counted,
}

/// What a call found.
pub(crate) enum Found {
    Place(Taken),
    /// A place in the line; `start` says that no start is under way for it.
    Wait {
        place: oneshot::Receiver<Place>,
        start: bool,
    },
}

#[derive(Debug, Default)]
pub(crate) struct Crowd {
    state: Mutex<State>,
}

impl Crowd {
    /// Takes a place in an instance of at most `each` calls, or one in the line.
    pub(crate) fn take(&self, each: u32) -> Found {
        let mut state = self.lock();
        for member in &mut state.members {
            member.ending |= !member.shared.is_alive();
        }
        let open = state.members.iter_mut().filter(|it| !it.ending && it.busy < each);
        if let Some(member) = open.max_by_key(|it| (it.counted.is_provisioned(), it.busy)) {
            member.busy += 1;
            return Found::Place(Taken {
                shared: Arc::clone(&member.shared),
                fresh: false,
            });
        }
        let (sender, place) = oneshot::channel();
        state.line.retain(|waiter| !waiter.is_closed());
        state.line.push_back(sender);
        let start = state.starting * (each as usize) < state.line.len();
        if start {
            state.starting += 1;
        }
        Found::Wait { place, start }
    }

    /// A start that `take` asked for was not allowed.
    pub(crate) fn start_refused(&self) {
        self.lock().starting -= 1;
    }

    /// A start has ended: its places go to those who wait. Handed back when nothing is served any more.
    pub(crate) fn started(
        &self,
        started: Result<(Box<Shared>, Counted), StartFailed>,
        each: u32,
    ) -> Option<Left> {
        let mut state = self.lock();
        state.starting -= 1;
        let (shared, counted) = match started {
            Ok((shared, counted)) => (Arc::from(shared), counted),
            Err(failed) => {
                let mut failed = Err(failed);
                while let Some(waiter) = state.line.pop_front() {
                    match waiter.send(failed) {
                        Ok(()) => break,
                        Err(back) => failed = back,
                    }
                }
                return None;
            }
        };
        if state.closed && state.line.is_empty() {
            return Some(Left { shared, counted });
        }
        let ending = state.closed;
        state.members.push(Member {
            shared,
            counted,
            busy: 0,
            since: Instant::now(),
            ending,
            late: 0,
        });
        serve_line(&mut state, each, true);
        None
    }

    /// A call has left its place; `late` says that it took too long: after `lates` of them in a row an instance gets no more
    /// calls. One that was waiting for its last call to leave is handed out.
    pub(crate) fn release(&self, id: u64, late: bool, lates: u32, each: u32) -> Option<Left> {
        let mut state = self.lock();
        let at = state.members.iter().position(|member| member.shared.id() == id)?;
        let member = &mut state.members[at];
        member.busy -= 1;
        member.since = Instant::now();
        member.late = if late { member.late + 1 } else { 0 };
        member.ending |= member.late >= lates || !member.shared.is_alive();
        if member.ending && member.busy == 0 {
            return Some(left(state.members.swap_remove(at)));
        }
        serve_line(&mut state, each, false);
        None
    }

    /// A call found its instance gone: it gets no more. Handed out when that was its last call.
    pub(crate) fn gone(&self, id: u64) -> Option<Left> {
        let mut state = self.lock();
        let at = state.members.iter().position(|member| member.shared.id() == id)?;
        let member = &mut state.members[at];
        member.busy -= 1;
        member.ending = true;
        (member.busy == 0).then(|| left(state.members.swap_remove(at)))
    }

    /// Instances without calls for longer than `limit`, and dead ones; `keep`, and the provisioned ones, stay whatever their
    /// age.
    pub(crate) fn expired(&self, limit: Duration, keep: usize) -> Vec<Left> {
        let mut state = self.lock();
        let mut spare = state
            .members
            .iter()
            .filter(|it| !it.ending)
            .count()
            .saturating_sub(keep);
        let mut gone = Vec::new();
        let mut at = 0;
        while at < state.members.len() {
            let member = &mut state.members[at];
            member.ending |= !member.shared.is_alive();
            let stays = member.ending || member.counted.is_provisioned();
            if !stays && spare > 0 && member.busy == 0 && member.since.elapsed() >= limit {
                member.ending = true;
                spare -= 1;
            }
            if member.ending && member.busy == 0 {
                gone.push(left(state.members.swap_remove(at)));
            } else {
                at += 1;
            }
        }
        gone
    }

    /// Provisioned instances that nobody asks for any more, at most `most`: they get no more calls, and those without any
    /// are handed out.
    pub(crate) fn surplus(&self, most: usize) -> Vec<Left> {
        let mut state = self.lock();
        let kept = state.members.iter_mut().filter(|it| it.counted.is_provisioned());
        let (ending, rest): (Vec<_>, Vec<_>) = kept.partition(|it| it.ending);
        let more = most.saturating_sub(ending.len());
        rest.into_iter()
            .take(more)
            .for_each(|member| member.ending = true);
        let gone = |member: &Member| member.ending && member.busy == 0;
        let (gone, rest): (Vec<_>, Vec<_>) = std::mem::take(&mut state.members).into_iter().partition(gone);
        state.members = rest;
        gone.into_iter().map(left).collect()
    }

    /// Memory of an instance without calls that may be given up.
    pub(crate) fn idle_memory(&self) -> Option<u64> {
        let state = self.lock();
        let idle = state.members.iter().find(|member| member.may_go())?;
        Some(idle.shared.memory())
    }

    /// Takes the instance that has been without calls for the longest time; never a provisioned one.
    pub(crate) fn evict(&self) -> Option<Left> {
        let mut state = self.lock();
        let idle = state
            .members
            .iter()
            .enumerate()
            .filter(|(_, member)| member.may_go());
        let (at, _) = idle.min_by_key(|(_, member)| member.since)?;
        Some(left(state.members.swap_remove(at)))
    }

    /// Nothing new is served from now on; those without calls are handed out, the others when their last call leaves.
    pub(crate) fn close(&self) -> Vec<Left> {
        let mut state = self.lock();
        state.closed = true;
        state.members.iter_mut().for_each(|member| member.ending = true);
        let (idle, busy): (Vec<_>, Vec<_>) = std::mem::take(&mut state.members)
            .into_iter()
            .partition(|member| member.busy == 0);
        state.members = busy;
        idle.into_iter().map(left).collect()
    }

    /// Whether calls wait and no start is under way.
    pub(crate) fn lacks_start(&self) -> bool {
        let state = self.lock();
        state.starting == 0 && state.line.iter().any(|waiter| !waiter.is_closed())
    }

    /// A start without a caller, to keep an instance ready.
    pub(crate) fn starting(&self) {
        self.lock().starting += 1;
    }

    /// Whether anything is or was in it.
    pub(crate) fn is_used(&self) -> bool {
        let state = self.lock();
        state.members.capacity() > 0 || state.line.capacity() > 0
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn left(member: Member) -> Left {
    Left {
        shared: member.shared,
        counted: member.counted,
    }
}

/// Gives free places to those who wait, first come first served. When a version is closed, who waits is still served.
fn serve_line(state: &mut State, each: u32, mut fresh: bool) {
    let closed = state.closed;
    for member in &mut state.members {
        if member.ending && !closed {
            continue;
        }
        while member.busy < each {
            let Some(waiter) = state.line.pop_front() else {
                return;
            };
            let taken = Taken {
                shared: Arc::clone(&member.shared),
                fresh,
            };
            if waiter.send(Ok(taken)).is_ok() {
                member.busy += 1;
                fresh = false;
            }
        }
    }
}
