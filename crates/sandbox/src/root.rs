//! Read-only roots: one template per launch class, built once by the launcher and cloned by each sandbox in one call.
//!
//! Guarantees: a template holds what its spec names and a generated `/etc`, all of it read-only, without set-user-id and
//! devices; it is rebuilt when a folder behind it was replaced. Leaves to others: what is per sandbox (`/proc`, `/tmp`),
//! and late mounts (`launcher::late`).

use std::fs;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::{MetadataExt, symlink};
use std::path::{Path, PathBuf};

use rustix::fs::CWD;
use rustix::mount::{MountFlags, MoveMountFlags, OpenTreeFlags, UnmountFlags};

use crate::error::{Error, Result};
use crate::spec::{Network, PrepareSpec, Root};
use crate::sys;

/// `MOUNT_ATTR_…` of everything that is shown: read-only, no set-user-id, no devices.
pub(crate) const SHOWN: u64 = libc::MOUNT_ATTR_RDONLY | libc::MOUNT_ATTR_NOSUID | libc::MOUNT_ATTR_NODEV;
/// More templates than any sane set of runtimes needs; the oldest goes first.
const MOST: usize = 64;
/// Folders every root has: mount points of the sandbox itself and of late mounts.
const FOLDERS: [&str; 14] = [
    "etc",
    "var",
    "var/task",
    "var/runtime",
    "opt",
    "tmp",
    "proc",
    "dev",
    "dev/shm",
    "run",
    "home",
    "mnt",
    "root",
    "srv",
];
/// Parts of the host's `/etc` that programs in `/usr` do not work without, and that tell nothing about the host.
const HOST_ETC: [&str; 6] = [
    "ld.so.cache",
    "alternatives",
    "ssl/certs",
    "ssl/openssl.cnf",
    "pki/tls/certs",
    "mime.types",
];
const DEVICES: [&str; 5] = ["null", "zero", "full", "random", "urandom"];

/// The templates of this launcher.
#[derive(Debug)]
pub(crate) struct Templates {
    dir: PathBuf,
    made: Vec<(Key, PathBuf)>,
    next: u64,
}

#[derive(Debug, PartialEq, Eq)]
struct Key {
    spec: PrepareSpec,
    /// Device and inode of every source, so that a replaced folder is noticed.
    sources: Vec<(u64, u64)>,
}

impl Templates {
    /// Mounts the place where templates live, in the launcher's own mount namespace.
    pub(crate) fn new(state_dir: &Path) -> Result<Self> {
        let dir = state_dir.join("roots");
        fs::create_dir_all(&dir).map_err(|error| Error::build(format!("create {}", dir.display()), error))?;
        tmpfs(&dir, c"size=16m,mode=755")?;
        Ok(Self {
            dir,
            made: Vec::new(),
            next: 0,
        })
    }

    /// The folder of the template for a spec. A sandbox is cloned while the launcher stands in it.
    pub(crate) fn get(&mut self, spec: &PrepareSpec) -> Result<PathBuf> {
        let key = Key {
            spec: spec.clone(),
            sources: sources(spec),
        };
        if let Some((_, dir)) = self.made.iter().find(|(made, _)| *made == key) {
            return Ok(dir.clone());
        }
        // The same spec with other sources is out of date; and there is a most.
        let stale = self.made.iter().position(|(made, _)| made.spec == key.spec);
        if let Some(old) = stale.or((self.made.len() >= MOST).then_some(0)) {
            let (_, dir) = self.made.remove(old);
            discard(&dir);
        }
        let dir = self.dir.join(self.next.to_string());
        self.next += 1;
        fs::create_dir(&dir).map_err(|error| Error::build(format!("create {}", dir.display()), error))?;
        if let Err(error) = build(&dir, spec) {
            discard(&dir);
            return Err(error);
        }
        self.made.push((key, dir.clone()));
        Ok(dir)
    }
}

fn discard(dir: &Path) {
    let _ = rustix::mount::unmount(dir, UnmountFlags::DETACH);
    drop(fs::remove_dir(dir));
}

fn sources(spec: &PrepareSpec) -> Vec<(u64, u64)> {
    let root = match &spec.root {
        Root::HostUsr => Path::new("/etc/ld.so.cache"),
        Root::Folder(folder) => folder,
    };
    let paths = std::iter::once(root).chain(spec.binds.iter().map(|bind| bind.source.as_path()));
    paths
        .map(|path| fs::metadata(path).map_or((0, 0), |meta| (meta.dev(), meta.ino())))
        .collect()
}

fn build(dir: &Path, spec: &PrepareSpec) -> Result<()> {
    tmpfs(dir, c"size=4m,nr_inodes=2k,mode=755")?;
    private(dir)?;
    skeleton(dir, spec).map_err(|error| Error::build(format!("lay out {}", dir.display()), error))?;
    for bind in &spec.binds {
        let target = dir.join(bind.target.strip_prefix("/").unwrap_or(&bind.target));
        mount_point(&bind.source, &target)
            .map_err(|error| Error::build(target.display().to_string(), error))?;
    }
    if let Root::Folder(folder) = &spec.root {
        return over_folder(dir, folder).and_then(|()| show_all(dir, spec));
    }
    show_all(dir, spec)
}

fn show_all(dir: &Path, spec: &PrepareSpec) -> Result<()> {
    if spec.root == Root::HostUsr {
        show(Path::new("/usr"), &dir.join("usr"))?;
        for name in host_etc() {
            show(&Path::new("/etc").join(&name), &dir.join("etc").join(&name))?;
        }
    }
    for bind in &spec.binds {
        show(
            &bind.source,
            &dir.join(bind.target.strip_prefix("/").unwrap_or(&bind.target)),
        )?;
    }
    for name in DEVICES {
        let tree = clone_tree(
            &Path::new("/dev").join(name),
            libc::MOUNT_ATTR_NOSUID | libc::MOUNT_ATTR_NOEXEC,
        )?;
        attach(&tree, &dir.join("dev").join(name))?;
    }
    let root = rustix::fs::open(dir, rustix::fs::OFlags::PATH, rustix::fs::Mode::empty())
        .map_err(|error| Error::build("open the template", error))?;
    sys::mount_set(root.as_fd(), SHOWN, 0, false)
        .map_err(|error| Error::build("make the template read-only", error))
}

/// What a sandbox has of its own making: folders, links, `/etc`.
fn skeleton(dir: &Path, spec: &PrepareSpec) -> std::io::Result<()> {
    for folder in FOLDERS {
        fs::create_dir(dir.join(folder))?;
    }
    symlink("/tmp", dir.join("var/tmp"))?;
    for (link, target) in [
        ("fd", "fd"),
        ("stdin", "fd/0"),
        ("stdout", "fd/1"),
        ("stderr", "fd/2"),
    ] {
        symlink(format!("/proc/self/{target}"), dir.join("dev").join(link))?;
    }
    for name in DEVICES {
        fs::write(dir.join("dev").join(name), "")?;
    }
    let etc = dir.join("etc");
    fs::write(etc.join("hosts"), "127.0.0.1 localhost\n::1 localhost\n")?;
    let resolvers = if spec.network == Network::None {
        String::new()
    } else {
        resolvers()
    };
    fs::write(etc.join("resolv.conf"), resolvers)?;
    let own_passwd = match &spec.root {
        Root::HostUsr => true,
        Root::Folder(folder) => !folder.join("etc/passwd").exists(),
    };
    if own_passwd {
        let passwd =
            "root:x:0:0:root:/:/bin/sh\nfn:x:1000:1000::/tmp:/bin/sh\nnobody:x:65534:65534::/:/bin/sh\n";
        fs::write(etc.join("passwd"), passwd)?;
        fs::write(etc.join("group"), "root:x:0:\nfn:x:1000:\nnogroup:x:65534:\n")?;
        fs::write(
            etc.join("nsswitch.conf"),
            "passwd: files\ngroup: files\nhosts: files dns\n",
        )?;
    }
    if spec.root == Root::HostUsr {
        fs::create_dir(dir.join("usr"))?;
        for name in ["bin", "lib", "lib64", "sbin"] {
            symlink(format!("usr/{name}"), dir.join(name))?;
        }
        for name in host_etc() {
            mount_point(&Path::new("/etc").join(&name), &etc.join(&name))?;
        }
    }
    Ok(())
}

/// The parts of `/etc` that are there, with those of every Java (`/etc/java-21-openjdk`).
fn host_etc() -> Vec<String> {
    let java = fs::read_dir("/etc").into_iter().flatten().flatten();
    let java = java
        .filter_map(|entry| entry.file_name().into_string().ok())
        .filter(|name| name.starts_with("java-"));
    let all = HOST_ETC.iter().map(|name| (*name).to_owned()).chain(java);
    all.filter(|name| Path::new("/etc").join(name).exists()).collect()
}

/// The host's resolvers, less those that only the host itself can reach.
fn resolvers() -> String {
    let text = fs::read_to_string("/etc/resolv.conf").unwrap_or_default();
    text.lines()
        .filter(|line| !line.contains("nameserver 127.") && !line.starts_with('#'))
        .fold(String::new(), |mut kept, line| {
            kept.push_str(line);
            kept.push('\n');
            kept
        })
}

fn mount_point(source: &Path, target: &Path) -> std::io::Result<()> {
    if source.is_dir() {
        return fs::create_dir_all(target);
    }
    if let Some(parent) = target.parent() {
        fs::create_dir_all(parent)?;
    }
    fs::write(target, "")
}

/// Lays the skeleton over a folder that holds a whole root: a read-only overlay of the two, nothing is copied.
fn over_folder(dir: &Path, folder: &Path) -> Result<()> {
    let failed = |error| Error::build(format!("show the root folder {}", folder.display()), error);
    let options = |fd: &OwnedFd| format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(fd));
    let open = |path: &Path| {
        let flags = rustix::fs::OFlags::PATH | rustix::fs::OFlags::DIRECTORY | rustix::fs::OFlags::CLOEXEC;
        rustix::fs::open(path, flags, rustix::fs::Mode::empty()).map_err(failed)
    };
    let (upper, lower) = (open(dir)?, open(folder)?);
    let data = format!("lowerdir={}:{}", options(&upper), options(&lower));
    let data = std::ffi::CString::new(data).unwrap_or_default();
    let flags = MountFlags::RDONLY | MountFlags::NOSUID | MountFlags::NODEV;
    rustix::mount::mount("overlay", dir, "overlay", flags, data.as_c_str()).map_err(failed)?;
    private(dir)
}

fn tmpfs(dir: &Path, options: &std::ffi::CStr) -> Result<()> {
    rustix::mount::mount(
        "tmpfs",
        dir,
        "tmpfs",
        MountFlags::NOSUID | MountFlags::NODEV,
        options,
    )
    .map_err(|error| Error::build(format!("mount a tmpfs at {}", dir.display()), error))
}

fn private(dir: &Path) -> Result<()> {
    rustix::mount::mount_change(dir, rustix::mount::MountPropagationFlags::PRIVATE)
        .map_err(|error| Error::build(format!("make {} private", dir.display()), error))
}

/// Binds `source` at `target`, with all that is mounted below it, read-only to the last leaf.
fn show(source: &Path, target: &Path) -> Result<()> {
    attach(&clone_tree(source, SHOWN)?, target)
}

/// A detached copy of the mounts at and below `source`, with `attributes` on each of them.
pub(crate) fn clone_tree(source: &Path, attributes: u64) -> Result<OwnedFd> {
    let flags =
        OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC | OpenTreeFlags::AT_RECURSIVE;
    let failed = |error: std::io::Error| Error::Bind {
        origin: source.display().to_string(),
        target: "any place".to_owned(),
        reason: error.to_string(),
    };
    let tree = rustix::mount::open_tree(CWD, source, flags).map_err(|error| failed(error.into()))?;
    // The propagation too, so that no mount of the host ever travels in.
    sys::mount_set(tree.as_fd(), attributes, libc::MS_PRIVATE, true).map_err(failed)?;
    Ok(tree)
}

/// Puts a detached tree at `target`.
pub(crate) fn attach(tree: &OwnedFd, target: &Path) -> Result<()> {
    rustix::mount::move_mount(tree, "", CWD, target, MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH).map_err(
        |error| Error::Bind {
            origin: "a mount".to_owned(),
            target: target.display().to_string(),
            reason: error.to_string(),
        },
    )
}
