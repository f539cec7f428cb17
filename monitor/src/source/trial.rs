//! Whether the running kernel takes the programs: each is loaded, attached nowhere, and let go.

use aya::programs::{Program, ProgramError};

use super::SourceError;
use super::object::{self, Sizes, failed, patiently};

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

fn load(program: &mut Program) -> Result<(), ProgramError> {
    match program {
        Program::SchedClassifier(program) => patiently(|| program.load()),
        Program::UProbe(program) => patiently(|| program.load()),
        Program::RawTracePoint(program) => patiently(|| program.load()),
        _ => Err(ProgramError::UnexpectedProgramType),
    }
}
