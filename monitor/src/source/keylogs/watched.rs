use std::fs;
use std::io::{self, ErrorKind};
use std::os::unix::fs::FileTypeExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

use super::follow::{self, Budget, Counts, Follow, Identity, identity};
use super::{KeyLogHealth, KeyLogNews, Numbers};

/// The path is looked at this often, for another file that took its place.
const LOOK: Duration = Duration::from_millis(50);

/// The same for a directory.
const LOOK_AT_DIRECTORY: Duration = Duration::from_millis(500);

/// Files of a directory that are followed.
pub(super) const FILES: usize = 256;

/// Entries of a directory that are looked at.
const ENTRIES: usize = 4_096;

/// Files that were replaced and are kept open: their writers may have them open, too.
const REPLACED: usize = 4;

/// A file that is no longer under the path is let go when it has not grown for this long.
const RETIRE: Duration = Duration::from_secs(600);

/// A path as it was given, and what is followed under it.
#[derive(Debug)]
pub(super) struct Watched {
    path: PathBuf,
    /// In the order in which they were opened.
    follows: Vec<Follow>,
    /// Which files the path led to when it was looked at last.
    present: Vec<Identity>,
    counts: Counts,
    error: Option<String>,
    directory: bool,
    looked: Option<Instant>,
    reopen: bool,
    grown: Option<Instant>,
    /// A file of it that others may read.
    exposed: Option<PathBuf>,
    /// Which of its files is read first, so that one that is long does not starve the others.
    turn: usize,
}

impl Watched {
    pub(super) fn new(path: PathBuf) -> Self {
        Self {
            path,
            follows: Vec::new(),
            present: Vec::new(),
            counts: Counts::default(),
            error: None,
            directory: false,
            looked: None,
            reopen: false,
            grown: None,
            exposed: None,
            turn: 0,
        }
    }

    pub(super) const fn open(&self) -> usize {
        self.follows.len()
    }

    pub(super) const fn reopen(&mut self) {
        self.reopen = true;
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Looks at what the path leads to, when it is time to.
    pub(super) fn attend(&mut self, now: Instant, numbers: &mut Numbers, take: &mut dyn FnMut(KeyLogNews<'_>)) {
        if std::mem::take(&mut self.reopen) {
            self.let_go(|follow| follow.error.is_some(), numbers, take);
            self.follows.iter_mut().for_each(Follow::doubt);
            self.looked = None;
        }
        let pause = if self.directory { LOOK_AT_DIRECTORY } else { LOOK };
        if self.looked.is_none_or(|looked| now.saturating_duration_since(looked) >= pause) {
            self.looked = Some(now);
            self.look(now, numbers);
            self.retire(now, numbers, take);
            self.exposed = self.follows.iter().find_map(Follow::exposed);
        }
    }

    /// Reads one buffer of each of its files: of all of them, or only of those that had more to give. `true`: some have more still.
    pub(super) fn read(
        &mut self,
        all: bool,
        room: u64,
        budget: &mut Budget,
        buffer: &mut [u8],
        take: &mut dyn FnMut(KeyLogNews<'_>),
    ) -> bool {
        let count = self.follows.len().max(1);
        let mut more = false;
        for turn in (self.turn..).take(self.follows.len()) {
            if budget.is_over() {
                self.turn = turn % count;
                return true;
            }
            if let Some(follow) = self.follows.get_mut(turn % count).filter(|follow| all || follow.more) {
                follow.poll(room, budget, &mut self.counts, buffer, take);
                self.grown = self.grown.max(follow.grown);
                more |= follow.more;
            }
        }
        more
    }

    /// It is followed no more.
    pub(super) fn end(&mut self, numbers: &mut Numbers, take: &mut dyn FnMut(KeyLogNews<'_>)) {
        self.let_go(|_| true, numbers, take);
    }

    /// Looks at what the path leads to now.
    fn look(&mut self, now: Instant, numbers: &mut Numbers) {
        let metadata = fs::metadata(&self.path);
        self.directory = metadata.as_ref().is_ok_and(fs::Metadata::is_dir);
        let looked = match metadata {
            Ok(_) if self.directory => self.look_into_directory(now, numbers),
            Ok(metadata) => {
                let of = identity(&metadata);
                self.present = vec![of];
                if self.follows(of) { Ok(()) } else { self.follow(&self.path.clone(), now, numbers) }
            }
            Err(error) => {
                self.present.clear();
                Err(self.missing(&error))
            }
        };
        self.error = looked.err();
    }

    fn missing(&self, error: &io::Error) -> String {
        let path = self.path.display();
        match error.kind() {
            ErrorKind::NotFound if self.follows.is_empty() => format!("{path} is not there (yet)"),
            ErrorKind::NotFound => format!("{path} is gone: what its writer still has open is read on"),
            _ => format!("cannot open {path}: {error}"),
        }
    }

    fn follows(&self, of: Identity) -> bool {
        self.follows.iter().any(|follow| follow.identity == of)
    }

    /// Opens a file that is not open yet.
    fn follow(&mut self, path: &Path, now: Instant, numbers: &mut Numbers) -> Result<(), String> {
        let (file, metadata) =
            follow::open(path).map_err(|error| format!("cannot open {}: {error}", path.display()))?;
        if self.follows(identity(&metadata)) {
            return Ok(());
        }
        self.counts.restarts += u64::from(!self.directory && !self.follows.is_empty());
        self.follows.push(Follow::new(numbers.take(), path, file, &metadata, now));
        Ok(())
    }

    fn look_into_directory(&mut self, now: Instant, numbers: &mut Numbers) -> Result<(), String> {
        let fail = |error: &io::Error| format!("cannot read {}: {error}", self.path.display());
        let mut found: Vec<(SystemTime, PathBuf, Identity)> = Vec::new();
        for entry in fs::read_dir(&self.path).map_err(|error| fail(&error))?.take(ENTRIES) {
            let path = entry.map_err(|error| fail(&error))?.path();
            // One that is gone again is none.
            let Ok(metadata) = fs::metadata(&path) else { continue };
            if metadata.is_file() || metadata.file_type().is_fifo() {
                let changed = metadata.modified().unwrap_or(SystemTime::UNIX_EPOCH);
                found.push((changed, path, identity(&metadata)));
            }
        }
        // Those that changed last matter most where there are too many; they are opened in the order in which they were written.
        found.sort_unstable();
        self.present = found.iter().map(|(.., of)| *of).collect();
        found.retain(|(.., of)| !self.follows(*of));
        let room = FILES.saturating_sub(self.follows.len());
        let over = found.len().saturating_sub(room);
        let mut result = Ok(());
        for (_, path, _) in found.drain(over..) {
            if let Err(error) = self.follow(&path, now, numbers) {
                result = Err(error);
            }
        }
        if over > 0 {
            return Err(format!("{}: {over} files are not read, more than {FILES} are there", self.path.display()));
        }
        result
    }

    /// Lets go of files that are no longer under the path and that nobody seems to write to.
    fn retire(&mut self, now: Instant, numbers: &mut Numbers, take: &mut dyn FnMut(KeyLogNews<'_>)) {
        let gone = |follow: &Follow| !self.present.contains(&follow.identity);
        // While nothing has taken its place, a file may be the only one that its writer knows.
        let replaced = self.follows.iter().any(|follow| !gone(follow) && follow.grown.is_some());
        let keep = if self.directory { FILES } else { REPLACED };
        let mut over = self.follows.iter().filter(|follow| gone(follow)).count().saturating_sub(keep);
        let retired: Vec<usize> = self
            .follows
            .iter()
            .filter(|follow| {
                let quiet = now.saturating_duration_since(follow.grown.unwrap_or(follow.opened)) >= RETIRE;
                let forced = gone(follow) && over > 0;
                over -= usize::from(forced);
                forced || (gone(follow) && quiet && replaced)
            })
            .map(|follow| follow.number)
            .collect();
        self.let_go(|follow| retired.contains(&follow.number), numbers, take);
    }

    fn let_go(&mut self, which: impl Fn(&Follow) -> bool, numbers: &mut Numbers, take: &mut dyn FnMut(KeyLogNews<'_>)) {
        for follow in self.follows.extract_if(.., |follow| which(follow)) {
            take(KeyLogNews::Restarted { log: follow.number });
            numbers.give_back(follow.number);
        }
    }

    pub(super) fn health(&self, now: Instant) -> KeyLogHealth {
        let broken = self.follows.iter().find_map(|follow| follow.error.clone());
        KeyLogHealth {
            path: self.path.clone(),
            readable: self.follows.iter().any(|follow| follow.error.is_none())
                || (self.directory && self.error.is_none()),
            error: self.error.clone().or(broken),
            exposed: self.exposed.is_some(),
            exposed_file: self.exposed.clone(),
            bytes: self.counts.bytes,
            lines: self.counts.lines,
            holes: self.counts.holes,
            skipped: self.counts.skipped,
            restarts: self.counts.restarts,
            files: self.follows.len() as u64,
            behind: self.follows.iter().map(|follow| follow.behind).sum(),
            quiet: self.grown.map(|grown| now.saturating_duration_since(grown)),
        }
    }
}
