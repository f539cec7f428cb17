use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use proptest::prelude::*;

use super::settings::Setting;
use super::{
    DEFAULT_FILE, Destination, Kind, Loaded, OnReload, Origin, Reloader, SETTINGS, Sources, inspect, load, print,
    reference,
};
use crate::detect;
use crate::sink::Format;
use crate::sink::stream::EventsTarget;
use crate::source::live::PacketSource;

/// Sources without the machine's own file.
fn sources(file: Option<&Path>) -> Sources {
    Sources { file: file.map(Path::to_owned), default_file: "/nowhere/h2watch.toml".into(), ..Sources::default() }
}

fn written(text: &str) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("h2watch.toml");
    fs::write(&file, text).unwrap();
    (folder, file)
}

fn of_file(text: &str) -> Result<Loaded, Vec<String>> {
    let (folder, file) = written(text);
    let read = load(&sources(Some(&file))).and_then(|loaded| loaded.sensible().map(|()| loaded));
    let top = format!("{}/", folder.path().display());
    read.map_err(|problems| problems.iter().map(|problem| problem.to_string().replace(&top, "")).collect())
}

fn flag(name: &str, values: &[&str]) -> (usize, Vec<OsString>) {
    (Setting::position(name).unwrap(), values.iter().map(OsString::from).collect())
}

#[test]
fn names_are_unique_and_safe_as_flags_and_variables() {
    for (place, setting) in SETTINGS.iter().enumerate() {
        assert_eq!(Setting::position(setting.name), Some(place), "{}", setting.name);
        assert!(setting.name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'-'), "{}", setting.name);
        assert!(setting.default().is_some() || !setting.unset.is_empty(), "{}: what it is when not set", setting.name);
        assert!(!setting.help.ends_with('.'), "{}", setting.name);
    }
}

#[test]
fn a_flag_goes_before_the_environment_that_before_the_file_that_before_the_default() {
    let (_folder, file) = written("window = \"1s\"\nbuffer = \"1MiB\"\nsnaplen = 2000\ninterface = [\"f\"]\n");
    let mut sources = sources(Some(&file));
    sources.environment = vec![
        ("H2WATCH_WINDOW".into(), "2s".into()),
        ("H2WATCH_BUFFER".into(), "2MiB".into()),
        ("H2WATCH_USER".into(), "".into()),
    ];
    sources.flags = vec![flag("window", &["3s"])];
    let loaded = load(&sources).unwrap();
    let options = loaded.options().unwrap();
    assert_eq!(options.window, Duration::from_secs(3));
    assert_eq!((options.capture.buffer, options.capture.snaplen), (2 << 20, 2000));
    assert_eq!((options.threads, options.user), (1, None));
    assert_eq!(loaded.origin("window"), Origin::Flag("--window".into()));
    assert_eq!(loaded.origin("buffer"), Origin::Environment("H2WATCH_BUFFER".into()));
    assert_eq!(loaded.origin("snaplen"), Origin::File { path: file, line: 3 });
    assert_eq!(loaded.origin("threads"), Origin::Default);
    assert_eq!(loaded.origin("user"), Origin::Default, "an empty variable is not set");
}

#[test]
fn a_list_replaces_the_list_below_it() {
    let (_folder, file) = written("keylog = [\"/a\", \"/b\"]\nlisten = [\"127.0.0.1:1\"]\nweb-config = \"/w\"\n");
    let mut sources = sources(Some(&file));
    sources.environment = vec![("H2WATCH_KEYLOG".into(), "/c, /d".into())];
    sources.flags = vec![flag("listen", &["none"]), flag("web-config", &["none"])];
    let values = load(&sources).unwrap().values;
    assert_eq!(values.keylog, [PathBuf::from("/c"), PathBuf::from("/d")]);
    assert!(values.listen.is_empty() && values.web_config.is_none());
}

#[test]
fn errors_name_file_line_key_and_fix() {
    for (text, error) in [
        ("interfaces = [\"eth0\"]", "h2watch.toml:1: interfaces: no such setting: did you mean `interface`?"),
        ("\n\nthreads = \"4\"", "h2watch.toml:3: threads: text is not what it takes: write threads = 4"),
        ("window = 2", "h2watch.toml:1: window: a number is not what it takes: write window = \"2s\""),
        ("window = \"2\"", "h2watch.toml:1: window: \"2\" is not a span of time: write for example 500ms, 2s or 1m"),
        ("promiscuous = \"yes\"", "h2watch.toml:1: promiscuous: text is not what it takes: write promiscuous = true"),
        ("filter = [\"a\"]", "h2watch.toml:1: filter: a list, but it takes one value: write filter = \"tcp port 443\""),
        (
            "[capture]\nx = 1",
            "h2watch.toml:1: capture: no such setting: settings stand at the top of the file, not under a [table]",
        ),
        ("threads = 0", "h2watch.toml:1: threads: 0 is out of range: write 1 to 1024"),
        ("snaplen = \"1GiB\"", "h2watch.toml:1: snaplen: 1GiB is out of range: write 128 to 256KiB"),
        ("format = \"xml\"", "h2watch.toml:1: format: \"xml\" is not one of the words: write auto, text, json, none"),
    ] {
        assert_eq!(of_file(text).unwrap_err(), [error], "{text}");
    }
    let address = of_file("listen = \"localhost:9872\"").unwrap_err();
    assert!(address[0].contains("write 127.0.0.1 or [::1]"), "{address:?}");
    let syntax = of_file("interface = [\"eth0\"\n").unwrap_err();
    assert!(syntax[0].starts_with("h2watch.toml:") && syntax[0].contains("not TOML"), "{syntax:?}");
    let syntax = of_file("interface = [\"eth0\"\nfilter = 3\nport = [443]\n").unwrap_err();
    assert_eq!(
        syntax.iter().filter(|one| one.contains("not TOML")).count(),
        1,
        "what follows is of its making: {syntax:?}"
    );
}

#[test]
fn settings_that_contradict_each_other_are_named_with_the_fix() {
    for (text, said) in [
        ("events = [\"-\"]\nformat = \"json\"", "write format none, or the events to a file"),
        ("source = [\"tap\", \"pcap\"]", "name one of auto, pcap and tap"),
        ("source = \"none\"", "write auto, or leave it out"),
        ("kernel-only = true", "write source plaintext, or leave it out"),
        ("keys = \"none\"\npid = [1]", "write keys probe or source plaintext"),
        ("source = \"plaintext\"\ninterface = \"eth0\"", "add tap or pcap, or leave it out"),
        ("source = \"plaintext\"\nkeys = \"probe\"", "add tap or pcap, or leave it out"),
        ("interface = [\"any\", \"eth0\"]", "name one or the other"),
        ("interface = [\"any\"]\npromiscuous = true", "name the interface, or leave promiscuous out"),
        ("listen = []\nweb-config = \"/w\"", "leave it out, or set listen"),
        ("keylog = [\"/k\"]\nevents = [\"/k\"]", "write the events to another file"),
        ("keylog = [\"/k\", \"/k\"]", "name it once"),
    ] {
        let problems = of_file(text).unwrap_err();
        assert!(
            problems.len() == 1 && problems[0].contains(said) && problems[0].contains("h2watch.toml:"),
            "{problems:?}"
        );
    }
}

#[test]
fn what_this_machine_does_not_have_is_told_with_everything_else() {
    let folder = tempfile::tempdir().unwrap();
    let top = folder.path().display();
    let (_folder, file) = written(&format!(
        "threads = 0\nuser = \"no-such-user\"\nweb-config = \"{top}/web.yml\"\nevents = [\"{top}/gone/events.jsonl\", \"{top}\"]\n\
         filter = \"tcp prot 443\"\nwindow = 2\n"
    ));
    let problems = inspect(&sources(Some(&file))).unwrap_err();
    let told: Vec<String> = problems.iter().map(ToString::to_string).collect();
    let said = |line: usize, what: &str| {
        let place = format!("h2watch.toml:{line}: ");
        told.iter().any(|one| one.contains(&place) && one.contains(what) && !one.contains('\n'))
    };
    assert!(said(1, "threads: 0 is out of range"), "{told:#?}");
    assert!(said(2, "user: there is no user no-such-user: useradd"), "{told:#?}");
    assert!(said(3, "web-config: ") && said(3, "web.yml"), "{told:#?}");
    assert!(said(4, "gone: mkdir -p") && said(4, "is a folder: name a file in it"), "{told:#?}");
    assert_eq!(said(5, "filter: \"tcp prot 443\" is not valid"), cfg!(feature = "pcap"), "{told:#?}");
    assert!(said(6, "window: a number is not what it takes"), "{told:#?}");
    assert_eq!(told.len(), 6 + usize::from(cfg!(feature = "pcap")));
    let events = folder.path().join("events.jsonl");
    let (_folder, file) =
        written(&format!("filter = \"inbound and tcp port 443\"\nevents = [\"{}\"]\n", events.display()));
    inspect(&sources(Some(&file))).unwrap();
    assert!(!events.exists(), "nothing is made by looking");
}

#[test]
fn the_unit_reads_the_file_that_is_the_default() {
    let unit = Path::new(env!("CARGO_MANIFEST_DIR")).join("../packaging/h2watch.service");
    let unit = fs::read_to_string(unit).unwrap();
    assert!(unit.contains(&format!("ExecStart=/usr/bin/h2watch watch --config {DEFAULT_FILE}\n")));
    assert!(unit.contains(&format!("packaging/h2watch.toml {DEFAULT_FILE}\n")));
}

#[test]
fn every_error_is_said_at_once_and_nothing_of_them_steers_a_terminal() {
    let problems = of_file("nonsense1 = 1\n\"a\\u001b[31m\" = 2\nthreads = true\n").unwrap_err();
    assert_eq!(problems.len(), 3, "{problems:?}");
    assert!(problems.iter().all(|problem| !problem.contains('\u{1b}') && !problem.contains('\n')), "{problems:?}");
}

#[test]
fn plaintext_alone_needs_no_interface_and_beside_packets_one() {
    let loaded = of_file("source = \"plaintext\"\npid = [7]\nkernel-only = true\nbuffer = \"1MiB\"").unwrap();
    let options = loaded.options().unwrap();
    assert_eq!(options.capture.source, PacketSource::Off);
    let plaintext = options.plaintext.unwrap();
    assert_eq!((plaintext.targets.pids, plaintext.kernel_only, plaintext.buffer), (vec![7], true, 1 << 20));
    assert_eq!(options.probe, None);
    let mut sources = sources(None);
    sources.environment = vec![("H2WATCH_SOURCE".into(), "tap,plaintext".into())];
    let loaded = load(&sources).unwrap();
    assert!(loaded.options().unwrap_err()[0].to_string().contains("--interface NAME"));
    sources.flags = vec![flag("interface", &["eth0"])];
    let options = load(&sources).unwrap().options().unwrap();
    assert_eq!((options.capture.source, options.plaintext.is_some()), (PacketSource::Tap, true));
}

#[test]
fn an_interface_is_needed_for_a_run() {
    let problems = load(&sources(None)).unwrap().options().unwrap_err();
    assert!(problems[0].to_string().contains("--interface NAME"), "{problems:?}");
}

#[test]
fn a_file_that_is_named_must_be_there_and_one_that_is_not_need_not() {
    let problems = load(&sources(Some("/nowhere/else.toml".as_ref()))).unwrap_err();
    assert!(
        problems[0].to_string().starts_with("--config: cannot read the configuration /nowhere/else.toml"),
        "{problems:?}"
    );
    assert!(load(&sources(None)).is_ok());
    assert!(load(&sources(Some("/dev/null".as_ref()))).is_ok(), "no file");
}

#[test]
fn events_go_where_they_are_told() {
    let loaded = of_file("interface = \"eth0\"\nevents = [\"-\", \"journal\", \"/e\"]\nevents-keep = 2").unwrap();
    let options = loaded.options().unwrap();
    let file = EventsTarget::File { path: "/e".into(), rotate_bytes: 100 << 20, keep: 2 };
    assert_eq!(options.events, [EventsTarget::Stdout, EventsTarget::Journal, file]);
    assert_eq!(options.summary.format, Format::None, "standard output is for the events");
    assert_eq!(loaded.values.events[1], Destination::Journal);
}

#[test]
fn misspelt_variables_are_noted_and_those_of_others_are_not() {
    let mut sources = sources(None);
    for name in ["H2WATCH_LISTENS", "H2WATCH_SERVICE_HOST", "H2WATCH_PORT_9872_TCP_ADDR", "H2WATCH_KEYLOG", "PATH"] {
        sources.environment.push((name.into(), "127.0.0.1:1".into()));
    }
    let notes = load(&sources).unwrap().notes;
    assert_eq!(notes, ["H2WATCH_LISTENS: no such setting: did you mean H2WATCH_LISTEN?"]);
}

#[test]
fn what_is_printed_is_valid_names_every_setting_and_reads_the_same() {
    let (_folder, file) =
        written("interface = [\"eth0\", \"eth1\"]\nfilter = \"tcp port \\\"443\\\"\"\nwindow = \"1m 30s\"\n");
    let loaded = load(&sources(Some(&file))).unwrap();
    let text = print(&loaded);
    for setting in SETTINGS {
        assert!(
            text.contains(&format!("\n{} = ", setting.name))
                || text.contains(&format!("\n# {} is not set", setting.name))
        );
    }
    assert!(text.contains(&format!("# {}:2\n", file.display())), "{text}");
    assert_eq!(of_file(&text).unwrap().values, loaded.values);
}

#[test]
fn a_reload_changes_what_it_may_and_names_what_it_may_not() {
    let (_folder, file) = written("interface = \"eth0\"\nkeylog = [\"/a\"]\nthreads = 2\n");
    let sources = sources(Some(&file));
    let mut reloader = Reloader::new(sources.clone(), load(&sources).unwrap());
    assert_eq!(reloader.reload().unwrap(), super::Changes::default());
    fs::write(
        &file,
        "interface = \"eth1\"\nkeylog = [\"/b\"]\nthreads = 3\nevents = [\"journal\"]\nwindow = \"3s\"\n\
         server = [\"192.0.2.1:443\"]\nfilter = \"tcp\"\n",
    )
    .unwrap();
    let changes = reloader.reload().unwrap();
    assert_eq!(changes.keylogs.as_deref(), Some(&["/b".into()][..]));
    assert_eq!(changes.events.as_deref(), Some(&[EventsTarget::Journal][..]));
    assert_eq!(changes.need_restart, ["interface", "threads"]);
    let servers = vec!["192.0.2.1:443".parse().unwrap()];
    assert_eq!(changes.detect, Some(detect::Settings { window: Duration::from_secs(3), servers }));
    assert_eq!(changes.filter.and_then(|filter| filter.expression).as_deref(), Some("tcp"));
    // Said until somebody restarts it; what was applied is not applied again.
    let again = reloader.reload().unwrap();
    let wait = super::Changes { need_restart: vec!["interface", "threads"], ..super::Changes::default() };
    assert_eq!(again, wait);
    // What the run could not do is tried again.
    let set = reloader.refused(super::Changes::FILTER);
    assert_eq!(set, Some(format!("{}:7", file.display())));
    assert!(reloader.reload().unwrap().filter.is_none(), "refused after a reload that did not change it");
    fs::write(&file, "interface = \"eth0\"\nfilter = \"udp\"\n").unwrap();
    assert!(reloader.reload().unwrap().filter.is_some());
    reloader.refused(super::Changes::FILTER);
    let again = reloader.reload().unwrap();
    assert!(again.filter.is_some() && again.events.is_none());
    fs::write(&file, "interface = \"eth0\"\nkeylogs = [\"/c\"]\n").unwrap();
    let error = reloader.reload().unwrap_err();
    assert!(error.contains(":2: keylogs: no such setting"), "{error}");
}

#[test]
fn every_setting_says_what_a_reload_does_with_it() {
    let applied: Vec<_> =
        SETTINGS.iter().filter(|setting| setting.on_reload == OnReload::Applied).map(|s| s.name).collect();
    assert_eq!(applied, ["filter", "port", "keylog", "events", "events-rotate", "events-keep", "server", "window"]);
}

#[test]
fn the_documentation_has_the_reference() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/config.md");
    let document = fs::read_to_string(&path).unwrap();
    let (begin, end) = ("<!-- reference -->\n", "<!-- end of reference -->");
    let (head, rest) = document.split_once(begin).unwrap();
    let (old, tail) = rest.split_once(end).unwrap();
    let new = reference();
    if std::env::var_os("H2WATCH_BLESS").is_some() {
        fs::write(&path, format!("{head}{begin}{new}\n{end}{tail}")).unwrap();
    } else {
        assert_eq!(old.trim(), new.trim(), "run the test with H2WATCH_BLESS=1 to write it");
    }
    assert!(document.contains(DEFAULT_FILE));
}

#[test]
fn a_setting_of_every_kind_has_an_example_that_is_right() {
    for setting in SETTINGS.iter().filter(|setting| setting.kind != Kind::Bool) {
        let (_folder, file) = written(&format!("{} = true\n", setting.name));
        let problems = load(&sources(Some(&file))).unwrap_err();
        let (_, example) = problems[0].text.split_once("write ").unwrap();
        let (_folder, file) = written(example);
        load(&sources(Some(&file))).unwrap_or_else(|problems| panic!("{example}: {problems:?}"));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn no_file_makes_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..200), text in "[a-z\"=\\[\\]{}#.\\n 0-9-]{0,80}") {
        for bytes in [bytes.as_slice(), text.as_bytes()] {
            let (_, problems) = super::file::parse(Path::new("x"), bytes);
            prop_assert!(problems.iter().all(|problem| !problem.to_string().contains('\n')));
        }
    }
}
