//! An event of an events file, in words.

use std::fs::File;
use std::io::{BufRead as _, BufReader, Read as _};
use std::path::Path;

use h2_tap::ErrorCode;
use serde_json::Value;

use super::page::Page;
use super::{codes, outcomes};

/// The longest line of an events file that is read.
const LONGEST: u64 = 1 << 20;

/// Renamed files that are looked into: as many as may be kept.
const KEPT: u32 = 1_000;

/// Explains the event with this id. Where the file has several of that name (runs one after the other), the last.
///
/// # Errors
/// The file cannot be read or has no such event, in one line.
pub fn explain(id: &str, file: &Path) -> Result<String, String> {
    let id = &*id.to_ascii_lowercase();
    let missing = || {
        if !is_events_file(file) {
            return format!(
                "{}: is no events file: it is what `h2watch watch --events` and `replay --events` write",
                file.display()
            );
        }
        format!(
            "{}: has no event with the id {id}, nor has a file that it was renamed to; `jq .id` lists them",
            file.display()
        )
    };
    let (event, times) = find(id, None, file)?.ok_or_else(missing)?;
    let mut page = Page::default();
    page.heading(&format!("{id}: {}", title(&event)));
    if times > 1 {
        page.paragraph(&format!("The file has {times} events of this name, of several runs; this is the last."));
    }
    about(&mut page, &event);
    let code = match text(&event, "event") {
        Some("case") => case(&mut page, &event, file),
        Some("reset") => reset(&mut page, &event),
        Some("origin_error") => {
            page.paragraph("The server that was asked made this answer itself: nothing in view stands behind it. Look into its log.");
            None
        }
        Some("suspected") => {
            page.paragraph(
                "Without keys: a hello that offers only http/1.1, right after the same client's HTTP/2 connection. It looks like a \
                 downgrade; it is not known to be one, and is not counted as a case. With a key log it can be: see `h2watch explain \
                 keylog`.",
            );
            None
        }
        _ => None,
    };
    if let Some(code) = code {
        codes::write(&mut page, code);
    }
    Ok(page.finish())
}

/// Its first lines are events.
fn is_events_file(file: &Path) -> bool {
    const LINES: usize = 16;
    let Ok(file) = File::open(file) else { return false };
    let mut start = BufReader::new(file.take(LONGEST)).split(b'\n').take(LINES).flatten();
    start.any(|line| {
        line.starts_with(b"{") && std::str::from_utf8(&line).is_ok_and(|line| line.contains("\"schema\":\"h2watch/"))
    })
}

/// The last event with this id, and how many there are in its file: in this one, or in those to which it was renamed since (`FILE.1` and
/// so on), the newest first. With a `run`: of that run.
fn find(id: &str, run: Option<&str>, file: &Path) -> Result<Option<(Value, u64)>, String> {
    let mut found = find_in(id, run, file)?;
    for number in 1..=KEPT {
        let mut name = file.as_os_str().to_owned();
        name.push(format!(".{number}"));
        let renamed = Path::new(&name);
        if found.is_none() && renamed.exists() {
            found = find_in(id, run, renamed)?;
        }
    }
    Ok(found)
}

fn find_in(id: &str, run: Option<&str>, file: &Path) -> Result<Option<(Value, u64)>, String> {
    let failed = |error: std::io::Error| format!("cannot read {}: {error}", file.display());
    let mut reader = BufReader::new(File::open(file).map_err(failed)?);
    let quoted = format!("\"{id}\"");
    let (mut found, mut times, mut line) = (None, 0, Vec::new());
    loop {
        line.clear();
        let length = reader.by_ref().take(LONGEST).read_until(b'\n', &mut line).map_err(failed)?;
        if length == 0 {
            return Ok(found.map(|event| (event, times)));
        }
        let Ok(text) = std::str::from_utf8(&line) else { continue };
        if !text.contains(&quoted) {
            continue;
        }
        if let Ok(event) = serde_json::from_str::<Value>(text)
            && self::text(&event, "id") == Some(id)
            && (run.is_none() || self::text(&event, "run") == run)
        {
            (found, times) = (Some(event), times + 1);
        }
    }
}

fn text<'e>(event: &'e Value, field: &str) -> Option<&'e str> {
    event.get(field).and_then(Value::as_str)
}

fn number(event: &Value, field: &str) -> Option<u64> {
    event.get(field).and_then(Value::as_u64)
}

fn title(event: &Value) -> String {
    let of = |field| text(event, field).unwrap_or("?");
    match of("event") {
        "reset" => format!("{} with {}, sent by the {}", of("frame"), of("error_name"), of("sender")),
        "case" => format!("a {} that was {}", of("kind"), of("outcome")),
        "origin_error" => format!("status {} of the origin", number(event, "status").unwrap_or(0)),
        "suspected" => "a suspected downgrade".to_owned(),
        other => other.to_owned(),
    }
}

/// What, when, who.
fn about(page: &mut Page, event: &Value) {
    if let Some(time) = text(event, "began").or_else(|| text(event, "time")) {
        page.paragraph(&format!("At {time}."));
    }
    if let (Some(client), Some(server)) = (text(event, "client"), text(event, "server")) {
        page.paragraph(&format!("Client {client}, server {server}."));
    }
    match event.get("request") {
        Some(request) => {
            let of = |field| text(request, field).unwrap_or("?");
            page.paragraph(&format!("Request {} {} at {}.", of("method"), of("path"), of("authority")));
        }
        None => page.paragraph("Nothing of its request is known."),
    }
    match text(event, "edge") {
        Some(edge) => {
            page.paragraph(&format!("Edge: {edge}, by the request's headers or the client's address.{}", advice(edge)))
        }
        None => page.paragraph("No edge was recognised: the client may be a visitor, or an edge that leaves no trace."),
    }
}

/// What is known of an edge when it meets HTTP_1_1_REQUIRED.
fn advice(edge: &str) -> &'static str {
    match edge {
        "cloudflare" => " Cloudflare Gateway is documented to answer 502; what the CDN edge does is not known.",
        "cloudfront" => " CloudFront is documented to speak only HTTP/1.1 to origins.",
        _ => " What it does after a reset is not known here.",
    }
}

fn reset(page: &mut Page, event: &Value) -> Option<ErrorCode> {
    match (text(event, "phase"), number(event, "status")) {
        (Some("before_response"), _) => {
            page.paragraph("Before any response: the visitor got nothing of the origin by this attempt.")
        }
        (Some("in_body"), Some(status)) => {
            page.paragraph(&format!(
                "In the middle of the body of a response with status {status}: what came was cut off."
            ));
        }
        (Some("in_body"), None) => page.paragraph("In the middle of a response's body: what came was cut off."),
        (Some("after_end"), _) => page.paragraph("After the response was complete: it cost the visitor nothing."),
        _ => page.paragraph("Whether a response had begun is not known."),
    }
    if let Some(age) = event.get("age_ms").and_then(Value::as_f64) {
        page.paragraph(&format!("{age:.3} ms after the stream began."));
    }
    if event.get("verified").and_then(Value::as_bool) == Some(false) {
        page.paragraph("It rests on bytes that could not be authenticated.");
    }
    if text(event, "sender") == Some("client") {
        page.paragraph("The client sent it: the origin did not refuse anything here.");
    }
    for evidence in event.get("evidence").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str) {
        page.paragraph(&format!("Evidence on the wire: {evidence}: {}", evidence_meaning(evidence)));
    }
    number(event, "error_code").and_then(|code| u32::try_from(code).ok()).map(ErrorCode)
}

fn evidence_meaning(evidence: &str) -> &'static str {
    match evidence {
        "authorization_negotiate" | "authorization_ntlm" => {
            "the request carried Windows credentials; IIS refuses those over HTTP/2 [documented]."
        }
        "earlier_401_www_authenticate" => "the same client was asked for credentials before.",
        "upgrade" => "the request asked for an upgrade, which HTTP/2 does not have.",
        "extended_connect" => "an extended CONNECT, as WebSockets over HTTP/2 use it (RFC 8441).",
        "scheme_mismatch" => "`:scheme` does not fit the transport; Kestrel refuses that [seen on a wire].",
        "no_response_headers" => {
            "no response header section came; so does Apache refuse a location's renegotiation [seen on a wire]."
        }
        _ => "see docs/events.md.",
    }
}

fn case(page: &mut Page, event: &Value, file: &Path) -> Option<ErrorCode> {
    let meaning = |list: &[(&str, &'static str)], field| {
        let word = text(event, field)?;
        list.iter().find(|(name, _)| *name == word).map(|(_, meaning)| *meaning)
    };
    if let Some(outcome) = meaning(&outcomes::OUTCOMES, "outcome") {
        page.paragraph(outcome);
    }
    if let Some(basis) = meaning(&outcomes::BASES, "basis") {
        page.paragraph(&format!("That is inferred; it rests on: {basis}."));
    }
    if let Some(why) = meaning(&outcomes::WHYS, "why") {
        page.paragraph(&format!("Why it is unknown: {why}."));
    }
    if let (Some(resets), Some(attempts)) = (number(event, "reset_count"), number(event, "attempts")) {
        page.paragraph(&format!("Asked {attempts} times, reset {resets} times, the retry not counted."));
    }
    if let Some(retry) = event.get("retry") {
        let of = |field| text(retry, field).unwrap_or("?");
        let status = number(retry, "status").map_or_else(String::new, |status| format!(", status {status}"));
        page.paragraph(&format!("The retry: {}{status}, {}.", of("protocol"), of("result")));
    }
    let first = event.get("resets")?.as_array()?.first()?.as_str()?;
    match find(first, self::text(event, "run"), file) {
        Ok(Some((found, _))) => {
            page.heading(&format!("{first}, its first reset: {}", title(&found)));
            reset(page, &found)
        }
        _ => None,
    }
}
