//! What happens to sandboxes by themselves: words of their inits, ends, memory running out.
//!
//! Guarantees: every request that waits for something that cannot come any more is answered. A sandbox's uid and groups
//! are free only when its last process is reaped and its groups are removed.

use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant};

use rustix::event::epoll;
use rustix::process::{WaitId, WaitIdOptions};

use super::instance::{Instance, State};
use super::serve::{Later, Part, Server};
use crate::error::Error;
use crate::spec::Exit;
use crate::wire::{self, Done, Notice, Use, Word};

/// How long a group may stay busy before the launcher waits longer between attempts.
const SOON: Duration = Duration::from_millis(1);
/// How often a kill count is looked at again after an out-of-memory event.
const OOM_LOOKS: u8 = 50;

impl Server {
    pub(super) fn event(&mut self, id: u64, part: u64) {
        if part == Part::Socket as u64 {
            self.word(id);
        } else if part == Part::Process as u64 {
            self.ended(id);
        } else if part == Part::Keeper as u64 {
            self.keeper_word(id);
        } else if let Some(event) = self.live.get(&id).and_then(|it| it.oom_event.as_ref()) {
            let _ = rustix::io::read(event, &mut [0_u8; 8]);
            self.later
                .push((Instant::now(), Later::Oom { id, looks: OOM_LOOKS }));
        }
    }

    /// An init says something.
    fn word(&mut self, id: u64) {
        let mut buffer = std::mem::take(&mut self.buffer);
        let word = self
            .live
            .get(&id)
            .map(|it| wire::receive::<Word>(&it.socket, &mut buffer));
        self.buffer = buffer;
        let Some(instance) = self.live.get_mut(&id) else {
            return;
        };
        let Some(Ok(Some(packet))) = word else {
            // It has hung up: it is dying or dead, which its process descriptor will tell.
            let _ = epoll::delete(&self.parts.epoll, &instance.socket);
            instance.kill();
            return;
        };
        let mut fds = packet.fds.into_iter();
        let (req, result, fds) = match (packet.head, instance.state) {
            (Word::Ready, State::Building { req }) => {
                instance.namespace = fds.next();
                instance.state = State::Parked;
                let paths = instance.group.paths.clone();
                let mut fds: Vec<OwnedFd> = fds.collect();
                let opened = if instance.purpose == Use::Copy {
                    // No zygote speaks the Runtime API: what is left is the fence.
                    instance.fence = fds.pop();
                    instance.open_rooms()
                } else {
                    Ok(())
                };
                let done = opened.map(|()| Done::Prepared {
                    sandbox: id,
                    uid: instance.uid,
                    paths,
                });
                (req, done, fds)
            }
            (Word::Failed(error), State::Building { req }) => {
                instance.state = State::Idle;
                (req, Err(error), Vec::new())
            }
            (Word::Started, State::Starting { req }) => {
                instance.state = State::Running;
                (req, Ok(Done::Plain), Vec::new())
            }
            (Word::NotStarted(error), State::Starting { req }) => {
                instance.state = State::Idle;
                (req, Err(error), Vec::new())
            }
            (Word::Sockets, _) => {
                let Some(req) = instance.sockets.pop_front() else {
                    return;
                };
                (req, Ok(Done::Sockets), fds.collect())
            }
            (Word::Exited { code, signal }, _) => {
                instance.state = State::Idle;
                let exit = Exit {
                    code,
                    signal,
                    oom: instance.oom(),
                };
                self.tell(&Notice::Exited { sandbox: id, exit }, &[]);
                return;
            }
            (Word::Quiet, _) => {
                let kills = std::mem::take(&mut instance.kills);
                for req in kills {
                    self.answer(req, Ok(Done::Plain));
                }
                return;
            }
            _ => return,
        };
        let fds: Vec<OwnedFd> = fds;
        self.tell(&Notice::Answer { req, result }, &fds);
    }

    /// An init has ended, and with it everything in its pid namespace.
    fn ended(&mut self, id: u64) {
        let Some(mut instance) = self.live.remove(&id) else {
            return;
        };
        let _ = rustix::process::waitid(WaitId::PidFd(instance.pidfd.as_fd()), WaitIdOptions::EXITED);
        for fd in [
            Some(&instance.socket),
            Some(&instance.pidfd),
            instance.oom_event.as_ref(),
        ]
        .into_iter()
        .flatten()
        {
            let _ = epoll::delete(&self.parts.epoll, fd);
        }
        let oom = instance.oom();
        if let Some(keeper) = instance.keeper.take() {
            self.unkeep(id, keeper);
        }
        match instance.state {
            State::Building { req } => {
                let reason = "its first process died while building".to_owned();
                self.answer(
                    req,
                    Err(Error::Build {
                        step: "build from inside".to_owned(),
                        reason,
                    }),
                );
            }
            State::Starting { req } => self.answer(req, Err(Error::Ended { id })),
            State::Parked | State::Running | State::Idle => {}
        }
        for req in std::mem::take(&mut instance.sockets) {
            self.answer(req, Err(Error::Ended { id }));
        }
        for req in std::mem::take(&mut instance.kills) {
            self.answer(req, Ok(Done::Plain));
        }
        self.tell(&Notice::Ended { sandbox: id, oom }, &[]);
        self.remove(Box::new(instance), SOON);
    }

    /// Removes its groups and gives its uid back, now or a little later.
    fn remove(&mut self, mut instance: Box<Instance>, wait: Duration) {
        instance.namespace = None;
        if !instance.group.remove() {
            let longer = (wait * 2).min(Duration::from_millis(200));
            self.later
                .push((Instant::now() + wait, Later::Remove(instance, longer)));
            return;
        }
        self.parts.uids.give_back(instance.uid);
        if let Some(egress) = &mut self.parts.egress {
            egress.close(instance.id);
        }
        let destroys = std::mem::take(&mut instance.destroys);
        // Its descriptors first: whoever waited may count them.
        drop(instance);
        for req in destroys {
            self.answer(req, Ok(Done::Plain));
        }
    }

    pub(super) fn look_again(&mut self) {
        let now = Instant::now();
        let (due, rest) = std::mem::take(&mut self.later)
            .into_iter()
            .partition(|(when, _)| *when <= now);
        self.later = rest;
        let due: Vec<(Instant, Later)> = due;
        for (_, later) in due {
            match later {
                Later::Remove(instance, wait) => self.remove(instance, wait),
                Later::Oom { id, looks } => {
                    let Some(instance) = self.live.get(&id) else {
                        continue;
                    };
                    if instance.oom() && instance.purpose != Use::Zygote {
                        // The kernel killed one process; half an instance is worth nothing.
                        drop(instance.kill_processes());
                    } else if looks > 0 {
                        self.later.push((now + SOON, Later::Oom { id, looks: looks - 1 }));
                    }
                }
            }
        }
    }
}
