//! The launcher's loop: requests in, words of the inits in, answers out.
//!
//! Guarantees: never waits for anything but the next event; what takes time (a group that is still busy, a count of kills
//! that lags behind its event) is tried again later. When the server is gone, everything is killed and removed.

use std::collections::HashMap;
use std::ops::ControlFlow;
use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant};

use rustix::event::epoll::{self, EventData, EventFlags};
use rustix::process::{WaitId, WaitIdOptions};

use super::instance::{Instance, State};
use super::setup::Parts;
use super::{birth, late};
use crate::error::{Error, Result};
use crate::spec::Exit;
use crate::wire::{self, Ask, Done, MAX_PACKET, Notice, Request, Word};

const CONTROL: u64 = 0;
const SIGNALS: u64 = 1;
/// How long a group may stay busy before the launcher waits longer between attempts.
const SOON: Duration = Duration::from_millis(1);
/// How often a kill count is looked at again after an out-of-memory event.
const OOM_LOOKS: u8 = 50;
/// How long the end may take once the server has gone.
const LAST_WORDS: Duration = Duration::from_secs(5);

/// Which descriptor of an instance an event is about.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Part {
    Socket,
    Process,
    Oom,
}

fn token(id: u64, part: Part) -> EventData {
    EventData::new_u64((id << 2) | part as u64)
}

/// Something to look at again.
#[derive(Debug)]
enum Later {
    Remove(Box<Instance>, Duration),
    Oom { id: u64, looks: u8 },
}

/// The launcher at work.
#[derive(Debug)]
pub(super) struct Server {
    control: OwnedFd,
    parts: Parts,
    live: HashMap<u64, Instance>,
    later: Vec<(Instant, Later)>,
    /// First id is 1: the tokens of 0 are the launcher's own.
    last_id: u64,
    buffer: Vec<u8>,
}

impl Server {
    pub(super) fn new(control: OwnedFd, parts: Parts) -> Self {
        Self {
            control,
            parts,
            live: HashMap::new(),
            later: Vec::new(),
            last_id: 0,
            buffer: vec![0; MAX_PACKET],
        }
    }

    /// Serves until the server has gone, then ends everything.
    pub(super) fn run(&mut self) {
        for (fd, data) in [(&self.control, CONTROL), (&self.parts.signals, SIGNALS)] {
            if epoll::add(&self.parts.epoll, fd, EventData::new_u64(data), EventFlags::IN).is_err() {
                return;
            }
        }
        while self.turn(true).is_continue() {}
        let _ = epoll::delete(&self.parts.epoll, &self.control);
        let _ = epoll::delete(&self.parts.epoll, &self.parts.signals);
        for instance in self.live.values() {
            instance.kill();
        }
        let deadline = Instant::now() + LAST_WORDS;
        while !(self.live.is_empty() && self.later.is_empty()) && Instant::now() < deadline {
            if self.turn(false).is_break() {
                break;
            }
        }
        for base in self.parts.layout.bases() {
            let _ = rustix::fs::rmdir(base);
        }
        if let Some(egress) = &self.parts.egress {
            egress.remove();
        }
    }

    fn turn(&mut self, serving: bool) -> ControlFlow<()> {
        let timeout = self.later.iter().map(|(when, _)| *when).min().map(|when| {
            let left = when.saturating_duration_since(Instant::now());
            rustix::event::Timespec {
                tv_sec: 0,
                tv_nsec: i64::from(left.subsec_nanos()),
            }
        });
        let mut events = Vec::with_capacity(32);
        match epoll::wait(
            &self.parts.epoll,
            rustix::buffer::spare_capacity(&mut events),
            timeout.as_ref(),
        ) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(_) => return ControlFlow::Break(()),
        }
        for event in &events {
            match event.data.u64() {
                CONTROL => {
                    if serving {
                        self.control()?;
                    }
                }
                SIGNALS => self.signal()?,
                data => self.event(data >> 2, data & 3),
            }
        }
        self.look_again();
        ControlFlow::Continue(())
    }

    fn signal(&mut self) -> ControlFlow<()> {
        let mut info = [0_u8; 128];
        let read = rustix::io::read(&self.parts.signals, &mut info).unwrap_or(0);
        let number = u32::from_ne_bytes([info[0], info[1], info[2], info[3]]);
        if read > 0 && number == super::setup::SERVER_DIED.cast_unsigned() {
            return ControlFlow::Break(());
        }
        ControlFlow::Continue(())
    }

    fn control(&mut self) -> ControlFlow<()> {
        let mut buffer = std::mem::take(&mut self.buffer);
        let flow = match wire::receive::<Request>(&self.control, &mut buffer) {
            Ok(Some(packet)) => {
                let tail = packet.tail.clone();
                self.ask(packet.head, &buffer[tail.clone()], &packet.fds);
                // A program's environment may be secret, and the next sandbox is cloned from this memory.
                buffer[tail].fill(0);
                ControlFlow::Continue(())
            }
            Ok(None) | Err(_) => ControlFlow::Break(()),
        };
        self.buffer = buffer;
        flow
    }

    fn ask(&mut self, request: Request, tail: &[u8], fds: &[OwnedFd]) {
        let req = request.req;
        let result = match request.ask {
            Ask::Prepare(spec) => self.prepare(req, &spec),
            Ask::Claim {
                sandbox,
                binds,
                limits,
            } => {
                let home = &self.parts.namespace;
                instance(&mut self.live, sandbox).and_then(|it| {
                    let Some(inside) = it.namespace.as_ref().filter(|_| it.state == State::Parked) else {
                        return Err(Error::State {
                            id: sandbox,
                            reason: "it is not parked".to_owned(),
                        });
                    };
                    late::mount(inside, home, &binds, limits.tmp)?;
                    it.group.paths.limit(&limits)?;
                    if let Some(egress) = &self.parts.egress {
                        egress.open(sandbox)?;
                    }
                    it.limits = Some(limits);
                    it.run(req, tail, fds)
                })
            }
            Ask::Exec { sandbox } => instance(&mut self.live, sandbox).and_then(|it| match it.state {
                State::Idle => it.run(req, tail, fds),
                _ => Err(Error::State {
                    id: sandbox,
                    reason: "a program runs already, or none has yet".to_owned(),
                }),
            }),
            Ask::Kill { sandbox } => instance(&mut self.live, sandbox).and_then(|it| {
                it.kill_processes()?;
                it.kills.push(req);
                Ok(())
            }),
            Ask::Destroy { sandbox } => self.destroy(sandbox, req),
        };
        if let Err(error) = result {
            self.answer(req, Err(error));
        }
    }

    fn prepare(&mut self, req: u64, spec: &crate::spec::PrepareSpec) -> Result<()> {
        self.last_id += 1;
        let id = self.last_id;
        let instance = birth::begin(&mut self.parts, id, req, spec)?;
        let watch = |fd: &OwnedFd, part| epoll::add(&self.parts.epoll, fd, token(id, part), EventFlags::IN);
        let watched = watch(&instance.socket, Part::Socket)
            .and_then(|()| watch(&instance.pidfd, Part::Process))
            .and_then(|()| {
                instance
                    .oom_event
                    .as_ref()
                    .map_or(Ok(()), |event| watch(event, Part::Oom))
            });
        self.live.insert(id, instance);
        if let Err(error) = watched {
            self.destroy(id, 0)?;
            return Err(Error::build("watch the sandbox", error));
        }
        Ok(())
    }

    fn destroy(&mut self, id: u64, req: u64) -> Result<()> {
        if let Some(instance) = self.live.get_mut(&id) {
            instance.kill();
            instance.destroys.push(req);
            return Ok(());
        }
        for (_, later) in &mut self.later {
            if let Later::Remove(instance, _) = later
                && instance.id == id
            {
                instance.destroys.push(req);
                return Ok(());
            }
        }
        // It ended by itself and is gone already: that is what was asked.
        self.answer(req, Ok(Done::Plain));
        Ok(())
    }

    fn event(&mut self, id: u64, part: u64) {
        if part == Part::Socket as u64 {
            self.word(id);
        } else if part == Part::Process as u64 {
            self.ended(id);
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
                (
                    req,
                    Ok(Done::Prepared {
                        sandbox: id,
                        uid: instance.uid,
                        paths,
                    }),
                    fds.collect(),
                )
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
        for req in std::mem::take(&mut instance.destroys) {
            self.answer(req, Ok(Done::Plain));
        }
    }

    fn look_again(&mut self) {
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
                    if instance.oom() {
                        // The kernel killed one process; half an instance is worth nothing.
                        drop(instance.kill_processes());
                    } else if looks > 0 {
                        self.later.push((now + SOON, Later::Oom { id, looks: looks - 1 }));
                    }
                }
            }
        }
    }

    fn answer(&self, req: u64, result: Result<Done>) {
        if req != 0 {
            self.tell(&Notice::Answer { req, result }, &[]);
        }
    }

    fn tell(&self, notice: &Notice, fds: &[OwnedFd]) {
        let fds: Vec<_> = fds.iter().map(AsFd::as_fd).collect();
        // When it cannot be told, the server is gone; the loop finds out by itself.
        drop(wire::tell(&self.control, notice, &[], &fds));
    }
}

fn instance(live: &mut HashMap<u64, Instance>, id: u64) -> Result<&mut Instance> {
    live.get_mut(&id).ok_or(Error::Ended { id })
}
