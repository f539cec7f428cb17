use std::io;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use super::compression;
use super::feed::Feed;
use super::pcap::{FILE_HEADER, Pcap};
use super::pcapng::{self, Pcapng};
use super::step::{Head, Step};
use crate::model::{Bytes, Packet, PacketBatch, Time, hull, link_supported};

/// Notes that one input may make.
const NOTES: usize = 4;

/// What becomes known while the inputs are read.
#[derive(Debug, Default)]
pub(super) struct Report {
    notes: Mutex<Vec<String>>,
    unreadable: AtomicBool,
    pub(super) done: AtomicU64,
}

impl Report {
    pub(super) fn note(&self, line: String) {
        self.notes.lock().unwrap_or_else(PoisonError::into_inner).push(line);
    }

    pub(super) fn notes(&self) -> Vec<String> {
        self.notes.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn set_unreadable(&self) {
        self.unreadable.store(true, Ordering::Relaxed);
    }

    pub(super) fn unreadable(&self) -> bool {
        self.unreadable.load(Ordering::Relaxed)
    }
}

/// What is wrong with one input.
#[derive(Debug, Default)]
pub(super) struct Faults {
    /// Without the file's name.
    pub(super) notes: Vec<String>,
    /// It is no capture, or one of unsupported link types alone.
    pub(super) unreadable: bool,
}

impl Faults {
    fn note(&mut self, note: String) {
        if self.notes.len() < NOTES {
            self.notes.push(note);
        }
    }
}

/// Things that lie between packets.
#[derive(Debug, Default)]
pub(super) struct Between {
    pub(super) secrets: Vec<Vec<u8>>,
    pub(super) lost: u64,
    pub(super) lost_within: Option<(Time, Time)>,
}

enum Format {
    Unknown,
    Pcap(Pcap),
    Pcapng(Pcapng),
}

/// One capture, read packet by packet.
pub(super) struct Capture<'m> {
    pub(super) feed: Feed<'m>,
    format: Format,
    /// The next packet, where it was found and left.
    head: Option<Head>,
    ended: bool,
    /// Decryption Secrets Blocks are delivered.
    secrets: bool,
    supported: bool,
    /// The link type seen last.
    link: Option<u16>,
    /// Unsupported link types that were noted.
    unsupported: Vec<u16>,
    pub(super) faults: Faults,
    pub(super) between: Between,
}

impl<'m> Capture<'m> {
    pub(super) fn new(feed: Feed<'m>, secrets: bool) -> Self {
        Self {
            feed,
            format: Format::Unknown,
            head: None,
            ended: false,
            secrets,
            supported: false,
            link: None,
            unsupported: Vec::new(),
            faults: Faults::default(),
            between: Between::default(),
        }
    }

    /// The next packet, to be [taken](Self::take) or [left](Self::leave); `None` at the end.
    #[inline]
    pub(super) fn next(&mut self) -> Option<Head> {
        if let Some(head) = self.head.take() {
            return Some(head);
        }
        if let Format::Pcap(pcap) = &self.format
            && let Some(head) = pcap.packet(self.feed.bytes())
        {
            return Some(head);
        }
        self.find()
    }

    /// The packet that [`next`](Self::next) gave stays the next one.
    pub(super) fn leave(&mut self, head: Head) {
        self.head = Some(head);
    }

    /// Moves the packet that [`next`](Self::next) gave into `batch`.
    #[inline]
    pub(super) fn take(&mut self, head: Head, batch: &mut PacketBatch<'m>) {
        let data = match self.feed.lasting(head.offset, head.len) {
            Some(bytes) => Bytes::Lasting(bytes),
            None => {
                let bytes = self.feed.bytes().get(head.offset..head.offset + head.len).unwrap_or_default();
                let start = u32::try_from(batch.arena.len()).unwrap_or(u32::MAX);
                batch.arena.extend_from_slice(bytes);
                Bytes::Arena { start, len: u32::try_from(bytes.len()).unwrap_or(0) }
            }
        };
        batch.packets.push(Packet {
            time: head.time,
            link: head.link,
            data,
            wire_len: head.wire_len,
            shortened: false,
        });
        self.feed.take(head.consumed);
    }

    fn find(&mut self) -> Option<Head> {
        while !self.ended {
            let bytes = self.feed.bytes();
            let step = match &mut self.format {
                Format::Pcap(pcap) => pcap.step(bytes),
                Format::Pcapng(pcapng) => pcapng.step(bytes),
                Format::Unknown => {
                    if self.recognise() {
                        continue;
                    }
                    self.end();
                    break;
                }
            };
            match step {
                Step::Packet(head) => {
                    if self.link != Some(head.link) {
                        self.see_link(head.link);
                    }
                    return Some(head);
                }
                Step::Need(bytes) => {
                    if !self.want(bytes) {
                        if !self.feed.bytes().is_empty() {
                            self.cut_secrets();
                            self.cut();
                        }
                        self.end();
                    }
                }
                Step::Secrets { offset, len, consumed } => {
                    if self.secrets {
                        let text = self.feed.bytes().get(offset..offset + len).unwrap_or_default();
                        self.between.secrets.push(text.to_vec());
                    }
                    self.feed.take(consumed);
                }
                Step::Lost { packets, within, consumed } => {
                    self.between.lost = self.between.lost.saturating_add(packets);
                    self.between.lost_within = hull(self.between.lost_within, Some(within));
                    self.feed.take(consumed);
                }
                Step::Skip(bytes) => {
                    if !self.skip(bytes) {
                        self.end();
                    }
                }
                Step::Odd(what, bytes) => {
                    self.faults.note(format!("{what} at byte {}", self.feed.offset()));
                    if !self.skip(bytes) {
                        self.end();
                    }
                }
                Step::Damage(what) => {
                    let at = self.feed.offset();
                    self.faults.note(format!("damaged at byte {at}: {what}; nothing after it was read"));
                    self.end();
                }
            }
        }
        None
    }

    /// Tells the format by the first bytes; false when it is none.
    fn recognise(&mut self) -> bool {
        if !self.want(4) {
            match (self.feed.bytes(), self.faults.notes.is_empty()) {
                ([], true) => self.faults.note("empty file".to_owned()),
                (_, true) => self.faults.note("not a capture".to_owned()),
                _ => {}
            }
            self.faults.unreadable = true;
            return false;
        }
        let magic = self.feed.bytes().first_chunk::<4>().copied().unwrap_or_default();
        if magic == pcapng::SECTION_HEADER {
            let mut pcapng = Pcapng::new();
            if !self.want(28) {
                self.no_header();
                return false;
            }
            if let pcapng::Block::Damage(what) = pcapng.block(self.feed.bytes()) {
                self.faults.note(format!("not a capture: {what}"));
                self.faults.unreadable = true;
                return false;
            }
            self.format = Format::Pcapng(pcapng);
            return true;
        }
        if !Pcap::is_magic(magic) {
            // The longest of the names has six bytes; a shorter file is none of these.
            let _ = self.want(6);
            self.faults.note(match compression::unread(self.feed.bytes()) {
                Some(name) => format!("{name}-compressed: unpack it first"),
                None => "not a capture (neither pcap nor pcapng)".to_owned(),
            });
            self.faults.unreadable = true;
            return false;
        }
        if !self.want(FILE_HEADER) {
            self.no_header();
            return false;
        }
        let Some(pcap) = self.feed.bytes().first_chunk().and_then(Pcap::new) else { return false };
        self.feed.take(FILE_HEADER);
        self.see_link(pcap.link());
        self.format = Format::Pcap(pcap);
        true
    }

    /// The capture ends before its first header is complete.
    fn no_header(&mut self) {
        if self.faults.notes.is_empty() {
            self.cut();
        }
        self.faults.unreadable = true;
    }

    fn see_link(&mut self, link: u16) {
        self.link = Some(link);
        if link_supported(link) {
            self.supported = true;
        } else if self.unsupported.len() < NOTES && !self.unsupported.contains(&link) {
            self.unsupported.push(link);
            self.faults.note(format!("unsupported link type {link}"));
        }
    }

    fn want(&mut self, bytes: usize) -> bool {
        let wanted = self.feed.want(bytes);
        self.settle(wanted)
    }

    fn skip(&mut self, bytes: u64) -> bool {
        let skipped = self.feed.skip(bytes);
        if matches!(skipped, Ok(false)) {
            self.cut();
        }
        self.settle(skipped)
    }

    /// Notes a failed read.
    fn settle(&mut self, read: io::Result<bool>) -> bool {
        read.unwrap_or_else(|error| {
            let at = self.feed.offset() + self.feed.bytes().len() as u64;
            self.faults.note(match error.kind() {
                io::ErrorKind::UnexpectedEof => format!("compressed data cut off at byte {at} of what it holds"),
                _ => format!("{error} at byte {at}"),
            });
            // What is at hand was looked at: it is no whole packet.
            self.feed.take(usize::MAX);
            false
        })
    }

    /// The input ends within a block of secrets: those before the cut are whole.
    fn cut_secrets(&mut self) {
        if let Format::Pcapng(pcapng) = &mut self.format
            && self.secrets
            && let Some(text) = pcapng.cut_secrets(self.feed.bytes())
        {
            self.between.secrets.push(text.to_vec());
        }
    }

    fn cut(&mut self) {
        let at = self.feed.offset() + self.feed.bytes().len() as u64;
        self.faults.note(format!("cut off at byte {at}"));
    }

    fn end(&mut self) {
        self.ended = true;
        if !self.supported && !self.unsupported.is_empty() {
            self.faults.unreadable = true;
        }
    }
}
