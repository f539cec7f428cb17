//! The nearest name, for what was probably meant.

/// Names are compared up to this length.
const LONGEST: usize = 64;

/// The candidate that differs least from `word`, if it is near enough to be meant.
pub(super) fn nearest<'n>(word: &str, candidates: impl IntoIterator<Item = &'n str>) -> Option<&'n str> {
    if word.len() > LONGEST {
        return None;
    }
    let word = word.to_ascii_lowercase().replace('_', "-");
    let measured = candidates.into_iter().map(|name| (distance(&word, name), name));
    let (least, name) = measured.min_by_key(|&(distance, _)| distance)?;
    let close = least <= 2.min(word.len() / 2) || (word.len() >= 4 && (name.starts_with(&word) || word.contains(name)));
    close.then_some(name)
}

/// Letters to add, remove or replace to make one word of the other.
fn distance(one: &str, other: &str) -> usize {
    let mut row: Vec<usize> = (0..=other.chars().count()).collect();
    for (i, a) in one.chars().enumerate() {
        let mut diagonal = i;
        let mut left = i + 1;
        if let Some(first) = row.first_mut() {
            *first = left;
        }
        for (cell, b) in row.iter_mut().skip(1).zip(other.chars()) {
            let best = (diagonal + usize::from(a != b)).min(left + 1).min(*cell + 1);
            diagonal = *cell;
            *cell = best;
            left = best;
        }
    }
    row.last().copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::{distance, nearest};

    #[test]
    fn distances() {
        for (one, other, apart) in [("", "", 0), ("", "abc", 3), ("kitten", "sitting", 3), ("listen", "listn", 1)] {
            assert_eq!((distance(one, other), distance(other, one)), (apart, apart), "{one} {other}");
        }
    }

    #[test]
    fn what_was_meant() {
        let names = ["interface", "listen", "events", "events-keep", "user"];
        for (word, meant) in [
            ("interfaces", Some("interface")),
            ("Listen", Some("listen")),
            ("lissten", Some("listen")),
            ("events_keep", Some("events-keep")),
            ("evnts", Some("events")),
            ("colour-of-the-sky", None),
            ("x", None),
        ] {
            assert_eq!(nearest(word, names), meant, "{word}");
        }
        assert_eq!(nearest(&"a".repeat(1 << 20), names), None);
    }
}
