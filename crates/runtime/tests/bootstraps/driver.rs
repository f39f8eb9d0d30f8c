//! The host's side of the protocol for tests: starts an interpreter, sends frames, reads frames, log and exit code.
//! Every wait has a deadline, so a bootstrap that hangs fails its test instead of stopping the run.

use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Child, Command};
use std::sync::{Arc, Condvar, LazyLock, Mutex};
use std::time::Duration;

use serde_json::{Value, json};
use tempfile::TempDir;

const DEADLINE: Duration = Duration::from_secs(20);

pub(crate) const HELLO: u8 = 1;
pub(crate) const INIT: u8 = 2;
pub(crate) const READY: u8 = 3;
pub(crate) const INVOKE: u8 = 4;
pub(crate) const DATA: u8 = 5;
pub(crate) const ERROR: u8 = 6;
pub(crate) const CANCEL: u8 = 7;
pub(crate) const SHUTDOWN: u8 = 11;
pub(crate) const END: u8 = 1;

/// The language of a function.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Language {
    Python,
    Node,
    Java,
}

/// The bootstraps as a server writes them out.
static BOOTSTRAPS: LazyLock<TempDir> = LazyLock::new(|| {
    let folder = tempfile::tempdir().unwrap();
    flint_runtime::bootstrap::install(folder.path()).unwrap();
    folder
});

/// A function's files and what its INIT says. Clones share the files.
#[derive(Clone)]
pub(crate) struct Function {
    language: Language,
    root: Arc<TempDir>,
    env: Vec<(String, String)>,
    late_env: Value,
}

/// One frame as it was read.
#[derive(Debug)]
pub(crate) struct Frame {
    pub(crate) kind: u8,
    pub(crate) flags: u8,
    pub(crate) stream: u32,
    pub(crate) body: Vec<u8>,
}

/// What a call ended with.
#[derive(Debug, PartialEq)]
pub(crate) enum Answer {
    Data(String),
    Error(Value),
}

#[derive(Default)]
struct Log {
    text: Mutex<(String, bool)>,
    changed: Condvar,
}

/// A running interpreter.
pub(crate) struct Instance {
    child: Child,
    socket: UnixStream,
    log: Arc<Log>,
    stream: u32,
    _root: Arc<TempDir>,
}

impl Function {
    pub(crate) fn new(language: Language, files: &[(&str, &str)]) -> Self {
        let root = tempfile::tempdir().unwrap();
        for (name, text) in files {
            let path = root.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        if language == Language::Java {
            compile(root.path(), files);
        }
        Self {
            language,
            root: Arc::new(root),
            env: Vec::new(),
            late_env: json!({}),
        }
    }

    /// A variable that the process starts with.
    pub(crate) fn env(mut self, name: &str, value: &str) -> Self {
        self.env.push((name.into(), value.into()));
        self
    }

    /// A variable that comes with INIT, as for a parked sandbox.
    pub(crate) fn late_env(mut self, name: &str, value: &str) -> Self {
        self.late_env[name] = value.into();
        self
    }

    /// Starts the interpreter and reads its HELLO.
    pub(crate) fn spawn(self) -> Instance {
        let (socket, theirs) = UnixStream::pair().unwrap();
        socket.set_read_timeout(Some(DEADLINE)).unwrap();
        socket.set_write_timeout(Some(DEADLINE)).unwrap();
        let (reader, writer) = std::io::pipe().unwrap();
        let mut command = Command::new("/bin/sh");
        command.args(["-c", r#"exec "$@" 3<&0 0</dev/null"#, "sh"]);
        let (variable, usual, script) = match self.language {
            Language::Python => (
                "FLINT_TEST_PYTHON",
                "/usr/bin/python3 -S -E -s -P",
                "python/bootstrap.py",
            ),
            Language::Node => ("FLINT_TEST_NODE", "/usr/bin/node", "nodejs/bootstrap.js"),
            Language::Java => (
                "FLINT_TEST_JAVA",
                "/usr/bin/java -XX:+UseSerialGC -XX:TieredStopAtLevel=1 -Xmx64m -Dfile.encoding=UTF-8 -Dsun.jnu.encoding=UTF-8 -jar",
                "java/bootstrap.jar",
            ),
        };
        let interpreter = std::env::var(variable).unwrap_or_else(|_| usual.into());
        command
            .args(interpreter.split(' '))
            .arg(BOOTSTRAPS.path().join(script));
        command.env_clear().env("PATH", "/usr/bin:/bin").envs(self.env);
        command
            .stdin(OwnedFd::from(theirs))
            .stdout(writer.try_clone().unwrap())
            .stderr(writer);
        let child = command.spawn().unwrap();
        drop(command); // it holds our copies of the pipe and the socket
        let log = Arc::new(Log::default());
        follow(reader, Arc::clone(&log));
        let mut instance = Instance {
            child,
            socket,
            log,
            stream: 0,
            _root: self.root,
        };
        let hello = instance.frame().expect("a HELLO");
        assert_eq!((hello.kind, hello.stream), (HELLO, 0));
        let said: Value = serde_json::from_slice(&hello.body).unwrap();
        assert_eq!(said["protocol"], 1);
        let name = match self.language {
            Language::Python => "python3.",
            Language::Node => "node",
            Language::Java => "java",
        };
        assert!(said["runtime"].as_str().unwrap().starts_with(name), "{said}");
        instance
    }

    /// The body of INIT for a handler name.
    pub(crate) fn init(&self, handler: &str) -> Value {
        json!({"protocol": 1, "handler": handler, "task_root": self.root.path(), "function_name": "hello",
            "function_version": "7", "function_arn": "arn:aws:lambda:local:000000000000:function:hello",
            "memory_mb": 256, "log_group": "/aws/lambda/hello", "log_stream": "stream-1", "env": self.late_env})
    }

    /// Starts an instance and waits for READY.
    pub(crate) fn start(self, handler: &str) -> Instance {
        let init = self.init(handler);
        let mut instance = self.spawn();
        instance.send(INIT, 0, 0, init.to_string().as_bytes());
        let ready = instance.frame().expect("READY");
        assert_eq!(ready.kind, READY, "{}", String::from_utf8_lossy(&ready.body));
        instance
    }

    /// Starts an instance whose handler cannot be loaded; the error, after the process has exited with 1.
    pub(crate) fn start_fails(self, handler: &str) -> (Value, String) {
        let init = self.init(handler);
        let mut instance = self.spawn();
        instance.send(INIT, 0, 0, init.to_string().as_bytes());
        let error = instance.frame().expect("ERROR");
        assert_eq!((error.kind, error.flags, error.stream), (ERROR, END, 0));
        let (code, log) = instance.exit();
        assert_eq!(code, Some(1));
        (serde_json::from_slice(&error.body).unwrap(), log)
    }
}

impl Instance {
    pub(crate) fn send(&mut self, kind: u8, flags: u8, stream: u32, body: &[u8]) {
        let mut frame = u32::try_from(body.len()).unwrap().to_be_bytes().to_vec();
        frame.extend([kind, flags, 0, 0]);
        frame.extend(stream.to_be_bytes());
        frame.extend(body);
        self.socket.write_all(&frame).unwrap();
    }

    /// The next frame, or `None` when the instance has closed its end.
    pub(crate) fn frame(&mut self) -> Option<Frame> {
        let mut head = [0; 12];
        match self.socket.read(&mut head[..1]) {
            Ok(0) => return None,
            Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => return None,
            read => assert_eq!(
                read.unwrap_or_else(|e| panic!("no frame: {e}; log: {}", self.log_text())),
                1
            ),
        }
        self.socket.read_exact(&mut head[1..]).unwrap();
        let length = u32::from_be_bytes(head[..4].try_into().unwrap());
        assert!(length <= 1 << 20, "an answer frame of {length} bytes");
        let mut body = vec![0; length as usize];
        self.socket.read_exact(&mut body).unwrap();
        Some(Frame {
            kind: head[4],
            flags: head[5],
            stream: u32::from_be_bytes(head[8..].try_into().unwrap()),
            body,
        })
    }

    /// Sends a call with the usual header and these differences; returns its stream.
    pub(crate) fn invoke(&mut self, event: &[u8], header: &Value) -> u32 {
        self.stream += 1;
        let body = invoke_body(self.stream, event, header);
        self.send(INVOKE, END, self.stream, &body);
        self.stream
    }

    /// Reads the answer of a stream to its end; `None` when the instance went away instead.
    pub(crate) fn answer(&mut self, stream: u32) -> Option<Answer> {
        let mut data = Vec::new();
        loop {
            let frame = self.frame()?;
            assert_eq!(frame.stream, stream);
            match frame.kind {
                DATA => data.extend(frame.body),
                ERROR => return Some(Answer::Error(serde_json::from_slice(&frame.body).unwrap())),
                other => panic!("kind {other} in an answer"),
            }
            if frame.flags & END != 0 {
                return Some(Answer::Data(String::from_utf8(data).unwrap()));
            }
        }
    }

    /// A whole call with an event as JSON text.
    pub(crate) fn call(&mut self, event: &str) -> Answer {
        let stream = self.invoke(event.as_bytes(), &json!({}));
        self.answer(stream)
            .unwrap_or_else(|| panic!("no answer; log: {}", self.log_text()))
    }

    /// A call that must answer data.
    pub(crate) fn data(&mut self, event: &str) -> String {
        match self.call(event) {
            Answer::Data(text) => text,
            Answer::Error(error) => panic!("{error}"),
        }
    }

    /// A call that must answer an error.
    pub(crate) fn error(&mut self, event: &str) -> Value {
        match self.call(event) {
            Answer::Error(error) => error,
            Answer::Data(text) => panic!("answered {text}"),
        }
    }

    /// The request id that `invoke` gives the newest call.
    pub(crate) fn request_id(&self) -> String {
        request_id(self.stream)
    }

    /// Waits until the log holds a text; the whole log.
    pub(crate) fn log_with(&self, part: &str) -> String {
        let wait = |state: &mut (String, bool)| !state.0.contains(part) && !state.1;
        let guard = self.log.text.lock().unwrap();
        let (guard, _) = self
            .log
            .changed
            .wait_timeout_while(guard, DEADLINE, wait)
            .unwrap();
        assert!(guard.0.contains(part), "no {part:?} in the log:\n{}", guard.0);
        guard.0.clone()
    }

    fn log_text(&self) -> String {
        self.log.text.lock().unwrap().0.clone()
    }

    /// Closes the host's writing side.
    pub(crate) fn hang_up(&self) {
        self.socket.shutdown(std::net::Shutdown::Write).unwrap();
    }

    /// Waits for the instance to close its socket and exit; its exit code and whole log.
    pub(crate) fn exit(mut self) -> (Option<i32>, String) {
        if let Some(frame) = self.frame() {
            panic!("frame instead of an exit: {frame:?}");
        }
        let status = self.child.wait().unwrap();
        let guard = self.log.text.lock().unwrap();
        let (guard, _) = self
            .log
            .changed
            .wait_timeout_while(guard, DEADLINE, |s| !s.1)
            .unwrap();
        (status.code(), guard.0.clone())
    }
}

impl Drop for Instance {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Compiles the Java files among a function's files in place, for Java 8, against what the bootstrap shows to functions.
fn compile(root: &Path, files: &[(&str, &str)]) {
    let sources = files.iter().filter(|(name, _)| name.ends_with(".java"));
    let mut command = Command::new("javac");
    command.args([
        "-nowarn",
        "-Xlint:-options",
        "-parameters",
        "--release",
        "8",
        "-cp",
    ]);
    command
        .arg(BOOTSTRAPS.path().join("java/bootstrap.jar"))
        .arg("-d")
        .arg(root);
    command.args(sources.map(|(name, _)| root.join(name)));
    let compiled = command.output().unwrap();
    assert!(
        compiled.status.success(),
        "{}",
        String::from_utf8_lossy(&compiled.stderr)
    );
}

/// The body of an INVOKE: header length, header, payload.
pub(crate) fn invoke_body(stream: u32, event: &[u8], differences: &Value) -> Vec<u8> {
    let mut header = json!({"request_id": request_id(stream), "deadline_ms": 1_700_000_003_000_u64,
        "arn": "arn:aws:lambda:local:000000000000:function:hello:live", "remaining_ms": 3000});
    for (key, value) in differences.as_object().unwrap() {
        header[key] = value.clone();
    }
    let header = header.to_string();
    let mut body = u32::try_from(header.len()).unwrap().to_be_bytes().to_vec();
    body.extend(header.as_bytes());
    body.extend(event);
    body
}

fn request_id(stream: u32) -> String {
    format!("8f2c7c1e-0000-4000-8000-{stream:012}")
}

/// Copies the instance's output into the log until both ends of the pipe are closed.
fn follow(mut reader: std::io::PipeReader, log: Arc<Log>) {
    std::thread::spawn(move || {
        let mut buffer = vec![0; 64 * 1024];
        loop {
            let read = reader.read(&mut buffer).unwrap_or(0);
            let mut state = log.text.lock().unwrap();
            state.0.push_str(&String::from_utf8_lossy(&buffer[..read]));
            state.1 = read == 0;
            log.changed.notify_all();
            if read == 0 {
                return;
            }
        }
    });
}
