//! The status page: one document that asks nobody but this port.

use std::sync::LazyLock;

use bytes::Bytes;
use hyper::header::HeaderValue;

use super::answer::{self, Answer, negotiated};

const HTML: &str = include_str!("page/page.html");
const STYLE: &str = include_str!("page/page.css");
const SCRIPTS: [&str; 3] = [include_str!("page/plot.js"), include_str!("page/tables.js"), include_str!("page/page.js")];

/// Where style and script go in the document.
const STYLE_HERE: &str = "/*style*/";
const SCRIPT_HERE: &str = "/*script*/";

struct Page {
    text: Bytes,
    zipped: Bytes,
    policy: HeaderValue,
}

static PAGE: LazyLock<Page> = LazyLock::new(|| {
    let script = SCRIPTS.concat();
    let text = HTML.replacen(STYLE_HERE, STYLE, 1).replacen(SCRIPT_HERE, &script, 1);
    let (zipped, _) = answer::compressed(text.clone().into_bytes());
    // Nothing but this one style and this one script is applied or run, whatever is on the page.
    let policy = format!(
        "default-src 'none'; script-src '{}'; style-src '{}'; connect-src 'self'; img-src data:; base-uri 'none'; \
         form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'",
        hash(&script),
        hash(STYLE)
    );
    // Made of letters, digits and punctuation only.
    let policy = HeaderValue::try_from(policy).unwrap_or(HeaderValue::from_static("default-src 'none'"));
    Page { text: text.into(), zipped: zipped.into(), policy }
});

/// The page.
pub(super) fn answer(gzip: bool) -> Answer {
    let body = if gzip { PAGE.zipped.clone() } else { PAGE.text.clone() };
    negotiated("text/html; charset=utf-8", (body, gzip))
}

/// The value of `Content-Security-Policy`, for every answer.
pub(super) fn policy() -> HeaderValue {
    PAGE.policy.clone()
}

/// A source expression for an inline block.
fn hash(text: &str) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, text.as_bytes());
    let mut out = "sha256-".to_owned();
    for three in digest.as_ref().chunks(3) {
        let bits = three.iter().chain([&0; 3]).take(3).fold(0_usize, |bits, &byte| bits << 8 | usize::from(byte));
        for place in 0..4 {
            let digit = DIGITS.get(bits >> (18 - 6 * place) & 63).copied().unwrap_or(b'=');
            out.push(if place > three.len() { '=' } else { char::from(digit) });
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::{HTML, PAGE, SCRIPT_HERE, STYLE_HERE, hash};

    #[test]
    fn hashes_are_as_browsers_make_them() {
        assert_eq!(hash("alert('Hello, world.');"), "sha256-qznLcsROx4GACP2dm0UCKCzCG+HiZ1guq6ZZDob/Tng=");
        assert_eq!(hash(""), "sha256-47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=");
    }

    #[test]
    fn the_page_asks_nobody_else() {
        assert_eq!((HTML.matches(STYLE_HERE).count(), HTML.matches(SCRIPT_HERE).count()), (1, 1));
        let page = std::str::from_utf8(&PAGE.text).unwrap();
        assert!(!page.contains(STYLE_HERE) && !page.contains(SCRIPT_HERE));
        let elsewhere = page.replace("http://www.w3.org/2000/svg", "");
        assert!(!elsewhere.contains("http://") && !elsewhere.contains("https://"), "an address of somebody else");
        for never in ["innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "onclick=", "style=\""]
        {
            assert!(!page.contains(never), "{never}");
        }
        assert!(PAGE.policy.to_str().unwrap().contains("script-src 'sha256-"));
    }
}
