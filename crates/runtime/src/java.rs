//! How a JVM is found and started: its heap, its flags, its archive of classes.
//!
//! Guarantees: what a start is given depends on the function only through its memory, in a few steps, so that waiting JVMs
//! serve many functions. Leaves to others: making the archive (`archive.rs`).

use std::path::PathBuf;

use crate::bootstrap::{INSIDE, JAVA};
use crate::{Interpreter, archive};

/// What to do about a binary without the Java bootstrap.
pub(crate) const NOT_BUILT_IN: &str = "this flint was built without Maven or a JDK and has no Java bootstrap: apt-get install \
                                       maven default-jdk-headless, then build it again";

/// Whether this binary carries the Java bootstrap.
pub(crate) fn is_built_in() -> bool {
    !JAVA.is_empty()
}

/// The JVMs of this host, below `/usr`, since nothing else of the host is shown inside; each once.
pub(crate) fn candidates() -> Vec<PathBuf> {
    if !is_built_in() {
        return Vec::new();
    }
    let below = |folder: &str| {
        let names = std::fs::read_dir(folder).into_iter().flatten().flatten();
        names.map(|entry| entry.path()).collect::<Vec<_>>()
    };
    let homes = [
        "/usr/lib/jvm",
        "/usr/lib64/jvm",
        "/usr/java",
        "/usr/local",
        "/usr/local/lib/jvm",
    ];
    let mut found: Vec<PathBuf> = homes
        .into_iter()
        .flat_map(below)
        .map(|home| home.join("bin/java"))
        .collect();
    found.extend(std::env::var_os("JAVA_HOME").map(|home| PathBuf::from(home).join("bin/java")));
    found.extend(["/usr/bin/java", "/usr/local/bin/java"].map(PathBuf::from));
    let mut real: Vec<PathBuf> = found
        .into_iter()
        .filter_map(|path| std::fs::canonicalize(path).ok())
        .filter(|path| path.starts_with("/usr") && path.is_file())
        .collect();
    real.sort();
    real.dedup();
    real
}

/// Memory sizes (MB) that share a start, and the heap (MB) of each. What is left is for classes, compiled code, stacks and
/// `/tmp`: some 60 MB at least, a sixth of the large sizes, as on Lambda. A heap that is full is an error that Java can tell;
/// memory that is full is a kill.
const HEAPS: &[(u32, u32)] = &[
    (128, 64),
    (192, 112),
    (256, 160),
    (384, 272),
    (512, 384),
    (1_024, 832),
    (2_048, 1_728),
    (4_096, 3_480),
    (8_192, 6_960),
    (10_240, 8_704),
];

/// The heap of a function in MB: that of the largest step that it fills.
pub(crate) fn heap_mb(memory_mb: u32) -> u32 {
    let step = HEAPS.iter().rev().find(|(memory, _)| *memory <= memory_mb);
    step.unwrap_or(&HEAPS[0]).1
}

/// The smallest memory (MB) that is started in the same way.
pub fn step_mb(memory_mb: u32) -> u32 {
    let step = HEAPS.iter().rev().find(|(memory, _)| *memory <= memory_mb);
    step.unwrap_or(&HEAPS[0]).0
}

/// The command that starts a JVM with the bootstrap; an archive is put in where it runs, if there is one by then.
pub(crate) fn command(interpreter: &Interpreter, memory_mb: u32) -> Vec<String> {
    let mut argv = vec![interpreter.exec.clone()];
    argv.extend(flags(interpreter.version.0).into_iter().map(str::to_owned));
    argv.push(format!("-Xmx{}m", heap_mb(memory_mb)));
    argv.extend(["-jar".to_owned(), format!("{INSIDE}/bootstrap.jar")]);
    argv
}

/// Takes out of a command what the function's `JAVA_TOOL_OPTIONS` says as well. The JVM would take the command's word: on Lambda
/// these options choose heap, collector and compiler.
pub(crate) fn give_way(argv: &mut Vec<String>, options: &str) {
    let heap =
        options.contains("-Xmx") || options.contains("-XX:MaxHeapSize") || options.contains("RAMPercentage");
    let collector = options
        .split_whitespace()
        .any(|one| one.starts_with("-XX:+Use") && one.ends_with("GC"));
    let compiler = options.contains("TieredStopAtLevel") || options.contains("-TieredCompilation");
    argv.retain(|one| {
        !(heap && one.starts_with("-Xmx")
            || collector && one == "-XX:+UseSerialGC"
            || compiler && one.starts_with("-XX:TieredStopAtLevel"))
    });
}

/// Flags of every start. Measured with the bootstrap's own start (docs/decisions/011-java-archives.md): the serial collector
/// and the quick compiler alone take 5–10 %, and half of the memory outside the heap. The text encodings are those of Lambda,
/// whose locale the host need not have.
pub(crate) fn flags(major: u32) -> Vec<&'static str> {
    let mut flags = vec![
        "-XX:+UseSerialGC",
        "-XX:TieredStopAtLevel=1",
        "-XX:-UsePerfData",
        "-Dfile.encoding=UTF-8",
        "-Dsun.jnu.encoding=UTF-8",
        // Java cannot change its folder, and one that was started early was started elsewhere.
        "-Duser.dir=/var/task",
        "-Djava.net.preferIPv4Stack=true",
    ];
    if major < archive::AOT_FROM {
        flags.push("-Xshare:auto");
    }
    flags
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_functions_own_options_win() {
        let left = |options| {
            let mut argv = vec!["java".to_owned(), "-Xmx64m".to_owned()];
            argv.extend(flags(17).into_iter().take(2).map(str::to_owned));
            give_way(&mut argv, options);
            argv[1..].join(" ")
        };
        assert_eq!(left("-Dx=1"), "-Xmx64m -XX:+UseSerialGC -XX:TieredStopAtLevel=1");
        assert_eq!(left("-Xmx90m -XX:+UseG1GC"), "-XX:TieredStopAtLevel=1");
        assert_eq!(
            left("-XX:MaxRAMPercentage=50 -XX:TieredStopAtLevel=4"),
            "-XX:+UseSerialGC"
        );
    }

    #[test]
    fn the_heap_fits_into_the_memory() {
        for memory in 128..=10_240 {
            let heap = heap_mb(memory);
            assert!(heap >= memory / 3, "{heap} of {memory}");
            assert!(
                heap + 60 <= memory && heap <= memory * 85 / 100,
                "{heap} of {memory}"
            );
        }
        assert_eq!((heap_mb(128), heap_mb(1_023), heap_mb(10_240)), (64, 384, 8_704));
    }
}
