//! What the settings mean: a typed value for each, read from text and written as TOML.

use std::ffi::{OsStr, OsString};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use toml::Value as Toml;

use super::units::{Size, Span};
use crate::source::live::{PacketSource, Timestamps};

/// A value for every setting, by its name.
#[derive(Clone, Debug, PartialEq)]
#[expect(missing_docs, reason = "the table of settings says what each is")]
pub struct Values {
    pub source: Vec<Source>,
    pub interface: Vec<String>,
    pub filter: Option<String>,
    pub port: Vec<u16>,
    pub snaplen: Size,
    pub buffer: Size,
    pub promiscuous: bool,
    pub immediate: bool,
    pub timestamps: Timestamps,
    pub keys: KeySource,
    pub pid: Vec<u32>,
    pub unit: Vec<String>,
    pub cgroup: Vec<String>,
    pub all: bool,
    pub kernel_only: bool,
    pub keylog: Vec<PathBuf>,
    pub window: Span,
    pub threads: u32,
    pub memory: Size,
    pub listen: Vec<SocketAddr>,
    pub web_config: Option<PathBuf>,
    pub server: Vec<SocketAddr>,
    pub events: Vec<Destination>,
    pub events_rotate: Size,
    pub events_keep: u32,
    pub user: Option<String>,
    pub format: SummaryFormat,
    pub verbose: bool,
    pub color: Color,
}

impl Default for Values {
    fn default() -> Self {
        let options = crate::watch::Options::default();
        let capture = options.capture;
        Self {
            interface: capture.interfaces,
            source: vec![Source::Packets(capture.source)],
            filter: capture.filter,
            port: capture.ports,
            snaplen: Size(capture.snaplen.into()),
            buffer: Size(capture.buffer as u64),
            promiscuous: capture.promiscuous,
            immediate: capture.immediate,
            timestamps: capture.timestamps,
            keys: KeySource::Auto,
            pid: Vec::new(),
            unit: Vec::new(),
            cgroup: Vec::new(),
            all: false,
            kernel_only: false,
            keylog: options.keylogs,
            window: Span(options.window),
            threads: u32::try_from(options.threads).unwrap_or(1),
            memory: super::memory::DEFAULT,
            listen: options.listen,
            web_config: options.web_config,
            server: options.servers,
            events: Vec::new(),
            events_rotate: Size(100 << 20),
            events_keep: 5,
            user: options.user,
            format: SummaryFormat::Auto,
            verbose: false,
            color: Color::Auto,
        }
    }
}

/// The longest `window`.
pub(super) const WINDOW_MAX: Duration = Duration::from_secs(3600);

/// What is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// Packets.
    Packets(PacketSource),
    /// What processes encrypt and decrypt.
    Plaintext,
}

impl Values {
    /// What takes packets from the kernel.
    pub(super) fn packets(&self) -> PacketSource {
        let packets = |source: &Source| match source {
            Source::Packets(packets) => Some(*packets),
            Source::Plaintext => None,
        };
        self.source.iter().find_map(packets).unwrap_or(PacketSource::Off)
    }

    /// Plaintext is taken from processes.
    pub(super) fn takes_plaintext(&self) -> bool {
        self.source.contains(&Source::Plaintext)
    }
}

/// Where events go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Destination {
    /// `-`.
    Stdout,
    /// `journal`.
    Journal,
    /// Anything else: a path.
    File(PathBuf),
}

/// Where keys come from beside key logs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeySource {
    /// The processes that make them, where no key log is named and it works.
    Auto,
    /// Nowhere.
    None,
    /// The processes that make them.
    Probe,
}

/// The summary at the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SummaryFormat {
    /// For people, or nothing where events go to standard output.
    Auto,
    /// For people.
    Text,
    /// For programs.
    Json,
    /// No summary.
    None,
}

/// Colour of the summary.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Color {
    /// On a terminal.
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

/// The word that empties a list, or unsets what may be unset.
pub(super) const NONE: &str = "none";

/// A setting's value: one, none or several elements.
pub(super) trait Value: Sized {
    /// Reads it. `Err`: what is wrong, and the fix.
    fn read(raw: &[OsString]) -> Result<Self, String>;

    /// As TOML; `None` when it is not set.
    fn show(&self) -> Option<Toml>;
}

/// One element of a value.
pub(super) trait Element: Sized {
    fn read(raw: &OsStr) -> Result<Self, String>;
    fn show(&self) -> Toml;
}

impl<E: Element> Value for E {
    fn read(raw: &[OsString]) -> Result<Self, String> {
        match raw {
            [one] => E::read(one),
            _ => Err("takes one value: give one".to_owned()),
        }
    }

    fn show(&self) -> Option<Toml> {
        Some(Element::show(self))
    }
}

impl<E: Element> Value for Option<E> {
    fn read(raw: &[OsString]) -> Result<Self, String> {
        match raw {
            [one] if one == NONE => Ok(None),
            [one] => E::read(one).map(Some),
            _ => Err("takes one value: give one".to_owned()),
        }
    }

    fn show(&self) -> Option<Toml> {
        self.as_ref().map(Element::show)
    }
}

impl<E: Element> Value for Vec<E> {
    fn read(raw: &[OsString]) -> Result<Self, String> {
        match raw {
            [one] if one == NONE => Ok(Self::new()),
            several => several.iter().map(|one| E::read(one)).collect(),
        }
    }

    fn show(&self) -> Option<Toml> {
        Some(Toml::Array(self.iter().map(Element::show).collect()))
    }
}

/// Text for messages: bounded.
fn quoted(raw: &OsStr) -> String {
    let text = raw.to_string_lossy();
    let short: String = text.chars().take(80).collect();
    let cut = if short.len() < text.len() { "…" } else { "" };
    format!("\"{}{cut}\"", crate::sink::printable(&short))
}

fn parsed<T>(raw: &OsStr, parse: impl FnOnce(&str) -> Option<T>, what: &str) -> Result<T, String> {
    raw.to_str().and_then(parse).ok_or_else(|| format!("{} is not {what}", quoted(raw)))
}

impl Element for String {
    fn read(raw: &OsStr) -> Result<Self, String> {
        let text = |text: &str| (!text.trim().is_empty() && !text.contains('\0')).then(|| text.to_owned());
        parsed(raw, text, "text: write something, or leave the setting out")
    }

    fn show(&self) -> Toml {
        Toml::String(self.clone())
    }
}

impl Element for PathBuf {
    fn read(raw: &OsStr) -> Result<Self, String> {
        if raw.is_empty() { Err("\"\" is not a path: name a file".to_owned()) } else { Ok(Self::from(raw)) }
    }

    fn show(&self) -> Toml {
        Toml::String(self.to_string_lossy().into_owned())
    }
}

impl Element for bool {
    fn read(raw: &OsStr) -> Result<Self, String> {
        let word = |text: &str| match text.to_ascii_lowercase().as_str() {
            "true" | "yes" | "on" | "1" => Some(true),
            "false" | "no" | "off" | "0" => Some(false),
            _ => None,
        };
        parsed(raw, word, "true or false: write one of them")
    }

    fn show(&self) -> Toml {
        Toml::Boolean(*self)
    }
}

impl Element for u16 {
    fn read(raw: &OsStr) -> Result<Self, String> {
        parsed(raw, |text| text.trim().parse().ok(), "a port: write for example 443")
    }

    fn show(&self) -> Toml {
        Toml::Integer((*self).into())
    }
}

impl Element for u32 {
    fn read(raw: &OsStr) -> Result<Self, String> {
        parsed(raw, |text| text.trim().parse().ok(), "a whole number: write for example 4")
    }

    fn show(&self) -> Toml {
        Toml::Integer((*self).into())
    }
}

impl Element for Size {
    fn read(raw: &OsStr) -> Result<Self, String> {
        parsed(raw, Self::parse, "a size: write for example 512KiB, 64MiB or a number of bytes")
    }

    fn show(&self) -> Toml {
        Toml::String(self.to_string())
    }
}

impl Element for Span {
    fn read(raw: &OsStr) -> Result<Self, String> {
        parsed(raw, Self::parse, "a span of time: write for example 500ms, 2s or 1m")
    }

    fn show(&self) -> Toml {
        Toml::String(self.to_string())
    }
}

impl Element for SocketAddr {
    fn read(raw: &OsStr) -> Result<Self, String> {
        let what = match raw.to_str() {
            Some(text) if text.starts_with("localhost:") => {
                "an address: names are not looked up, write 127.0.0.1 or [::1] and the port"
            }
            Some(text) if text.trim_start_matches(':').parse::<u16>().is_ok() => {
                "an address and a port: write for example 127.0.0.1:9872, or 0.0.0.0:9872 for every interface"
            }
            _ => "an address and a port: write for example 127.0.0.1:9872 or [::1]:9872",
        };
        parsed(raw, |text| text.trim().parse().ok(), what)
    }

    fn show(&self) -> Toml {
        Toml::String(self.to_string())
    }
}

impl Element for Destination {
    fn read(raw: &OsStr) -> Result<Self, String> {
        match raw.to_str() {
            Some(crate::cli::STANDARD) => Ok(Self::Stdout),
            Some("journal") => Ok(Self::Journal),
            _ => <PathBuf as Element>::read(raw).map(Self::File),
        }
    }

    fn show(&self) -> Toml {
        match self {
            Self::Stdout => Toml::String(crate::cli::STANDARD.to_owned()),
            Self::Journal => Toml::String("journal".to_owned()),
            Self::File(path) => Element::show(path),
        }
    }
}

/// Gives an enum its words.
macro_rules! words {
    ($type:ident, $($word:literal => $variant:ident),+ $(,)?) => {
        impl $type {
            /// The words that stand for it.
            pub(super) const WORDS: &[&str] = &[$($word),+];
        }

        impl Element for $type {
            fn read(raw: &OsStr) -> Result<Self, String> {
                let word = |text: &str| match text {
                    $($word => Some(Self::$variant),)+
                    _ => None,
                };
                parsed(raw, word, &format!("one of the words: write {}", Self::WORDS.join(", ")))
            }

            fn show(&self) -> Toml {
                Toml::String(match self { $(Self::$variant => $word),+ }.to_owned())
            }
        }
    };
}

words!(SummaryFormat, "auto" => Auto, "text" => Text, "json" => Json, "none" => None);
impl Source {
    /// The words that stand for it.
    pub(super) const WORDS: &[&str] = &["auto", "pcap", "tap", "plaintext"];
}

impl Element for Source {
    fn read(raw: &OsStr) -> Result<Self, String> {
        let word = |text: &str| match text {
            "auto" => Some(Self::Packets(PacketSource::Auto)),
            "pcap" => Some(Self::Packets(PacketSource::Pcap)),
            "tap" => Some(Self::Packets(PacketSource::Tap)),
            "plaintext" => Some(Self::Plaintext),
            _ => None,
        };
        parsed(raw, word, &format!("one of the words: write {}", Self::WORDS.join(", ")))
    }

    fn show(&self) -> Toml {
        Toml::String(
            match self {
                Self::Packets(PacketSource::Auto) => "auto",
                Self::Packets(PacketSource::Pcap) => "pcap",
                Self::Packets(PacketSource::Tap) => "tap",
                Self::Packets(PacketSource::Off) | Self::Plaintext => "plaintext",
            }
            .to_owned(),
        )
    }
}

words!(KeySource, "auto" => Auto, "none" => None, "probe" => Probe);
words!(Timestamps, "host" => Host, "adapter" => Adapter, "adapter-unsynced" => AdapterUnsynced);
words!(Color, "auto" => Auto, "always" => Always, "never" => Never);
