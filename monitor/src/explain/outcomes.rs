//! What became of a request, in words.

use super::page::Page;

/// The outcomes: name, meaning.
pub(super) const OUTCOMES: [(&str, &str); 4] = [
    (
        "retried",
        "The request was asked again over HTTP/1.1, or over HTTP/2 with an id that names it, and was not refused again. The visitor \
         lost time, and no more if the retry's result is ok.",
    ),
    (
        "given_up",
        "Nothing of that kind came within the window, and the client was in view all the time. The origin gave no response: an edge \
         answers its visitor with an error then, often 502.",
    ),
    ("truncated", "As given_up, but the response had begun: the visitor got the origin's status and a cut-off body."),
    ("unknown", "The wire does not say. The reason stands beside it (`why`). It is never a guess."),
];

/// The reasons of an unknown outcome.
pub(super) const WHYS: [(&str, &str); 8] = [
    ("input_ended", "the capture ended before the window did"),
    ("client_unknown", "the client's address is not known (plaintext from a probe): who asked again cannot be told"),
    ("client_blind", "the client had connections that could not be read: the retry may have been there"),
    ("ambiguous", "several requests fit equally: on a busy URL a success may be another visitor's"),
    ("other_origin", "a CDN may have asked another origin"),
    ("request_unseen", "the request could not be read"),
    ("cap", "there were too many cases at once"),
    ("capture_loss", "the capture lost packets within the window: the retry may have been among them"),
];

/// What outcomes rest on.
pub(super) const BASES: [(&str, &str); 4] = [
    ("identity", "a request id, ray id or forwarding header that the retry keeps"),
    ("protocol_switch", "the same client's new HTTP/1.1 connection, the only candidate"),
    ("sequence", "inferred from order"),
    ("absence", "nothing came"),
];

pub(super) fn all() -> String {
    let mut page = Page::default();
    page.heading("Outcomes: what became of a request that was left without a complete response");
    for (name, meaning) in OUTCOMES {
        page.heading(name);
        page.paragraph(meaning);
    }
    for (title, list) in [("What an outcome rests on (basis)", &BASES[..]), ("Why it is unknown (why)", &WHYS)] {
        page.heading(title);
        list.iter().for_each(|(name, meaning)| page.paragraph(&format!("{name}: {meaning}")));
    }
    page.heading("More");
    page.paragraph("docs/events.md has every field. An outcome is inferred from the wire; resets are on the wire.");
    page.finish()
}

pub(super) fn one(word: &str) -> Option<String> {
    let (name, meaning) = OUTCOMES.into_iter().find(|(name, _)| *name == word.replace('-', "_"))?;
    let mut page = Page::default();
    page.heading(name);
    page.paragraph(meaning);
    Some(page.finish())
}
