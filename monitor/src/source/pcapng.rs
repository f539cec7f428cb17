//! pcapng files (draft-ietf-opsawg-pcapng): sections of blocks, each behind its type and length.

use super::step::{Head, MAX_BLOCK, MAX_PACKET, Order, Step};
use crate::model::Time;

/// Type of a Section Header Block: the same in both byte orders.
pub(super) const SECTION_HEADER: [u8; 4] = [0x0a, 0x0d, 0x0d, 0x0a];

const BYTE_ORDER_MAGIC: u32 = 0x1a2b_3c4d;
const INTERFACE_DESCRIPTION: u32 = 1;
const OBSOLETE_PACKET: u32 = 2;
const SIMPLE_PACKET: u32 = 3;
const INTERFACE_STATISTICS: u32 = 5;
const ENHANCED_PACKET: u32 = 6;
const DECRYPTION_SECRETS: u32 = 0x0a;
/// Secrets type of a DSB: TLS key log.
const TLS_KEY_LOG: u32 = 0x544c_534b;
/// Interfaces of one section that are remembered; packets of others are passed over.
const MAX_INTERFACES: usize = 65_536;

/// The part of a block that both the reader and the search for secrets need.
#[derive(Clone, Copy, Debug)]
pub(super) enum Block {
    /// At least this many bytes are needed to tell.
    Need(usize),
    /// A block.
    Is { kind: Kind, len: u32 },
    /// No block can be found from here on.
    Damage(&'static str),
}

/// What a block is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Section,
    Interface,
    Packet,
    OldPacket,
    SimplePacket,
    Statistics,
    Secrets,
    Other,
}

/// A pcapng file.
#[derive(Debug)]
pub(super) struct Pcapng {
    order: Order,
    interfaces: Vec<Interface>,
    last: Time,
    /// A packet that names no described interface was already noted.
    noted_interface: bool,
}

#[derive(Debug)]
struct Interface {
    link: u16,
    snap: u32,
    unit: Unit,
    offset_seconds: i64,
    /// Drops that its statistics told so far, and when they did.
    dropped: u64,
    told: Time,
}

/// What one unit of an interface's clock is.
#[derive(Clone, Copy, Debug)]
enum Unit {
    /// This many nanoseconds.
    Nanoseconds(u64),
    /// A second is 10 to this power.
    Decimal(u8),
    /// A second is 2 to this power.
    Binary(u8),
}

impl Unit {
    /// From the option `if_tsresol`.
    fn new(resolution: u8) -> Self {
        let power = resolution & 0x7f;
        if resolution & 0x80 != 0 {
            return Self::Binary(power);
        }
        match 9u32.checked_sub(u32::from(power)) {
            Some(zeros) => Self::Nanoseconds(10u64.pow(zeros)),
            None => Self::Decimal(power),
        }
    }

    fn nanoseconds(self, stamp: u64) -> u128 {
        let stamp = u128::from(stamp);
        match self {
            Self::Nanoseconds(each) => stamp * u128::from(each),
            Self::Decimal(power) => {
                10u128.checked_pow(u32::from(power).saturating_sub(9)).map_or(0, |parts| stamp / parts)
            }
            // A product of 64 and 30 bits; a shift of up to 127.
            Self::Binary(power) => (stamp * 1_000_000_000) >> power,
        }
    }
}

impl Interface {
    fn time(&self, stamp: u64) -> Time {
        if let (Unit::Nanoseconds(each), 0) = (self.unit, self.offset_seconds)
            && let Some(time) = stamp.checked_mul(each)
        {
            return Time(time);
        }
        let since = i128::try_from(self.unit.nanoseconds(stamp)).unwrap_or(i128::MAX);
        let time = since.saturating_add(i128::from(self.offset_seconds) * 1_000_000_000);
        Time(u64::try_from(time.max(0)).unwrap_or(u64::MAX))
    }
}

impl Pcapng {
    pub(super) const fn new() -> Self {
        Self { order: Order::Little, interfaces: Vec::new(), last: Time(0), noted_interface: false }
    }

    /// Reads a block's type and length. A Section Header Block sets the byte order.
    #[inline]
    pub(super) fn block(&mut self, input: &[u8]) -> Block {
        let Some(&[t0, t1, t2, t3, l0, l1, l2, l3, m0, m1, m2, m3]) = input.first_chunk::<12>() else {
            return Block::Need(12);
        };
        let section = [t0, t1, t2, t3] == SECTION_HEADER;
        if section {
            let magic = [m0, m1, m2, m3];
            self.order = match (Order::Little.word(magic), Order::Big.word(magic)) {
                (BYTE_ORDER_MAGIC, _) => Order::Little,
                (_, BYTE_ORDER_MAGIC) => Order::Big,
                _ => return Block::Damage("a section without byte order"),
            };
        }
        let len = self.order.word([l0, l1, l2, l3]);
        let (kind, least) = match self.order.word([t0, t1, t2, t3]) {
            _ if section => (Kind::Section, 28),
            INTERFACE_DESCRIPTION => (Kind::Interface, 20),
            OBSOLETE_PACKET => (Kind::OldPacket, 32),
            SIMPLE_PACKET => (Kind::SimplePacket, 16),
            INTERFACE_STATISTICS => (Kind::Statistics, 24),
            ENHANCED_PACKET => (Kind::Packet, 32),
            DECRYPTION_SECRETS => (Kind::Secrets, 20),
            _ => (Kind::Other, 12),
        };
        if len < least || !len.is_multiple_of(4) {
            return Block::Damage("a block with an impossible length");
        }
        if len > MAX_BLOCK && !matches!(kind, Kind::Other | Kind::Secrets) {
            return Block::Damage("a block with an impossible length");
        }
        Block::Is { kind, len }
    }

    /// The key log text of a whole Decryption Secrets Block: offset and length.
    pub(super) fn secrets(&self, block: &[u8]) -> Option<(usize, usize)> {
        let kind = self.order.u32(block, 8)?;
        let len = self.order.u32(block, 12)? as usize;
        (kind == TLS_KEY_LOG && len.saturating_add(20) <= block.len()).then_some((16, len))
    }

    /// The key log text of a Decryption Secrets Block of which only this is there: its complete lines.
    pub(super) fn cut_secrets<'b>(&mut self, rest: &'b [u8]) -> Option<&'b [u8]> {
        let Block::Is { kind: Kind::Secrets, .. } = self.block(rest) else { return None };
        let kind = self.order.u32(rest, 8)?;
        let len = self.order.u32(rest, 12)? as usize;
        let there = rest.get(16..)?;
        let whole = there.get(..len).or_else(|| {
            let lines = there.iter().rposition(|&byte| byte == b'\n')?;
            there.get(..=lines)
        });
        whole.filter(|_| kind == TLS_KEY_LOG)
    }

    #[inline]
    pub(super) fn step(&mut self, input: &[u8]) -> Step {
        let (kind, len) = match self.block(input) {
            Block::Need(bytes) => return Step::Need(bytes),
            Block::Damage(what) => return Step::Damage(what.to_owned()),
            Block::Is { kind, len } => (kind, len),
        };
        match kind {
            Kind::Other => return Step::Skip(u64::from(len)),
            Kind::Secrets if len > MAX_BLOCK => {
                return Step::Odd(format!("secrets block of {len} bytes passed over"), u64::from(len));
            }
            _ => {}
        }
        let consumed = len as usize;
        let Some(block) = input.get(..consumed) else { return Step::Need(consumed) };
        if block.last_chunk::<4>().map(|&trailer| self.order.word(trailer)) != Some(len) {
            return Step::Damage("a block whose two lengths differ".to_owned());
        }
        let step = match kind {
            Kind::Packet => self.enhanced(block),
            Kind::OldPacket => self.obsolete(block),
            Kind::SimplePacket => self.simple(block),
            Kind::Section => self.section(block),
            Kind::Interface => self.interface(block),
            Kind::Statistics => self.statistics(block),
            Kind::Secrets => match self.secrets(block) {
                Some((offset, len)) => Some(Step::Secrets { offset, len, consumed }),
                None => Some(Step::Skip(u64::from(len))),
            },
            Kind::Other => None,
        };
        step.unwrap_or(Step::Skip(u64::from(len)))
    }

    fn section(&mut self, block: &[u8]) -> Option<Step> {
        self.interfaces.clear();
        let major = self.order.u16(block, 12)?;
        (major != 1).then(|| Step::Damage(format!("a section of pcapng version {major}")))
    }

    fn interface(&mut self, block: &[u8]) -> Option<Step> {
        let mut interface = Interface {
            link: self.order.u16(block, 8)?,
            snap: self.order.u32(block, 12)?,
            unit: Unit::Nanoseconds(1_000),
            offset_seconds: 0,
            dropped: 0,
            told: Time(0),
        };
        for (code, value) in self.options(block, 16) {
            match code {
                9 => interface.unit = value.first().map_or(interface.unit, |&resolution| Unit::new(resolution)),
                14 => interface.offset_seconds = self.order.u64(value, 0).unwrap_or(0).cast_signed(),
                _ => {}
            }
        }
        if self.interfaces.len() < MAX_INTERFACES {
            self.interfaces.push(interface);
        }
        None
    }

    #[inline]
    fn enhanced(&mut self, block: &[u8]) -> Option<Step> {
        let interface = self.order.u32(block, 8)?;
        let stamp = (u64::from(self.order.u32(block, 12)?) << 32) | u64::from(self.order.u32(block, 16)?);
        self.packet(block, interface, stamp, self.order.u32(block, 20)?, self.order.u32(block, 24)?)
    }

    fn obsolete(&mut self, block: &[u8]) -> Option<Step> {
        let interface = u32::from(self.order.u16(block, 8)?);
        let stamp = (u64::from(self.order.u32(block, 12)?) << 32) | u64::from(self.order.u32(block, 16)?);
        self.packet(block, interface, stamp, self.order.u32(block, 20)?, self.order.u32(block, 24)?)
    }

    #[inline]
    fn packet(&mut self, block: &[u8], interface: u32, stamp: u64, captured: u32, wire: u32) -> Option<Step> {
        let len = captured as usize;
        if captured > MAX_PACKET || len + 32 > block.len() {
            return Some(Step::Damage(format!("a packet claims {captured} bytes in a block of {}", block.len())));
        }
        let Some(interface) = self.interfaces.get(interface as usize) else { return self.stray(interface, block) };
        self.last = interface.time(stamp);
        Some(Step::Packet(Head {
            time: self.last,
            link: interface.link,
            wire_len: wire.max(captured),
            offset: 28,
            len,
            consumed: block.len(),
        }))
    }

    /// A Simple Packet Block has no time: that of the packet before it is taken.
    fn simple(&mut self, block: &[u8]) -> Option<Step> {
        let wire = self.order.u32(block, 8)?;
        let Some(interface) = self.interfaces.first() else { return self.stray(0, block) };
        let room = u32::try_from(block.len() - 16).unwrap_or(u32::MAX);
        let snap = if interface.snap == 0 { u32::MAX } else { interface.snap };
        let captured = wire.min(snap).min(room);
        if captured > MAX_PACKET {
            return Some(Step::Damage(format!("a packet claims {captured} bytes in a block of {}", block.len())));
        }
        Some(Step::Packet(Head {
            time: self.last,
            link: interface.link,
            wire_len: wire,
            offset: 12,
            len: captured as usize,
            consumed: block.len(),
        }))
    }

    fn stray(&mut self, interface: u32, block: &[u8]) -> Option<Step> {
        let first = !std::mem::replace(&mut self.noted_interface, true);
        first.then(|| Step::Odd(format!("packet of interface {interface}, which is not described"), block.len() as u64))
    }

    fn statistics(&mut self, block: &[u8]) -> Option<Step> {
        let id = self.order.u32(block, 8)? as usize;
        let dropped = self
            .options(block, 20)
            .filter(|&(code, _)| code == 5 || code == 7)
            .filter_map(|(_, value)| self.order.u64(value, 0))
            .fold(0u64, u64::saturating_add);
        let stamp = (u64::from(self.order.u32(block, 12)?) << 32) | u64::from(self.order.u32(block, 16)?);
        let interface = self.interfaces.get_mut(id)?;
        let packets = dropped.saturating_sub(interface.dropped);
        interface.dropped = interface.dropped.max(dropped);
        // Written behind the packets that it counts, whatever its own clock says.
        let until = interface.time(stamp).max(self.last);
        let within = (std::mem::replace(&mut interface.told, until).min(until), until);
        (packets > 0).then_some(Step::Lost { packets, within, consumed: block.len() })
    }

    /// The options of a whole block from `at` on: code and value.
    fn options<'b>(&self, block: &'b [u8], at: usize) -> impl Iterator<Item = (u16, &'b [u8])> + use<'b> {
        let order = self.order;
        let mut rest = block.get(at..block.len().saturating_sub(4)).unwrap_or_default();
        std::iter::from_fn(move || {
            let code = order.u16(rest, 0).filter(|&code| code != 0)?;
            let len = usize::from(order.u16(rest, 2)?);
            let value = rest.get(4..4 + len)?;
            rest = rest.get(4 + len.next_multiple_of(4)..).unwrap_or_default();
            Some((code, value))
        })
    }
}
