//! The calls of the kernel for links with many places.
#![allow(unsafe_code)]

use std::ffi::{CStr, c_char};
use std::io;
use std::mem;
use std::os::fd::{AsRawFd as _, BorrowedFd, FromRawFd as _, OwnedFd, RawFd};

use aya_obj::generated::bpf_attach_type::BPF_TRACE_UPROBE_MULTI;
use aya_obj::generated::bpf_cmd::{self, BPF_LINK_CREATE, BPF_PROG_LOAD};
use aya_obj::generated::bpf_prog_type::BPF_PROG_TYPE_KPROBE;
use aya_obj::generated::{BPF_F_SLEEPABLE, bpf_attr, bpf_insn};

use super::Place;

/// Loads a program that such links can be made of. Its instructions name maps by their descriptors.
pub(super) fn load(name: &str, instructions: &[bpf_insn], license: &CStr, sleepable: bool) -> io::Result<OwnedFd> {
    /// The verifier gives up when a signal comes.
    const TRIES: usize = 5;
    let mut attributes = zeroed();
    let count = u32::try_from(instructions.len()).map_err(|_| io::ErrorKind::InvalidInput)?;
    // SAFETY: every field of the union is plain numbers, of which each value is valid.
    let program = unsafe { &mut attributes.__bindgen_anon_3 };
    program.prog_type = BPF_PROG_TYPE_KPROBE as u32;
    program.expected_attach_type = BPF_TRACE_UPROBE_MULTI as u32;
    program.prog_flags = if sleepable { BPF_F_SLEEPABLE } else { 0 };
    program.insns = instructions.as_ptr() as u64;
    program.insn_cnt = count;
    program.license = license.as_ptr() as u64;
    // The last byte stays zero.
    let len = program.prog_name.len() - 1;
    for (place, byte) in program.prog_name.iter_mut().take(len).zip(name.bytes()) {
        *place = byte as c_char;
    }
    let mut tries = 0;
    loop {
        tries += 1;
        // SAFETY: instructions and license live during the call, and the number of instructions is theirs.
        match unsafe { call(BPF_PROG_LOAD, &attributes) } {
            Err(error) if error.raw_os_error() == Some(libc::EAGAIN) && tries < TRIES => {}
            result => return result,
        }
    }
}

/// Attaches such a program to places of the file at `path`, for all processes.
pub(super) fn link(program: BorrowedFd<'_>, path: &CStr, places: &[Place]) -> io::Result<OwnedFd> {
    let offsets: Vec<u64> = places.iter().map(|place| place.offset).collect();
    let cookies: Vec<u64> = places.iter().map(|place| place.cookie).collect();
    let mut attributes = zeroed();
    attributes.link_create.__bindgen_anon_1.prog_fd = program.as_raw_fd() as u32;
    attributes.link_create.attach_type = BPF_TRACE_UPROBE_MULTI as u32;
    // SAFETY: as in `load`.
    let multi = unsafe { &mut attributes.link_create.__bindgen_anon_3.uprobe_multi };
    multi.path = path.as_ptr() as u64;
    multi.offsets = offsets.as_ptr() as u64;
    multi.cookies = cookies.as_ptr() as u64;
    multi.cnt = u32::try_from(places.len()).map_err(|_| io::ErrorKind::InvalidInput)?;
    // SAFETY: the path and both lists live during the call, and each list has as many entries as there are places.
    unsafe { call(BPF_LINK_CREATE, &attributes) }
}

fn zeroed() -> bpf_attr {
    // SAFETY: a union of plain numbers, for which zero is valid; the kernel wants zero in all that is not used.
    unsafe { mem::zeroed() }
}

/// A call that gives a descriptor.
///
/// # Safety
/// What the attributes point to has to be valid for reads as long as they say.
unsafe fn call(command: bpf_cmd, attributes: &bpf_attr) -> io::Result<OwnedFd> {
    // SAFETY: the kernel reads as many bytes as `attributes` has, and what they point to, which the caller answers for.
    let result = unsafe {
        libc::syscall(libc::SYS_bpf, command as libc::c_int, std::ptr::from_ref(attributes), size_of::<bpf_attr>())
    };
    match RawFd::try_from(result) {
        // SAFETY: a new descriptor, which nobody else has.
        Ok(descriptor) if descriptor >= 0 => Ok(unsafe { OwnedFd::from_raw_fd(descriptor) }),
        _ => Err(io::Error::last_os_error()),
    }
}
