//! The launcher's loop: requests in, words of the inits in, answers out.
//!
//! Guarantees: never waits for anything but the next event; what takes time (a group that is still busy, a count of kills
//! that lags behind its event) is tried again later. When the server is gone, everything is killed and removed.

use std::collections::HashMap;
use std::ops::ControlFlow;
use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant};

use rustix::event::epoll::{self, EventData, EventFlags};

use super::instance::{Instance, State};
use super::setup::Parts;
use super::{birth, late, zygote};
use crate::error::{Error, Result};
use crate::spec::{Bind, Limits};
use crate::wire::{self, Ask, Done, MAX_PACKET, Notice, Order, Request};

const CONTROL: u64 = 0;
const SIGNALS: u64 = 1;
/// How long the end may take once the server has gone.
const LAST_WORDS: Duration = Duration::from_secs(5);

/// Which descriptor of an instance an event is about.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    Socket,
    Process,
    Oom,
    Keeper,
}

pub(super) fn token(id: u64, part: Part) -> EventData {
    EventData::new_u64((id << 2) | part as u64)
}

/// Something to look at again.
#[derive(Debug)]
pub(super) enum Later {
    Remove(Box<Instance>, Duration),
    Oom { id: u64, looks: u8 },
}

/// The launcher at work.
#[derive(Debug)]
pub(super) struct Server {
    control: OwnedFd,
    pub(super) parts: Parts,
    pub(super) live: HashMap<u64, Instance>,
    pub(super) later: Vec<(Instant, Later)>,
    /// First id is 1: the tokens of 0 are the launcher's own.
    last_id: u64,
    pub(super) buffer: Vec<u8>,
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
            Ask::Prepare {
                spec,
                purpose,
                inside,
            } => inside
                .map(|zygote| zygote::around(&self.live, zygote))
                .transpose()
                .and_then(|around| {
                    let spec = &spec;
                    let plan = birth::Plan {
                        spec,
                        purpose,
                        around,
                    };
                    self.prepare(req, &plan)
                }),
            Ask::Keep { sandbox } => self.keep(req, sandbox, tail, fds),
            Ask::Fork {
                zygote,
                sandbox,
                binds,
                limits,
            } => self.fork(req, zygote, sandbox, &binds, limits, fds),
            Ask::Release { sandbox } => {
                self.release(sandbox);
                self.answer(req, Ok(Done::Plain));
                Ok(())
            }
            Ask::Claim {
                sandbox,
                binds,
                limits,
            } => self
                .fit(sandbox, State::Parked, &binds, limits)
                .and_then(|it| it.run(req, tail, fds)),
            Ask::Warm { sandbox, limits } => self.warm(req, sandbox, limits, tail, fds),
            Ask::Adopt {
                sandbox,
                binds,
                limits,
            } => self
                .fit(sandbox, State::Running, &binds, limits)
                .map(|_| ())
                .map(|()| self.answer(req, Ok(Done::Plain))),
            Ask::Exec { sandbox } => instance(&mut self.live, sandbox).and_then(|it| match it.state {
                State::Idle => it.run(req, tail, fds),
                _ => Err(Error::State {
                    id: sandbox,
                    reason: "a program runs already, or none has yet".to_owned(),
                }),
            }),
            Ask::Sockets { sandbox, count } => instance(&mut self.live, sandbox).and_then(|it| {
                let count = count.min(u8::try_from(wire::MAX_FDS).unwrap_or(u8::MAX));
                wire::tell(&it.socket, &Order::Sockets { count }, &[], &[])
                    .map_err(|_| Error::Ended { id: sandbox })?;
                it.sockets.push_back(req);
                Ok(())
            }),
            Ask::Terminate { sandbox } => instance(&mut self.live, sandbox)
                .and_then(|it| it.terminate())
                .map(|()| self.answer(req, Ok(Done::Plain))),
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

    /// Gives a sandbox that is in `state` and knows no function yet what it needs for one: mounts, limits, network.
    pub(super) fn fit(
        &mut self,
        id: u64,
        state: State,
        binds: &[Bind],
        limits: Limits,
    ) -> Result<&mut Instance> {
        let it = instance(&mut self.live, id)?;
        let unclaimed = it.state == state && !it.claimed;
        let Some(inside) = it.namespace.as_ref().filter(|_| unclaimed) else {
            return Err(Error::State {
                id,
                reason: format!("it is claimed already, or not {state:?}"),
            });
        };
        late::mount(inside, &self.parts.namespace, binds, limits.tmp)?;
        it.group.paths.limit(&limits)?;
        if let Some(egress) = &self.parts.egress {
            egress.open(id)?;
        }
        it.claimed = true;
        it.limits = Some(limits);
        Ok(it)
    }

    /// Starts a program that knows no function. Its share of CPU is limited, its memory not yet: it runs our own code only.
    fn warm(&mut self, req: u64, id: u64, limits: Limits, tail: &[u8], fds: &[OwnedFd]) -> Result<()> {
        let it = instance(&mut self.live, id)?;
        if it.state != State::Parked {
            return Err(Error::State {
                id,
                reason: "it is not parked".to_owned(),
            });
        }
        it.group.paths.share_cpu(limits.cpu_millis, limits.cpu_cap)?;
        it.limits = Some(limits);
        it.run(req, tail, fds)
    }

    fn prepare(&mut self, req: u64, plan: &birth::Plan<'_>) -> Result<()> {
        self.last_id += 1;
        let id = self.last_id;
        let mut instance = birth::begin(&mut self.parts, id, req, plan)?;
        instance.purpose = plan.purpose;
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

    pub(super) fn answer(&self, req: u64, result: Result<Done>) {
        if req != 0 {
            self.tell(&Notice::Answer { req, result }, &[]);
        }
    }

    pub(super) fn tell(&self, notice: &Notice, fds: &[OwnedFd]) {
        let fds: Vec<_> = fds.iter().map(AsFd::as_fd).collect();
        // When it cannot be told, the server is gone; the loop finds out by itself.
        drop(wire::tell(&self.control, notice, &[], &fds));
    }
}

pub(super) fn instance(live: &mut HashMap<u64, Instance>, id: u64) -> Result<&mut Instance> {
    live.get_mut(&id).ok_or(Error::Ended { id })
}
