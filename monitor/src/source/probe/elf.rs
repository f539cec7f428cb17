//! Where in a program or library the probed functions begin.

use std::fs::File;

use object::read::elf::ElfFile64;
use object::{LittleEndian, Object, ObjectSection, ObjectSegment, ObjectSymbol, ReadCache};

use super::pclntab;

/// A function that can be probed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Function {
    /// `EVP_KDF_derive` of OpenSSL 3.
    OpenSsl,
    /// `crypto/tls.(*Config).writeKeyLog` of Go.
    Go,
}

const OPENSSL: &[u8] = b"EVP_KDF_derive";
pub(super) const GO: &[u8] = b"crypto/tls.(*Config).writeKeyLog";

/// Longest `.gopclntab` that is read: that of the largest programs has some tens of megabytes.
const MAX_TABLE: u64 = 256 << 20;

/// The probed functions of a file, and their offsets in it. Files that are not ELF have none.
pub(in crate::source) fn functions(file: &File) -> Vec<(Function, u64)> {
    let cache = ReadCache::new(file);
    let Ok(elf) = ElfFile64::<LittleEndian, _>::parse(&cache) else { return Vec::new() };
    let offset = |address: u64| {
        elf.segments().find_map(|segment| {
            let inside = address.checked_sub(segment.address())?;
            let (start, len) = segment.file_range();
            (inside < len).then(|| start.checked_add(inside))?
        })
    };
    let symbol = |name: &[u8]| {
        let found = elf.dynamic_symbols().chain(elf.symbols()).find(|symbol| {
            symbol.is_definition() && symbol.address() != 0 && symbol.name_bytes().is_ok_and(|own| own == name)
        })?;
        offset(found.address())
    };
    let section = |name: &str| elf.section_by_name(name);
    let mut found = Vec::new();
    if elf.dynamic_symbols().next().is_some()
        && let Some(at) = symbol(OPENSSL)
    {
        found.push((Function::OpenSsl, at));
    }
    if let Some(table) = section(".gopclntab").or_else(|| section(".data.rel.ro.gopclntab")) {
        let text = section(".text").map_or(0, |text| text.address());
        let by_table = || {
            let bytes = table.data().ok().filter(|_| table.size() <= MAX_TABLE)?;
            offset(pclntab::address(bytes, text, GO)?)
        };
        if let Some(at) = symbol(GO).or_else(by_table) {
            found.push((Function::Go, at));
        }
    }
    found
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
