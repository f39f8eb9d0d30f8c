//! One layer as a stream: decompressed, counted, hashed. Which compression it is, its first bytes tell.

use std::io::{self, BufRead, BufReader, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use flate2::bufread::MultiGzDecoder;
use ruzstd::decoding::{FrameDecoder, StreamingDecoder};
use sha2::{Digest as _, Sha256};

use crate::{Digest, Error};

/// What decompression may come to.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bounds {
    /// Bytes of this and all further layers.
    pub(crate) bytes: u64,
    /// Bytes out for one byte in, once there are `FREE` bytes.
    pub(crate) ratio: u64,
}

/// A tar of zeros compresses a thousandfold; small ones do no harm.
const FREE: u64 = 64 << 20;

/// The bytes of a layer's tar.
pub(crate) struct Layer<R: Read> {
    inner: Kind<Counted<R>>,
    read: Arc<AtomicU64>,
    written: u64,
    bounds: Bounds,
    digest: Sha256,
}

impl<R: Read> std::fmt::Debug for Layer<R> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Layer")
            .field("written", &self.written)
            .finish_non_exhaustive()
    }
}

enum Kind<R: Read> {
    Plain(BufReader<R>),
    Gzip(Box<MultiGzDecoder<BufReader<R>>>),
    Zstd(Box<Zstd<BufReader<R>>>),
}

impl<R: Read> Layer<R> {
    pub(crate) fn open(source: R, bounds: Bounds) -> io::Result<Self> {
        let read = Arc::new(AtomicU64::new(0));
        let counted = Counted {
            inner: source,
            count: Arc::clone(&read),
        };
        let mut source = BufReader::with_capacity(64 * 1024, counted);
        let start = source.fill_buf()?;
        let inner = match start {
            [0x1f, 0x8b, ..] => Kind::Gzip(Box::new(MultiGzDecoder::new(source))),
            [0x28, 0xb5, 0x2f, 0xfd, ..] | [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..] => {
                Kind::Zstd(Box::new(Zstd::new(source)))
            }
            _ => Kind::Plain(source),
        };
        Ok(Self {
            inner,
            read,
            written: 0,
            bounds,
            digest: Sha256::new(),
        })
    }

    /// Reads to the end; the digest of the whole tar, and its bytes.
    pub(crate) fn finish(mut self) -> io::Result<(Digest, u64)> {
        io::copy(&mut self, &mut io::sink())?;
        let digits = hex::encode(self.digest.finalize());
        let digest = Digest::from_hex(&digits).ok_or_else(|| io::Error::other("no digest"))?;
        Ok((digest, self.written))
    }
}

impl<R: Read> Read for Layer<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = match &mut self.inner {
            Kind::Plain(inner) => inner.read(buffer)?,
            Kind::Gzip(inner) => inner.read(buffer)?,
            Kind::Zstd(inner) => inner.read(buffer)?,
        };
        self.digest.update(&buffer[..count]);
        self.written += count as u64;
        let refuse = |reason: String| Err(io::Error::other(Error::Refused(reason)));
        if self.written > self.bounds.bytes {
            return refuse("unpacked it is larger than this server takes (image.max_bytes)".into());
        }
        let read = self.read.load(Ordering::Relaxed);
        if self.written > FREE && self.written / self.bounds.ratio > read {
            return refuse(format!(
                "a layer unpacks to more than {} times its size, which no real one does",
                self.bounds.ratio
            ));
        }
        Ok(count)
    }
}

struct Counted<R> {
    inner: R,
    count: Arc<AtomicU64>,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        self.count.fetch_add(count as u64, Ordering::Relaxed);
        Ok(count)
    }
}

/// Frames of zstd one after the other; skippable ones carry nothing of the tar.
struct Zstd<R: Read> {
    source: Option<R>,
    frame: Option<Box<Frame<R>>>,
}

/// The four bytes that told what the frame is, and the rest.
type Frame<R> = StreamingDecoder<io::Chain<io::Cursor<[u8; 4]>, R>, FrameDecoder>;

impl<R: BufRead> Zstd<R> {
    fn new(source: R) -> Self {
        Self {
            source: Some(source),
            frame: None,
        }
    }

    /// Starts the next frame; `false` at the end.
    fn next_frame(&mut self) -> io::Result<bool> {
        let Some(mut source) = self.source.take() else {
            return Ok(false);
        };
        loop {
            if source.fill_buf()?.is_empty() {
                return Ok(false);
            }
            let mut magic = [0; 4];
            source.read_exact(&mut magic)?;
            if !matches!(magic, [0x50..=0x5f, 0x2a, 0x4d, 0x18]) {
                let whole = io::Cursor::new(magic).chain(source);
                let frame =
                    StreamingDecoder::new(whole).map_err(|error| io::Error::other(error.to_string()))?;
                self.frame = Some(Box::new(frame));
                return Ok(true);
            }
            let mut length = [0; 4];
            source.read_exact(&mut length)?;
            let length = u64::from(u32::from_le_bytes(length));
            io::copy(&mut (&mut source).take(length), &mut io::sink())?;
        }
    }
}

impl<R: BufRead> Read for Zstd<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            if let Some(frame) = &mut self.frame {
                let count = frame.read(buffer)?;
                if count > 0 || buffer.is_empty() {
                    return Ok(count);
                }
            }
            if let Some(frame) = self.frame.take() {
                self.source = Some(frame.into_inner().into_inner().1);
            }
            if !self.next_frame()? {
                return Ok(0);
            }
        }
    }
}
