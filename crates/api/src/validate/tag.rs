//! Tags: keys, values, number.

use flint_model::limits;

use super::Problems;
use crate::settings::Tags;
use crate::{Error, Result};

const KEY: &str = r"([\p{L}\p{Z}\p{N}_.:/=+\-@]*)";

/// Keys of 1 to 128 characters, values of up to 256, both of letters, digits, spaces and `_.:/=+-@`.
pub fn tags(problems: &mut Problems, tags: &Tags) {
    for key in tags.keys() {
        key_text(problems, "tags", key);
    }
    for value in tags.values() {
        problems.length("tags", value, 0, 256);
        problems.pattern("tags", value, value.chars().all(allowed), KEY);
    }
}

/// Keys to remove.
pub fn keys(problems: &mut Problems, keys: &[String]) {
    for key in keys {
        key_text(problems, "tagKeys", key);
    }
}

fn key_text(problems: &mut Problems, path: &str, key: &str) {
    problems.length(path, key, 1, 128);
    problems.pattern(path, key, key.chars().all(allowed), KEY);
}

/// `\p{Z}` are separators; of those only spaces are whitespace that is not a control character.
fn allowed(c: char) -> bool {
    c.is_alphanumeric() || (c.is_whitespace() && !c.is_control()) || "_.:/=+-@".contains(c)
}

/// At most fifty tags on one function.
pub fn count(number: usize) -> Result<()> {
    if number > limits::TAGS {
        return Err(Error::InvalidParameter(
            "Number of tags exceeds resource tag limit.".to_owned(),
        ));
    }
    Ok(())
}
