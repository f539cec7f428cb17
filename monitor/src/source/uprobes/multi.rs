//! Programs for many places of a file with one link (`BPF_LINK_TYPE_UPROBE_MULTI`, Linux 6.6 and later).
//!
//! aya has neither such links nor the programs for them. The object is read once more, by what aya reads it with, and its programs
//! are bound to the maps that aya made.

use std::collections::HashMap;
use std::ffi::CString;
use std::io;
use std::os::fd::{AsFd as _, AsRawFd as _, OwnedFd, RawFd};

use aya::Ebpf;
use aya::maps::Map;
use aya_obj::{Object, ProgramSection};

use super::{Place, syscall};
use crate::source::object::OBJECT;

/// Programs that were loaded for such links.
pub(super) struct Multi {
    programs: HashMap<&'static str, OwnedFd>,
}

impl Multi {
    /// Loads these programs. `None` where the kernel has no such links, or anything else is in the way.
    pub(super) fn load(ebpf: &Ebpf, names: &[&'static str]) -> Option<Self> {
        let object = bound(ebpf)?;
        let load = |name: &&'static str| {
            let program = object.programs.get(*name)?;
            let ProgramSection::UProbe { sleepable } = program.section else { return None };
            let function = object.functions.get(&program.function_key())?;
            let program = syscall::load(name, &function.instructions, &program.license, sleepable).ok()?;
            Some((*name, program))
        };
        let multi = Self { programs: names.iter().map(load).collect::<Option<_>>()? };
        multi.is_understood(names.first()?).then_some(multi)
    }

    /// Whether the kernel has such links. An older one loads the programs all the same and says EINVAL to any link; this folder
    /// cannot be probed, which is EBADF where the kernel came to look at it.
    fn is_understood(&self, name: &str) -> bool {
        let tried = self.attach(name, "/", &[Place { offset: 0, cookie: 0 }]);
        tried.is_err_and(|error| error.raw_os_error() == Some(libc::EBADF))
    }

    /// Attaches a program to all of these places, or to none.
    pub(super) fn attach(&self, name: &str, path: &str, places: &[Place]) -> io::Result<OwnedFd> {
        let program = self.programs.get(name).ok_or(io::ErrorKind::NotFound)?;
        syscall::link(program.as_fd(), &CString::new(path)?, places)
    }
}

/// The object, its programs bound to the maps of `ebpf`.
fn bound(ebpf: &Ebpf) -> Option<Object> {
    let mut object = Object::parse(OBJECT).ok()?;
    let sections = object.functions.keys().map(|(section, _)| *section).collect();
    let maps = std::mem::take(&mut object.maps);
    // All of them: for a map that is not there the relocation would take another one of the same section.
    let found = maps.iter().map(|(name, map)| Some((name.as_str(), descriptor(ebpf.map(name)?)?, map)));
    let found = found.collect::<Option<Vec<_>>>()?;
    object.relocate_maps(found.into_iter(), &sections).ok()?;
    object.relocate_calls(&sections).ok()?;
    Some(object)
}

/// The descriptor of a map, of the types that the programs have.
fn descriptor(map: &Map) -> Option<RawFd> {
    match map {
        Map::Array(data)
        | Map::HashMap(data)
        | Map::LpmTrie(data)
        | Map::LruHashMap(data)
        | Map::PerCpuArray(data)
        | Map::PerCpuHashMap(data)
        | Map::RingBuf(data) => Some(data.fd().as_fd().as_raw_fd()),
        _ => None,
    }
}
