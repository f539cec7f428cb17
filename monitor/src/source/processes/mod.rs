//! The processes that are wanted, and the files that they run code from, as both come and go.
//!
//! Probes sit in files: [`Processes`] tells of a file when the first wanted process has it, and again some seconds after the last has gone.
//! Files are known by inode, so that one is told once whatever the containers that have it.

mod cgroup;
mod file;
mod procfs;
mod whose;

use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

pub use file::FileId;
pub use whose::{Target, Whose};

use crate::model::Process;
use file::{Located, Place, Root};

/// What has changed.
#[derive(Debug)]
pub enum News {
    /// A file is used by a wanted process, and was by none before.
    Used(Used),
    /// No wanted process uses it any more, or it was written anew.
    Unused(FileId),
    /// A process of which somebody asked has ended.
    Ended(u32),
}

/// A file that is used.
#[derive(Debug)]
pub struct Used {
    /// Which.
    pub id: FileId,
    /// A path that led to it, for people.
    pub path: PathBuf,
    /// It, opened for reading. `/proc/self/fd/N` leads to the very file.
    pub file: File,
}

/// The processes that are wanted, and their files.
#[derive(Debug)]
pub struct Processes {
    whose: Whose,
    /// Processes that were named by number, and when each started.
    named: HashMap<u32, u64>,
    known: HashMap<u32, Known>,
    files: HashMap<Place, InUse>,
    next_look: Option<Instant>,
    left_out: u64,
}

#[derive(Debug)]
struct Known {
    started: u64,
    /// When to look at it again, and after how long the time after that.
    again: Instant,
    pause: Duration,
    wanted: bool,
    /// It was named, or descends from one that was.
    descends: bool,
    /// The files that it is counted for.
    files: HashSet<Place>,
    /// Once somebody asked.
    facts: Option<Arc<Process>>,
}

#[derive(Debug)]
struct InUse {
    id: FileId,
    users: usize,
    unused_since: Option<Instant>,
}

/// How often new processes are looked for.
const LOOK: Duration = Duration::from_millis(500);
/// A process may load libraries later: it is looked at again after this time, then after twice that, up to the longest.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// A file stays in use for this long after its last process: the next one may be about to start.
const LINGER: Duration = Duration::from_secs(5);
/// Most processes that are known.
const MAX_PROCESSES: usize = 65_536;
/// Most files that are known.
const MAX_FILES: usize = 65_536;
/// Most steps from a process to the parent that was named.
const MAX_DEPTH: usize = 64;

/// Where TLS libraries lie in the distributions: a file there counts as used by every process that could load it, to be known before one
/// does.
const FOLDERS: [&str; 5] =
    ["usr/lib/x86_64-linux-gnu", "usr/lib/aarch64-linux-gnu", "usr/lib64", "usr/lib", "usr/local/lib"];
/// Their names.
const LIBRARIES: [&str; 4] = ["libcrypto.so.3", "libssl.so.3", "libssl.so.1.1", "libgnutls.so.30"];

/// Paths where a TLS library may lie.
fn usual() -> impl Iterator<Item = String> {
    FOLDERS.into_iter().flat_map(|folder| LIBRARIES.into_iter().map(move |name| format!("{folder}/{name}")))
}

impl Processes {
    /// Knows nothing yet.
    #[must_use]
    pub fn new(whose: Whose) -> Self {
        let targets = if let Whose::Targets(targets) = &whose { targets.as_slice() } else { &[] };
        let named = targets.iter().filter_map(|target| match target {
            Target::Pid(pid) => procfs::stat(*pid).map(|(_, started)| (*pid, started)),
            Target::Unit(_) | Target::Cgroup(_) => None,
        });
        Self {
            named: named.collect(),
            whose,
            known: HashMap::new(),
            files: HashMap::new(),
            next_look: None,
            left_out: 0,
        }
    }

    /// Processes that were named by number and were not there at the start.
    #[must_use]
    pub fn missing(&self) -> Vec<u32> {
        let Whose::Targets(targets) = &self.whose else { return Vec::new() };
        let pids = targets.iter().filter_map(|target| if let Target::Pid(pid) = target { Some(*pid) } else { None });
        pids.filter(|pid| !self.named.contains_key(pid)).collect()
    }

    /// How many processes are wanted, of those that are known.
    #[must_use]
    pub fn wanted(&self) -> usize {
        self.known.values().filter(|known| known.wanted).count()
    }

    /// The processes that use a file, of those that are wanted.
    pub fn users(&self, file: FileId) -> impl Iterator<Item = u32> {
        self.known.iter().filter(move |(_, known)| known.files.contains(&file.place)).map(|(pid, _)| *pid)
    }

    /// Processes and files that were left out because there were too many.
    #[must_use]
    pub const fn left_out(&self) -> u64 {
        self.left_out
    }

    /// The process is wanted.
    pub fn wants(&mut self, pid: u32) -> bool {
        if self.whose == Whose::All {
            return true;
        }
        if !self.known.contains_key(&pid) {
            // Not known until now: there is nothing to tell.
            self.meet(pid, Instant::now(), &mut |_| {});
        }
        self.known.get(&pid).is_some_and(|known| known.wanted)
    }

    /// What is known of a process. One that has gone already has nothing but its number.
    pub fn facts(&mut self, pid: u32) -> Arc<Process> {
        if !self.known.contains_key(&pid) {
            // Not known until now: there is nothing to tell.
            self.meet(pid, Instant::now(), &mut |_| {});
        }
        match self.known.get_mut(&pid) {
            Some(known) => Arc::clone(known.facts.get_or_insert_with(|| Arc::new(facts(pid)))),
            None => Arc::new(Process { pid, ..Process::default() }),
        }
    }

    /// Looks for processes that came and went, and at those whose time has come. Does nothing before it is time to look again.
    pub fn look(&mut self, now: Instant, tell: &mut dyn FnMut(News)) {
        if self.next_look.is_some_and(|next| now < next) {
            return;
        }
        self.next_look = Some(now + LOOK);
        let pids = procfs::all();
        let there: HashSet<u32> = pids.iter().copied().collect();
        // One that nobody waited for is still listed.
        let ended = |pid, known: &Known| !there.contains(&pid) || (known.facts.is_some() && procfs::has_ended(pid));
        let gone: Vec<u32> =
            self.known.iter().filter(|(pid, known)| ended(**pid, known)).map(|(pid, _)| *pid).collect();
        for pid in gone {
            self.forget(pid, now, tell);
        }
        for pid in pids {
            if self.known.get(&pid).is_none_or(|known| known.again <= now) {
                self.visit(pid, now, tell);
            }
        }
        self.let_go(now, tell);
    }

    /// Looks at a process.
    fn visit(&mut self, pid: u32, now: Instant, tell: &mut dyn FnMut(News)) {
        self.meet(pid, now, tell);
        let Some(known) = self.known.get_mut(&pid) else { return };
        known.again = now + known.pause;
        known.pause = (known.pause * 2).min(LONGEST_PAUSE);
        if let Some(before) = &known.facts {
            let facts = facts(pid);
            if **before != facts {
                known.facts = Some(Arc::new(facts));
            }
        }
        let mut before = std::mem::take(&mut known.files);
        let mut files = HashSet::new();
        if known.wanted
            && let Some(root) = Root::of(pid)
        {
            // One after the other: each is open while it is looked at.
            let mapped = procfs::mappings(pid);
            let mapped = mapped.iter().filter_map(|mapping| root.mapped(mapping));
            for file in mapped.chain(usual().filter_map(|path| root.file(&path))) {
                let counted = files.contains(&file.id.place) || before.remove(&file.id.place);
                if self.has(&file, counted, tell) {
                    files.insert(file.id.place);
                }
            }
        }
        if let Some(known) = self.known.get_mut(&pid) {
            known.files = files;
        }
        for place in before {
            self.release(place, now);
        }
    }

    /// A process has a file. `counted`: it is among its users. `false`: there is no room for the file, or it cannot be read.
    fn has(&mut self, file: &Located, counted: bool, tell: &mut dyn FnMut(News)) -> bool {
        if let Some(known) = self.files.get_mut(&file.id.place) {
            known.users += usize::from(!counted);
            known.unused_since = None;
            if known.id != file.id {
                tell(News::Unused(known.id));
                known.id = file.id;
                if let Some(used) = used(file) {
                    tell(News::Used(used));
                }
            }
            return true;
        }
        if self.files.len() >= MAX_FILES {
            self.left_out += 1;
            return false;
        }
        let Some(used) = used(file) else { return false };
        self.files.insert(file.id.place, InUse { id: file.id, users: 1, unused_since: None });
        tell(News::Used(used));
        true
    }

    fn release(&mut self, place: Place, now: Instant) {
        if let Some(file) = self.files.get_mut(&place) {
            file.users = file.users.saturating_sub(1);
            if file.users == 0 {
                file.unused_since = Some(now);
            }
        }
    }

    /// Tells of the files that nobody has used for a while.
    fn let_go(&mut self, now: Instant, tell: &mut dyn FnMut(News)) {
        self.files.retain(|_, file| {
            let over = file.unused_since.is_some_and(|since| now.saturating_duration_since(since) >= LINGER);
            if over {
                tell(News::Unused(file.id));
            }
            !over
        });
    }

    /// Makes sure that a process is known as it is, if it is there.
    fn meet(&mut self, pid: u32, now: Instant, tell: &mut dyn FnMut(News)) {
        let Some((_, started)) = procfs::stat(pid) else {
            self.forget(pid, now, tell);
            return;
        };
        if self.known.get(&pid).is_some_and(|known| known.started != started) {
            self.forget(pid, now, tell);
        }
        let known = self.known.get(&pid);
        if known.is_none() && self.known.len() >= MAX_PROCESSES {
            self.left_out += 1;
            return;
        }
        let descends = known.is_some_and(|known| known.descends) || self.descends(pid);
        let wanted = descends || self.in_cgroup(pid);
        let known = self.known.entry(pid).or_insert_with(|| Known {
            started,
            again: now,
            pause: FIRST_PAUSE,
            wanted,
            descends,
            files: HashSet::new(),
            facts: None,
        });
        (known.wanted, known.descends) = (wanted, descends);
    }

    /// The process is not there any more.
    fn forget(&mut self, pid: u32, now: Instant, tell: &mut dyn FnMut(News)) {
        if let Some(known) = self.known.remove(&pid) {
            if known.facts.is_some() {
                tell(News::Ended(pid));
            }
            for place in known.files {
                self.release(place, now);
            }
        }
    }

    /// The process was named by number, or is a child of one that was, or of its children.
    fn descends(&self, pid: u32) -> bool {
        if self.whose == Whose::All {
            return true;
        }
        let mut at = pid;
        for _ in 0..MAX_DEPTH {
            // Those that are gone are not asked: most runs name none by number.
            if self.named.is_empty() {
                return false;
            }
            if self.known.get(&at).is_some_and(|known| known.descends) {
                return true;
            }
            let Some((parent, started)) = procfs::stat(at) else { return false };
            if self.named.get(&at) == Some(&started) {
                return true;
            }
            if parent == 0 {
                return false;
            }
            at = parent;
        }
        false
    }

    /// The process is in a unit or a control group that was named.
    fn in_cgroup(&self, pid: u32) -> bool {
        let Whose::Targets(targets) = &self.whose else { return false };
        if targets.iter().all(|target| matches!(target, Target::Pid(_))) {
            return false;
        }
        let Some(lines) = procfs::cgroups(pid) else { return false };
        cgroup::paths(&lines).any(|path| targets.iter().any(|target| target.has_cgroup(path)))
    }
}

fn used(file: &Located) -> Option<Used> {
    Some(Used { id: file.id, path: file.path.clone(), file: file.open()? })
}

/// What procfs says of a process.
fn facts(pid: u32) -> Process {
    let lines = procfs::cgroups(pid).unwrap_or_default();
    let first = |of: fn(&str) -> Option<&str>| cgroup::paths(&lines).find_map(of).map(Box::from);
    Process {
        pid,
        command: procfs::command(pid).unwrap_or_default().into(),
        container: first(cgroup::container),
        unit: first(cgroup::unit),
    }
}

#[cfg(test)]
mod tests {
    use std::process::{Child, Command, Stdio};

    use super::*;

    struct Sleeper(Child);

    impl Sleeper {
        /// A program, under another name than the system's, so that nobody else runs its file.
        fn start(folder: &std::path::Path) -> Self {
            let program = folder.join("sleeper");
            // By another process: one that another test starts meanwhile would have the file open for writing.
            assert!(Command::new("cp").arg("/bin/sleep").arg(&program).status().unwrap().success());
            let child = Command::new(&program).arg("1000").stdin(Stdio::null()).spawn().unwrap();
            // It runs before the kernel has mapped its file.
            let maps = format!("/proc/{}/maps", child.id());
            let mapped = || std::fs::read_to_string(&maps).is_ok_and(|maps| maps.contains("/sleeper"));
            while !mapped() {
                std::thread::yield_now();
            }
            Self(child)
        }
    }

    impl Drop for Sleeper {
        fn drop(&mut self) {
            let _ = self.0.kill();
            let _ = self.0.wait();
        }
    }

    fn news(processes: &mut Processes, now: Instant) -> (Vec<FileId>, Vec<FileId>) {
        let (mut used, mut unused) = (Vec::new(), Vec::new());
        processes.look(now, &mut |news| match news {
            News::Used(file) => used.push(file.id),
            News::Unused(id) => unused.push(id),
            News::Ended(_) => {}
        });
        (used, unused)
    }

    #[test]
    fn a_file_is_told_with_its_first_process_and_after_its_last() {
        let folder = tempfile::tempdir().unwrap();
        let mut first = Sleeper::start(folder.path());
        let program = folder.path().join("sleeper");
        let file = FileId::of_path(&program).unwrap();
        let pids = [Target::Pid(first.0.id()), Target::Pid(u32::MAX)];
        let mut processes = Processes::new(Whose::Targets(pids.to_vec()));
        assert_eq!(processes.missing(), [u32::MAX]);
        let now = Instant::now();
        let (used, unused) = news(&mut processes, now);
        assert!(used.contains(&file) && unused.is_empty());
        assert!(processes.wants(first.0.id()) && !processes.wants(std::process::id()));
        assert_eq!(processes.users(file).collect::<Vec<_>>(), [first.0.id()]);
        assert_eq!(&*processes.facts(first.0.id()).command, "sleeper");
        assert_eq!(news(&mut processes, now + LOOK), (vec![], vec![]), "told once");
        first.0.kill().unwrap();
        // Killed, and a moment later dead, though nobody has waited for it.
        let mut later = now + LOOK;
        let ended = (0..200).find_map(|_| {
            std::thread::sleep(Duration::from_millis(10));
            later += LOOK;
            let mut ended = None;
            processes.look(later, &mut |news| match news {
                News::Ended(pid) => ended = Some(pid),
                news => panic!("another may come: {news:?}"),
            });
            ended
        });
        assert_eq!(ended, Some(first.0.id()));
        later += LOOK;
        processes.look(later, &mut |news| panic!("told once: {news:?}"));
        drop(first);
        let (used, unused) = news(&mut processes, later + LINGER);
        assert!(used.is_empty() && unused.contains(&file));
        assert!(processes.files.is_empty() && processes.known.values().all(|known| known.files.is_empty()));
    }

    #[test]
    fn children_belong_and_a_file_that_is_written_anew_is_another() {
        let folder = tempfile::tempdir().unwrap();
        let mut processes = Processes::new(Whose::Targets(vec![Target::Pid(std::process::id())]));
        let child = Sleeper::start(folder.path());
        assert!(processes.wants(child.0.id()) && !processes.wants(1));
        let now = Instant::now();
        news(&mut processes, now);
        let program = folder.path().join("sleeper");
        let before = FileId::of_path(&program).unwrap();
        let written = std::fs::File::options().read(true).open(&program).unwrap();
        written.set_modified(std::time::SystemTime::UNIX_EPOCH).unwrap();
        let after = FileId::of_path(&program).unwrap();
        let (used, unused) = news(&mut processes, now + LONGEST_PAUSE);
        // Other tests' processes are children as well.
        assert!(used.contains(&after) && unused.contains(&before), "{used:?} {unused:?}");
    }

    #[test]
    fn a_control_group_by_its_path() {
        let own = procfs::cgroups(std::process::id()).unwrap();
        let Some(path) = cgroup::paths(&own).next() else { return };
        let mut processes = Processes::new(Whose::Targets(vec![Target::Cgroup(path.to_owned())]));
        assert!(processes.wants(std::process::id()));
        let mut processes = Processes::new(Whose::Targets(vec![Target::Cgroup("/none/such".into())]));
        assert!(!processes.wants(std::process::id()) && processes.wanted() == 0);
    }
}
