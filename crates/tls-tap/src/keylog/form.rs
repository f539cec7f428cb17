//! What a key log is when it is no text.

/// What a file is instead of a key log's text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// UTF-16, as PowerShell's `>` writes.
    Utf16,
    /// Compressed.
    Compressed,
    /// Begins with bytes that no text has. Lines behind them are read all the same.
    Binary,
}

impl Form {
    /// Bytes that tell.
    pub(super) const HEAD: usize = 4;

    /// `None`: it may be text.
    pub(super) fn of(head: &[u8]) -> Option<Self> {
        const fn ascii(byte: u8) -> bool {
            byte != 0 && byte.is_ascii()
        }
        match *head {
            [0xff, 0xfe, ..] | [0xfe, 0xff, ..] => Some(Self::Utf16),
            [a, 0, b, 0] | [0, a, 0, b] if ascii(a) && ascii(b) => Some(Self::Utf16),
            // gzip, zstd, xz, bzip2.
            [0x1f, 0x8b, ..] | [0x28, 0xb5, 0x2f, 0xfd] | [0xfd, b'7', b'z', b'X'] | [b'B', b'Z', b'h', _] => {
                Some(Self::Compressed)
            }
            _ => {
                let control = |&byte: &u8| byte.is_ascii_control() && !matches!(byte, 0 | b'\t' | b'\r' | b'\n');
                let utf8 = std::str::from_utf8(head).map_or_else(|error| error.error_len().is_none(), |_| true);
                (!utf8 || head.iter().any(control)).then_some(Self::Binary)
            }
        }
    }

    /// Nothing in it can be read as lines.
    pub(super) const fn is_unreadable(self) -> bool {
        matches!(self, Self::Utf16 | Self::Compressed)
    }
}
