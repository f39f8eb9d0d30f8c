//! Markers: where the next page of a list starts. Opaque to clients; a marker that was not made here is refused.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::Result;

/// Longest marker that can have been made here: base64 of two names and a number.
const LONGEST: usize = 512;

/// Makes a marker of the last item of a page.
pub(crate) fn encode(last: &str) -> String {
    URL_SAFE_NO_PAD.encode(last)
}

/// Reads a marker.
pub(crate) fn decode(marker: Option<&str>) -> Result<Option<String>> {
    let Some(marker) = marker else { return Ok(None) };
    let bytes = (marker.len() <= LONGEST)
        .then(|| URL_SAFE_NO_PAD.decode(marker).ok())
        .flatten();
    match bytes.and_then(|bytes| String::from_utf8(bytes).ok()) {
        Some(text) => Ok(Some(text)),
        None => Err(refused()),
    }
}

/// The error for a marker that does not lead anywhere.
pub(crate) fn refused() -> crate::Error {
    let text = "Invalid Marker: use the NextMarker of the page before.";
    flint_api::Error::InvalidParameter(text.to_owned()).into()
}

/// Cuts a list that was read one item longer than a page; returns the key of the last item when there is more.
pub(crate) fn cut<T>(items: &mut Vec<T>, limit: usize, key: impl Fn(&T) -> String) -> Option<String> {
    if items.len() <= limit {
        return None;
    }
    items.truncate(limit);
    items.last().map(|item| encode(&key(item)))
}
