//! Attacks on the sandbox, as small programs that are run in it: the proof, on the customer's own host, that it holds.
//!
//! Guarantees: each probe tries one thing and says whether it worked. Run outside, under conditions where it must work,
//! the same code is its own control: a probe that cannot succeed anywhere proves nothing. Outside it does no harm: it
//! works on throw-away targets, in throw-away namespaces, or stops right after the permission check.

use std::io::{Read, Write};
use std::process::ExitCode;

use serde::{Deserialize, Serialize};

mod attempt;
mod files;
mod inherit;
mod kernel;
mod kernel_files;
mod limits;
mod namespaces;
mod network;
mod privileges;
mod processes;
mod siblings;
pub mod suite;

use attempt::Outcome;

/// First argument of our executable when it is to run probes: then the targets as JSON, then names.
pub const PROBE_VERB: &str = "__probe";

/// What the probes aim at: made by the suite on the host, named the same inside.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Targets {
    /// Run in the sandbox, not as a control.
    pub(crate) inside: bool,
    /// A process on the host.
    pub(crate) victim: i32,
    /// A file only the server may read, and one of another team.
    pub(crate) key: String,
    pub(crate) other: String,
    /// A folder of the host, and the folder with the program's own code.
    pub(crate) folder: String,
    pub(crate) code: String,
    /// A folder to write in: `/tmp` inside.
    pub(crate) scratch: String,
    /// A port of the host, on loopback and on its address.
    pub(crate) port: u16,
    pub(crate) address: String,
    pub(crate) abstract_name: String,
    pub(crate) socket: String,
    pub(crate) shm: i32,
    pub(crate) queue: i32,
    pub(crate) posix_shm: String,
    pub(crate) posix_queue: String,
    /// The limits the sandbox has been given.
    pub(crate) memory: u64,
    pub(crate) pids: u32,
    pub(crate) tmp: u64,
    pub(crate) open_files: u32,
}

/// How a probe is run as a control.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Control {
    /// As the server's user, in a process of its own.
    Plain,
    /// In namespaces of its own, as their root.
    Alone,
    /// As a user that is not root.
    Ordinary,
}

/// One attack.
#[derive(Debug)]
pub(crate) struct Probe {
    pub(crate) name: &'static str,
    pub(crate) control: Control,
    /// The layer of the host report without which nothing holds it.
    pub(crate) layer: Option<&'static str>,
    pub(crate) attempt: fn(&Targets) -> Outcome,
}

impl Probe {
    pub(crate) const fn new(name: &'static str, control: Control, attempt: fn(&Targets) -> Outcome) -> Self {
        Self {
            name,
            control,
            layer: None,
            attempt,
        }
    }

    pub(crate) const fn needs(mut self, layer: &'static str) -> Self {
        self.layer = Some(layer);
        self
    }
}

/// All of them, by group.
pub(crate) const GROUPS: &[(&str, &[Probe])] = &[
    ("files", files::PROBES),
    ("processes", processes::PROBES),
    ("privileges", privileges::PROBES),
    ("namespaces", namespaces::PROBES),
    ("kernel", kernel::PROBES),
    ("kernel files", kernel_files::PROBES),
    ("limits", limits::PROBES),
    ("network", network::PROBES),
    ("inheritance", inherit::PROBES),
];

/// What a probe prints, one line each.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Line {
    pub(crate) name: String,
    pub(crate) open: bool,
    pub(crate) detail: String,
}

/// The main of [`PROBE_VERB`].
pub fn probe_main() -> ExitCode {
    let mut arguments = std::env::args().skip(2);
    let targets = arguments
        .next()
        .and_then(|text| serde_json::from_str::<Targets>(&text).ok());
    let Some(targets) = targets else {
        return ExitCode::FAILURE;
    };
    let mut names: Vec<String> = arguments.collect();
    if names.first().is_some_and(|name| name == siblings::ZYGOTE) {
        names = siblings::wait_to_be_copied().into_iter().collect();
    }
    if names.first().is_some_and(|name| name == siblings::VICTIM) {
        let said = siblings::be_victim(|| {
            let mut out = std::io::stdout();
            drop(
                out.write_all(siblings::READY.as_bytes())
                    .and_then(|()| out.flush()),
            );
        });
        return if said.is_ok() {
            ExitCode::SUCCESS
        } else {
            ExitCode::FAILURE
        };
    }
    let paired = names.first().is_some_and(|name| name == siblings::PAIR);
    let all = GROUPS.iter().flat_map(|(_, probes)| probes.iter());
    for probe in all.chain(siblings::PROBES) {
        if !names.iter().any(|name| name == probe.name) {
            continue;
        }
        let line = if paired {
            siblings::pair(probe, &targets)
        } else {
            run(probe, &targets)
        };
        let Ok(mut text) = serde_json::to_string(&line) else {
            return ExitCode::FAILURE;
        };
        text.push('\n');
        if std::io::stdout().write_all(text.as_bytes()).is_err() {
            return ExitCode::FAILURE;
        }
    }
    ExitCode::SUCCESS
}

/// Runs one probe in a process of its own: what it does to itself ends with it.
fn run(probe: &Probe, targets: &Targets) -> Line {
    let say = |open, detail: String| Line {
        name: probe.name.to_owned(),
        open,
        detail,
    };
    let Ok((mut reader, mut writer)) = std::io::pipe() else {
        return say(false, "no pipe".to_owned());
    };
    match crate::sys::fork() {
        Err(error) => say(false, format!("no process: {error}")),
        Ok(None) => {
            drop(reader);
            let outcome = match attempt::stage(probe.control, targets) {
                Ok(()) => (probe.attempt)(targets),
                Err(error) => Outcome::Blocked(format!("the control could not be staged: {error}")),
            };
            let line = match outcome {
                Outcome::Open(detail) => say(true, detail),
                Outcome::Blocked(detail) => say(false, detail),
            };
            drop(writer.write_all(&serde_json::to_vec(&line).unwrap_or_default()));
            crate::sys::exit_now(0)
        }
        Ok(Some(pid)) => {
            drop(writer);
            let mut text = Vec::new();
            drop(reader.read_to_end(&mut text));
            let status = rustix::process::waitpid(
                rustix::process::Pid::from_raw(pid),
                rustix::process::WaitOptions::empty(),
            );
            serde_json::from_slice(&text).unwrap_or_else(|_| say(false, format!("killed: {status:?}")))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_are_many_probes_and_no_two_share_a_name() {
        let mut names: Vec<_> = GROUPS
            .iter()
            .flat_map(|(_, probes)| probes.iter().map(|probe| probe.name))
            .collect();
        let count = names.len();
        assert!(count >= 120, "{count}");
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), count);
    }
}
