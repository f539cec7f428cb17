//! Where a message's body ends (RFC 9112 section 6.3).

/// How the body that follows a header section is framed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Framing {
    /// This many bytes, 0 for none.
    Length(u64),
    /// `Transfer-Encoding: chunked`.
    Chunked,
    /// Until the connection ends.
    UntilClose,
}

/// What the header fields of a message say about its body.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Says {
    /// `Content-Length`.
    pub(crate) length: Option<u64>,
    /// `Transfer-Encoding` is there.
    pub(crate) encoded: bool,
    /// Its last coding is `chunked`.
    pub(crate) chunked: bool,
    /// A length that is no number, or two that differ.
    pub(crate) wrong: bool,
}

impl Says {
    /// Takes a field; `name` is in lower case.
    pub(crate) fn field(&mut self, name: &[u8], value: &[u8]) {
        match name {
            b"content-length" => {
                for part in value.split(|&byte| byte == b',') {
                    let number = std::str::from_utf8(part.trim_ascii()).ok().and_then(|text| text.parse().ok());
                    self.wrong |= number.is_none() || self.length.is_some_and(|known| number != Some(known));
                    self.length = self.length.or(number);
                }
            }
            b"transfer-encoding" => {
                self.encoded = true;
                let last = value.rsplit(|&byte| byte == b',').next().unwrap_or_default();
                self.chunked = last.trim_ascii().eq_ignore_ascii_case(b"chunked");
            }
            _ => {}
        }
    }

    /// A request's body: without a framing field there is none.
    pub(crate) fn request(self) -> Framing {
        if self.chunked { Framing::Chunked } else { Framing::Length(self.length.unwrap_or(0)) }
    }

    /// A final response's body. `head`: the request was a HEAD.
    pub(crate) fn response(self, status: u16, head: bool) -> Framing {
        match self {
            _ if head || matches!(status, 204 | 304) => Framing::Length(0),
            Self { chunked: true, .. } => Framing::Chunked,
            Self { encoded: true, .. } => Framing::UntilClose,
            Self { length: Some(length), .. } => Framing::Length(length),
            _ => Framing::UntilClose,
        }
    }
}

/// A chunked body as it goes by (RFC 9112 section 7.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Chunked {
    /// In the digits of a chunk's size.
    Size(u64),
    /// Behind them, up to the line's end.
    Extension(u64),
    /// In a chunk's data.
    Data(u64),
    /// In the line end behind a chunk's data.
    DataEnd,
    /// In the trailer section. So many bytes of the present line.
    Trailer(u32),
    /// At the end.
    End,
    /// Not a chunked body.
    Broken,
}

impl Chunked {
    pub(crate) const START: Self = Self::Size(0);

    /// Takes bytes up to the end of the body; returns how many.
    pub(crate) fn take(&mut self, bytes: &[u8]) -> usize {
        let mut at = 0;
        while let Some(&byte) = bytes.get(at) {
            *self = match *self {
                Self::Size(size) => match (byte, char::from(byte).to_digit(16)) {
                    (_, Some(digit)) if size >> 56 == 0 => Self::Size(size << 4 | u64::from(digit)),
                    (b';' | b' ' | b'\t' | b'\r', _) => Self::Extension(size),
                    (b'\n', _) => Self::line_end(size),
                    _ => Self::Broken,
                },
                Self::Extension(size) if byte == b'\n' => Self::line_end(size),
                Self::Data(left) => {
                    let here = usize::try_from(left).unwrap_or(usize::MAX).min(bytes.len() - at);
                    at += here;
                    let left = left - here as u64;
                    *self = if left == 0 { Self::DataEnd } else { Self::Data(left) };
                    continue;
                }
                Self::DataEnd => match byte {
                    b'\r' => Self::DataEnd,
                    b'\n' => Self::START,
                    _ => Self::Broken,
                },
                Self::Trailer(0) if byte == b'\n' => Self::End,
                Self::Trailer(_) if byte == b'\n' => Self::Trailer(0),
                Self::Trailer(length) if byte != b'\r' => Self::Trailer(length.saturating_add(1)),
                same @ (Self::Extension(_) | Self::Trailer(_)) => same,
                Self::End | Self::Broken => break,
            };
            at += 1;
            if matches!(self, Self::End | Self::Broken) {
                break;
            }
        }
        at
    }

    const fn line_end(size: u64) -> Self {
        if size == 0 { Self::Trailer(0) } else { Self::Data(size) }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_chunked_body_ends_behind_its_trailers() {
        let body = b"5;x=1\r\nhello\r\n1F\r\n0123456789012345678901234567890\r\n0\r\nX: y\r\n\r\nHTTP/1.1";
        for cut in 0..body.len() {
            let mut chunked = Chunked::START;
            let mut taken = chunked.take(&body[..cut]);
            taken += chunked.take(&body[taken..]);
            assert_eq!((chunked, &body[taken..]), (Chunked::End, &b"HTTP/1.1"[..]), "cut at {cut}");
        }
    }

    #[test]
    fn a_chunk_size_that_is_none_is_broken() {
        for wrong in ["zz\r\n", "fffffffffffffffff\r\n", "1\r\naXX"] {
            let mut chunked = Chunked::START;
            chunked.take(wrong.as_bytes());
            assert_eq!(chunked, Chunked::Broken, "{wrong}");
        }
    }

    #[test]
    fn responses_are_framed_as_rfc_9112_says() {
        let says = |fields: &[(&str, &str)]| {
            let mut says = Says::default();
            fields.iter().for_each(|(name, value)| says.field(name.as_bytes(), value.as_bytes()));
            says
        };
        let sized = says(&[("content-length", "5, 5")]);
        assert_eq!(sized.response(200, false), Framing::Length(5));
        assert_eq!(sized.response(200, true), Framing::Length(0));
        assert_eq!(sized.response(304, false), Framing::Length(0));
        assert_eq!(says(&[]).response(200, false), Framing::UntilClose);
        assert_eq!(says(&[]).request(), Framing::Length(0));
        let both = says(&[("content-length", "5"), ("transfer-encoding", "gzip, Chunked")]);
        assert_eq!(both.response(200, false), Framing::Chunked);
        assert_eq!(says(&[("transfer-encoding", "gzip")]).response(200, false), Framing::UntilClose);
        assert!(says(&[("content-length", "5"), ("content-length", "6")]).wrong);
        assert!(says(&[("content-length", "-1")]).wrong);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn takes_no_more_than_there_is(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
            let mut chunked = Chunked::START;
            prop_assert!(chunked.take(&bytes) <= bytes.len());
        }
    }
}
