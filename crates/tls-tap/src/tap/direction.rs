//! One side's protection.

use super::held::Queue;
use super::lost::Lost;
use super::unverified::Unverified;
use crate::cipher::RecordCipher;
use crate::handshake::messages::Messages;

/// How one side's records are protected.
///
/// ```text
/// TLS 1.3:  Clear --ServerHello, keys--> Seek --Finished, or a record that opens--> Steady
///                                             --Finished, no traffic secret yet--> Await --its key--> Steady
/// TLS 1.2:  Clear --ChangeCipherSpec--> Switch --keys--> Steady --ChangeCipherSpec--> Switch
/// any:      Dead, when nothing will make it readable
/// ```
#[derive(Debug)]
pub(super) enum Phase {
    /// Records are in the clear.
    Clear,
    /// TLS 1.3 before application data: a record is of one of these.
    Seek(Vec<Candidate>),
    /// TLS 1.3 behind Finished: waits for the application traffic secret, which a server logs when it has read the client's Finished,
    /// after the client sent its first request.
    Await,
    /// TLS 1.2 behind ChangeCipherSpec: waits for both hellos of this handshake and its master secret.
    Switch(usize),
    /// Records are opened.
    Steady(Steady),
    /// Not readable for good.
    Dead,
}

/// The traffic secret of one stage of TLS 1.3, in one suite.
#[derive(Debug)]
pub(super) struct Candidate {
    pub(super) suite: u16,
    pub(super) stage: Stage,
    pub(super) cipher: Box<RecordCipher>,
    pub(super) sequence: u64,
}

/// Stages of TLS 1.3 in their order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Stage {
    Early,
    Handshake,
    Application,
}

#[derive(Debug)]
pub(super) struct Steady {
    /// Boxed, so that moving it leaves no copy of the key.
    pub(super) cipher: Box<RecordCipher>,
    /// Of the next record.
    pub(super) sequence: u64,
    pub(super) tls13: bool,
    /// A record opened under this secret, or one that led to it.
    pub(super) proven: bool,
}

#[derive(Debug)]
pub(super) struct Direction<'m> {
    pub(super) phase: Phase,
    pub(super) messages: Messages,
    pub(super) queue: Queue<'m>,
    pub(super) unverified: Unverified<'m>,
    /// What is missing in front of the next record.
    pub(super) lost: Option<Lost>,
    /// Trials of sequence numbers that may still be made.
    pub(super) trials: u64,
    /// Handshake bytes are missing.
    pub(super) lossy: bool,
    /// TLS 1.3 records were padded: lengths no longer tell the content.
    pub(super) padded: bool,
    /// Records in a row that did not open.
    pub(super) failures: u32,
    /// Ciphers so far in TLS 1.2.
    pub(super) epochs: usize,
    pub(super) unread: u64,
    /// The reader was told that this side is dark.
    pub(super) told: bool,
    /// Bytes of records that may be 0-RTT data and did not open.
    pub(super) early_missed: u64,
    /// The stream goes on inside of a connection whose beginning is not seen: fewest plaintext bytes that are missing of what was
    /// captured. To be said with the first record.
    pub(super) joined_inside: Option<u64>,
    /// A certificate was seen: the handshake is no resumption.
    pub(super) certificate: bool,
}

impl Direction<'_> {
    pub(super) fn new(trials: u64, lossy: bool) -> Self {
        Self {
            phase: Phase::Clear,
            messages: Messages::default(),
            queue: Queue::default(),
            unverified: Unverified::default(),
            lost: None,
            trials,
            lossy,
            padded: false,
            failures: 0,
            epochs: 0,
            unread: 0,
            told: false,
            early_missed: 0,
            joined_inside: None,
            certificate: false,
        }
    }

    pub(super) fn lost(&mut self) -> &mut Lost {
        self.lost.get_or_insert(Lost::NOTHING)
    }

    pub(super) fn memory(&self) -> usize {
        self.messages.memory() + self.queue.memory() + self.unverified.memory()
    }
}
