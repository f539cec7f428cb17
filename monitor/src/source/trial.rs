//! Whether the running kernel takes the programs: each is loaded, attached nowhere, and let go. And whether it sets a probe.

use std::fs::File;
use std::path::PathBuf;

use aya::programs::{Program, ProgramError};

use super::SourceError;
use super::object::{self, Sizes, failed, patiently};
use super::processes::{FileId, Used};
use super::uprobes::{Place, Uprobes};

/// A program that was tried.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tried {
    /// Its name.
    pub name: String,
    /// What the kernel said against it.
    pub problem: Option<String>,
}

/// Tries every program, in the order of their names.
///
/// # Errors
/// When the kernel does not even make their maps.
pub fn programs() -> Result<Vec<Tried>, SourceError> {
    let mut ebpf = object::open(Sizes::default())?;
    let mut tried: Vec<Tried> = Vec::new();
    for (name, program) in ebpf.programs_mut() {
        let problem = load(program).err().map(|error| failed(format!("load {name}"), error).to_string());
        tried.push(Tried { name: name.to_owned(), problem });
    }
    tried.sort_by(|one, other| one.name.cmp(&other.name));
    Ok(tried)
}

/// Sets a probe and takes it away again: at the first byte of this program's own file, which nothing ever runs.
///
/// # Errors
/// What the kernel says against it.
pub fn probe() -> Result<(), SourceError> {
    const NAME: &str = "h2watch_kdf";
    let path = PathBuf::from("/proc/self/exe");
    let failed = |error| SourceError::Io { what: "open this program's own file".to_owned(), error };
    let file = File::open(&path).map_err(failed)?;
    let id = FileId::of(&file.metadata().map_err(failed)?);
    let mut ebpf = object::open(Sizes::default())?;
    let uprobes = Uprobes::load(&mut ebpf, &[NAME], false)?;
    let places = [Place { offset: 0, cookie: 0 }];
    let attached = uprobes.attach(&mut ebpf, NAME, &Used { id, path, file }, &places);
    attached.problems.into_iter().next().map_or(Ok(()), Err)
}

fn load(program: &mut Program) -> Result<(), ProgramError> {
    match program {
        Program::SchedClassifier(program) => patiently(|| program.load()),
        Program::UProbe(program) => patiently(|| program.load()),
        Program::RawTracePoint(program) => patiently(|| program.load()),
        _ => Err(ProgramError::UnexpectedProgramType),
    }
}
