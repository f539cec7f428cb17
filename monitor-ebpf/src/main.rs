//! The programs that h2watch loads into the kernel: a tap for packets, probes for keys and for plaintext.
//!
//! `cargo xtask build-ebpf` builds them; the object is committed beside this folder's sources. They are written for kernels from 6.1 on:
//! bounded loops, ring buffers, sleepable user probes (6.0), no function of the kernel's own BTF.

#![no_std]
#![no_main]
#![feature(asm_experimental_arch)]

mod bounds;
mod count;
mod flow;
mod go;
mod kdf;
mod plain;
mod secrets;
mod tap;
mod user;

#[cfg(not(test))]
#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    loop {}
}

/// Some helpers are for programs under the GPL alone.
#[unsafe(link_section = "license")]
#[unsafe(no_mangle)]
static LICENSE: [u8; 13] = *b"Dual MIT/GPL\0";
