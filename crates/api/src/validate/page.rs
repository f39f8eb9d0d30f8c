//! `MaxItems` and `Marker` of the lists.

use super::Problems;
use crate::{Error, Result};

/// Most items of a page, and the number when none is given. AWS gives 50 items of a list when nothing is said, and up to
/// 10,000 on request.
pub const DEFAULT_ITEMS: usize = 50;
const MOST_ITEMS: i64 = 10_000;

/// Reads the `MaxItems` of lists whose pages have 50 items at most.
pub fn few_items(problems: &mut Problems, text: Option<&str>) -> Result<usize> {
    items(problems, text, 50)
}

/// Reads `MaxItems`. A text that is no number is a serialization error, one out of range a problem.
pub fn max_items(problems: &mut Problems, text: Option<&str>) -> Result<usize> {
    items(problems, text, MOST_ITEMS)
}

fn items(problems: &mut Problems, text: Option<&str>, most: i64) -> Result<usize> {
    let Some(text) = text.filter(|text| !text.is_empty()) else {
        return Ok(DEFAULT_ITEMS);
    };
    let number: i64 = text
        .parse()
        .map_err(|_| Error::Serialization("STRING_VALUE can not be converted to an Integer".to_owned()))?;
    problems.range("maxItems", Some(number), 1, most);
    Ok(usize::try_from(number).unwrap_or(DEFAULT_ITEMS))
}
