use std::borrow::Cow;

/// Text from the wire as it may be shown: characters that steer a terminal, reorder text or cannot be seen are escaped.
#[must_use]
pub fn printable(text: &str) -> Cow<'_, str> {
    if text.chars().all(is_plain) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len().saturating_add(16));
    for c in text.chars() {
        if is_plain(c) { out.push(c) } else { out.extend(c.escape_debug()) }
    }
    Cow::Owned(out)
}

/// `escape_debug` knows what is printable; quotes and the backslash need no escape here.
pub(super) fn is_plain(c: char) -> bool {
    matches!(c, ' '..='~') || (!c.is_ascii() && c.escape_debug().len() == 1)
}

#[cfg(test)]
mod tests {
    use super::printable;

    #[test]
    fn what_steers_a_terminal_is_escaped() {
        assert_eq!(printable("/a\u{1b}[31mred\r\n"), r"/a\u{1b}[31mred\r\n");
        assert_eq!(printable("/c1\u{9b}2J"), r"/c1\u{9b}2J");
        assert_eq!(printable("/bidi\u{202e}gpj\u{2066}"), r"/bidi\u{202e}gpj\u{2066}");
        assert_eq!(printable("/zero\u{200b}\u{feff}\u{7f}\u{0}"), r"/zero\u{200b}\u{feff}\u{7f}\0");
    }

    #[test]
    fn the_rest_stays() {
        assert_eq!(printable("/it's \"q\" \\ ~"), "/it's \"q\" \\ ~");
        assert_eq!(printable("/größe/日本"), "/größe/日本");
        assert!(matches!(printable("/plain"), std::borrow::Cow::Borrowed(_)));
    }
}
