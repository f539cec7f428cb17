//! What a configuration names of this machine: whether it is there, and can be used.

use std::path::Path;

use super::load::Loaded;
use super::problem::Problem;
use super::values::Destination;
use crate::watch::privileges::find_user;
use crate::web::Bound;

/// Everything that is not there or cannot be used. Interfaces and key logs may come later.
pub(super) fn problems(loaded: &Loaded) -> Vec<Problem> {
    let values = &loaded.values;
    let files = values.events.iter().filter_map(|one| match one {
        Destination::File(path) => Some(path.as_path()),
        Destination::Stdout | Destination::Journal => None,
    });
    let wrong = |key: &str, text: String| Problem { origin: loaded.origin(key), key: key.to_owned(), text };
    let user = values.user.as_deref().and_then(|name| find_user(name).err());
    let web = values.web_config.as_deref().and_then(|path| Bound::bind(&[], Some(path)).err());
    let mut problems: Vec<Problem> = filter(loaded).into_iter().collect();
    problems.extend(user.map(|text| wrong("user", text)));
    problems.extend(web.map(|text| wrong("web-config", text)));
    problems.extend(files.filter_map(no_file).map(|text| wrong("events", text)));
    problems
}

/// The filter cannot be compiled. Without libpcap nobody can say.
#[cfg(feature = "pcap")]
pub(super) fn filter(loaded: &Loaded) -> Option<Problem> {
    let filter = loaded.values.filter.as_deref()?;
    let error = crate::source::live::pcap::compile(filter).err()?;
    let text = format!("\"{filter}\" is not valid: {error}: `man pcap-filter` has the language");
    Some(Problem { origin: loaded.origin("filter"), key: "filter".to_owned(), text })
}

#[cfg(not(feature = "pcap"))]
pub(super) const fn filter(_: &Loaded) -> Option<Problem> {
    None
}

/// Why events cannot go to this file, whoever writes them.
fn no_file(path: &Path) -> Option<String> {
    let (shown, folder) = (path.display(), path.parent().filter(|folder| !folder.as_os_str().is_empty())?);
    match () {
        () if path.is_dir() => Some(format!("{shown} is a folder: name a file in it, as {shown}/events.jsonl")),
        () if folder.is_dir() => None,
        () if folder.exists() => Some(format!("{} is no folder: name a file in one", folder.display())),
        () => Some(format!("there is no folder {0}: mkdir -p {0}", folder.display())),
    }
}
