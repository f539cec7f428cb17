//! Programs and libraries that processes run (ELF), opened with care: whoever runs a process chooses what is in the files that it maps.
//!
//! Each table is gone through once, whatever it says, and its length is held against what may be read before it is.

use std::cell::RefCell;
use std::collections::HashSet;
use std::fs::File;
use std::ops::Range;
use std::os::unix::fs::MetadataExt as _;

use object::elf::{EM_X86_64, FileHeader64, PF_X, PT_LOAD, SHN_UNDEF, SHT_DYNSYM, SHT_SYMTAB, STT_FUNC, Sym64};
use object::read::elf::{FileHeader as _, ProgramHeader as _, SectionHeader as _, Sym as _};
use object::{LittleEndian, ReadCache, ReadRef};

type Header = FileHeader64<LittleEndian>;
type Section = <Header as object::read::elf::FileHeader>::SectionHeader;

/// Largest file that is looked into.
const MAX_FILE: u64 = 1 << 30;
/// Most bytes of a file that are read: the tables of the largest programs have some tens of megabytes.
const MAX_READ: u64 = 256 << 20;
/// Most executable segments of a file that are known. Compilers make one.
const MAX_SEGMENTS: usize = 64;
/// Code is read in pieces of this size, and one more, so that an instruction is whole.
const PAGE: u64 = 4_096;

/// A file for this machine.
pub(super) struct Elf<'d> {
    data: Bounded<'d>,
    sections: &'d [Section],
    names: &'d [u8],
    segments: Vec<Segment>,
}

/// Code in memory and in the file.
#[derive(Clone, Copy)]
struct Segment {
    address: u64,
    offset: u64,
    len: u64,
}

/// A function that a file has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Defined {
    pub(super) address: u64,
    /// 0 where it is not known.
    pub(super) len: u64,
}

/// Looks into a file. `None`: it is not ELF for this machine, or no file that is looked into.
pub(super) fn open<T>(file: &File, look: impl FnOnce(&Elf<'_>) -> T) -> Option<T> {
    if !is_likely(file) {
        return None;
    }
    let cache = ReadCache::new(file);
    let read = RefCell::default();
    Some(look(&Elf::parse(Bounded { cache: &cache, read: &read })?))
}

/// Tables are read as a whole: they are as long as their file at most, whose length a container could claim without having it on disk.
pub(super) fn is_likely(file: &File) -> bool {
    file.metadata().is_ok_and(|metadata| metadata.size() <= MAX_FILE && metadata.blocks() * 512 >= metadata.size() / 2)
}

impl<'d> Elf<'d> {
    fn parse(data: Bounded<'d>) -> Option<Self> {
        let header = Header::parse(data).ok()?;
        if !header.is_little_endian() || header.e_machine(LittleEndian) != EM_X86_64 {
            return None;
        }
        let code = header
            .program_headers(LittleEndian, data)
            .ok()?
            .iter()
            .filter(|segment| segment.p_type(LittleEndian) == PT_LOAD && segment.p_flags(LittleEndian) & PF_X != 0);
        let segments = code.take(MAX_SEGMENTS).map(|segment| {
            let (offset, len) = segment.file_range(LittleEndian);
            Segment { address: segment.p_vaddr(LittleEndian), offset, len }
        });
        let segments = segments.collect();
        let sections = header.section_headers(LittleEndian, data).unwrap_or_default();
        let names = header.shstrndx(LittleEndian, data).ok().and_then(|at| sections.get(usize::try_from(at).ok()?));
        let names = names.and_then(|names| names.data(LittleEndian, data).ok()).unwrap_or_default();
        Some(Self { data, sections, names, segments })
    }

    /// Where an address of its code lies in the file.
    pub(super) fn offset(&self, address: u64) -> Option<u64> {
        self.segments.iter().find_map(|segment| {
            let inside = address.checked_sub(segment.address)?;
            (inside < segment.len).then(|| segment.offset.checked_add(inside))?
        })
    }

    /// The code from an address on, an instruction at least where there is one.
    pub(super) fn code(&self, address: u64) -> &'d [u8] {
        let code = self.segments.iter().find_map(|segment| {
            let inside = address.checked_sub(segment.address).filter(|inside| *inside < segment.len)?;
            let page = inside / PAGE * PAGE;
            let len = (segment.len - page).min(2 * PAGE);
            let bytes = self.data.read_bytes_at(segment.offset.checked_add(page)?, len).ok()?;
            bytes.get(usize::try_from(inside - page).ok()?..)
        });
        code.unwrap_or_default()
    }

    /// A section by its name: its address, and what is in it.
    pub(super) fn section(&self, name: &str) -> Option<(u64, impl FnOnce() -> Option<&'d [u8]>)> {
        let section = self.sections.iter().find(|section| {
            let at = usize::try_from(section.sh_name(LittleEndian)).ok();
            at.is_some_and(|at| is_at(self.names, at, name.as_bytes()))
        })?;
        let data = self.data;
        Some((section.sh_addr(LittleEndian), move || section.data(LittleEndian, data).ok()))
    }

    /// The functions with these names that the file defines, in the order of the names. A program that uses a library names its functions
    /// too, without defining them.
    pub(super) fn functions<const N: usize>(&self, names: [&str; N]) -> [Option<Defined>; N] {
        let mut found = [None; N];
        for kind in [SHT_DYNSYM, SHT_SYMTAB] {
            if found.iter().any(Option::is_none) {
                // A table that cannot be read has none.
                let _ = self.look(kind, names, &mut found);
            }
        }
        found
    }

    /// Goes through a table of symbols.
    fn look<const N: usize>(&self, kind: u32, names: [&str; N], found: &mut [Option<Defined>; N]) -> Option<()> {
        let table = self.sections.iter().find(|section| section.sh_type(LittleEndian) == kind)?;
        let strings = self.sections.get(usize::try_from(table.sh_link(LittleEndian)).ok()?)?;
        let symbols: &[Sym64<LittleEndian>] = table.data_as_array(LittleEndian, self.data).ok()?;
        let strings = strings.data(LittleEndian, self.data).ok()?;
        for symbol in symbols {
            let (address, len) = (symbol.st_value(LittleEndian), symbol.st_size(LittleEndian));
            let defined = symbol.st_shndx(LittleEndian) != SHN_UNDEF && address != 0;
            if !defined || symbol.st_type() != STT_FUNC {
                continue;
            }
            let Ok(at) = usize::try_from(symbol.st_name(LittleEndian)) else { continue };
            if let Some(place) = names.iter().position(|name| is_at(strings, at, name.as_bytes()))
                && let Some(place) = found.get_mut(place)
            {
                place.get_or_insert(Defined { address, len });
            }
        }
        Some(())
    }
}

/// Whether a whole name stands at this place of a table of strings.
fn is_at(strings: &[u8], at: usize, name: &[u8]) -> bool {
    let rest = strings.get(at..).and_then(|strings| strings.strip_prefix(name));
    rest.is_some_and(|rest| rest.first() == Some(&0))
}

/// Gives bytes of a file, up to [`MAX_READ`] of them.
#[derive(Clone, Copy)]
struct Bounded<'d> {
    cache: &'d ReadCache<&'d File>,
    read: &'d RefCell<Read>,
}

/// What was read.
#[derive(Default)]
struct Read {
    total: u64,
    /// What the cache has: where, and how much.
    pieces: HashSet<(u64, u64)>,
}

impl<'d> ReadRef<'d> for Bounded<'d> {
    fn len(self) -> Result<u64, ()> {
        self.cache.len()
    }

    fn read_bytes_at(self, offset: u64, size: u64) -> Result<&'d [u8], ()> {
        let mut read = self.read.borrow_mut();
        if !read.pieces.contains(&(offset, size)) {
            let total = read.total.checked_add(size).filter(|total| *total <= MAX_READ).ok_or(())?;
            read.total = total;
            read.pieces.insert((offset, size));
        }
        self.cache.read_bytes_at(offset, size)
    }

    /// Strings are looked up in their tables.
    fn read_bytes_at_until(self, _: Range<u64>, _: u8) -> Result<&'d [u8], ()> {
        Err(())
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;
    use std::time::{Duration, Instant};

    use super::*;

    const NAME: &str = "EVP_KDF_derive";

    /// A library in which so many symbols have the last of so many equal names, and none is a function with code.
    fn crafted(names: usize, symbols: usize) -> File {
        let mut strings = vec![0];
        for _ in 0..names {
            strings.extend(NAME.bytes().chain([0]));
        }
        strings.resize(strings.len().next_multiple_of(8), 0);
        let last = u32::try_from(1 + (names - 1) * (NAME.len() + 1)).unwrap();
        // Name, a function for all to see, undefined, address, length.
        let symbol: Vec<u8> = last.to_le_bytes().into_iter().chain([0x12, 0, 0, 0]).chain([0; 16]).collect();
        let (first, table) = (64 + strings.len() as u64, 24 * symbols as u64);
        let mut header = b"\x7fELF\x02\x01\x01".to_vec();
        header.resize(16, 0);
        header.extend([3, 0, 62, 0, 1, 0, 0, 0]);
        header.extend([0, 0, first + table].into_iter().flat_map(u64::to_le_bytes));
        header.extend([0; 4]);
        header.extend([64u16, 56, 0, 64, 3, 2].into_iter().flat_map(u16::to_le_bytes));
        let section = |kind: u32, offset: u64, size: u64, link: u32, entry: u64| {
            let mut section: Vec<u8> = [0, kind].into_iter().flat_map(u32::to_le_bytes).collect();
            section.extend([0, 0, offset, size].into_iter().flat_map(u64::to_le_bytes));
            section.extend([link, 0].into_iter().flat_map(u32::to_le_bytes));
            section.extend([8, entry].into_iter().flat_map(u64::to_le_bytes));
            section
        };
        let mut file = tempfile::tempfile().unwrap();
        let sections = [
            section(0, 0, 0, 0, 0),
            section(SHT_DYNSYM, first, table, 2, 24),
            section(object::elf::SHT_STRTAB, 64, strings.len() as u64, 0, 0),
        ];
        for bytes in [header, strings, symbol.repeat(symbols), sections.concat()] {
            file.write_all(&bytes).unwrap();
        }
        file
    }

    #[test]
    fn a_table_is_gone_through_once_whatever_it_says() {
        let file = crafted(1_000_000, 1_000_000);
        let since = Instant::now();
        assert_eq!(open(&file, |elf| (elf.sections.len(), elf.functions([NAME]))), Some((3, [None])));
        assert!(since.elapsed() < Duration::from_secs(10), "{:?}", since.elapsed());
    }

    #[test]
    fn a_file_that_is_mostly_holes_is_left_alone() {
        let file = crafted(1, 1);
        assert!(open(&file, |_| ()).is_some());
        file.set_len(MAX_FILE).unwrap();
        assert!(open(&file, |_| ()).is_none());
    }

    #[test]
    fn no_more_is_read_than_may_be() {
        let file = tempfile::tempfile().unwrap();
        file.set_len(MAX_FILE).unwrap();
        let (cache, read) = (ReadCache::new(&file), RefCell::default());
        let data = Bounded { cache: &cache, read: &read };
        assert!(data.read_bytes_at(0, MAX_READ + 1).is_err());
        assert!(data.read_bytes_at(0, 8).is_ok() && data.read_bytes_at(0, 8).is_ok());
        assert_eq!(read.borrow().total, 8, "what was read once is there");
        assert!(data.read_bytes_at(8, MAX_READ - 7).is_err(), "all that is read counts together");
    }

    #[test]
    fn a_function_is_found_with_its_code() {
        let found = open(&File::open(std::env::current_exe().unwrap()).unwrap(), |elf| {
            let [main, none] = elf.functions(["main", "none such"]);
            let main = main.expect("every program has it");
            assert_eq!(none, None);
            assert!(elf.code(main.address).len() >= 15 && elf.offset(main.address).is_some());
            assert!(elf.code(0).is_empty() && elf.code(u64::MAX).is_empty() && elf.offset(u64::MAX).is_none());
            assert!(elf.section(".text").is_some_and(|(address, text)| address > 0 && text().is_some()));
        });
        assert!(found.is_some());
    }
}
