//! The targets of the probes: what an attacker would go for, made on the host for the time of a run.
//!
//! Guarantees: all of it is removed when the stage is dropped.

#![expect(
    unsafe_code,
    reason = "System V objects, and a descriptor planted in a child before exec"
)]

use std::fs::{self, Permissions};
use std::io::Write;
use std::net::{Ipv6Addr, TcpListener, UdpSocket};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{SocketAddr, UnixListener};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use super::{LIMITS, Line, PATIENCE, Probe, SuiteConfig, Targets, display};
use crate::error::{Error, Result};
use crate::probe::PROBE_VERB;
use crate::probe::inherit::{PLANTED_ENV, PLANTED_FD};

/// All targets, alive.
#[derive(Debug)]
pub(super) struct Stage {
    pub(super) targets: Targets,
    pub(super) code: PathBuf,
    folder: PathBuf,
    victim: Child,
    _listeners: (TcpListener, UnixListener, UnixListener),
}

impl Stage {
    pub(super) fn set(config: &SuiteConfig) -> Result<Self> {
        let folder = config.folder.join("probe-targets");
        let failed =
            |error: std::io::Error| Error::build(format!("set the targets in {}", folder.display()), error);
        let code = folder.join("code");
        fs::create_dir_all(&code).map_err(failed)?;
        copy_programs(config, &code).map_err(failed)?;
        let file = |name: &str, mode| -> std::io::Result<String> {
            let path = folder.join(name);
            fs::write(&path, "a secret of the server\n")?;
            fs::set_permissions(&path, Permissions::from_mode(mode))?;
            Ok(display(&path))
        };
        let (key, other) = (
            file("key", 0o600).map_err(failed)?,
            file("other.py", 0o644).map_err(failed)?,
        );
        fs::create_dir_all(folder.join("scratch")).map_err(failed)?;
        // Two suites may run in one process.
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!(
            "flint-probe-{}-{}",
            std::process::id(),
            NEXT.fetch_add(1, Ordering::Relaxed)
        );
        fs::write(format!("/dev/shm/{name}"), "shared\n").map_err(failed)?;
        // Both families: [::] takes IPv4 too.
        let tcp = TcpListener::bind((Ipv6Addr::UNSPECIFIED, 0)).or_else(|_| TcpListener::bind("0.0.0.0:0"));
        let tcp = tcp.map_err(failed)?;
        let socket = folder.join("socket");
        let by_path = UnixListener::bind(&socket).map_err(failed)?;
        let by_name = SocketAddr::from_abstract_name(&name).and_then(|a| UnixListener::bind_addr(&a));
        let by_name = by_name.map_err(failed)?;
        let mut victim = Command::new("sleep");
        victim
            .arg("3600")
            .env(PLANTED_ENV, "secret")
            .current_dir(&folder)
            .stdin(Stdio::null());
        let victim = victim.spawn().map_err(failed)?;
        let (shm, queue) = system_v(&name);
        let targets = Targets {
            inside: false,
            victim: victim.id().cast_signed(),
            key,
            other,
            folder: display(&folder),
            code: display(&code),
            scratch: display(&folder.join("scratch")),
            port: tcp.local_addr().map_err(failed)?.port(),
            address: host_address(),
            abstract_name: name.clone(),
            socket: display(&socket),
            shm,
            queue,
            posix_shm: name.clone(),
            posix_queue: name,
            memory: LIMITS.memory,
            pids: LIMITS.pids,
            tmp: LIMITS.tmp,
            open_files: LIMITS.open_files,
        };
        Ok(Self {
            targets,
            code,
            folder,
            victim,
            _listeners: (tcp, by_path, by_name),
        })
    }

    /// Runs a probe outside.
    pub(super) async fn control(&self, probe: &Probe) -> Line {
        let mut command = Command::new(self.code.join("probe"));
        let targets = serde_json::to_string(&self.targets).unwrap_or_default();
        command
            .args([PROBE_VERB, &targets, probe.name])
            .env(PLANTED_ENV, "secret")
            .current_dir(&self.folder);
        command.stdin(Stdio::null()).stderr(Stdio::null());
        if let Ok(key) = fs::File::open(&self.targets.key) {
            // SAFETY: dup2 is async-signal-safe, and nothing else is done between fork and exec.
            unsafe {
                command.pre_exec(move || crate::sys::place_at(&key, PLANTED_FD));
            }
        }
        let run = tokio::task::spawn_blocking(move || command.output());
        let output = tokio::time::timeout(PATIENCE, run).await;
        let text = match output {
            Ok(Ok(Ok(output))) => String::from_utf8_lossy(&output.stdout).into_owned(),
            _ => String::new(),
        };
        line(probe, &text, || "the control ended without a word".to_owned())
    }
}

/// The line a probe printed; where there is none, it was stopped before it could.
pub(super) fn line(probe: &Probe, text: &str, otherwise: impl FnOnce() -> String) -> Line {
    let found = text
        .lines()
        .find_map(|line| serde_json::from_str::<Line>(line).ok());
    found.unwrap_or_else(|| {
        let detail = if text.trim().is_empty() {
            otherwise()
        } else {
            text.trim().to_owned()
        };
        Line {
            name: probe.name.to_owned(),
            open: false,
            detail,
        }
    })
}

/// The probe program, and for root a copy that would give its user id away.
fn copy_programs(config: &SuiteConfig, code: &std::path::Path) -> std::io::Result<()> {
    for (name, mode) in [("probe", 0o755), ("suid", 0o4755)] {
        let path = code.join(name);
        fs::copy(&config.executable, &path)?;
        fs::set_permissions(&path, Permissions::from_mode(mode))?;
    }
    fs::File::create(code.join("handler.py"))?.write_all(b"code\n")
}

/// A System V segment and queue, and a POSIX queue, with a name of this run.
fn system_v(name: &str) -> (i32, i32) {
    let name = format!("{name}\0");
    // SAFETY: integer arguments, and a name that ends with zero.
    unsafe {
        let create = libc::O_CREAT | libc::O_RDWR;
        libc::syscall(
            libc::SYS_mq_open,
            name.as_ptr(),
            create,
            0o600,
            std::ptr::null::<u8>(),
        );
        (
            libc::shmget(libc::IPC_PRIVATE, 4096, 0o600 | libc::IPC_CREAT),
            libc::msgget(libc::IPC_PRIVATE, 0o600),
        )
    }
}

/// The address others know this host by: that of the route out. Nothing is sent.
fn host_address() -> String {
    let socket =
        UdpSocket::bind("0.0.0.0:0").and_then(|socket| socket.connect("192.0.2.1:9").map(|()| socket));
    let address = socket.and_then(|socket| socket.local_addr());
    address
        .map(|address| address.ip().to_string())
        .unwrap_or_default()
}

impl Drop for Stage {
    fn drop(&mut self) {
        drop(self.victim.kill());
        drop(self.victim.wait());
        drop(fs::remove_file(format!("/dev/shm/{}", self.targets.posix_shm)));
        let name = format!("{}\0", self.targets.posix_queue);
        // SAFETY: ids that shmget and msgget gave, and a name that ends with zero.
        unsafe {
            libc::syscall(libc::SYS_mq_unlink, name.as_ptr());
            libc::shmctl(self.targets.shm, libc::IPC_RMID, std::ptr::null_mut());
            libc::msgctl(self.targets.queue, libc::IPC_RMID, std::ptr::null_mut());
        }
        drop(fs::remove_dir_all(&self.folder));
    }
}
