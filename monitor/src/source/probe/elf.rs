//! Where in a program or library the probed functions begin.

use std::fs::File;

use super::pclntab;
use crate::source::elf::{self, Elf};

/// A function that can be probed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Function {
    /// `EVP_KDF_derive` of OpenSSL 3.
    OpenSsl,
    /// `crypto/tls.(*Config).writeKeyLog` of Go.
    Go,
}

const OPENSSL: &str = "EVP_KDF_derive";
const GO: &str = "crypto/tls.(*Config).writeKeyLog";

/// The probed functions of a file, and their offsets in it. Files that are not ELF for this machine have none.
pub(in crate::source) fn functions(file: &File) -> Vec<(Function, u64)> {
    elf::open(file, |elf| {
        let [openssl, go] = elf.functions([OPENSSL, GO]).map(|found| found.and_then(|found| elf.offset(found.address)));
        let go = go.or_else(|| elf.offset(by_table(elf)?));
        let found = [(Function::OpenSsl, openssl), (Function::Go, go)];
        found.into_iter().filter_map(|(function, at)| Some((function, at?))).collect()
    })
    .unwrap_or_default()
}

/// The address of Go's function in a program without symbols.
fn by_table(elf: &Elf<'_>) -> Option<u64> {
    let (_, table) = elf.section(".gopclntab").or_else(|| elf.section(".data.rel.ro.gopclntab"))?;
    let text = elf.section(".text").map_or(0, |(address, _)| address);
    pclntab::address(table()?, text, GO.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_without_the_functions_has_none() {
        assert_eq!(functions(&File::open(std::env::current_exe().unwrap()).unwrap()), []);
        assert_eq!(functions(&File::open("/proc/self/status").unwrap()), []);
    }
}
