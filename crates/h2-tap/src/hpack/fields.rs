use super::{
    arena::Arena,
    span::{Entry, Span, UNKNOWN_MARK},
    static_table,
};

/// One header field. A part that is not known (its dynamic table entry was added before we joined) is `None`: a wrong header is
/// worse than none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Field<'a> {
    /// Name, as sent (HTTP/2 requires lower case).
    pub name: Option<&'a [u8]>,
    /// Value.
    pub value: Option<&'a [u8]>,
}

/// Which fields are wanted. One that is not, and that goes into no table, need not be decoded.
#[derive(Clone, Copy)]
pub struct Wanted {
    /// Names of the static table (RFC 7541 appendix A) that are sent by index: a bit for the first index of each.
    pub indexed: u64,
    /// The mark of a name that is sent as a literal, in [`Fields::marked`]: above 63, or that of the static table; 0: it is not wanted.
    /// It is asked once for a name that repeated fields share.
    pub literal: fn(&[u8]) -> u8,
}

/// What the ledger wants, whoever listens: the status, whether there are pseudo-header fields, and how long a response's body is.
const ALWAYS: u64 = 1 << static_table::CONTENT_LENGTH | static_table::PSEUDO;

/// The mark of a pseudo-header field that is neither of the static table nor wanted.
const OTHER_PSEUDO: u8 = static_table::LAST + 1;
const _: () = assert!(OTHER_PSEUDO < UNKNOWN_MARK);

impl Wanted {
    /// Every value; names that are literals have the highest mark.
    pub const ALL: Self = Self { indexed: u64::MAX, literal: |_| u8::MAX };

    /// A field with this mark is kept: it is wanted, or nobody knows what it is.
    #[inline]
    pub(super) const fn keeps(self, mark: u8) -> bool {
        mark > static_table::LAST || ((self.indexed & !1) | ALWAYS) >> mark & 1 == 1
    }

    /// The mark of a name that is sent as a literal.
    #[inline]
    pub(super) fn mark(&self, name: &[u8]) -> u8 {
        match (name, (self.literal)(name)) {
            (b"content-length", _) => static_table::CONTENT_LENGTH,
            ([b':', ..], 0) => OTHER_PSEUDO,
            (_, mark) => mark,
        }
    }
}

impl std::fmt::Debug for Wanted {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Wanted").field("indexed", &self.indexed).finish_non_exhaustive()
    }
}

/// The decoded fields of one header block, in order: those that were [`Wanted`], and those whose name is not known.
#[derive(Clone, Copy)]
pub struct Fields<'a> {
    entries: &'a [Entry],
    arena: &'a [u8],
    complete: bool,
}

impl<'a> Fields<'a> {
    pub(super) const fn new(entries: &'a [Entry], arena: &'a [u8], complete: bool) -> Self {
        Self { entries, arena, complete }
    }

    /// The fields. Where a cap cut the block they are its first ones.
    pub fn iter(&self) -> impl Iterator<Item = Field<'a>> + use<'a> {
        let arena = self.arena;
        self.entries
            .iter()
            .map(move |entry| Field { name: entry.name.resolve(arena), value: entry.value.resolve(arena) })
    }

    /// The marks of their names, where there are any, and their values. A name of the static table (RFC 7541 appendix A) that was sent by
    /// its index is marked with the first index that it has there, any other with what [`Wanted::literal`] said of it.
    pub fn marked(&self) -> impl Iterator<Item = (u8, Option<&'a [u8]>)> + use<'a> {
        let arena = self.arena;
        let marked = self.entries.iter().filter(|entry| !matches!(entry.mark, 0 | OTHER_PSEUDO..=UNKNOWN_MARK));
        marked.map(move |entry| (entry.mark, entry.value.resolve(arena)))
    }

    /// The body's length as the field section declares it (RFC 9110 section 8.6), where it can be read.
    pub(crate) fn content_length(&self) -> Option<u64> {
        let (_, value) = self.marked().find(|&(mark, _)| mark == static_table::CONTENT_LENGTH)?;
        let value = value.filter(|value| !value.is_empty() && value.len() <= 18)?;
        value.iter().try_fold(0, |all, digit| digit.is_ascii_digit().then(|| all * 10 + u64::from(digit - b'0')))
    }

    /// The value of the first field called `name`; `None` also where that value is not known.
    #[must_use]
    pub fn get(&self, name: &[u8]) -> Option<&'a [u8]> {
        self.iter().find(|field| field.name == Some(name))?.value
    }

    /// Nothing is missing: every part is known, the block was whole and valid, and no cap cut it.
    #[must_use]
    pub const fn complete(&self) -> bool {
        self.complete
    }
}

impl std::fmt::Debug for Fields<'_> {
    /// How many they are; what they hold may be secret.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Fields").field("len", &self.entries.len()).field("complete", &self.complete).finish()
    }
}

/// Fields that were not decoded but put together, as to call an [`Observer`](crate::Observer) without a connection. Only names of the
/// static table are [`marked`](Fields::marked).
#[derive(Debug, Default)]
pub struct FieldsBuf {
    entries: Vec<Entry>,
    arena: Arena,
    incomplete: bool,
}

impl FieldsBuf {
    /// Fields whose names and values are known.
    pub fn from_pairs<N: AsRef<[u8]>, V: AsRef<[u8]>>(pairs: impl IntoIterator<Item = (N, V)>) -> Self {
        let mut buf = Self::default();
        for (name, value) in pairs {
            buf.push(Field { name: Some(name.as_ref()), value: Some(value.as_ref()) });
        }
        buf
    }

    /// Adds a field. One with an unknown part makes the fields incomplete.
    pub fn push(&mut self, field: Field<'_>) {
        let mut span =
            |bytes: Option<&[u8]>| bytes.and_then(|bytes| self.arena.push(bytes).ok()).unwrap_or(Span::UNKNOWN);
        let mark = field.name.map_or(UNKNOWN_MARK, static_table::mark);
        let entry = Entry { name: span(field.name), value: span(field.value), mark };
        self.incomplete |= entry.is_unknown();
        self.entries.push(entry);
    }

    /// The fields.
    #[must_use]
    pub fn fields(&self) -> Fields<'_> {
        Fields::new(&self.entries, self.arena.bytes(), !self.incomplete)
    }
}
