//! Probes at instructions of files. They sit in a file by its inode, so that one covers every process that runs it.
//!
//! Removing a probe waits until no processor runs its program any more, some hundred milliseconds for each link. So all places of a
//! program in a file have one link where the kernel has such links, and a perf event each where it has not. Many kernels want
//! CAP_SYS_ADMIN for these events, and for the links none of them.

mod multi;
mod syscall;

use std::os::fd::{AsRawFd as _, OwnedFd};

use aya::Ebpf;
use aya::maps::{MapData, PerCpuArray};
use aya::programs::uprobe::{UProbeAttachLocation, UProbeAttachPoint, UProbeLink, UProbeScope};
use aya::programs::{ProgramError, UProbe};

use super::SourceError;
use super::object::{failed, lacks, patiently};
use super::processes::Used;
use multi::Multi;

/// An instruction that is probed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    /// Offset in the file.
    pub(super) offset: u64,
    /// What the program is told of it.
    pub(super) cookie: u64,
}

/// What holds probes in place: until it is dropped.
#[derive(Debug)]
pub(super) enum Link {
    /// A link of its own kind, for one probe or many.
    Multi { _link: OwnedFd },
    /// A perf event, for one.
    Single { _link: UProbeLink },
}

/// What became of the places in a file.
#[derive(Debug, Default)]
pub(super) struct Attached {
    pub(super) links: Vec<Link>,
    /// One for each place that is not probed.
    pub(super) problems: Vec<SourceError>,
}

/// Programs that can be attached.
pub(super) struct Uprobes {
    /// As they are for many places at a time. `None`: one by one.
    multi: Option<Multi>,
}

impl Uprobes {
    /// Loads these programs, as long as `ebpf` still has all of its maps. `single`: for one place at a time in any case.
    pub(super) fn load(ebpf: &mut Ebpf, names: &[&'static str], single: bool) -> Result<Self, SourceError> {
        let multi = if single { None } else { Multi::load(ebpf, names) };
        if multi.is_none() {
            // What is wrong with a program is told here, by the way that every kernel has.
            names.iter().try_for_each(|name| load(ebpf, name).map(drop))?;
        }
        Ok(Self { multi })
    }

    /// Attaches a program to places in a file.
    pub(super) fn attach(&self, ebpf: &mut Ebpf, name: &'static str, used: &Used, places: &[Place]) -> Attached {
        if places.is_empty() {
            return Attached::default();
        }
        // By its descriptor: the file itself, whatever its path leads to by now.
        let path = format!("/proc/self/fd/{}", used.file.as_raw_fd());
        let what = || format!("probe {}", used.path.display());
        let many = |places: &[Place]| {
            let multi = self.multi.as_ref()?;
            let link = multi.attach(name, &path, places).map_err(|error| failed(what(), error));
            Some(link.map(|link| Link::Multi { _link: link }))
        };
        if let Some(Ok(link)) = many(places) {
            return Attached { links: vec![link], problems: Vec::new() };
        }
        // A link of many has all places or none: one that cannot be probed takes none of the others with it, and is told.
        let mut attached = Attached::default();
        for place in places {
            match many(&[*place]).unwrap_or_else(|| single(ebpf, name, &path, *place, &what)) {
                Ok(link) => attached.links.push(link),
                Err(problem) => attached.problems.push(problem),
            }
        }
        attached
    }
}

/// Attaches a program to one place.
fn single(
    ebpf: &mut Ebpf,
    name: &'static str,
    path: &str,
    place: Place,
    what: &dyn Fn() -> String,
) -> Result<Link, SourceError> {
    let program = load(ebpf, name)?;
    let location = UProbeAttachLocation::AbsoluteOffset(place.offset);
    let point = UProbeAttachPoint { location, cookie: Some(place.cookie) };
    let link = program.attach(point, path, UProbeScope::AllProcesses).and_then(|link| program.take_link(link));
    link.map(|link| Link::Single { _link: link }).map_err(|error| failed(what(), error))
}

/// The program for one place at a time, loaded.
fn load<'e>(ebpf: &'e mut Ebpf, name: &'static str) -> Result<&'e mut UProbe, SourceError> {
    let program = ebpf.program_mut(name).ok_or_else(|| lacks(name))?;
    let program: &mut UProbe =
        program.try_into().map_err(|error: ProgramError| failed(format!("use {name}"), error))?;
    if program.fd().is_err() {
        patiently(|| program.load()).map_err(|error| {
            failed(format!("load {name} (needs CAP_BPF and CAP_PERFMON, or root; Linux 6.0 or later)"), error)
        })?;
    }
    Ok(program)
}

/// What all processors counted together, by the number of the counter.
pub(super) fn totals<const N: usize>(
    counters: &PerCpuArray<MapData, [u64; N]>,
    whose: &str,
) -> Result<impl Fn(usize) -> u64, SourceError> {
    let each = counters.get(&0, 0).map_err(|error| failed(format!("read {whose}"), error))?;
    Ok(move |at: usize| each.iter().filter_map(|counters| counters.get(at)).sum())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::object::{self, Sizes};
    use crate::source::processes::FileId;

    /// What is attached to a file that nothing runs: the kernel looks at no instruction then, and refuses what lies behind the end.
    fn attached(single: bool, offsets: &[u64]) -> Option<Attached> {
        const NAME: &str = "h2watch_kdf";
        let loaded = object::open(Sizes::default()).and_then(|mut ebpf| {
            let uprobes = Uprobes::load(&mut ebpf, &[NAME], single)?;
            Ok((ebpf, uprobes))
        });
        let (mut ebpf, uprobes) = loaded.map_err(|error| println!("skipped: {error}")).ok()?;
        let mut file = tempfile::NamedTempFile::new().unwrap();
        std::io::Write::write_all(&mut file, &[0x90; 8_192]).unwrap();
        let path = file.path().to_owned();
        let id = FileId::of(&file.as_file().metadata().unwrap());
        let used = Used { id, path, file: file.into_file() };
        let places: Vec<Place> = offsets.iter().map(|offset| Place { offset: *offset, cookie: 1 }).collect();
        Some(uprobes.attach(&mut ebpf, NAME, &used, &places))
    }

    #[test]
    fn one_place_that_cannot_be_probed_takes_no_other_with_it() {
        for single in [false, true] {
            let Some(attached) = attached(single, &[64, 1 << 20, 4_096]) else { return };
            assert_eq!((attached.links.len(), attached.problems.len()), (2, 1), "{attached:?}");
            let text = attached.problems[0].to_string();
            assert!(text.starts_with("probe /"), "{text}");
        }
    }

    #[test]
    fn places_that_can_be_probed_are_one_by_one_where_it_is_asked_for() {
        let Some(attached) = attached(true, &[64, 4_096]) else { return };
        assert_eq!((attached.links.len(), attached.problems.len()), (2, 0), "{attached:?}");
        assert!(attached.links.iter().all(|link| matches!(link, Link::Single { .. })));
    }
}
