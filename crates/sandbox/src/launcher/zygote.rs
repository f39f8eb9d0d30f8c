//! Zygotes: programs that have done their init, stopped, and copied into sandboxes that lie inside theirs.
//!
//! Guarantees: a sandbox is entered by a copy only when it is prepared for one, lies inside that zygote's, and was fitted with
//! mounts, limits and network; a copy that was not made leaves its sandbox to be destroyed. The end of a zygote is told, and
//! ends none of its copies. Leaves to others: the copying itself (`keeper`).

use std::collections::VecDeque;
use std::os::fd::{AsFd, OwnedFd};

use rustix::event::epoll::{self, EventFlags};

use super::instance::{Instance, Keeper, State};
use super::keeper::{self, Charge};
use super::serve::{Part, Server, instance, token};
use crate::error::{Error, Result};
use crate::spec::{Bind, Limits};
use crate::wire::{self, Done, KeeperWord, Notice, Order, Use};

impl Server {
    /// Stops the program of a sandbox at its fork, for good.
    pub(super) fn keep(&mut self, req: u64, id: u64, word: &[u8], fds: &[OwnedFd]) -> Result<()> {
        let it = instance(&mut self.live, id)?;
        let refused = |reason: &str| Error::State {
            id,
            reason: reason.to_owned(),
        };
        if it.purpose != Use::Zygote || it.state != State::Running || it.keeper.is_some() {
            return Err(refused("it was not prepared for a zygote, or no program runs"));
        }
        let channel = fds.first().ok_or_else(|| refused("a zygote needs a channel"))?;
        let group = it
            .group
            .first()
            .ok_or_else(|| refused("a zygote needs cgroups"))?;
        let pids = crate::cgroup::processes(&group).map_err(|error| Error::control(&group, error))?;
        let mut programs = pids.into_iter().filter(|pid| *pid != it.pid);
        let pid = match (programs.next(), programs.next()) {
            (Some(pid), None) => pid,
            (None, _) => return Err(Error::Ended { id }),
            (Some(_), Some(_)) => {
                let reasons = vec!["it has started other processes".to_owned()];
                return Err(Error::NoZygote { reasons });
            }
        };
        let channel = channel
            .try_clone()
            .map_err(|error| Error::build("hand over the channel", error))?;
        let charge = Charge {
            pid,
            init: it.pid,
            group,
            channel,
            word: word.to_vec(),
        };
        let (socket, pid) = keeper::start(&charge)?;
        epoll::add(
            &self.parts.epoll,
            &socket,
            token(id, Part::Keeper),
            EventFlags::IN,
        )
        .map_err(|error| Error::build("watch the keeper of a zygote", error))?;
        it.keeper = Some(Keeper {
            pid,
            socket,
            keeping: Some(req),
            forks: VecDeque::new(),
        });
        Ok(())
    }

    /// Fits a sandbox inside the zygote's, and has a copy of the zygote sent into it.
    pub(super) fn fork(
        &mut self,
        req: u64,
        zygote: u64,
        id: u64,
        binds: &[Bind],
        limits: Limits,
        fds: &[OwnedFd],
    ) -> Result<()> {
        let kept = self.live.get(&zygote).filter(|it| it.is_kept());
        let socket = kept
            .and_then(|it| it.keeper.as_ref())
            .ok_or(Error::Ended { id: zygote })?
            .socket
            .try_clone()
            .map_err(|error| Error::build("reach the keeper of a zygote", error))?;
        if instance(&mut self.live, id)?.purpose != Use::Copy || fds.len() != 2 {
            return Err(Error::State {
                id,
                reason: "it was not prepared for a copy of a zygote".to_owned(),
            });
        }
        let it = self.fit(id, State::Parked, binds, limits)?;
        it.copy_into(req, &socket, fds)?;
        if let Some(keeper) = self.live.get_mut(&zygote).and_then(|it| it.keeper.as_mut()) {
            keeper.forks.push_back(id);
        }
        Ok(())
    }

    /// Ends a zygote, not its copies.
    pub(super) fn release(&mut self, id: u64) {
        if let Some(keeper) = self.live.get_mut(&id).and_then(|it| it.keeper.take()) {
            self.unkeep(id, keeper);
        }
    }

    /// A keeper says something, or has hung up.
    pub(super) fn keeper_word(&mut self, id: u64) {
        let mut buffer = std::mem::take(&mut self.buffer);
        let keeper = self.live.get_mut(&id).and_then(|it| it.keeper.as_mut());
        let word = keeper.map(|keeper| {
            let word = wire::receive::<KeeperWord>(&keeper.socket, &mut buffer);
            (keeper, word.ok().flatten().map(|packet| packet.head))
        });
        self.buffer = buffer;
        let Some((keeper, word)) = word else { return };
        match word {
            Some(KeeperWord::Kept) => {
                if let Some(req) = keeper.keeping.take() {
                    self.answer(req, Ok(Done::Plain));
                }
            }
            Some(KeeperWord::Refused(reasons)) => {
                if let Some(req) = keeper.keeping.take() {
                    self.answer(req, Err(Error::NoZygote { reasons }));
                }
            }
            Some(KeeperWord::Forked { pid }) => {
                if let Some(sandbox) = keeper.forks.pop_front() {
                    // Its init says that it has it, and that answers the request.
                    if let Some(it) = self.live.get(&sandbox) {
                        drop(wire::tell(&it.socket, &Order::Adopt { pid }, &[], &[]));
                    }
                }
            }
            Some(KeeperWord::Failed(reason)) => {
                if let Some(sandbox) = keeper.forks.pop_front() {
                    self.not_copied(sandbox, &reason);
                }
            }
            None => {
                let keeper = self.live.get_mut(&id).and_then(|it| it.keeper.take());
                if let Some(keeper) = keeper {
                    self.unkeep(id, keeper);
                }
            }
        }
    }

    /// Whoever waits for a keeper waits in vain; it ends, and its zygote with it.
    pub(super) fn unkeep(&mut self, id: u64, keeper: Keeper) {
        let _ = epoll::delete(&self.parts.epoll, keeper.socket.as_fd());
        let Keeper {
            pid,
            socket,
            keeping,
            forks,
        } = keeper;
        drop(socket);
        let pid = rustix::process::Pid::from_raw(pid);
        if let Some(pid) = pid {
            let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
        }
        let _ = rustix::process::waitpid(pid, rustix::process::WaitOptions::empty());
        if let Some(req) = keeping {
            let reasons = vec!["it did not come to its fork in time".to_owned()];
            self.answer(req, Err(Error::NoZygote { reasons }));
        }
        for sandbox in forks {
            self.not_copied(sandbox, "the zygote has ended");
        }
        self.tell(&Notice::Unkept { sandbox: id }, &[]);
    }

    fn not_copied(&mut self, sandbox: u64, reason: &str) {
        let Some(it) = self.live.get_mut(&sandbox) else {
            return;
        };
        if let State::Starting { req } = it.state {
            it.state = State::Idle;
            let error = Error::Build {
                step: "copy the zygote".to_owned(),
                reason: reason.to_owned(),
            };
            self.answer(req, Err(error));
        }
    }
}

/// What a sandbox inside a zygote's begins in.
pub(super) fn around(
    live: &std::collections::HashMap<u64, Instance>,
    zygote: u64,
) -> Result<super::midwife::Around> {
    live.get(&zygote)
        .filter(|it| it.is_kept())
        .ok_or(Error::Ended { id: zygote })?
        .around()
}
