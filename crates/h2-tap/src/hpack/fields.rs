use super::{
    arena::Arena,
    span::{Entry, Span},
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

/// The decoded fields of one header block, in order.
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

/// Fields that were not decoded but put together, as to call an [`Observer`](crate::Observer) without a connection.
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
        let entry = Entry { name: span(field.name), value: span(field.value) };
        self.incomplete |= entry.is_unknown();
        self.entries.push(entry);
    }

    /// The fields.
    #[must_use]
    pub fn fields(&self) -> Fields<'_> {
        Fields::new(&self.entries, self.arena.bytes(), !self.incomplete)
    }
}
