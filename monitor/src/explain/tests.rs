use h2_tap::ErrorCode;

use super::{Grade, code, codes, event, explain, keylog};

fn words(line: &str) -> Vec<String> {
    line.split(' ').map(str::to_owned).collect()
}

#[test]
fn a_code_by_any_name() {
    for word in ["0xd", "0XD", "13", "HTTP_1_1_REQUIRED", "http_1_1_required", "http-1-1-required", "0x0000000d"] {
        let text = explain(&words(word)).unwrap();
        assert!(text.starts_with("HTTP_1_1_REQUIRED (0xd, 13)\n"), "{word}: {text}");
    }
    for wrong in ["0x", "0xfffffffff", "4294967296", "+1", "0x+1", "HTTP_1_1", "", "r1"] {
        assert_eq!(code(wrong), None, "{wrong}");
    }
    assert!(explain(&words("0xff")).unwrap().contains("none of the 14 error codes"));
    assert!(explain(&words("nonsense")).unwrap_err().contains("0xd"));
}

#[test]
fn every_code_says_its_meaning_its_section_and_what_is_not_known() {
    for code in ErrorCode::ALL {
        let known = codes::known(*code).unwrap();
        let text = explain(&[code.0.to_string()]).unwrap();
        let words = text.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(words.contains("RFC 9113 section 7"), "{text}");
        for heading in ["Who sends it, and why", "How clients and edges react", "What to do", "How it is known"] {
            assert!(text.contains(heading), "{code}: {heading}");
        }
        for fact in known.senders.iter().chain(known.reactions).chain(known.remedies) {
            assert_eq!(
                fact.source.is_empty(),
                fact.grade == Grade::Unknown,
                "a source, unless it is not known: {}",
                fact.text
            );
        }
        assert!(text.lines().all(|line| line.chars().count() <= 100), "{text}");
    }
}

#[test]
fn the_snapshot_of_the_code_that_matters() {
    let text = explain(&words("0xd")).unwrap();
    for said in [
        "Apache mod_http2, where a <Location>",
        "IIS (HTTP.sys) with Windows authentication",
        "[not known]",
        "[documented: Cloudflare's documentation of Gateway]",
        "HAProxy answers 502.",
        "IHttpResetFeature.Reset(13)",
    ] {
        assert!(text.replace("\n    ", " ").contains(said), "{said}\n{text}");
    }
}

#[test]
fn key_logs_of_every_server_say_whether_they_were_tried() {
    let all = explain(&words("keylog")).unwrap();
    for server in ["kestrel", "apache", "nginx", "haproxy", "node", "java", "go"] {
        let one = explain(&["keylog".to_owned(), server.to_owned()]).unwrap();
        assert!(one.contains("tried: ") || one.contains("(not tried)"), "{one}");
        assert!(all.contains(one.lines().next().unwrap()), "{server}");
    }
    assert!(keylog::one("dotnet").unwrap().contains("System.Net.EnableSslKeyLogging"));
    assert!(keylog::one("iis").unwrap_err().contains("kestrel"));
}

#[test]
fn the_documentation_says_the_same_of_key_logs() {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/keys.md");
    let new = keylog::document();
    if std::env::var_os("H2WATCH_BLESS").is_some() {
        std::fs::write(&path, new).unwrap();
    } else {
        assert_eq!(std::fs::read_to_string(&path).unwrap(), new, "run the test with H2WATCH_BLESS=1 to write it");
    }
}

#[test]
fn the_id_of_an_event_wants_its_file_and_a_file_wants_to_be_one_of_events() {
    assert!(explain(&words("c1")).unwrap_err().contains("--events FILE"));
    let other = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.toml");
    assert!(event("c1", &other).unwrap_err().contains("is no events file"));
}

#[test]
fn outcomes() {
    let all = explain(&words("outcome")).unwrap();
    assert!(
        ["retried", "given_up", "truncated", "unknown", "client_blind", "absence"]
            .iter()
            .all(|word| all.contains(word))
    );
    assert!(explain(&words("given-up")).unwrap().contains("often 502"));
}

#[test]
fn an_event_is_told_in_words_with_its_code() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("events.jsonl");
    std::fs::write(&file, include_str!("../sink/events.golden.jsonl")).unwrap();
    let reset = event("r1", &file).unwrap();
    for said in ["r1: ", "sent by the", "GET /secure", "RFC 9113 section 7", "Who sends it"] {
        assert!(reset.contains(said), "{said}\n{reset}");
    }
    let case = event("c2", &file).unwrap();
    assert!(case.contains("that was retried") && case.contains("its first reset"), "{case}");
    assert!(event("r999", &file).unwrap_err().contains("no event with the id r999"));
    assert!(event("r1", &folder.path().join("gone")).unwrap_err().contains("cannot read"));
}

#[test]
fn what_was_rotated_away_is_found_and_a_case_has_the_reset_of_its_run() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("events.jsonl");
    let reset = |run, code, path| {
        format!(
            "{{\"event\":\"reset\",\"run\":\"{run}\",\"id\":\"r1\",\"error_code\":{code},\"request\":{{\"path\":\"{path}\"}}}}\n"
        )
    };
    let case = "{\"event\":\"case\",\"run\":\"a\",\"id\":\"c1\",\"resets\":[\"r1\"]}\n";
    std::fs::write(folder.path().join("events.jsonl.2"), reset("a", 13, "/old")).unwrap();
    std::fs::write(folder.path().join("events.jsonl.1"), case).unwrap();
    std::fs::write(&file, reset("b", 7, "/new")).unwrap();
    assert!(event("r1", &file).unwrap().contains("/new"), "the newest of that name");
    let told = event("c1", &file).unwrap();
    assert!(told.contains("HTTP_1_1_REQUIRED") && !told.contains("REFUSED_STREAM"), "{told}");
    std::fs::write(&file, "").unwrap();
    assert!(event("r1", &file).unwrap().contains("/old"));
}

#[test]
fn lines_that_are_no_events_are_passed_over() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("events.jsonl");
    let mut bytes = b"\"r1\" garbage\n\xff\xfe\n{\"id\":\"r1\"\n".to_vec();
    bytes.extend(b"{\"event\":\"reset\",\"id\":\"r1\",\"error_code\":99999999999,\"request\":3,\"evidence\":[\"\\u001b[31m\"]}\n");
    std::fs::write(&file, bytes).unwrap();
    let text = event("r1", &file).unwrap();
    assert!(!text.contains('\u{1b}'), "{text}");
}
