//! What `bench live` is asked to do.

use std::path::PathBuf;
use std::time::Duration;

use h2watch_tests::lab::OriginKind;

use super::beside::Beside;

/// How long a run of the rounds lasts.
const SLICE: Duration = Duration::from_secs(20);
const QUICK_SLICE: Duration = Duration::from_secs(10);

const ROUNDS: usize = 5;
const QUICK_ROUNDS: usize = 3;

/// Minutes of the long run.
const MINUTES: u64 = 10;

/// What is asked for.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Arguments {
    pub(super) sources: Vec<Beside>,
    pub(super) origin: Option<OriginKind>,
    pub(super) rounds: usize,
    pub(super) slice: Duration,
    /// How long memory is watched; `None`: it is not.
    pub(super) long: Option<Duration>,
    /// The program; built where none is named.
    pub(super) program: Option<PathBuf>,
}

impl Arguments {
    pub(super) fn read(words: &[&str]) -> Result<Self, String> {
        let quick = words.contains(&"--quick");
        let (slice, rounds) = if quick { (QUICK_SLICE, QUICK_ROUNDS) } else { (SLICE, ROUNDS) };
        let mut this = Self {
            sources: Beside::ALL.to_vec(),
            origin: None,
            rounds,
            slice,
            long: (!quick).then(|| Duration::from_secs(60 * MINUTES)),
            program: None,
        };
        let mut words = words.iter().filter(|&&word| word != "--quick");
        while let Some(&word) = words.next() {
            let value = words.next().copied().ok_or_else(|| format!("{word} takes a value"))?;
            match word {
                "--minutes" => {
                    this.long = Some(number(word, value)?).filter(|&n| n > 0).map(|n| Duration::from_secs(60 * n))
                }
                "--seconds" => this.slice = Duration::from_secs(number(word, value)?.max(1)),
                "--rounds" => this.rounds = usize::try_from(number(word, value)?.max(1)).unwrap_or(ROUNDS),
                "--sources" => this.sources = value.split(',').map(source).collect::<Result<_, _>>()?,
                "--program" => this.program = Some(PathBuf::from(value)),
                "--origin" => this.origin = Some(origin(value)?),
                _ => {
                    return Err(format!(
                        "bench live takes [--quick] [--minutes N] [--seconds N] [--rounds N] [--sources {}] [--origin kestrel|nghttpd] [--program H2WATCH], not {word}",
                        Beside::ALL.map(Beside::word).join(",")
                    ));
                }
            }
        }
        Ok(this)
    }
}

fn number(word: &str, value: &str) -> Result<u64, String> {
    value.parse().map_err(|_| format!("{word} takes a number, not {value}"))
}

fn source(word: &str) -> Result<Beside, String> {
    let all = Beside::ALL.map(Beside::word);
    let found = Beside::ALL.into_iter().find(|beside| beside.word() == word);
    found.ok_or_else(|| format!("no such source: {word} ({})", all.join(", ")))
}

fn origin(word: &str) -> Result<OriginKind, String> {
    let found = [OriginKind::Kestrel, OriginKind::Nghttpd].into_iter().find(|kind| kind.name() == word);
    found.ok_or_else(|| format!("no such origin: {word} (kestrel, nghttpd)"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_asked_for_is_understood() {
        let all = Arguments::read(&[]).unwrap();
        assert_eq!((all.sources.len(), all.rounds, all.long), (Beside::ALL.len(), 5, Some(Duration::from_secs(600))));
        let some = Arguments::read(&["--sources", "none,tap", "--quick", "--seconds", "3", "--minutes", "1"]).unwrap();
        assert_eq!(some.sources, [Beside::Nothing, Beside::Tap]);
        assert_eq!((some.slice, some.rounds, some.long), (Duration::from_secs(3), 3, Some(Duration::from_secs(60))));
        assert_eq!(Arguments::read(&["--quick"]).unwrap().long, None);
        assert_eq!(Arguments::read(&["--minutes", "0"]).unwrap().long, None);
        for wrong in
            [&["--sources", "ebpf"][..], &["--minutes"], &["--minutes", "x"], &["--origin", "iis"], &["-x", "1"]]
        {
            assert!(Arguments::read(wrong).is_err(), "{wrong:?}");
        }
    }
}
