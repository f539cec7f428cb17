use std::fmt;
use std::hash::{Hash, Hasher};
use std::ops::Deref;

/// Text that cannot change. Most paths are short, and then it needs no allocation.
#[derive(Clone)]
pub struct Text(Kept);

/// Bytes that fit into the text itself.
const SHORT: usize = 46;

#[derive(Clone)]
enum Kept {
    /// So many of the bytes, which are UTF-8.
    Short(u8, [u8; SHORT]),
    Long(Box<str>),
}

impl Text {
    /// Text of printable ASCII characters; `None` where other bytes are among them.
    #[must_use]
    pub fn ascii(bytes: &[u8]) -> Option<Self> {
        // Looks at all bytes, so that many are compared at once.
        if !bytes.iter().fold(true, |all, byte| all & (0x20..0x7f).contains(byte)) {
            return None;
        }
        Self::short(bytes).or_else(|| std::str::from_utf8(bytes).ok().map(Self::from))
    }

    fn short(text: &[u8]) -> Option<Self> {
        let mut bytes = [0; SHORT];
        bytes.get_mut(..text.len())?.copy_from_slice(text);
        Some(Self(Kept::Short(u8::try_from(text.len()).ok()?, bytes)))
    }

    /// Its bytes, with less work than there is in having it as text.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        match &self.0 {
            Kept::Short(len, bytes) => bytes.get(..usize::from(*len)).unwrap_or_default(),
            Kept::Long(text) => text.as_bytes(),
        }
    }
}

impl From<&str> for Text {
    fn from(text: &str) -> Self {
        Self::short(text.as_bytes()).unwrap_or_else(|| Self(Kept::Long(text.into())))
    }
}

impl Deref for Text {
    type Target = str;

    fn deref(&self) -> &str {
        match &self.0 {
            Kept::Short(..) => std::str::from_utf8(self.bytes()).unwrap_or_default(),
            Kept::Long(text) => text,
        }
    }
}

impl fmt::Debug for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&**self, f)
    }
}

impl PartialEq for Text {
    fn eq(&self, other: &Self) -> bool {
        self.bytes() == other.bytes()
    }
}

impl Eq for Text {}

impl Hash for Text {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.bytes().hash(state);
    }
}

#[cfg(test)]
mod tests {
    use super::{SHORT, Text};

    #[test]
    fn text_is_what_it_was_at_any_length() {
        for len in 0..2 * SHORT {
            let ascii = "x".repeat(len);
            assert_eq!(&*Text::from(ascii.as_str()), ascii);
            assert_eq!(Text::ascii(ascii.as_bytes()), Some(Text::from(ascii.as_str())));
            let wide = format!("{ascii}é");
            assert_eq!(&*Text::from(wide.as_str()), wide);
            assert_eq!(Text::ascii(wide.as_bytes()), None);
        }
        assert_eq!(Text::ascii(b"a\x7f"), None);
        assert_eq!(Text::ascii(b"a\n"), None);
        assert_ne!(Text::from("a"), Text::from("a\0"));
        assert!(size_of::<Option<Text>>() <= 48);
    }
}
