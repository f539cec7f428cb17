//! Go: `crypto/tls.(*Config).writeKeyLog(label string, clientRandom, secret []byte)`, which every handshake calls, whether or not keys
//! are logged.

use aya_ebpf::macros::uprobe;
use aya_ebpf::programs::ProbeContext;
use probe_abi::secret::kind;

use crate::secrets::{self, Outcome};
use crate::user;

/// Arguments in the registers of Go's internal calling convention (since Go 1.17).
struct Arguments {
    label: u64,
    label_len: u64,
    random: u64,
    random_len: u64,
    secret: u64,
    secret_len: u64,
}

#[cfg(bpf_target_arch = "x86_64")]
#[inline(always)]
fn arguments(ctx: &ProbeContext) -> Arguments {
    // AX: the receiver; BX, CX: label; DI, SI, R8: random; R9, R10, R11: secret.
    // SAFETY: the kernel gives a valid context.
    let regs = unsafe { &*ctx.regs };
    Arguments {
        label: regs.rbx,
        label_len: regs.rcx,
        random: regs.rdi,
        random_len: regs.rsi,
        secret: regs.r9,
        secret_len: regs.r10,
    }
}

#[cfg(bpf_target_arch = "aarch64")]
#[inline(always)]
fn arguments(ctx: &ProbeContext) -> Arguments {
    // R0: the receiver; R1, R2: label; R3 to R5: random; R6 to R8: secret.
    // SAFETY: the kernel gives a valid context.
    let regs = unsafe { &(*ctx.regs).regs };
    Arguments {
        label: regs[1],
        label_len: regs[2],
        random: regs[3],
        random_len: regs[4],
        secret: regs[6],
        secret_len: regs[7],
    }
}

/// `writeKeyLog` is called.
#[uprobe(sleepable)]
fn h2watch_go(ctx: ProbeContext) -> u32 {
    secrets::counted(logged(&arguments(&ctx)));
    0
}

#[inline(always)]
fn logged(arguments: &Arguments) -> Outcome {
    if arguments.random_len != 32 {
        return Outcome::Unread;
    }
    secrets::hand_up(kind::LOGGED, |record| {
        record.secret_len = arguments.secret_len as u32;
        record.name_len = 32;
        record.label_len = arguments.label_len as u32;
        let Some(random) = user::read::<[u8; 32]>(arguments.random) else { return false };
        record.name[..32].copy_from_slice(&random);
        user::read_into(arguments.secret, arguments.secret_len, &mut record.secret)
            && user::read_into(arguments.label, arguments.label_len, &mut record.label)
    })
}
