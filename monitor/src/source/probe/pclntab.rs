//! Go's table of functions, which stripped programs have too (`runtime.pcHeader`, Go 1.18 and later).

/// Magic numbers of Go 1.18 and Go 1.20.
const MAGICS: [u32; 2] = [0xffff_fff0, 0xffff_fff1];

/// The address of the function with this name. `text`: where the text section begins, for tables that leave it to the linker.
pub(super) fn address(table: &[u8], text: u64, name: &[u8]) -> Option<u64> {
    let half = |at: usize| Some(u32::from_le_bytes(*table.get(at..)?.first_chunk()?));
    let word = |number: usize| {
        let value = u64::from_le_bytes(*table.get(8 + number * 8..)?.first_chunk()?);
        usize::try_from(value).ok()
    };
    // magic, two zeros, the least instruction size, the pointer size
    if !MAGICS.contains(&half(0)?) || table.get(7) != Some(&8) {
        return None;
    }
    // nfunc, nfiles, textStart, funcnameOffset, cuOffset, filetabOffset, pctabOffset, pclnOffset
    let (count, start, names, functions) = (word(0)?, word(2)?, word(3)?, word(7)?);
    let names = table.get(names..)?;
    let functions = table.get(functions..)?;
    let named = position(names, name)?;
    for entry in functions.chunks_exact(8).take(count) {
        let (address, at) = entry.split_first_chunk::<4>()?;
        let at = usize::try_from(u32::from_le_bytes(*at.first_chunk()?)).ok()?;
        let own = functions.get(at.checked_add(4)?..)?.first_chunk::<4>()?;
        if usize::try_from(u32::from_le_bytes(*own)).ok()? == named {
            let start = if start == 0 { text } else { start as u64 };
            return start.checked_add(u64::from(u32::from_le_bytes(*address)));
        }
    }
    None
}

/// Where a whole name stands among names that end with a zero each.
fn position(names: &[u8], name: &[u8]) -> Option<usize> {
    let mut at = 0;
    for own in names.split(|byte| *byte == 0) {
        if own == name {
            return Some(at);
        }
        at += own.len() + 1;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(start: u64) -> Vec<u8> {
        let mut table = Vec::new();
        table.extend(0xffff_fff1u32.to_le_bytes());
        table.extend([0, 0, 1, 8]);
        let header = 8 + 8 * 8;
        let names = b"\0main.main\0crypto/tls.x\0crypto/tls.xy\0";
        let functions = header + names.len() as u64;
        for word in [2, 0, start, header, 0, 0, 0, functions] {
            table.extend(word.to_le_bytes());
        }
        table.extend(names);
        // Two entries and the end, then the functions.
        for half in [0x10u32, 20, 0x20, 28, 0x30] {
            table.extend(half.to_le_bytes());
        }
        for half in [0x10u32, 1, 0x20, 11] {
            table.extend(half.to_le_bytes());
        }
        table
    }

    #[test]
    fn a_name_leads_to_its_address() {
        assert_eq!(address(&table(0x40_0000), 7, b"crypto/tls.x"), Some(0x40_0020));
        assert_eq!(address(&table(0), 0x1000, b"main.main"), Some(0x1010), "the text section counts");
        assert_eq!(address(&table(0), 0x1000, b"crypto/tls.xy"), None, "no function has it");
    }

    #[test]
    fn a_damaged_table_gives_nothing() {
        let whole = table(0x40_0000);
        for len in 0..whole.len() {
            let _ = address(&whole[..len], 0, b"crypto/tls.x");
            let mut wrong = whole.clone();
            wrong[len] ^= 0xff;
            let _ = address(&wrong, u64::MAX, b"crypto/tls.x");
        }
    }
}
