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
#[derive(Clone, Copy, Debug)]
pub struct Fields<'a> {
    fields: &'a [Field<'a>],
    complete: bool,
}

impl<'a> Fields<'a> {
    /// The fields.
    pub fn iter(&self) -> impl Iterator<Item = Field<'a>> + use<'a> {
        self.fields.iter().copied()
    }

    /// Nothing is missing: every part is known, the block was whole and valid, and no cap cut it.
    #[must_use]
    pub const fn complete(&self) -> bool {
        self.complete
    }
}
impl<'a> Fields<'a> {
    pub(crate) fn placeholder(fields: &'a [Field<'a>], complete: bool) -> Self {
        Self { fields, complete }
    }
}
