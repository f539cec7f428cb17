//! What is probed in a TLS library, or in a program that has one inside.

use std::fs::File;

use iced_x86::Register;
use probe_abi::plain::{cookie, function};

use super::site::{self, Site, Span};
use crate::source::elf::{self, Elf};
use crate::source::uprobes::Place;

/// What a probe does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Program {
    /// A call begins.
    Call,
    /// It is done.
    Done,
    /// A connection begins, ends or gets a socket.
    Life,
    /// Secrets of a handshake are derived.
    Name,
}

impl Program {
    /// In the order in which they are attached to a file: a call must not be remembered whose end is not seen.
    pub(super) const ALL: [Self; 4] = [Self::Done, Self::Call, Self::Life, Self::Name];

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Call => "h2watch_plain_call",
            Self::Done => "h2watch_plain_done",
            Self::Life => "h2watch_plain_life",
            Self::Name => "h2watch_plain_name",
        }
    }
}

/// What a file has to be probed.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Library {
    pub(super) places: Vec<(Program, Place)>,
    /// Functions whose code is of no known form: what goes through them is not seen.
    pub(super) unknown: Vec<&'static str>,
}

/// A function that moves bytes or makes a connection.
struct Wanted {
    name: &'static str,
    function: u8,
    /// Registers that its probe reads.
    arguments: &'static [Register],
    kind: Kind,
}

/// How a function is probed.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// Where it begins and where its result is in place.
    Around,
    /// The same, for the names of handshakes alone.
    Step,
    /// Where it begins.
    Life,
    /// The same, for the names of handshakes alone.
    Name,
}

const OBJECT: &[Register] = &[Register::RDI];
const TWO: &[Register] = &[Register::RDI, Register::RSI];
const FOURTH: &[Register] = &[Register::RDI, Register::RSI, Register::RCX];
const FIFTH: &[Register] = &[Register::RDI, Register::RSI, Register::R8];

const PARAMS: &[Register] = &[Register::RCX];

const fn moves(name: &'static str, function: u8, arguments: &'static [Register]) -> Wanted {
    Wanted { name, function, arguments, kind: Kind::Around }
}

const fn life(name: &'static str, function: u8) -> Wanted {
    let arguments = if function == function::DESCRIPTOR { TWO } else { OBJECT };
    Wanted { name, function, arguments, kind: Kind::Life }
}

/// `SSL_read_early_data` and `SSL_write_early_data` call others of these; `gnutls_record_send` calls `gnutls_record_send2` where there is
/// one.
const WANTED: [Wanted; 23] = [
    moves("SSL_read", function::READ, TWO),
    moves("SSL_write", function::WRITE, TWO),
    moves("SSL_read_ex", function::READ_EX, FOURTH),
    moves("SSL_write_ex", function::WRITE_EX, FOURTH),
    moves("SSL_write_ex2", function::WRITE_EX2, FIFTH),
    moves("gnutls_record_recv", function::READ, TWO),
    moves("gnutls_record_send2", function::WRITE, TWO),
    moves("gnutls_record_send", function::WRITE, TWO),
    moves("gnutls_record_uncork", function::UNCORK, OBJECT),
    life("SSL_free", function::FREE),
    life("SSL_clear", function::CLEAR),
    life("SSL_set_accept_state", function::ACCEPT),
    life("SSL_accept", function::ACCEPT),
    life("SSL_set_connect_state", function::CONNECT),
    life("SSL_connect", function::CONNECT),
    life("SSL_set_fd", function::DESCRIPTOR),
    life("SSL_set_rfd", function::DESCRIPTOR),
    life("SSL_set_wfd", function::DESCRIPTOR),
    life("gnutls_deinit", function::FREE),
    life("gnutls_handshake", function::HANDSHAKE),
    life("gnutls_transport_set_int2", function::DESCRIPTOR),
    Wanted { name: "SSL_do_handshake", function: function::STEP, arguments: OBJECT, kind: Kind::Step },
    Wanted { name: "EVP_KDF_derive", function: 0, arguments: PARAMS, kind: Kind::Name },
];

/// What is to be probed in a file. Files that are not ELF for this machine, or have no such function, have nothing. `names`: handshakes
/// are to be named as well.
pub(super) fn of(file: &File, names: bool) -> Library {
    elf::open(file, |elf| within(elf, names)).unwrap_or_default()
}

fn within(elf: &Elf<'_>, names: bool) -> Library {
    let mut library = Library::default();
    let found = elf.functions(WANTED.each_ref().map(|wanted| wanted.name));
    let read = |address: u64| elf.code(address);
    let offset = |address: u64| elf.offset(address);
    let has = |name: &str| WANTED.iter().zip(&found).any(|(wanted, found)| wanted.name == name && found.is_some());
    let newer = has("gnutls_record_send2");
    for (wanted, found) in WANTED.iter().zip(found) {
        let left_out = match wanted.kind {
            Kind::Step | Kind::Name => !names,
            Kind::Around | Kind::Life => newer && wanted.name == "gnutls_record_send",
        };
        let Some(function) = found.filter(|_| !left_out) else { continue };
        match places(&read, &offset, wanted, Span { start: function.address, len: function.len }) {
            Some(places) => library.places.extend(places),
            None => library.unknown.push(wanted.name),
        }
    }
    library
}

fn places(
    read: site::Read<'_>,
    offset: &dyn Fn(u64) -> Option<u64>,
    wanted: &Wanted,
    span: Span,
) -> Option<Vec<(Program, Place)>> {
    let place = |program: Program, site: Site| {
        Some((program, Place { offset: offset(site.address)?, cookie: cookie(wanted.function, site.depth) }))
    };
    let entry = |program| Some(vec![place(program, site::entry(read, span, wanted.arguments)?)?]);
    match wanted.kind {
        Kind::Life => return entry(Program::Life),
        Kind::Name => return entry(Program::Name),
        Kind::Around | Kind::Step => {}
    }
    let sites = site::sites(read, span, wanted.arguments)?;
    let exits = sites.exits.iter().map(|site| place(Program::Done, *site));
    exits.chain([place(Program::Call, sites.entry)]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_without_the_functions_has_nothing() {
        assert_eq!(of(&File::open(std::env::current_exe().unwrap()).unwrap(), true), Library::default());
        assert_eq!(of(&File::open("/proc/self/status").unwrap(), true), Library::default());
    }

    #[test]
    fn every_function_of_the_installed_libraries_is_understood() {
        for library in ["libssl.so.3", "libssl.so.1.1", "libgnutls.so.30"] {
            let path = format!("/usr/lib/x86_64-linux-gnu/{library}");
            let Ok(file) = File::open(&path) else {
                println!("skipped: no {path}");
                continue;
            };
            let found = of(&file, true);
            assert!(found.unknown.is_empty(), "{library}: {:?}", found.unknown);
            let count = |program| found.places.iter().filter(|(of, _)| *of == program).count();
            assert!(count(Program::Call) >= 3 && count(Program::Done) >= 3 && count(Program::Life) >= 3, "{found:?}");
        }
    }
}
