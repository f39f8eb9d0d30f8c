//! Handles of one sandbox: parked, then claimed.
//!
//! Guarantees: a handle that is dropped destroys its sandbox in the background. Freezing and usage go straight to the
//! kernel's files, without the launcher.

use std::net::TcpListener;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use tokio::sync::watch;

use crate::cgroup::Paths;
use crate::client::{Link, Reply};
use crate::error::{Error, Result};
use crate::spec::{ExecSpec, Exit, Usage};
use crate::wire::Ask;

/// The descriptors a program starts with, beside `/dev/null` as standard input.
#[derive(Debug)]
pub struct Stdio {
    /// Standard output and standard error.
    pub output: OwnedFd,
    /// Descriptor 3, for programs that speak over an inherited socket.
    pub channel: Option<OwnedFd>,
}

/// What has become of a sandbox's program.
#[derive(Debug, Clone, Default)]
pub(crate) struct Status {
    pub(crate) exit: Option<Exit>,
    pub(crate) ended: bool,
    pub(crate) unkept: bool,
}

/// A built sandbox that knows no function yet.
#[derive(Debug)]
pub struct Parked {
    body: Body,
}

/// A parked sandbox in which a program runs already that knows no function yet.
#[derive(Debug)]
pub struct Warm {
    sandbox: Sandbox,
}

/// A sandbox that serves one function version until it is destroyed.
#[derive(Debug)]
pub struct Sandbox {
    body: Body,
}

#[derive(Debug)]
struct Body {
    link: Arc<Link>,
    id: u64,
    uid: u32,
    paths: Paths,
    status: watch::Receiver<Status>,
    listener: Option<OwnedFd>,
    /// Destroyed already, or handed on.
    over: bool,
    /// The sandbox around this one, whose end would be the end of this one too.
    around: Option<Arc<Sandbox>>,
}

impl Drop for Body {
    fn drop(&mut self) {
        if !self.over {
            self.link.destroy_later(self.id);
            self.link.forget(self.id);
        }
    }
}

impl Body {
    async fn destroy(mut self) -> Result<()> {
        let result = self.link.ask(Ask::Destroy { sandbox: self.id }, &[], &[]).await;
        self.over = true;
        self.link.forget(self.id);
        result.map(drop)
    }
}

impl Parked {
    pub(crate) fn new(
        link: Arc<Link>,
        id: u64,
        uid: u32,
        paths: Paths,
        status: watch::Receiver<Status>,
        listener: Option<OwnedFd>,
    ) -> Self {
        Self {
            body: Body {
                link,
                id,
                uid,
                paths,
                status,
                listener,
                over: false,
                around: None,
            },
        }
    }

    pub(crate) fn lies_in(&mut self, zygote: &Zygote) {
        self.body.around = Some(Arc::clone(&zygote.sandbox));
    }

    /// Its number, unique for the life of the launcher.
    pub fn id(&self) -> u64 {
        self.body.id
    }

    /// The host uid its processes run as.
    pub fn uid(&self) -> u32 {
        self.body.uid
    }

    /// The Runtime API listener, once. Its address inside is `127.0.0.1:9001`; with `Network::Host` ask it for its address.
    pub fn take_runtime_api_listener(&mut self) -> Option<TcpListener> {
        self.body.listener.take().map(TcpListener::from)
    }

    /// Whether its init still lives, as far as the launcher has told: else it cannot be claimed any more.
    pub fn is_alive(&self) -> bool {
        !self.body.status.borrow().ended
    }

    /// Resolves when its init has died, such as from a want of memory on the host: it cannot be claimed any more.
    pub async fn ended(&self) {
        let mut status = self.body.status.clone();
        drop(status.wait_for(|status| status.ended).await);
    }

    /// Destroys it and waits until nothing of it remains.
    ///
    /// # Errors
    /// When the launcher is gone.
    pub async fn destroy(self) -> Result<()> {
        self.body.destroy().await
    }
}

/// A program that has done its init and is stopped for good, to be copied. Dropping it ends it; its sandbox, in which those
/// of its copies lie, is destroyed when the last of them is gone.
#[derive(Debug)]
pub struct Zygote {
    sandbox: Arc<Sandbox>,
}

impl Zygote {
    pub(crate) fn of(sandbox: Sandbox) -> Self {
        Self {
            sandbox: Arc::new(sandbox),
        }
    }

    pub(crate) fn id(&self) -> u64 {
        self.sandbox.id()
    }

    /// Whether copies can still be made of it, as far as the launcher has told.
    pub fn is_kept(&self) -> bool {
        let status = self.sandbox.body.status.borrow();
        !status.ended && !status.unkept
    }

    /// What its init has used.
    pub fn usage(&self) -> Usage {
        self.sandbox.usage()
    }

    /// The host uid it runs as.
    pub fn uid(&self) -> u32 {
        self.sandbox.uid()
    }
}

impl Drop for Zygote {
    fn drop(&mut self) {
        self.sandbox.body.link.release_later(self.id());
    }
}

impl Warm {
    pub(crate) fn of(parked: Parked) -> Self {
        Self {
            sandbox: Sandbox::of(parked),
        }
    }

    pub(crate) fn sandbox(&self) -> &Sandbox {
        &self.sandbox
    }

    pub(crate) fn into_sandbox(self) -> Sandbox {
        self.sandbox
    }

    /// Whether its program still runs, as far as the launcher has told: else it cannot be adopted.
    pub fn is_running(&self) -> bool {
        self.sandbox.is_running()
    }

    /// Waits for the end of its program.
    pub async fn exited(&self) -> Exit {
        self.sandbox.exited().await
    }

    /// What it has used so far.
    pub fn usage(&self) -> Usage {
        self.sandbox.usage()
    }

    /// Destroys it and waits until nothing of it remains.
    ///
    /// # Errors
    /// When the launcher is gone.
    pub async fn destroy(self) -> Result<()> {
        self.sandbox.destroy().await
    }
}

impl Sandbox {
    pub(crate) fn of(parked: Parked) -> Self {
        Self { body: parked.body }
    }

    pub(crate) async fn adopt(&self, ask: Ask) -> Result<()> {
        self.body.link.ask(ask, &[], &[]).await.map(drop)
    }

    pub(crate) async fn start(&self, ask: Ask, exec: &ExecSpec, stdio: Stdio) -> Result<()> {
        // Before the request: the program may end before its answer is read.
        let before = self.body.link.begin(self.body.id, None);
        let started = self.body.link.start(ask, exec, stdio).await;
        if let Err(error) = started {
            self.body.link.begin(self.body.id, before);
            return Err(match error {
                Error::Build { step, reason } if !exec.argv.is_empty() => Error::Exec {
                    program: exec.argv[0].clone(),
                    step,
                    reason,
                },
                other => other,
            });
        }
        Ok(())
    }

    /// Its number, unique for the life of the launcher.
    pub fn id(&self) -> u64 {
        self.body.id
    }

    /// The host uid its processes run as.
    pub fn uid(&self) -> u32 {
        self.body.uid
    }

    /// The Runtime API listener, once.
    pub fn take_runtime_api_listener(&mut self) -> Option<TcpListener> {
        self.body.listener.take().map(TcpListener::from)
    }

    /// Waits for the end of the current program. What it started may still run: see [`Self::kill_processes`].
    pub async fn exited(&self) -> Exit {
        let mut status = self.body.status.clone();
        let exit = status
            .wait_for(|status| status.exit.is_some())
            .await
            .ok()
            .and_then(|status| status.exit);
        exit.unwrap_or(Exit {
            code: None,
            signal: Some(libc::SIGKILL),
            oom: false,
        })
    }

    /// Whether its program still runs, as far as the launcher has told.
    pub fn is_running(&self) -> bool {
        let status = self.body.status.borrow();
        status.exit.is_none() && !status.ended
    }

    /// Starts a fresh program after the last one has ended; `/tmp` is as that one left it.
    ///
    /// # Errors
    /// When a program still runs, the sandbox has ended, or the program cannot be executed.
    pub async fn exec(&self, exec: ExecSpec, stdio: Stdio) -> Result<()> {
        self.start(
            Ask::Exec {
                sandbox: self.body.id,
            },
            &exec,
            stdio,
        )
        .await
    }

    /// Asks its program to end: SIGTERM. It may take its time, or not obey.
    ///
    /// # Errors
    /// When the sandbox has ended.
    pub async fn terminate(&self) -> Result<()> {
        let sandbox = self.body.id;
        self.body
            .link
            .ask(Ask::Terminate { sandbox }, &[], &[])
            .await
            .map(drop)
    }

    /// Kills every process but the sandbox itself; returns when none is left. Thaws first.
    ///
    /// # Errors
    /// When the sandbox has ended.
    pub async fn kill_processes(&self) -> Result<()> {
        self.body
            .link
            .ask(
                Ask::Kill {
                    sandbox: self.body.id,
                },
                &[],
                &[],
            )
            .await
            .map(drop)
    }

    /// TCP sockets of its own network, not connected and not blocking: at most 16 at a time. With them the server reaches
    /// what listens inside, on its loopback.
    ///
    /// # Errors
    /// When the sandbox has ended, or has no room for another socket.
    pub async fn sockets(&self, count: u8) -> Result<Vec<OwnedFd>> {
        let ask = Ask::Sockets {
            sandbox: self.body.id,
            count,
        };
        match self.body.link.ask(ask, &[], &[]).await? {
            Reply::Sockets(sockets) if !sockets.is_empty() => Ok(sockets),
            _ => Err(Error::State {
                id: self.body.id,
                reason: "it made no socket: too many are open".to_owned(),
            }),
        }
    }

    /// What it has used so far.
    pub fn usage(&self) -> Usage {
        self.body.paths.usage()
    }

    /// Changes its share of CPU: thousandths of a core, enforced with `cap`. For a start at full speed and less afterwards.
    ///
    /// # Errors
    /// When the group's control file refuses.
    pub fn set_cpu(&self, millis: u32, cap: bool) -> Result<()> {
        self.body.paths.share_cpu(millis, cap)
    }

    /// Stops every process until [`Self::thaw`].
    ///
    /// # Errors
    /// When the group's control file refuses.
    pub fn freeze(&self) -> Result<()> {
        self.body.paths.set_frozen(true)
    }

    /// Lets every process go on.
    ///
    /// # Errors
    /// When the group's control file refuses.
    pub fn thaw(&self) -> Result<()> {
        self.body.paths.set_frozen(false)
    }

    /// Destroys it and waits until its processes, cgroups and uid are free.
    ///
    /// # Errors
    /// When the launcher is gone.
    pub async fn destroy(self) -> Result<()> {
        self.body.destroy().await
    }
}
