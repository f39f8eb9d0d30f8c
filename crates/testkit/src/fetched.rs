//! What `scripts/install-tools.sh` fetches for tests and does without where it cannot be had.

use std::path::PathBuf;

/// A file of that cache; says on the test's output when it is not there, and the test goes on without it.
pub fn fetched(name: &str) -> Option<PathBuf> {
    let cache = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
    let cache = cache.or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".cache")))?;
    let path = cache.join("flint").join(name);
    if path.exists() {
        return Some(path);
    }
    #[expect(
        clippy::print_stdout,
        reason = "whoever reads the tests' output is to know what was left out"
    )]
    {
        println!("{name} is not here (scripts/install-tools.sh gets it): what is tested on it was left out");
    }
    None
}
