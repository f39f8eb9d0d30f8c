//! Which files of a folder belong into its package: `.flintignore` in the form of a `.gitignore`, and what never does.

/// Left out of every package: not code, or made anew wherever it is needed.
const NEVER: &[&str] = &[
    ".git/",
    ".hg/",
    ".svn/",
    ".idea/",
    ".vscode/",
    ".venv/",
    "__pycache__/",
    ".env",
    ".pytest_cache/",
    ".mypy_cache/",
    "*.pyc",
    ".DS_Store",
    "/.flintignore",
    "/flint.yaml",
];

/// The rules of a folder; the last one that matches counts.
#[derive(Debug)]
pub(crate) struct Rules(Vec<Rule>);

#[derive(Debug)]
struct Rule {
    pattern: Vec<String>,
    keep: bool,
    folder: bool,
}

impl Rules {
    /// The usual ones, then those of a file's text.
    pub(crate) fn new(text: &str) -> Self {
        Self(
            NEVER
                .iter()
                .copied()
                .chain(text.lines())
                .filter_map(Rule::parse)
                .collect(),
        )
    }

    /// Whether a path (with `/`, relative to the folder) is left out. What lies below a folder left out is not asked.
    pub(crate) fn leave_out(&self, path: &str, folder: bool) -> bool {
        let parts: Vec<&str> = path.split('/').collect();
        let last = self
            .0
            .iter()
            .rev()
            .find(|rule| (folder || !rule.folder) && matches(&rule.pattern, &parts));
        last.is_some_and(|rule| !rule.keep)
    }
}

impl Rule {
    fn parse(line: &str) -> Option<Self> {
        let line = line.trim_end();
        if line.is_empty() || line.starts_with('#') {
            return None;
        }
        let (line, keep) = line.strip_prefix('!').map_or((line, false), |rest| (rest, true));
        let (line, folder) = line.strip_suffix('/').map_or((line, false), |rest| (rest, true));
        let mut pattern: Vec<String> = line
            .trim_start_matches('/')
            .split('/')
            .map(str::to_owned)
            .collect();
        // Without a slash inside, a name counts at any depth.
        if !line.contains('/') {
            pattern.insert(0, "**".to_owned());
        }
        Some(Self {
            pattern,
            keep,
            folder,
        })
    }
}

fn matches(pattern: &[String], parts: &[&str]) -> bool {
    match (pattern.split_first(), parts.split_first()) {
        (None, None) => true,
        (Some((first, rest)), _) if first == "**" => {
            matches(rest, parts)
                || parts
                    .split_first()
                    .is_some_and(|(_, below)| matches(pattern, below))
        }
        (Some((first, rest)), Some((part, below))) => {
            glob(first.as_bytes(), part.as_bytes()) && matches(rest, below)
        }
        _ => false,
    }
}

/// `*` and `?` within one name. Goes back to the last star only, so that its time is bounded by the product of lengths.
fn glob(pattern: &[u8], name: &[u8]) -> bool {
    let (mut p, mut n, mut star) = (0, 0, None);
    while n < name.len() {
        match pattern.get(p) {
            Some(b'*') => {
                star = Some((p, n));
                p += 1;
            }
            Some(b'?') => (p, n) = (p + 1, n + 1),
            Some(byte) if *byte == name[n] => (p, n) = (p + 1, n + 1),
            _ => match star {
                Some((at, from)) => {
                    star = Some((at, from + 1));
                    (p, n) = (at + 1, from + 1);
                }
                None => return false,
            },
        }
    }
    pattern[p..].iter().all(|byte| *byte == b'*')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_work_as_in_a_gitignore() {
        let rules = Rules::new("# notes\n*.log\n/data/\ndocs/**/*.png\n!keep.log\nbuild\n");
        for (path, folder) in [
            ("a.log", false),
            ("x/y.log", false),
            ("data", true),
            ("docs/a/b/c.png", false),
            ("docs/c.png", false),
            ("x/build", true),
            (".git", true),
            ("x/__pycache__", true),
            ("flint.yaml", false),
        ] {
            assert!(rules.leave_out(path, folder), "{path}");
        }
        for (path, folder) in [
            ("keep.log", false),
            ("x/data", true),
            ("data", false),
            ("x/flint.yaml", false),
            ("app.py", false),
        ] {
            assert!(!rules.leave_out(path, folder), "{path}");
        }
    }
}
