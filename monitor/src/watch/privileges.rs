//! Least privilege: once everything is open, only what it takes to open the capture again is kept.

use std::ffi::CString;
use std::path::{Path, PathBuf};

use caps::{CapSet, CapsHashSet};
use nix::errno::Errno;
use nix::sys::prctl;
use nix::sys::resource::{Resource, setrlimit};
use nix::unistd::{
    AccessFlags, User, eaccess, geteuid, getresgid, getresuid, getuid, initgroups, setresgid, setresuid,
};

pub use caps::Capability;

/// What a run still needs when everything is open.
#[derive(Clone, Copy, Debug, Default)]
pub struct Needs<'n> {
    /// The user to become.
    pub user: Option<&'n str>,
    /// Capabilities to keep.
    pub capabilities: &'n [Capability],
    /// Files, folders and pipes that are opened later, too. Where the user may not read one of them, CAP_DAC_READ_SEARCH is kept.
    pub readable: &'n [PathBuf],
}

/// What was kept.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Kept {
    /// Capabilities that the program still has, by name.
    pub capabilities: Vec<String>,
    /// What the operator should know, one line each.
    pub notes: Vec<String>,
}

/// Looks a user up.
///
/// # Errors
/// There is no such user, in one line.
pub fn find_user(name: &str) -> Result<User, String> {
    match User::from_name(name) {
        Ok(Some(user)) => Ok(user),
        Ok(None) => Err(format!("there is no user {name}: useradd --system --no-create-home {name}")),
        Err(error) => Err(format!("cannot look up the user {name}: {error}")),
    }
}

/// Says what is missing, and how to give it.
///
/// # Errors
/// The program lacks one of the capabilities.
pub fn check(wanted: &[Capability]) -> Result<(), String> {
    let has = read(CapSet::Effective)?;
    let missing: Vec<_> = wanted.iter().filter(|wanted| !has.contains(wanted)).collect();
    let Some(first) = missing.first() else { return Ok(()) };
    let names = missing.iter().map(ToString::to_string).collect::<Vec<_>>().join(",");
    let program = std::env::current_exe().unwrap_or_else(|_| PathBuf::from("h2watch"));
    Err(format!(
        "not allowed to capture: {first} is missing; run as root, or `setcap {}+ep {}`, or under systemd with AmbientCapabilities={}",
        names.to_lowercase(),
        program.display(),
        names.replace(',', " "),
    ))
}

/// Does something with these capabilities alone in effect, and has all of them back afterwards. They have to be there.
pub(super) fn with(capabilities: &[Capability], what: impl FnOnce() -> Result<(), String>) -> Result<(), String> {
    let before = read(CapSet::Effective)?;
    set(CapSet::Effective, &capabilities.iter().copied().collect())?;
    let done = what();
    set(CapSet::Effective, &before)?;
    done
}

/// Becomes the user, keeps only the capabilities that are needed, and sees to it that they cannot come back and that no core file gets
/// the keys. Capabilities belong to threads: call it before there are any others.
///
/// # Errors
/// Something could not be given up, in one line: the run must not go on.
pub fn drop(needs: Needs<'_>) -> Result<Kept, String> {
    only_thread()?;
    let user = needs.user.map(find_user).transpose()?;
    prctl::set_no_new_privs().map_err(|error| failed("set no_new_privs", error))?;
    // Without CAP_SETPCAP the set cannot be changed; with no_new_privs nothing can be gained from it.
    if read(CapSet::Effective)?.contains(&Capability::CAP_SETPCAP) {
        for capability in caps::runtime::thread_all_supported() {
            caps::drop(None, CapSet::Bounding, capability)
                .map_err(|error| format!("cannot take {capability} from the bounding set: {error}"))?;
        }
    }
    if let Some(user) = &user {
        become_user(user)?;
    }
    // From here on nothing rests on a capability, but they can still be had.
    set(CapSet::Effective, &CapsHashSet::new())?;
    let (keep, notes) = choose(&needs, &read(CapSet::Permitted)?)?;
    set(CapSet::Effective, &keep)?;
    caps::clear(None, CapSet::Ambient).map_err(|error| format!("cannot clear the ambient capabilities: {error}"))?;
    set(CapSet::Inheritable, &CapsHashSet::new())?;
    set(CapSet::Permitted, &keep)?;
    // After the change of user, which sets it anew.
    prctl::set_dumpable(false).map_err(|error| failed("forbid core files", error))?;
    setrlimit(Resource::RLIMIT_CORE, 0, 0).map_err(|error| failed("forbid core files", error))?;
    let mut kept = Kept { capabilities: names(&keep), notes };
    kept.notes.extend(as_root(&kept.capabilities));
    Ok(kept)
}

/// Capabilities to keep, given what can be had.
fn choose(needs: &Needs<'_>, permitted: &CapsHashSet) -> Result<(CapsHashSet, Vec<String>), String> {
    let mut keep: CapsHashSet = needs.capabilities.iter().copied().collect();
    if let Some(missing) = keep.iter().find(|wanted| !permitted.contains(wanted)) {
        return Err(format!("{missing} is needed to open the capture again, and cannot be kept"));
    }
    let mut notes = Vec::new();
    if let Some(path) = needs.readable.iter().find(|path| unreadable(path)) {
        let path = path.display();
        let who = needs.user.map_or_else(|| "the program".to_owned(), |user| format!("user {user}"));
        if permitted.contains(&Capability::CAP_DAC_READ_SEARCH) {
            keep.insert(Capability::CAP_DAC_READ_SEARCH);
            notes.push(format!("kept CAP_DAC_READ_SEARCH, because {who} may not read {path}"));
        } else {
            notes.push(format!("{who} may not read {path}: give its group the right to"));
        }
    }
    Ok((keep, notes))
}

/// It is there and may not be read with no capability in effect.
fn unreadable(path: &Path) -> bool {
    let mode = if path.is_dir() { AccessFlags::R_OK | AccessFlags::X_OK } else { AccessFlags::R_OK };
    eaccess(path, mode) == Err(Errno::EACCES)
}

fn become_user(user: &User) -> Result<(), String> {
    let name = &user.name;
    if user.uid == getuid() && user.uid == geteuid() && !user.uid.is_root() {
        return Ok(());
    }
    let text = CString::new(name.as_str()).map_err(|_| format!("{name} is no user name"))?;
    // Changing from root to another user would clear what is to be kept.
    prctl::set_keepcaps(true).map_err(|error| failed("keep capabilities", error))?;
    let denied = |what: &str, error: Errno| format!("cannot become user {name} ({what}: {error}): start as root");
    initgroups(&text, user.gid).map_err(|error| denied("initgroups", error))?;
    setresgid(user.gid, user.gid, user.gid).map_err(|error| denied("setresgid", error))?;
    setresuid(user.uid, user.uid, user.uid).map_err(|error| denied("setresuid", error))?;
    prctl::set_keepcaps(false).map_err(|error| failed("keep capabilities", error))?;
    // What was given up has to be gone, saved ids included.
    let (users, groups) = (getresuid(), getresgid());
    let gone = users.is_ok_and(|ids| [ids.real, ids.effective, ids.saved].iter().all(|&id| id == user.uid))
        && groups.is_ok_and(|ids| [ids.real, ids.effective, ids.saved].iter().all(|&id| id == user.gid));
    if gone { Ok(()) } else { Err(format!("became user {name}, but not for good")) }
}

/// The line for a run that stays root.
fn as_root(kept: &[String]) -> Option<String> {
    let kept = if kept.is_empty() { "no capability".to_owned() } else { kept.join(", ") };
    getuid()
        .is_root()
        .then(|| format!("runs as root, because no user is named; kept {kept}, gave up every other capability"))
}

fn only_thread() -> Result<(), String> {
    let tasks =
        std::fs::read_dir("/proc/self/task").map_err(|error| format!("cannot read /proc/self/task: {error}"))?;
    match tasks.count() {
        1 => Ok(()),
        count => Err(format!("cannot give up privileges: {count} threads run already, and would keep them")),
    }
}

fn read(set: CapSet) -> Result<CapsHashSet, String> {
    caps::read(None, set).map_err(|error| format!("cannot read the capabilities: {error}"))
}

/// Sets and reads back.
fn set(which: CapSet, wanted: &CapsHashSet) -> Result<(), String> {
    caps::set(None, which, wanted).map_err(|error| format!("cannot give up capabilities: {error}"))?;
    if read(which)? == *wanted { Ok(()) } else { Err("gave up capabilities, but some are still there".to_owned()) }
}

fn names(set: &CapsHashSet) -> Vec<String> {
    let mut names: Vec<_> = set.iter().map(ToString::to_string).collect();
    names.sort();
    names
}

fn failed(what: &str, error: Errno) -> String {
    format!("cannot {what}: {error}")
}
