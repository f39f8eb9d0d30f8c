//! The server's side of the launcher: requests as futures, events to the sandboxes they are about.
//!
//! Guarantees: a dropped future leaves nothing behind (a sandbox nobody waits for any more is destroyed); when the launcher
//! dies, every waiting call ends with [`Error::LauncherGone`]. Handles are cheap to clone; when the last one and the last
//! sandbox are dropped, the launcher ends.

use std::collections::HashMap;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::process::Child;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use tokio::io::unix::AsyncFd;
use tokio::sync::{oneshot, watch};

use crate::error::{Error, Result};
use crate::launcher::{LauncherProcess, Swept};
use crate::report::HostReport;
use crate::sandbox::{Parked, Sandbox, Status, Stdio, Warm, Zygote};
use crate::spec::{Bind, ClaimSpec, ExecSpec, Exit, Limits, PrepareSpec};
use crate::sys;
use crate::wire::{self, Ask, Done, MAX_PACKET, Notice, Request, Use, Welcome};

/// Makes sandboxes.
#[derive(Debug, Clone)]
pub struct Launcher {
    link: Arc<Link>,
}

/// The socket, hung up when the last user of it is gone.
#[derive(Debug)]
pub(crate) struct Link {
    shared: Arc<Shared>,
    welcome: Welcome,
}

#[derive(Debug)]
struct Shared {
    socket: AsyncFd<OwnedFd>,
    next: AtomicU64,
    waiting: Mutex<Option<HashMap<u64, oneshot::Sender<Result<Reply>>>>>,
    sandboxes: Mutex<HashMap<u64, watch::Sender<Status>>>,
    gone: watch::Sender<bool>,
}

#[derive(Debug)]
pub(crate) enum Reply {
    Done,
    Sockets(Vec<OwnedFd>),
    Parked(Box<Parked>),
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Launcher {
    /// Takes over a launcher that was started before the runtime. Must be called inside tokio.
    ///
    /// # Errors
    /// When the socket cannot be watched.
    pub fn attach(process: LauncherProcess) -> Result<Self> {
        let LauncherProcess {
            child,
            socket,
            welcome,
        } = process;
        rustix::io::ioctl_fionbio(&socket, true).map_err(Error::socket)?;
        let shared = Arc::new(Shared {
            socket: sys::watched(socket).map_err(Error::socket)?,
            next: AtomicU64::new(1),
            waiting: Mutex::new(Some(HashMap::new())),
            sandboxes: Mutex::new(HashMap::new()),
            gone: watch::Sender::new(false),
        });
        let link = Arc::new(Link {
            shared: Arc::clone(&shared),
            welcome,
        });
        tokio::spawn(listen(shared, Arc::downgrade(&link), child));
        Ok(Self { link })
    }

    /// What this host can enforce, as found when the launcher started.
    pub fn report(&self) -> &HostReport {
        &self.link.welcome.report
    }

    /// What the launcher removed at its start, left by an earlier server.
    pub fn swept(&self) -> Swept {
        self.link.welcome.swept
    }

    /// Builds a sandbox that knows no function.
    ///
    /// # Errors
    /// When a namespace, group, mount or device cannot be made, or no uid is free.
    pub async fn prepare(&self, spec: PrepareSpec) -> Result<Parked> {
        self.prepared(spec, Use::Programs, None).await
    }

    /// Builds a sandbox whose program is to become a zygote. The program loads what it loads without the Landlock fence, which
    /// its copies get one by one.
    ///
    /// # Errors
    /// As [`Self::prepare`]; and without root, as each copy needs a uid of its own.
    pub async fn prepare_zygote(&self, spec: PrepareSpec) -> Result<Parked> {
        self.prepared(spec, Use::Zygote, None).await
    }

    /// Builds a sandbox for a copy of a zygote, inside the zygote's. It keeps the zygote's sandbox alive.
    ///
    /// # Errors
    /// As [`Self::prepare`]; and when the zygote has ended.
    pub async fn prepare_copy(&self, zygote: &Zygote, spec: PrepareSpec) -> Result<Parked> {
        let mut parked = self.prepared(spec, Use::Copy, Some(zygote.id())).await?;
        parked.lies_in(zygote);
        Ok(parked)
    }

    /// Makes a zygote of a sandbox whose program has done its init. The program is told to fork by `word`, written to
    /// `channel`, the host's end of its channel, and is stopped there for good. On failure the sandbox is destroyed.
    ///
    /// # Errors
    /// [`Error::NoZygote`] with the reasons when copies of it would be worse than starts of their own.
    pub async fn keep(&self, sandbox: Sandbox, channel: BorrowedFd<'_>, word: &[u8]) -> Result<Zygote> {
        let ask = Ask::Keep {
            sandbox: sandbox.id(),
        };
        self.link.ask(ask, word, &[channel]).await?;
        Ok(Zygote::of(sandbox))
    }

    /// Claims a sandbox that was prepared for a copy with a copy of the zygote: gives it code, limits, network and descriptors.
    /// On failure it is destroyed.
    ///
    /// # Errors
    /// When the zygote has ended, a source is missing or a limit is refused.
    pub async fn fork(
        &self,
        zygote: &Zygote,
        parked: Parked,
        binds: Vec<Bind>,
        limits: Limits,
        output: OwnedFd,
        channel: OwnedFd,
    ) -> Result<Sandbox> {
        let sandbox = Sandbox::of(parked);
        let ask = Ask::Fork {
            zygote: zygote.id(),
            sandbox: sandbox.id(),
            binds,
            limits,
        };
        self.link
            .ask(ask, &[], &[output.as_fd(), channel.as_fd()])
            .await?;
        Ok(sandbox)
    }

    async fn prepared(&self, spec: PrepareSpec, purpose: Use, inside: Option<u64>) -> Result<Parked> {
        let ask = Ask::Prepare {
            spec,
            purpose,
            inside,
        };
        match self.link.ask(ask, &[], &[]).await? {
            Reply::Parked(parked) => Ok(*parked),
            Reply::Done | Reply::Sockets(_) => {
                Err(Error::socket(io::Error::from(io::ErrorKind::InvalidData)))
            }
        }
    }

    /// Gives a parked sandbox its code, limits and first program, and starts it. On failure the sandbox is destroyed.
    ///
    /// # Errors
    /// When a source is missing, a limit is refused, or the program cannot be executed.
    pub async fn claim(&self, parked: Parked, spec: ClaimSpec, stdio: Stdio) -> Result<Sandbox> {
        let ClaimSpec { binds, limits, exec } = spec;
        let sandbox = Sandbox::of(parked);
        let ask = Ask::Claim {
            sandbox: sandbox.id(),
            binds,
            limits,
        };
        sandbox.start(ask, &exec, stdio).await?;
        Ok(sandbox)
    }

    /// Starts a program that knows no function in a parked sandbox, with a share of CPU and numbers of files and processes
    /// from `limits`. On failure the sandbox is destroyed.
    ///
    /// # Errors
    /// When the program cannot be executed.
    pub async fn warm(&self, parked: Parked, limits: Limits, exec: ExecSpec, stdio: Stdio) -> Result<Warm> {
        let warm = Warm::of(parked);
        let sandbox = warm.sandbox().id();
        warm.sandbox()
            .start(Ask::Warm { sandbox, limits }, &exec, stdio)
            .await?;
        Ok(warm)
    }

    /// Claims a sandbox whose program runs already: gives it code, limits and network. On failure it is destroyed.
    ///
    /// # Errors
    /// When a source is missing, a limit is refused, or the program has ended.
    pub async fn adopt(&self, warm: Warm, binds: Vec<Bind>, limits: Limits) -> Result<Sandbox> {
        let sandbox = warm.into_sandbox();
        let id = sandbox.id();
        sandbox
            .adopt(Ask::Adopt {
                sandbox: id,
                binds,
                limits,
            })
            .await?;
        Ok(sandbox)
    }

    /// Ends the launcher and every sandbox, and waits until nothing of them is left.
    pub async fn shutdown(self) {
        self.link.hang_up();
        self.gone().await;
    }

    /// Resolves when the launcher has died, and with it every sandbox. The server should end then.
    pub async fn gone(&self) {
        let mut gone = self.link.shared.gone.subscribe();
        let _ = gone.wait_for(|gone| *gone).await;
    }
}

impl Link {
    /// Asks, with descriptors, and waits for the answer.
    pub(crate) async fn ask(&self, ask: Ask, tail: &[u8], fds: &[BorrowedFd<'_>]) -> Result<Reply> {
        let req = self.shared.next.fetch_add(1, Ordering::Relaxed);
        let (sender, receiver) = oneshot::channel();
        match &mut *lock(&self.shared.waiting) {
            Some(waiting) => drop(waiting.insert(req, sender)),
            None => return Err(Error::LauncherGone),
        }
        let forget = Forget {
            shared: &self.shared,
            req,
        };
        let head = wire::encode(&Request { req, ask })?;
        let size = head.len() + tail.len();
        if size > MAX_PACKET {
            return Err(Error::TooLarge {
                size,
                limit: MAX_PACKET,
            });
        }
        let sent = self
            .shared
            .socket
            .async_io(tokio::io::Interest::WRITABLE, |socket| {
                wire::send(socket, &head, tail, fds)
            });
        sent.await.map_err(|_| Error::LauncherGone)?;
        // From here the answer will come: if we are dropped, whoever reads it destroys what it brings.
        std::mem::forget(forget);
        receiver.await.unwrap_or(Err(Error::LauncherGone))
    }

    /// Starts a program; the ExecSpec travels as a tail that the launcher does not read.
    pub(crate) async fn start(&self, ask: Ask, exec: &ExecSpec, stdio: Stdio) -> Result<()> {
        let tail = serde_json::to_vec(exec).map_err(Error::socket)?;
        let mut fds = vec![stdio.output.as_fd()];
        fds.extend(stdio.channel.as_ref().map(AsFd::as_fd));
        self.ask(ask, &tail, &fds).await.map(drop)
    }

    /// Has a sandbox destroyed without waiting.
    pub(crate) fn destroy_later(self: &Arc<Self>, sandbox: u64) {
        self.ask_later(Ask::Destroy { sandbox });
    }

    /// Has a zygote ended without waiting.
    pub(crate) fn release_later(self: &Arc<Self>, sandbox: u64) {
        self.ask_later(Ask::Release { sandbox });
    }

    fn ask_later(self: &Arc<Self>, ask: Ask) {
        let Ok(head) = wire::encode(&Request { req: 0, ask }) else {
            return;
        };
        match wire::send(self.shared.socket.get_ref(), &head, &[], &[]) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            _ => return,
        }
        // The socket is full for the moment. Outside a runtime, the end of the launcher sees to it.
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            let link = Arc::clone(self);
            runtime.spawn(async move {
                let socket = &link.shared.socket;
                drop(
                    socket
                        .async_io(tokio::io::Interest::WRITABLE, |fd| {
                            wire::send(fd, &head, &[], &[])
                        })
                        .await,
                );
            });
        }
    }

    /// Tells the launcher that no request will come any more: it ends everything.
    fn hang_up(&self) {
        let _ = rustix::net::shutdown(self.shared.socket.get_ref(), rustix::net::Shutdown::Write);
    }

    pub(crate) fn forget(&self, sandbox: u64) {
        lock(&self.shared.sandboxes).remove(&sandbox);
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        self.hang_up();
    }
}

/// Takes a request out of the waiting list when it was never sent.
struct Forget<'a> {
    shared: &'a Shared,
    req: u64,
}

impl Drop for Forget<'_> {
    fn drop(&mut self) {
        if let Some(waiting) = &mut *lock(&self.shared.waiting) {
            waiting.remove(&self.req);
        }
    }
}

/// Reads what the launcher says until it hangs up, then reaps it.
async fn listen(shared: Arc<Shared>, link: Weak<Link>, mut child: Child) {
    let mut buffer = vec![0; MAX_PACKET];
    loop {
        let packet = shared
            .socket
            .async_io(tokio::io::Interest::READABLE, |socket| {
                wire::receive::<Notice>(socket, &mut buffer)
            })
            .await;
        let Ok(Some(packet)) = packet else { break };
        match packet.head {
            Notice::Answer { req, result } => {
                let mut fds = packet.fds;
                let reply = result.map(|done| match done {
                    Done::Plain => Some(Reply::Done),
                    Done::Sockets => Some(Reply::Sockets(std::mem::take(&mut fds))),
                    Done::Prepared { sandbox, uid, paths } => {
                        let (sender, status) = watch::channel(Status::default());
                        lock(&shared.sandboxes).insert(sandbox, sender);
                        let listener = std::mem::take(&mut fds).into_iter().next();
                        // Without a link all handles are gone, and the launcher is about to end.
                        let parked = Parked::new(link.upgrade()?, sandbox, uid, paths, status, listener);
                        Some(Reply::Parked(Box::new(parked)))
                    }
                });
                let waiting = lock(&shared.waiting)
                    .as_mut()
                    .and_then(|waiting| waiting.remove(&req));
                let reply = match reply {
                    Ok(Some(reply)) => Ok(reply),
                    Ok(None) => continue,
                    Err(error) => Err(error),
                };
                if let Some(sender) = waiting {
                    // Dropped here when nobody waits any more: a Parked destroys itself.
                    drop(sender.send(reply));
                }
            }
            Notice::Exited { sandbox, exit } => shared.status(sandbox, |status| status.exit = Some(exit)),
            Notice::Unkept { sandbox } => shared.status(sandbox, |status| status.unkept = true),
            Notice::Ended { sandbox, oom } => shared.status(sandbox, |status| {
                status.ended = true;
                let killed = Exit {
                    code: None,
                    signal: Some(libc::SIGKILL),
                    oom,
                };
                status.exit.get_or_insert(killed);
            }),
        }
    }
    drop(lock(&shared.waiting).take());
    for (_, status) in lock(&shared.sandboxes).drain() {
        status.send_modify(|status| {
            status.ended = true;
            status.exit.get_or_insert(Exit {
                code: None,
                signal: Some(libc::SIGKILL),
                oom: false,
            });
        });
    }
    // It closes its socket as its very last act.
    drop(tokio::task::spawn_blocking(move || child.wait()).await);
    shared.gone.send_replace(true);
}

impl Shared {
    fn status(&self, sandbox: u64, change: impl FnOnce(&mut Status)) {
        if let Some(status) = lock(&self.sandboxes).get(&sandbox) {
            status.send_modify(change);
        }
    }
}

impl Link {
    /// Forgets the end of the last program; gives it back.
    pub(crate) fn begin(&self, sandbox: u64, exit: Option<Exit>) -> Option<Exit> {
        let sandboxes = lock(&self.shared.sandboxes);
        let mut before = None;
        if let Some(status) = sandboxes.get(&sandbox) {
            status.send_modify(|status| {
                before = status.exit;
                if !status.ended {
                    status.exit = exit;
                }
            });
        }
        before
    }
}
