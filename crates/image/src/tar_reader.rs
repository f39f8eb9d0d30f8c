//! Reads tar archives that nobody trusts, entry by entry.
//!
//! Guarantees: extension headers are read up to a limit (a library that reads them whole lets one header take all
//! memory); checksums hold; sizes are never believed beyond the bytes that are there. Sparse files are refused: what they
//! take on the disk is not what they take in the archive.

use std::io::{self, Read};

use tar::{EntryType, Header};

use crate::error::refuse;
use crate::{Error, Result};

const BLOCK: usize = 512;
/// Longest extension header: names, and extended attributes that are skipped.
const LONGEST_EXTENSION: u64 = 1 << 20;

/// One entry, without its content.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) path: Vec<u8>,
    /// Target of a link.
    pub(crate) link: Vec<u8>,
    pub(crate) kind: EntryType,
    pub(crate) size: u64,
    pub(crate) mode: u32,
    /// Seconds since 1970.
    pub(crate) mtime: u64,
    /// It has extended attributes.
    pub(crate) attributes: bool,
}

impl Entry {
    /// Its path for people.
    pub(crate) fn shown(&self) -> String {
        String::from_utf8_lossy(&self.path).chars().take(200).collect()
    }
}

/// An archive that is being read.
#[derive(Debug)]
pub(crate) struct Archive<R> {
    inner: R,
    /// Bytes of the current entry's content that were not read, then of its padding.
    content: u64,
    padding: u64,
}

/// What extension headers say of the entry that follows.
#[derive(Debug, Default)]
struct Said {
    path: Option<Vec<u8>>,
    link: Option<Vec<u8>>,
    size: Option<u64>,
    mtime: Option<u64>,
    attributes: bool,
}

impl<R: Read> Archive<R> {
    pub(crate) fn new(inner: R) -> Self {
        Self {
            inner,
            content: 0,
            padding: 0,
        }
    }

    /// The next entry; what was not read of the last one is skipped.
    pub(crate) fn next_entry(&mut self) -> Result<Option<Entry>> {
        let mut said = Said::default();
        loop {
            self.skip_rest()?;
            let Some(header) = self.header()? else {
                return Ok(None);
            };
            let kind = header.entry_type();
            let size = header
                .entry_size()
                .map_err(|error| Error::Refused(format!("a tar header has no size: {error}")))?;
            self.expect(size)?;
            match kind {
                EntryType::GNULongName => said.path = Some(self.name()?),
                EntryType::GNULongLink => said.link = Some(self.name()?),
                EntryType::XHeader => self.extensions(&mut said)?,
                EntryType::XGlobalHeader => drop(self.extension()?),
                EntryType::GNUSparse => {
                    return refuse("it has a sparse file; pack it without (tar without --sparse)");
                }
                _ => return self.entry(&header, kind, size, said).map(Some),
            }
        }
    }

    fn entry(&mut self, header: &Header, kind: EntryType, size: u64, said: Said) -> Result<Entry> {
        let size = said.size.unwrap_or(size);
        // Only these have content; what other kinds write as their size means nothing.
        let filled = matches!(kind, EntryType::Regular | EntryType::Continuous);
        self.expect(if filled { size } else { 0 })?;
        let link = said
            .link
            .or_else(|| header.link_name_bytes().map(|name| name.into_owned()));
        Ok(Entry {
            path: said.path.unwrap_or_else(|| header.path_bytes().into_owned()),
            link: link.unwrap_or_default(),
            kind,
            size: if filled { size } else { 0 },
            mode: header.mode().unwrap_or(0o644),
            mtime: said.mtime.or_else(|| header.mtime().ok()).unwrap_or(0),
            attributes: said.attributes,
        })
    }

    fn expect(&mut self, size: u64) -> Result<()> {
        if size > 1 << 50 {
            return refuse(format!("a tar entry of {size} bytes"));
        }
        self.content = size;
        self.padding = size.next_multiple_of(BLOCK as u64) - size;
        Ok(())
    }

    fn skip_rest(&mut self) -> Result<()> {
        let left = self.content + self.padding;
        (self.content, self.padding) = (0, 0);
        let skipped = io::copy(&mut (&mut self.inner).take(left), &mut io::sink()).map_err(unreadable)?;
        if skipped < left {
            return refuse("the archive ends within an entry");
        }
        Ok(())
    }

    /// The next header; `None` at the end: a block of zeros, or no more bytes.
    fn header(&mut self) -> Result<Option<Header>> {
        let mut header = Header::new_old();
        let block = header.as_mut_bytes();
        let mut filled = 0;
        while filled < BLOCK {
            match self.inner.read(&mut block[filled..]).map_err(unreadable)? {
                0 if filled == 0 => return Ok(None),
                0 => return refuse("the archive ends within a header"),
                count => filled += count,
            }
        }
        if block.iter().all(|byte| *byte == 0) {
            return Ok(None);
        }
        let sum: u32 = block[..148]
            .iter()
            .chain(&block[156..])
            .map(|byte| u32::from(*byte))
            .sum::<u32>()
            + 8 * 32;
        match header.cksum() {
            Ok(told) if told == sum => Ok(Some(header)),
            _ => refuse("it is no tar archive, or a header is damaged"),
        }
    }

    fn extension(&mut self) -> Result<Vec<u8>> {
        if self.content > LONGEST_EXTENSION {
            return refuse(format!(
                "an extension header of {} bytes; at most {LONGEST_EXTENSION} are read",
                self.content
            ));
        }
        let mut bytes = Vec::new();
        self.read_to_end(&mut bytes).map_err(unreadable)?;
        if self.content > 0 {
            return refuse("the archive ends within an extension header");
        }
        Ok(bytes)
    }

    fn name(&mut self) -> Result<Vec<u8>> {
        let mut name = self.extension()?;
        while name.last() == Some(&0) {
            name.pop();
        }
        Ok(name)
    }

    /// PAX records: `LENGTH KEY=VALUE\n`, where the length counts the whole record.
    fn extensions(&mut self, said: &mut Said) -> Result<()> {
        let bytes = self.extension()?;
        let mut rest = bytes.as_slice();
        while !rest.is_empty() {
            let Some((key, value, after)) = record(rest) else {
                return refuse("an extension header is not understood");
            };
            let number = || {
                std::str::from_utf8(value)
                    .ok()?
                    .split('.')
                    .next()?
                    .parse::<u64>()
                    .ok()
            };
            match key {
                b"path" => said.path = Some(value.to_vec()),
                b"linkpath" => said.link = Some(value.to_vec()),
                b"size" => {
                    let size = number();
                    said.size =
                        Some(size.ok_or_else(|| Error::Refused("an extension header has no size".into()))?);
                }
                b"mtime" => said.mtime = number(),
                key if key.starts_with(b"GNU.sparse.") => {
                    return refuse("it has a sparse file; pack it without (tar without --sparse)");
                }
                key if key.starts_with(b"SCHILY.xattr.") => said.attributes = true,
                _ => {}
            }
            rest = after;
        }
        Ok(())
    }

    /// What is left behind the end of the archive, so that a digest over all of it can be told.
    pub(crate) fn into_inner(self) -> R {
        self.inner
    }
}

fn record(bytes: &[u8]) -> Option<(&[u8], &[u8], &[u8])> {
    let space = bytes.iter().position(|byte| *byte == b' ')?;
    let length: usize = std::str::from_utf8(&bytes[..space]).ok()?.parse().ok()?;
    let record = bytes.get(..length)?;
    let body = record.get(space + 1..)?.strip_suffix(b"\n")?;
    let equals = body.iter().position(|byte| *byte == b'=')?;
    Some((&body[..equals], &body[equals + 1..], &bytes[length..]))
}

/// Reading fails inside a decompressor as well, so this is the archive's fault before it is the disk's.
pub(crate) fn unreadable(error: io::Error) -> Error {
    match error.downcast::<Error>() {
        Ok(ours) => ours,
        Err(error) => Error::Refused(format!("it cannot be read: {error}")),
    }
}

/// The content of the current entry.
impl<R: Read> Read for Archive<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let most = usize::try_from(self.content)
            .unwrap_or(usize::MAX)
            .min(buffer.len());
        let count = self.inner.read(&mut buffer[..most])?;
        self.content -= count as u64;
        if count == 0 && most > 0 {
            return Err(io::Error::other(Error::Refused(
                "the archive ends within an entry".into(),
            )));
        }
        Ok(count)
    }
}
