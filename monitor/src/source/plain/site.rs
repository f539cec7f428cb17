//! Where in a function a probe costs least.
//!
//! The kernel lets the probed instruction run alone, out of line, with a second trap behind it, unless it is one that it emulates: jumps,
//! calls and pushes. So a function's machine code is read for such an instruction where the arguments are still in place, and for one on
//! every way out behind which the result does not change any more. Where there is none, the first instruction and each `ret` are taken.
//! Probes at the caller's return address are never used: the kernel sets them by a system call that a seccomp filter may kill the
//! process for.

use std::collections::{BTreeMap, HashSet};

use iced_x86::{
    Code, Decoder, DecoderOptions, FlowControl, Instruction, InstructionInfoFactory, Mnemonic, OpAccess, OpKind,
    Register,
};

/// A place for a probe.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Site {
    /// Its address.
    pub(super) address: u64,
    /// How far below its place at the function's entry the stack pointer is there.
    pub(super) depth: u16,
}

/// Where a function is probed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Sites {
    /// With its arguments in place.
    pub(super) entry: Site,
    /// With its result in place, one at least on every way out.
    pub(super) exits: Vec<Site>,
}

/// A function's place. `len`: 0 where it is not known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Span {
    pub(super) start: u64,
    pub(super) len: u64,
}

impl Span {
    const fn end(self) -> u64 {
        self.start.saturating_add(self.len)
    }
}

/// Most instructions of a function that are looked at, with those that it jumps to.
const MAX_INSTRUCTIONS: usize = 16_384;
/// Most places where a function is left.
const MAX_EXITS: usize = 128;
/// Longest instruction.
const LONGEST: usize = 15;

/// Gives the code from an address on: one instruction at least, where there is one.
pub(super) type Read<'c> = &'c dyn Fn(u64) -> &'c [u8];

/// Where the function's arguments, in these registers, are still in place.
pub(super) fn entry(read: Read<'_>, function: Span, arguments: &[Register]) -> Option<Site> {
    let mut info = InstructionInfoFactory::new();
    let mut depth = Depth { below: Some(0), frame: None };
    let mut at = function.start;
    for _ in 0..64 {
        let (instruction, bytes) = decode(read, at)?;
        if let Some(below) = depth.below
            && is_emulated(bytes)
        {
            return Some(Site { address: at, depth: below });
        }
        if instruction.flow_control() != FlowControl::Next || writes(&mut info, &instruction, arguments) {
            break;
        }
        depth = depth.after(&instruction);
        at = instruction.next_ip();
    }
    decode(read, function.start)?;
    Some(Site { address: function.start, depth: 0 })
}

/// Where the function is probed. `None`: its code is of no known form.
pub(super) fn sites(read: Read<'_>, function: Span, arguments: &[Register]) -> Option<Sites> {
    let entry = entry(read, function, arguments)?;
    let graph = Graph::new(read, function)?;
    let exits = if graph.closed { graph.exits(function.start) } else { graph.returns() };
    (!exits.is_empty() && exits.len() <= MAX_EXITS).then_some(Sites { entry, exits })
}

fn decode<'c>(read: Read<'c>, at: u64) -> Option<(Instruction, &'c [u8])> {
    let bytes = read(at);
    let bytes = bytes.get(..LONGEST.min(bytes.len()))?;
    let mut decoder = Decoder::with_ip(64, bytes, at, DecoderOptions::NONE);
    let instruction = decoder.can_decode().then(|| decoder.decode())?;
    (instruction.code() != Code::INVALID).then_some((instruction, bytes.get(..instruction.len())?))
}

/// The kernel emulates it (arch/x86/kernel/uprobes.c).
fn is_emulated(bytes: &[u8]) -> bool {
    matches!(
        *bytes,
        [0xeb | 0x70..=0x7f, _]
            | [0xe8 | 0xe9, _, _, _, _]
            | [0x0f, 0x80..=0x8f, _, _, _, _]
            | [0x50..=0x57 | 0x90]
            | [0x41, 0x50..=0x57]
    )
}

fn writes(info: &mut InstructionInfoFactory, instruction: &Instruction, registers: &[Register]) -> bool {
    info.info(instruction).used_registers().iter().any(|used| {
        let written =
            !matches!(used.access(), OpAccess::None | OpAccess::Read | OpAccess::CondRead | OpAccess::NoMemAccess);
        written && registers.contains(&used.register().full_register())
    })
}

/// Where the stack pointer is, as far as that is known.
#[derive(Clone, Copy, Debug)]
struct Depth {
    /// Below its place at the function's entry.
    below: Option<u16>,
    /// The same of the frame pointer.
    frame: Option<u16>,
}

impl Depth {
    /// What an instruction makes of it. A call gives the stack pointer back as it was.
    fn after(self, instruction: &Instruction) -> Self {
        let Self { below, frame } = self;
        let moved = |by: i64| below.and_then(|below| u16::try_from(i64::from(below) - by).ok());
        let stack = instruction.op0_register() == Register::RSP;
        let frame_pointer = instruction.op0_register() == Register::RBP;
        let immediate = matches!(
            instruction.op1_kind(),
            OpKind::Immediate8 | OpKind::Immediate8to64 | OpKind::Immediate32to64 | OpKind::Immediate32
        );
        match (instruction.mnemonic(), instruction.flow_control()) {
            (_, FlowControl::Call | FlowControl::IndirectCall) => self,
            (Mnemonic::Sub | Mnemonic::Add, _) if stack && immediate => {
                let by = instruction.immediate(1).cast_signed();
                let by = if instruction.mnemonic() == Mnemonic::Add { by } else { by.saturating_neg() };
                Self { below: moved(by), frame }
            }
            (Mnemonic::Mov, _) if frame_pointer && instruction.op1_register() == Register::RSP => {
                Self { below, frame: below }
            }
            (Mnemonic::Mov, _) if stack && instruction.op1_register() == Register::RBP => Self { below: frame, frame },
            (Mnemonic::Leave, _) => Self { below: frame.and_then(|frame| frame.checked_sub(8)), frame: None },
            (Mnemonic::Lea, _) if stack => {
                let from = match instruction.memory_base() {
                    Register::RSP => below,
                    Register::RBP => frame,
                    _ => None,
                };
                let by = instruction.memory_displacement64().cast_signed();
                let plain = instruction.memory_index() == Register::None;
                let to = from.filter(|_| plain).and_then(|from| u16::try_from(i64::from(from).checked_sub(by)?).ok());
                Self { below: to, frame }
            }
            (Mnemonic::Pop, _) if frame_pointer => Self { below: moved(8), frame: None },
            _ if stack
                && instruction.op0_kind() == OpKind::Register
                && instruction.mnemonic() != Mnemonic::Cmp
                && instruction.mnemonic() != Mnemonic::Test
                && instruction.mnemonic() != Mnemonic::Push =>
            {
                Self { below: None, frame }
            }
            _ => Self { below: moved(instruction.stack_pointer_increment().into()), frame },
        }
    }
}

/// An instruction, and where it leads.
#[derive(Debug)]
struct Node {
    emulated: bool,
    returns: bool,
    writes_result: bool,
    depth: Option<u16>,
    next: [Option<u64>; 2],
}

/// The instructions of a function, with those of others that it ends by jumping to.
#[derive(Debug)]
struct Graph {
    nodes: BTreeMap<u64, Node>,
    /// Every jump leads to a known place.
    closed: bool,
}

impl Graph {
    fn new(read: Read<'_>, function: Span) -> Option<Self> {
        let mut graph = Self { nodes: BTreeMap::new(), closed: true };
        let start = Depth { below: Some(0), frame: None };
        graph.follow(read, function, vec![(function.start, start)])?;
        if !graph.closed {
            // A table of jumps: whatever it leads to lies inside of the function.
            let mut all = Vec::new();
            let mut at = function.start;
            while at < function.end() && all.len() < MAX_INSTRUCTIONS {
                let Some((instruction, _)) = decode(read, at) else { break };
                all.push((at, Depth { below: None, frame: None }));
                at = instruction.next_ip();
            }
            graph.follow(read, function, all)?;
        }
        Some(graph)
    }

    /// Adds what can be reached. `None`: it is too much, or no code.
    fn follow(&mut self, read: Read<'_>, function: Span, mut todo: Vec<(u64, Depth)>) -> Option<()> {
        let mut info = InstructionInfoFactory::new();
        while let Some((at, depth)) = todo.pop() {
            if self.nodes.contains_key(&at) {
                continue;
            }
            if self.nodes.len() >= MAX_INSTRUCTIONS {
                return None;
            }
            let (instruction, bytes) = decode(read, at)?;
            let flow = instruction.flow_control();
            let ahead = Some(instruction.next_ip());
            let target = Some(instruction.near_branch_target());
            let next = match flow {
                FlowControl::Next => [ahead, None],
                FlowControl::ConditionalBranch => [ahead, target],
                FlowControl::UnconditionalBranch => [target, None],
                // A call behind which the function has no code does not return.
                FlowControl::Call | FlowControl::IndirectCall if instruction.next_ip() != function.end() => {
                    [ahead, None]
                }
                FlowControl::IndirectBranch => {
                    self.closed = false;
                    [None, None]
                }
                _ => [None, None],
            };
            let calls = matches!(flow, FlowControl::Call | FlowControl::IndirectCall);
            let node = Node {
                emulated: is_emulated(bytes),
                returns: flow == FlowControl::Return,
                writes_result: calls || writes(&mut info, &instruction, &[Register::RAX]),
                depth: depth.below,
                next,
            };
            let after = depth.after(&instruction);
            todo.extend(next.into_iter().flatten().map(|next| (next, after)));
            self.nodes.insert(at, node);
        }
        Some(())
    }

    /// Every `ret`.
    fn returns(&self) -> Vec<Site> {
        self.nodes.iter().filter(|(_, node)| node.returns).map(|(at, _)| Site { address: *at, depth: 0 }).collect()
    }

    /// The first place on every way out that is emulated and has the result, or the `ret`.
    fn exits(&self, start: u64) -> Vec<Site> {
        let before = self.before();
        let returns = self.nodes.iter().filter(|(_, node)| node.returns).map(|(at, _)| *at).collect();
        // From elsewhere the function is not left.
        let leads_out = spread(&before, returns);
        let writers = |at: &&u64| self.nodes.get(at).is_some_and(|node| node.writes_result);
        let unsettled = spread(&before, leads_out.iter().filter(writers).copied().collect());
        let mut exits = Vec::new();
        let mut seen = HashSet::new();
        let mut todo = vec![start];
        while let Some(at) = todo.pop() {
            if !seen.insert(at) {
                continue;
            }
            let Some(node) = self.nodes.get(&at) else { continue };
            let settled = node.emulated && leads_out.contains(&at) && !unsettled.contains(&at);
            match node.depth {
                Some(depth) if settled => exits.push(Site { address: at, depth }),
                _ if node.returns => exits.push(Site { address: at, depth: 0 }),
                _ => todo.extend(node.next.into_iter().flatten()),
            }
        }
        exits.sort();
        exits
    }

    /// What leads to each instruction.
    fn before(&self) -> BTreeMap<u64, Vec<u64>> {
        let mut before: BTreeMap<u64, Vec<u64>> = BTreeMap::new();
        for (at, node) in &self.nodes {
            for next in node.next.into_iter().flatten() {
                before.entry(next).or_default().push(*at);
            }
        }
        before
    }
}

/// These, and everything that leads to one of them.
fn spread(before: &BTreeMap<u64, Vec<u64>>, mut todo: Vec<u64>) -> HashSet<u64> {
    let mut seen = HashSet::new();
    while let Some(at) = todo.pop() {
        if seen.insert(at) {
            todo.extend(before.get(&at).into_iter().flatten());
        }
    }
    seen
}

#[cfg(test)]
mod tests {
    use super::*;

    const BASE: u64 = 0x1000;

    fn find(code: &[u8], arguments: &[Register]) -> Option<Sites> {
        let read = |at: u64| {
            let from = at.checked_sub(BASE).and_then(|from| usize::try_from(from).ok());
            from.and_then(|from| code.get(from..)).unwrap_or_default()
        };
        sites(&read, Span { start: BASE, len: code.len() as u64 }, arguments)
    }

    const ARGUMENTS: [Register; 2] = [Register::RDI, Register::RSI];

    /// `SSL_read` of OpenSSL 3.0 as Debian compiles it, without its error path.
    #[test]
    fn jumps_around_the_call_are_chosen() {
        let code = [
            0x48, 0x83, 0xec, 0x18, // sub rsp, 0x18
            0x31, 0xc0, // xor eax, eax
            0x85, 0xd2, // test edx, edx
            0x78, 0x16, // js to the error path at 0x20
            0xe8, 0, 0, 0, 0, // call
            0x85, 0xc0, // test eax, eax
            0x7e, 0x03, // jle over the load
            0x8b, 0x04, 0x24, // mov eax, [rsp]
            0x75, 0x0f, // 0x16: jne to the last call at 0x27
            0x48, 0x83, 0xc4, 0x18, // add rsp, 0x18
            0x31, 0xd2, // xor edx, edx
            0xc3, 0x90, // ret
            0xb8, 0xff, 0xff, 0xff, 0xff, // 0x20: mov eax, -1
            0xeb, 0xef, // 0x25: jmp 0x16
            0xe8, 0, 0, 0, 0, // 0x27: call __stack_chk_fail
        ];
        let found = find(&code, &ARGUMENTS).unwrap();
        assert_eq!(found.entry, Site { address: BASE + 8, depth: 0x18 });
        let at = |offset| Site { address: BASE + offset, depth: 0x18 };
        assert_eq!(found.exits, [at(0x16), at(0x25)]);
    }

    #[test]
    fn without_such_a_jump_each_return_is_taken() {
        let code = [
            0x48, 0x83, 0xec, 0x08, // sub rsp, 8
            0xe8, 0, 0, 0, 0, // call
            0x85, 0xc0, // test eax, eax
            0x0f, 0x48, 0xc2, // cmovs eax, edx
            0x48, 0x83, 0xc4, 0x08, // add rsp, 8
            0xc3, // ret
        ];
        let found = find(&code, &ARGUMENTS).unwrap();
        assert_eq!(found.entry, Site { address: BASE + 4, depth: 8 });
        assert_eq!(found.exits, [Site { address: BASE + 18, depth: 0 }]);
    }

    #[test]
    fn arguments_that_are_overwritten_are_read_at_the_entry() {
        let code = [
            0x48, 0x89, 0xf7, // mov rdi, rsi
            0xe8, 0, 0, 0, 0,    // call
            0xc3, // ret
        ];
        assert_eq!(find(&code, &ARGUMENTS).unwrap().entry, Site { address: BASE, depth: 0 });
        assert_eq!(find(&code, &[Register::RSI]).unwrap().entry, Site { address: BASE + 3, depth: 0 });
    }

    #[test]
    fn a_table_of_jumps_leaves_by_every_return() {
        let code = [
            0x53, // push rbx
            0xff, 0xe0, // jmp rax
            0x5b, 0xc3, // pop rbx; ret
            0x31, 0xc0, 0x5b, 0xc3, // xor eax, eax; pop rbx; ret
        ];
        let found = find(&code, &ARGUMENTS).unwrap();
        assert_eq!(found.entry, Site { address: BASE, depth: 0 });
        let at = |offset| Site { address: BASE + offset, depth: 0 };
        assert_eq!(found.exits, [at(4), at(8)]);
    }

    #[test]
    fn a_frame_pointer_is_followed() {
        let code = [
            0x55, // push rbp
            0x48, 0x89, 0xe5, // mov rbp, rsp
            0x48, 0x83, 0xec, 0x20, // sub rsp, 0x20
            0xe8, 0, 0, 0, 0, // call
            0x74, 0x00, // 13: je to the next
            0xc9, // leave
            0xc3, // ret
        ];
        let found = find(&code, &ARGUMENTS).unwrap();
        assert_eq!(found.exits, [Site { address: BASE + 13, depth: 0x28 }]);
    }

    #[test]
    fn what_is_no_code_has_no_sites() {
        assert_eq!(find(&[], &ARGUMENTS), None);
        assert_eq!(find(&[0x06], &ARGUMENTS), None);
        assert_eq!(find(&[0xeb, 0xfe], &ARGUMENTS), None, "it never returns");
        let mut state = 1u32;
        for len in 1..400usize {
            let code: Vec<u8> = (0..len)
                .map(|_| {
                    state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                    (state >> 24) as u8
                })
                .collect();
            let _ = find(&code, &ARGUMENTS);
        }
    }
}
