//! Compressed input, recognised by its first bytes.

use std::io::{self, BufRead, BufReader, Cursor, Read};

use flate2::bufread::GzDecoder;

/// Window that a zstd stream may ask for, as a power of two: what the program's memory leaves room for. `zstd` asks for more only
/// with `--ultra` or `--long`.
const ZSTD_WINDOW: u32 = 25;

/// Compressed bytes read at a time.
const READ: usize = 64 << 10;

/// How an input is compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Compression {
    None,
    Gzip,
    Zstd,
}

impl Compression {
    /// Bytes that [`Compression::of`] wants to see.
    pub(super) const MAGIC: usize = 4;

    pub(super) const fn of(start: &[u8]) -> Self {
        match start {
            [0x1f, 0x8b, ..] => Self::Gzip,
            // A frame, or a skippable frame.
            [0x28, 0xb5, 0x2f, 0xfd, ..] | [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..] => Self::Zstd,
            _ => Self::None,
        }
    }
}

/// The name of a compression that is not undone here, by the first bytes of a file.
pub(super) fn unread(start: &[u8]) -> Option<&'static str> {
    const NAMES: [(&[u8], &str); 5] = [
        (&[0xfd, b'7', b'z', b'X', b'Z', 0], "xz"),
        (b"BZh", "bzip2"),
        (&[0x04, 0x22, 0x4d, 0x18], "lz4"),
        (b"PK\x03\x04", "zip"),
        (&[b'7', b'z', 0xbc, 0xaf, 0x27, 0x1c], "7z"),
    ];
    NAMES.iter().find(|(magic, _)| start.starts_with(magic)).map(|&(_, name)| name)
}

/// A reader of the plain bytes of `input`.
pub(super) fn plain<'m>(mut input: impl Read + Send + 'm) -> io::Result<Box<dyn Read + Send + 'm>> {
    let mut start = Vec::with_capacity(Compression::MAGIC);
    input.by_ref().take(Compression::MAGIC as u64).read_to_end(&mut start)?;
    let compression = Compression::of(&start);
    let whole = Cursor::new(start).chain(input);
    let plain: Box<dyn Read + Send + 'm> = match compression {
        Compression::None => Box::new(whole),
        Compression::Gzip => Box::new(Members { member: Some(GzDecoder::new(BufReader::with_capacity(READ, whole))) }),
        Compression::Zstd => {
            let mut decoder = zstd::stream::read::Decoder::with_buffer(BufReader::with_capacity(READ, whole))?;
            decoder.window_log_max(ZSTD_WINDOW)?;
            Box::new(Frames(decoder))
        }
    };
    Ok(plain)
}

/// The members of a gzip file, one after the other (RFC 1952 section 2.2). Zeros behind the last are padding, as tapes have it.
struct Members<R> {
    member: Option<GzDecoder<R>>,
}

impl<R: BufRead> Read for Members<R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        while let Some(mut member) = self.member.take() {
            let read = member.read(buf);
            if buf.is_empty() || !matches!(read, Ok(0)) {
                self.member = Some(member);
                return read;
            }
            let mut rest = member.into_inner();
            let next = loop {
                let there = match rest.fill_buf() {
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                    there => there?,
                };
                let zeros = there.iter().take_while(|byte| **byte == 0).count();
                if zeros == 0 {
                    break there.first().copied();
                }
                rest.consume(zeros);
            };
            match next {
                None => return Ok(0),
                Some(0x1f) => self.member = Some(GzDecoder::new(rest)),
                Some(_) => {
                    return Err(io::Error::new(io::ErrorKind::InvalidData, "bytes behind the end of the gzip data"));
                }
            }
        }
        Ok(0)
    }
}

/// The frames of a zstd file, with words of its own for what follows the last.
struct Frames<R>(R);

impl<R: Read> Read for Frames<R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        self.0.read(buf).map_err(|error| match error.to_string().starts_with("Unknown frame") {
            true => io::Error::new(io::ErrorKind::InvalidData, "bytes behind the end of the zstd data"),
            false => error,
        })
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use flate2::write::GzEncoder;

    use super::*;

    /// A byte at a time, and a signal before each.
    struct Disturbed<'b>(&'b [u8], bool);

    impl Read for Disturbed<'_> {
        fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
            self.1 = !self.1;
            if self.1 {
                return Err(io::ErrorKind::Interrupted.into());
            }
            let len = buf.len().min(1);
            self.0.read(&mut buf[..len])
        }
    }

    #[test]
    fn a_signal_ends_no_gzip_file() {
        let member = |text: &[u8]| {
            let mut member = GzEncoder::new(Vec::new(), flate2::Compression::fast());
            member.write_all(text).unwrap();
            member.finish().unwrap()
        };
        let file = [member(b"one, "), vec![0; 3], member(b"two"), vec![0; 3]].concat();
        let mut text = String::new();
        plain(Disturbed(&file, false)).unwrap().read_to_string(&mut text).unwrap();
        assert_eq!(text, "one, two");
    }
}
