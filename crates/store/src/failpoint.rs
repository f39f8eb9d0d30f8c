//! Places at which a test ends the process as `kill -9` would. In release builds there are none.
//!
//! `FLINT_FAILPOINT=NAME:N` kills the server the Nth time it comes to the place NAME; `panic NAME:N` is a defect there instead.

/// Comes to a place.
#[cfg(debug_assertions)]
pub fn reach(name: &str) {
    use std::sync::OnceLock;
    use std::sync::atomic::{AtomicU32, Ordering};

    static WANTED: OnceLock<Option<(String, u32)>> = OnceLock::new();
    static REACHED: AtomicU32 = AtomicU32::new(0);
    let wanted = WANTED.get_or_init(|| {
        let text = std::env::var("FLINT_FAILPOINT").ok()?;
        let (name, count) = text.rsplit_once(':')?;
        Some((name.to_owned(), count.parse().ok()?))
    });
    let Some((wanted, count)) = wanted else { return };
    let defect = wanted.strip_prefix("panic ");
    let wanted = defect.unwrap_or(wanted);
    if wanted == name && REACHED.fetch_add(1, Ordering::Relaxed) + 1 == *count {
        assert!(defect.is_none(), "a defect at {name}, as it was asked for");
        // Nothing is flushed and nobody is told, as when the power goes.
        let _ = rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL);
        std::thread::park();
    }
}

/// Comes to a place.
#[cfg(not(debug_assertions))]
pub fn reach(_name: &str) {}
