//! One header section, gathered over segments and parsed once.

use httparse::{EMPTY_HEADER, Header};

/// Fields of one header section that are parsed.
const FIELDS: usize = 128;

/// Gathers a header section. Holds nothing while sections come whole.
#[derive(Debug, Default)]
pub(super) struct Head {
    bytes: Vec<u8>,
}

/// What came of more bytes.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Gathered {
    /// The section goes on.
    Partial,
    /// It ends; so many of the new bytes belong to it.
    Whole(usize),
    /// It is longer than the cap.
    TooLong,
}

impl Head {
    /// Adds bytes up to the end of the section. With [`Gathered::Whole`] the section is in [`Head::section`].
    pub(super) fn gather(&mut self, bytes: &[u8], cap: usize) -> Gathered {
        // The end may lie across the seam: three bytes of the old ones are enough to see it.
        let old = self.bytes.len();
        let seam = old.saturating_sub(3);
        if old > 0 {
            let overlap = bytes.get(..3).unwrap_or(bytes);
            let mut around: Vec<u8> = self.bytes.get(seam..).unwrap_or_default().to_vec();
            around.extend_from_slice(overlap);
            if let Some(end) = end_of(&around) {
                let taken = seam.saturating_add(end).saturating_sub(old);
                self.bytes.extend_from_slice(bytes.get(..taken).unwrap_or_default());
                return Gathered::Whole(taken);
            }
        }
        match end_of(bytes) {
            Some(end) if old.saturating_add(end) <= cap => {
                if old > 0 {
                    self.bytes.extend_from_slice(bytes.get(..end).unwrap_or_default());
                }
                Gathered::Whole(end)
            }
            None if old.saturating_add(bytes.len()) <= cap => {
                self.bytes.extend_from_slice(bytes);
                Gathered::Partial
            }
            _ => {
                self.clear();
                Gathered::TooLong
            }
        }
    }

    /// The whole section; `fresh` is its part in the new bytes, which is all of it when nothing was held.
    pub(super) fn section<'a>(&'a self, fresh: &'a [u8]) -> &'a [u8] {
        if self.bytes.is_empty() { fresh } else { &self.bytes }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    pub(super) fn clear(&mut self) {
        self.bytes = Vec::new();
    }

    pub(super) fn memory(&self) -> usize {
        self.bytes.capacity()
    }
}

/// Where a header section ends: behind an empty line. A bare line feed ends a line too (RFC 9112 section 2.2).
fn end_of(bytes: &[u8]) -> Option<usize> {
    let mut from = 0;
    while let Some(feed) = bytes.get(from..)?.iter().position(|&byte| byte == b'\n') {
        let next = from + feed + 1;
        match bytes.get(next..)? {
            [b'\n', ..] => return Some(next + 1),
            [b'\r', b'\n', ..] => return Some(next + 2),
            _ => from = next,
        }
    }
    None
}

/// A request's header section.
pub(super) fn request<T>(section: &[u8], then: impl FnOnce(&[u8], &[u8], &[Header<'_>]) -> T) -> Option<T> {
    let mut fields = [EMPTY_HEADER; FIELDS];
    let mut request = httparse::Request::new(&mut fields);
    match request.parse(section) {
        Ok(httparse::Status::Complete(_)) => {
            let (method, path) = request.method.zip(request.path)?;
            Some(then(method.as_bytes(), path.as_bytes(), request.headers))
        }
        _ => None,
    }
}

/// A response's header section.
pub(super) fn response<T>(section: &[u8], then: impl FnOnce(u16, &[Header<'_>]) -> T) -> Option<T> {
    let mut fields = [EMPTY_HEADER; FIELDS];
    let mut response = httparse::Response::new(&mut fields);
    let mut lenient = httparse::ParserConfig::default();
    lenient.allow_spaces_after_header_name_in_responses(true).allow_obsolete_multiline_headers_in_responses(true);
    match lenient.parse_response(&mut response, section) {
        Ok(httparse::Status::Complete(_)) => Some(then(response.code?, response.headers)),
        _ => None,
    }
}

/// A field's name in lower case, where it is short enough to be one that matters.
pub(super) fn lower<'a>(name: &str, room: &'a mut [u8; 32]) -> Option<&'a [u8]> {
    let room = room.get_mut(..name.len())?;
    room.copy_from_slice(name.as_bytes());
    room.make_ascii_lowercase();
    Some(room)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_is_found_wherever_the_cut_is() {
        let all = b"GET / HTTP/1.1\r\nHost: a\r\n\r\nbody";
        for cut in 0..all.len() - 4 {
            let mut head = Head::default();
            let (first, second) = all.split_at(cut);
            let Gathered::Partial = head.gather(first, 100) else { panic!("ended at {cut}") };
            let Gathered::Whole(taken) = head.gather(second, 100) else { panic!("no end, cut at {cut}") };
            assert_eq!(head.section(&second[..taken]), &all[..all.len() - 4], "cut at {cut}");
        }
    }

    #[test]
    fn one_byte_at_a_time_and_the_cap() {
        let mut head = Head::default();
        for byte in b"A: b\n\r" {
            assert_eq!(head.gather(&[*byte], 100), Gathered::Partial);
        }
        assert_eq!(head.gather(b"\nx", 100), Gathered::Whole(1));
        let mut head = Head::default();
        assert_eq!(head.gather(&[b'x'; 60], 100), Gathered::Partial);
        assert_eq!(head.gather(&[b'x'; 60], 100), Gathered::TooLong);
    }
}
