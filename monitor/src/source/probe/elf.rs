//! Where in a program or library the probed functions begin.

use std::fs::File;

use std::os::unix::fs::MetadataExt as _;

use object::read::elf::{ElfFile64, SectionHeader as _, Sym as _, SymbolTable};
use object::{LittleEndian, Object, ObjectSection, ObjectSegment, ReadCache, ReadRef};

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
    if !is_likely(file) {
        return Vec::new();
    }
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
        let tables = [elf.elf_dynamic_symbol_table(), elf.elf_symbol_table()];
        offset(tables.into_iter().find_map(|table| address(&elf, table, name))?)
    };
    let section = |name: &str| elf.section_by_name(name);
    let mut found = Vec::new();
    if !elf.elf_dynamic_symbol_table().is_empty()
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

/// Largest file that is looked into.
const MAX_FILE: u64 = 1 << 30;

/// Tables are read as a whole: they are as long as their file at most, whose length a container could claim without having it on disk.
fn is_likely(file: &File) -> bool {
    file.metadata().is_ok_and(|metadata| metadata.size() <= MAX_FILE && metadata.blocks() * 512 >= metadata.size() / 2)
}

/// The address of the symbol with this name. Its name is looked for first: there are tens of thousands of symbols, and one is wanted.
fn address<'data, R: ReadRef<'data>>(
    elf: &ElfFile64<'data, LittleEndian, R>,
    table: &SymbolTable<'data, object::elf::FileHeader64<LittleEndian>, R>,
    name: &[u8],
) -> Option<u64> {
    let endian = elf.endian();
    let strings = elf.elf_section_table().section(table.string_section()).ok()?;
    let strings = strings.data(endian, elf.data()).ok()?;
    let mut places = Vec::new();
    let mut at = 0;
    for string in strings.split(|byte| *byte == 0) {
        // A name may be the end of another's.
        if string.ends_with(name) {
            places.push(u32::try_from(at + string.len() - name.len()).ok()?);
        }
        at += string.len() + 1;
    }
    let is_it = |place: u32| places.contains(&place);
    let found = table.symbols().iter().find(|symbol| {
        is_it(symbol.st_name(endian))
            && symbol.st_value(endian) != 0
            && symbol.st_shndx(endian) != object::elf::SHN_UNDEF
    });
    found.map(|symbol| symbol.st_value(endian))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_is_mostly_holes_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("sparse");
        std::fs::copy(std::env::current_exe().unwrap(), &path).unwrap();
        let file = File::options().read(true).write(true).open(path).unwrap();
        file.set_len(MAX_FILE).unwrap();
        assert!(!is_likely(&file) && functions(&file).is_empty());
    }

    #[test]
    fn a_file_without_the_functions_has_none() {
        assert_eq!(functions(&File::open(std::env::current_exe().unwrap()).unwrap()), []);
        assert_eq!(functions(&File::open("/proc/self/status").unwrap()), []);
    }
}
