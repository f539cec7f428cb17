use super::span::{Entry, Span};

/// RFC 7541 appendix A; index 1 comes first.
const FIELDS: [(&str, &str); 61] = [
    (":authority", ""),
    (":method", "GET"),
    (":method", "POST"),
    (":path", "/"),
    (":path", "/index.html"),
    (":scheme", "http"),
    (":scheme", "https"),
    (":status", "200"),
    (":status", "204"),
    (":status", "206"),
    (":status", "304"),
    (":status", "400"),
    (":status", "404"),
    (":status", "500"),
    ("accept-charset", ""),
    ("accept-encoding", "gzip, deflate"),
    ("accept-language", ""),
    ("accept-ranges", ""),
    ("accept", ""),
    ("access-control-allow-origin", ""),
    ("age", ""),
    ("allow", ""),
    ("authorization", ""),
    ("cache-control", ""),
    ("content-disposition", ""),
    ("content-encoding", ""),
    ("content-language", ""),
    ("content-length", ""),
    ("content-location", ""),
    ("content-range", ""),
    ("content-type", ""),
    ("cookie", ""),
    ("date", ""),
    ("etag", ""),
    ("expect", ""),
    ("expires", ""),
    ("from", ""),
    ("host", ""),
    ("if-match", ""),
    ("if-modified-since", ""),
    ("if-none-match", ""),
    ("if-range", ""),
    ("if-unmodified-since", ""),
    ("last-modified", ""),
    ("link", ""),
    ("location", ""),
    ("max-forwards", ""),
    ("proxy-authenticate", ""),
    ("proxy-authorization", ""),
    ("range", ""),
    ("referer", ""),
    ("refresh", ""),
    ("retry-after", ""),
    ("server", ""),
    ("set-cookie", ""),
    ("strict-transport-security", ""),
    ("transfer-encoding", ""),
    ("user-agent", ""),
    ("vary", ""),
    ("via", ""),
    ("www-authenticate", ""),
];

/// The mark of `content-length`.
pub(super) const CONTENT_LENGTH: u8 = 28;
/// Bits of the marks of pseudo-header fields (RFC 9113 section 8.3).
pub(super) const PSEUDO: u64 = 1 << 1 | 1 << 2 | 1 << 4 | 1 << 6 | 1 << 8;

/// The highest index, and the highest mark that a name of this table has.
pub(super) const LAST: u8 = FIELDS.len() as u8;

/// Bytes of all names and values.
const LEN: usize = {
    let mut len = 0;
    let mut fields: &[(&str, &str)] = &FIELDS;
    while let [(name, value), rest @ ..] = fields {
        len += name.len() + value.len();
        fields = rest;
    }
    len
};

const LAID_OUT: ([u8; LEN], [Entry; FIELDS.len()]) = lay_out();

/// The names and values one after the other.
pub(super) static BYTES: [u8; LEN] = LAID_OUT.0;

/// The fields by index less one.
pub(super) static ENTRIES: [Entry; FIELDS.len()] = LAID_OUT.1;

#[expect(clippy::indexing_slicing, reason = "runs at compile time: a wrong index does not compile")]
const fn lay_out() -> ([u8; LEN], [Entry; FIELDS.len()]) {
    let mut bytes = [0; LEN];
    let mut entries = [Entry::UNKNOWN; FIELDS.len()];
    let (mut end, mut n, mut mark) = (0, 0, 0);
    while n < FIELDS.len() {
        let (name, value) = FIELDS[n];
        // Entries of one name follow each other.
        if n == 0 || !same(name.as_bytes(), FIELDS[n - 1].0.as_bytes()) {
            mark = n as u8 + 1;
        }
        let start = end;
        let mut i = 0;
        while i < name.len() + value.len() {
            bytes[end] = if i < name.len() { name.as_bytes()[i] } else { value.as_bytes()[i - name.len()] };
            end += 1;
            i += 1;
        }
        entries[n] = Entry {
            name: Span::new(Span::STATIC + start as u32, name.len() as u32),
            value: Span::new(Span::STATIC + (start + name.len()) as u32, value.len() as u32),
            mark,
        };
        n += 1;
    }
    (bytes, entries)
}

const fn same(mut a: &[u8], mut b: &[u8]) -> bool {
    while let ([first, rest @ ..], [other, others @ ..]) = (a, b) {
        if *first != *other {
            return false;
        }
        (a, b) = (rest, others);
    }
    a.is_empty() && b.is_empty()
}

/// The mark of a name: the index of the first entry that has it, 0 for none.
pub(super) fn mark(name: &[u8]) -> u8 {
    FIELDS.iter().zip(&ENTRIES).find(|((other, _), _)| other.as_bytes() == name).map_or(0, |(_, entry)| entry.mark)
}

#[cfg(test)]
mod tests {
    use super::{CONTENT_LENGTH, ENTRIES, FIELDS, PSEUDO, mark};

    #[test]
    fn a_mark_is_the_first_index_of_its_name() {
        for (entry, (name, _)) in ENTRIES.iter().zip(FIELDS) {
            let first = FIELDS.iter().position(|(other, _)| *other == name).unwrap();
            assert_eq!(usize::from(entry.mark), first + 1);
            assert_eq!(mark(name.as_bytes()), entry.mark);
            assert_eq!(PSEUDO >> entry.mark & 1 == 1, name.starts_with(':'));
        }
        assert_eq!(mark(b"x"), 0);
        assert_eq!(mark(b"content-length"), CONTENT_LENGTH);
    }

    #[test]
    fn every_entry_resolves_to_its_field() {
        for (entry, (name, value)) in ENTRIES.iter().zip(FIELDS) {
            assert_eq!(entry.name.resolve(&[]), Some(name.as_bytes()));
            assert_eq!(entry.value.resolve(&[]), Some(value.as_bytes()));
        }
    }
}
