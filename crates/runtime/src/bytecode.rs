//! Compiles the Python modules of a package, by the interpreter that will serve them, in a sandbox that knows nothing else.
//!
//! Guarantees: no module is executed; what comes out is bounded in size, number and time, and is a list of names and bytes
//! that nobody has looked into. Leaves to others: which names are taken, where it is kept (`flint_store`), and when it is made.

use std::hash::{Hash, Hasher};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::time::Duration;

use flint_model::runtime::Family;
use flint_sandbox::spec::{Bind, ClaimSpec, ExecSpec, Limits, Network, PrepareSpec};
use flint_sandbox::{Launcher, Stdio};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};

use crate::log_pipe::LogPipe;
use crate::{Error, Interpreter};

const PROGRAM: &str = include_str!("../../../runtimes/python/compile.py");
/// What was compiled by then is used: the rest is compiled at each start, as all of it was before.
const PATIENCE: Duration = Duration::from_secs(120);
/// Longest path of a file.
const LONGEST: usize = 1_024;
/// Largest file; compiled tables of characters have 2 MB.
const LARGEST: usize = 16 << 20;
/// All files of one tree together.
const MOST_BYTES: usize = 64 << 20;
const MOST_FILES: usize = 20_000;

/// A file that was made: its path in the tree, and its bytes. Neither can be trusted.
pub type Compiled = (String, Vec<u8>);

/// A folder as instances see it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Shown {
    /// Where it is on the host.
    pub source: PathBuf,
    /// Where instances see it: errors and traces name this path.
    pub target: PathBuf,
}

/// Says which bytecode an interpreter makes and reads: another version, another place or another program of ours make
/// another. `None` for what is no Python.
pub fn maker(interpreter: &Interpreter) -> Option<String> {
    if interpreter.family != Family::Python {
        return None;
    }
    let mut hasher = std::hash::DefaultHasher::new();
    (PROGRAM, &interpreter.exec, &interpreter.root).hash(&mut hasher);
    Some(format!("python-{}-{:016x}", interpreter.text, hasher.finish()))
}

/// Compiles what is below a folder.
///
/// # Errors
/// When there is no sandbox, or what comes out of it is out of bounds. Starts then compile for themselves; a retry is safe.
pub async fn compile(
    launcher: &Launcher,
    interpreter: &Interpreter,
    shown: &Shown,
) -> Result<Vec<Compiled>, Error> {
    let class = PrepareSpec {
        root: interpreter.root.clone(),
        network: Network::None,
        runtime_api: false,
        binds: Vec::new(),
    };
    let claim = ClaimSpec {
        binds: vec![Bind {
            source: shown.source.clone(),
            target: shown.target.clone(),
        }],
        limits: limits(),
        exec: exec(interpreter, shown),
    };
    collect(launcher, class, claim, &[], PATIENCE).await
}

/// Runs a program in a sandbox of its own, tells it something on its channel, and takes the files that it sends there.
pub(crate) async fn collect(
    launcher: &Launcher,
    class: PrepareSpec,
    claim: ClaimSpec,
    told: &[u8],
    patience: Duration,
) -> Result<Vec<Compiled>, Error> {
    let (ours, theirs) = UnixStream::pair()?;
    ours.set_nonblocking(true)?;
    let mut ours = tokio::net::UnixStream::from_std(ours)?;
    let (mut log, output) = LogPipe::new(4 * 1024)?;
    let exec = claim.exec.argv.first().cloned();
    let parked = launcher.prepare(class).await?;
    let stdio = Stdio {
        output,
        channel: Some(OwnedFd::from(theirs)),
    };
    let sandbox = launcher.claim(parked, claim, stdio).await?;
    let mut compiled = Vec::new();
    let exchange = async {
        ours.write_all(told).await?;
        read_all(ours, &mut compiled).await
    };
    // What it prints is read so that it is not held up. That its output is closed says nothing of what is left in the channel.
    let printed = async {
        log.rest().await;
        std::future::pending::<()>().await;
    };
    let read = tokio::select! {
        read = tokio::time::timeout(patience, exchange) => read,
        () = printed => Ok(Ok(())),
    };
    sandbox.destroy().await?;
    if let Ok(read) = read {
        read?;
    }
    if compiled.is_empty() {
        log.drain();
        let printed = String::from_utf8_lossy(&log.take()).into_owned();
        tracing::debug!(?exec, printed, "nothing was compiled");
    }
    Ok(compiled)
}

/// Reads files until the other side ends, or a whole tree's worth of them has come.
async fn read_all(mut from: impl AsyncRead + Unpin, into: &mut Vec<Compiled>) -> io::Result<()> {
    let mut bytes = 0;
    while into.len() < MOST_FILES {
        let path = match from.read_u32().await {
            Ok(length) => bounded(length, LONGEST)?,
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(()),
            Err(error) => return Err(error),
        };
        let data = bounded(from.read_u32().await?, LARGEST)?;
        bytes += data;
        if bytes > MOST_BYTES {
            return Ok(());
        }
        let path = String::from_utf8(exactly(&mut from, path).await?);
        let data = exactly(&mut from, data).await?;
        // A name that is not text: its module stays uncompiled.
        if let Ok(path) = path {
            into.push((path, data));
        }
    }
    Ok(())
}

fn bounded(length: u32, most: usize) -> io::Result<usize> {
    let length = usize::try_from(length).unwrap_or(usize::MAX);
    if length > most {
        let text = format!("the compiling process announced {length} bytes, more than {most}");
        return Err(io::Error::other(text));
    }
    Ok(length)
}

/// Takes memory as it comes, not as it was announced.
async fn exactly(from: &mut (impl AsyncRead + Unpin), length: usize) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    from.take(length as u64).read_to_end(&mut bytes).await?;
    if bytes.len() < length {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok(bytes)
}

/// Little of the CPU: it is for later starts, and must not slow those of now.
fn limits() -> Limits {
    Limits {
        memory: 512 << 20,
        cpu_millis: 100,
        cpu_cap: false,
        pids: 16,
        tmp: 32 << 20,
        open_files: 64,
    }
}

fn exec(interpreter: &Interpreter, shown: &Shown) -> ExecSpec {
    let folder = shown.target.to_string_lossy().into_owned();
    let argv = [&interpreter.exec, "-S", "-E", "-s", "-c", PROGRAM, &folder];
    let env = [
        ("PATH", "/usr/local/bin:/usr/bin:/bin"),
        ("LANG", "en_US.UTF-8"),
        ("TZ", ":UTC"),
    ];
    ExecSpec {
        argv: argv.map(str::to_owned).to_vec(),
        env: env
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .to_vec(),
        cwd: "/tmp".into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sent(files: &[(&[u8], &[u8])]) -> Vec<u8> {
        let mut bytes = Vec::new();
        for (path, data) in files {
            bytes.extend(u32::try_from(path.len()).unwrap().to_be_bytes());
            bytes.extend(u32::try_from(data.len()).unwrap().to_be_bytes());
            bytes.extend_from_slice(path);
            bytes.extend_from_slice(data);
        }
        bytes
    }

    async fn read(bytes: &[u8]) -> (io::Result<()>, Vec<Compiled>) {
        let mut files = Vec::new();
        let result = read_all(bytes, &mut files).await;
        (result, files)
    }

    #[tokio::test]
    async fn what_a_hostile_process_sends_is_bounded() {
        let honest = sent(&[(b"a", b"1"), (b"\xff", b"2"), (b"c", b"")]);
        let (result, files) = read(&honest).await;
        result.unwrap();
        assert_eq!(files, [("a".into(), b"1".to_vec()), ("c".into(), Vec::new())]);
        let (result, files) = read(&honest[..honest.len() - 2]).await;
        assert!(result.is_err(), "an end in the middle of a file");
        assert_eq!(files.len(), 1, "what came whole before is there");
        for huge in [[u32::MAX, 1], [1, u32::MAX], [2_000, 1], [1, 17 << 20]] {
            let bytes: Vec<u8> = huge.iter().flat_map(|length| length.to_be_bytes()).collect();
            assert!(read(&bytes).await.0.is_err(), "{huge:?}");
        }
        let large = vec![0; LARGEST];
        let (result, files) = read(&sent(&[(b"x".as_slice(), large.as_slice()); 6])).await;
        result.unwrap();
        assert_eq!(files.len(), MOST_BYTES / LARGEST, "no more than fits");
        let (result, files) = read(&sent(&vec![(b"x".as_slice(), b"".as_slice()); MOST_FILES + 9])).await;
        result.unwrap();
        assert_eq!(files.len(), MOST_FILES);
    }
}
