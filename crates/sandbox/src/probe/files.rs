//! Other people's files, devices, and one's own code.

use super::attempt::{Outcome, address, call, judge, judge_that, list, read, write_in};
use super::{Control::*, Probe, Targets};

pub(super) const PROBES: &[Probe] = &[
    Probe::new("read-shadow", Plain, |_| read("/etc/shadow")),
    Probe::new("read-server-key", Plain, |t| read(&t.key)),
    Probe::new("read-other-teams-code", Plain, |t| read(&t.other)),
    Probe::new("list-host-folder", Plain, |t| list(&t.folder)),
    Probe::new("read-host-fstab", Plain, |_| {
        read("/etc/fstab").or_read("/etc/hostname")
    }),
    Probe::new("write-usr", Plain, |_| write_in("/usr")),
    Probe::new("write-root", Plain, |_| write_in("/")),
    Probe::new("write-etc", Plain, |_| write_in("/etc")),
    Probe::new("write-own-code", Plain, |t| write_in(&t.code)),
    Probe::new("make-device", Plain, make_device),
    Probe::new("open-raw-disk", Plain, |_| {
        any(&["/dev/vda", "/dev/sda", "/dev/xvda", "/dev/nvme0n1", "/dev/loop0"])
    }),
    Probe::new("open-dev-mem", Plain, |_| any(&["/dev/mem", "/dev/port"])),
    Probe::new("open-dev-kmsg", Plain, |_| any(&["/dev/kmsg"])),
    Probe::new("open-dev-kvm", Plain, |_| any(&["/dev/kvm"])),
    Probe::new("open-dev-fuse", Plain, |_| any(&["/dev/fuse", "/dev/net/tun"])),
    Probe::new("name-to-handle", Plain, |_| {
        handle().map_or_else(Outcome::Blocked, |_| Outcome::Open("a handle".into()))
    }),
    Probe::new("open-by-handle", Plain, open_by_handle),
    Probe::new("set-user-id-program", Ordinary, set_user_id),
];

impl Outcome {
    fn or_read(self, path: &str) -> Self {
        if matches!(self, Self::Open(_)) {
            self
        } else {
            read(path)
        }
    }
}

fn any(paths: &[&str]) -> Outcome {
    let open = paths.iter().find(|path| std::fs::File::open(path).is_ok());
    open.map_or_else(
        || Outcome::Blocked(format!("none of {paths:?}")),
        |path| Outcome::Open((*path).to_owned()),
    )
}

fn make_device(t: &Targets) -> Outcome {
    let path = format!("{}/probe-device\0", t.scratch);
    let null_device = (1 << 8) | 3;
    let mode = i64::from(libc::S_IFCHR | 0o600);
    let result = call(
        libc::SYS_mknodat,
        [
            i64::from(libc::AT_FDCWD),
            address(path.as_str()),
            mode,
            null_device,
            0,
            0,
        ],
    );
    drop(std::fs::remove_file(path.trim_end_matches('\0')));
    judge(result)
}

/// `struct file_handle` with room for any file system's.
#[repr(C)]
struct Handle {
    bytes: u32,
    kind: i32,
    data: [u8; 128],
}

fn handle() -> Result<Handle, String> {
    let handle = Handle {
        bytes: 128,
        kind: 0,
        data: [0; 128],
    };
    let mount = 0_i32;
    let arguments = [
        i64::from(libc::AT_FDCWD),
        address("/usr\0"),
        address(&handle),
        address(&mount),
        0,
        0,
    ];
    call(libc::SYS_name_to_handle_at, arguments)
        .map(|_| handle)
        .map_err(|error| error.to_string())
}

fn open_by_handle(_: &Targets) -> Outcome {
    let mut handle = match handle() {
        Ok(handle) => handle,
        Err(error) => return Outcome::Blocked(error),
    };
    let Ok(mount) = std::fs::File::open("/usr") else {
        return Outcome::Blocked("no /usr".to_owned());
    };
    let fd = i64::from(std::os::fd::AsRawFd::as_raw_fd(&mount));
    // Read once more, so that the kernel's writes into it are seen as such.
    handle.bytes = std::hint::black_box(handle.bytes);
    judge(call(
        libc::SYS_open_by_handle_at,
        [fd, address(&handle), i64::from(libc::O_RDONLY), 0, 0, 0],
    ))
}

/// The suite puts a copy of this program beside it, owned by root, with the set-user-id bit.
fn set_user_id(t: &Targets) -> Outcome {
    let program = format!("{}/suid", t.code);
    let output = std::process::Command::new(&program)
        .args([super::PROBE_VERB, "{}", "am-i-root"])
        .output();
    match output {
        Ok(output) => {
            let text = String::from_utf8_lossy(&output.stdout).into_owned();
            judge_that(text.contains("\"open\":true"), text)
        }
        Err(error) => Outcome::Blocked(format!("{program}: {error}")),
    }
}
