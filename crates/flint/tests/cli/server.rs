//! A server in a folder of its own, and the command line that talks to it.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

use tempfile::TempDir;

/// A running server; stopped on drop.
pub(crate) struct Server {
    child: Child,
    pub(crate) folder: TempDir,
    pub(crate) address: String,
    settings: Vec<String>,
}

/// What a command came to.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl From<Output> for Ran {
    fn from(output: Output) -> Self {
        Self {
            code: output.status.code().unwrap_or(-1),
            out: String::from_utf8_lossy(&output.stdout).into_owned(),
            err: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }
}

/// The command line without any `FLINT_*` of whoever runs the tests.
pub(crate) fn flint(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_flint"));
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("FLINT_")) {
        command.env_remove(name);
    }
    command.args(arguments).env("LC_ALL", "C").stdin(Stdio::null());
    command
}

impl Server {
    /// Starts one and waits for the line that says where it listens.
    pub(crate) fn start() -> Self {
        Self::with(&[])
    }

    /// Starts one with settings, each as KEY=VALUE.
    pub(crate) fn with(settings: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let settings: Vec<String> = settings.iter().map(|pair| format!("--set={pair}")).collect();
        let (child, address) = spawn(folder.path(), &settings);
        Self {
            child,
            folder,
            address,
            settings,
        }
    }

    /// Stops it and starts it again on the same folder.
    pub(crate) fn restart(&mut self) {
        self.stop();
        (self.child, self.address) = spawn(self.folder.path(), &self.settings);
    }

    fn stop(&mut self) {
        let pid = rustix::process::Pid::from_child(&self.child);
        let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
        let _ = self.child.wait();
    }

    /// A command against this server.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = flint(arguments);
        command.arg("--data-dir").arg(self.folder.path());
        command
    }

    /// Runs a command to its end.
    pub(crate) fn run(&self, arguments: &[&str]) -> Ran {
        self.command(arguments).output().unwrap().into()
    }

    /// Runs a command that has to succeed; its standard output.
    pub(crate) fn good(&self, arguments: &[&str]) -> String {
        let ran = self.run(arguments);
        assert_eq!(ran.code, 0, "{arguments:?}: {ran:?}");
        ran.out.replace(&self.address, "ADDRESS")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop();
    }
}

fn spawn(folder: &Path, settings: &[String]) -> (Child, String) {
    let mut child = flint(&[
        "serve",
        "--listen",
        "127.0.0.1:0",
        "--insecure-single-tenant",
        "--data-dir",
    ])
    // As people write it: seen from where they are.
    .arg(folder.file_name().unwrap())
    .current_dir(folder.parent().unwrap())
    .args(settings)
    .stdout(Stdio::piped())
    .stderr(Stdio::null())
    .spawn()
    .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let first = lines.next().expect("the server says where it listens").unwrap();
    let address = first.split_once(" listens on ").unwrap().1.to_owned();
    // Read on, so that the server never waits for a reader; the pipe ends with it.
    std::thread::spawn(move || lines.for_each(drop));
    (child, address)
}

/// A project folder with these files.
pub(crate) fn project(files: &[(&str, &str)]) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in files {
        let path = folder.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
    folder
}

/// A folder's path as an argument.
pub(crate) fn at(folder: &TempDir) -> &str {
    folder.path().to_str().unwrap()
}

/// A folder of the repository.
pub(crate) fn example(name: &str) -> String {
    format!("{}/../../examples/{name}", env!("CARGO_MANIFEST_DIR"))
}
