//! Probes at instructions of files. They sit in a file by its inode, so that one covers every process that runs it.

use std::os::fd::AsRawFd as _;

use aya::Ebpf;
use aya::maps::{MapData, PerCpuArray};
use aya::programs::uprobe::{UProbeAttachPoint, UProbeLink, UProbeScope};
use aya::programs::{ProgramError, UProbe};

use super::SourceError;
use super::object::{failed, lacks, patiently};
use super::processes::Used;

/// Loads a program.
pub(super) fn load(ebpf: &mut Ebpf, name: &'static str) -> Result<(), SourceError> {
    let program = program(ebpf, name)?;
    patiently(|| program.load()).map_err(|error| {
        failed(format!("load {name} (needs CAP_BPF and CAP_PERFMON, or root; Linux 6.0 or later)"), error)
    })
}

/// Attaches a program to a place in a file, until the link is dropped.
pub(super) fn attach<'a>(
    ebpf: &mut Ebpf,
    name: &'static str,
    used: &Used,
    point: impl Into<UProbeAttachPoint<'a>>,
) -> Result<UProbeLink, SourceError> {
    // By its descriptor: the file itself, whatever its path leads to by now.
    let path = format!("/proc/self/fd/{}", used.file.as_raw_fd());
    let program = program(ebpf, name)?;
    let link = program.attach(point, path, UProbeScope::AllProcesses).and_then(|link| program.take_link(link));
    link.map_err(|error| failed(format!("probe {}", used.path.display()), error))
}

fn program<'e>(ebpf: &'e mut Ebpf, name: &str) -> Result<&'e mut UProbe, SourceError> {
    let program = ebpf.program_mut(name).ok_or_else(|| lacks(name))?;
    program.try_into().map_err(|error: ProgramError| failed(format!("use {name}"), error))
}

/// What all processors counted together, by the number of the counter.
pub(super) fn totals<const N: usize>(
    counters: &PerCpuArray<MapData, [u64; N]>,
    whose: &str,
) -> Result<impl Fn(usize) -> u64, SourceError> {
    let each = counters.get(&0, 0).map_err(|error| failed(format!("read {whose}"), error))?;
    Ok(move |at: usize| each.iter().filter_map(|counters| counters.get(at)).sum())
}
