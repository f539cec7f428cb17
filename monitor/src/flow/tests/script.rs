//! A small language of segments, and of the events that they give.

use std::net::SocketAddr;
use std::sync::Arc;

use tls_tap::KeyStore;

use crate::flow::{Events, Shard};
use crate::limits::Limits;
use crate::model::{Bytes, Event, ExchangeEnd, FlowKey, Kind, Segment, TcpFlags, Time};

/// A client and a server of one connection that talk to a shard.
pub(super) struct Script {
    pub(super) shard: Shard<'static>,
    pub(super) out: Events,
    pub(super) ordinal: u64,
    pub(super) now: Time,
    pub(super) port: u16,
    pub(super) client: u32,
    pub(super) server: u32,
}

pub(super) const SYN: u8 = TcpFlags::SYN;
pub(super) const ACK: u8 = TcpFlags::ACK;
pub(super) const FIN: u8 = TcpFlags::FIN;
pub(super) const RST: u8 = TcpFlags::RST;

impl Script {
    pub(super) fn new(limits: Limits) -> Self {
        let mut shard = Shard::new(Arc::new(limits));
        shard.keys(Arc::new(KeyStore::new(1)), &[], &mut Events::new());
        let (out, now) = (Events::new(), Time(1_000_000_000));
        Self { shard, out, ordinal: 0, now, port: 50_000, client: 1_000, server: 9_000 }
    }

    /// The client is the high end: its port is the higher one.
    pub(super) fn send(&mut self, client: bool, seq: u32, ack: u32, flags: u8, bytes: &[u8]) {
        self.send_cut(client, seq, ack, flags, bytes, 0);
    }

    /// Of the payload, `missing` bytes more were cut off.
    pub(super) fn send_cut(&mut self, client: bool, seq: u32, ack: u32, flags: u8, bytes: &[u8], missing: u32) {
        let key = FlowKey { low: (0xffff_0a00_0001, 80), high: (0xffff_0a00_0002, self.port), tunnel: 0 };
        self.ordinal += 1;
        self.now.0 += 100_000;
        let segment = Segment {
            time: self.now,
            ordinal: self.ordinal,
            key,
            hash: u64::from(self.port).wrapping_mul(0x9e37_79b9_7f4a_7c15),
            from_low: !client,
            seq,
            ack,
            flags: TcpFlags(flags),
            payload: Bytes::Arena { start: 0, len: u32::try_from(bytes.len()).unwrap() },
            missing,
        };
        self.shard.segment(&segment, bytes, &mut self.out);
    }

    pub(super) fn open(&mut self) {
        let (client, server) = (self.client, self.server);
        self.send(true, client.wrapping_sub(1), 0, SYN, b"");
        self.send(false, server.wrapping_sub(1), client, SYN | ACK, b"");
        self.send(true, client, server, ACK, b"");
    }

    pub(super) fn client(&mut self, bytes: &[u8]) {
        self.send(true, self.client, self.server, ACK, bytes);
        self.client = self.client.wrapping_add(u32::try_from(bytes.len()).unwrap());
    }

    pub(super) fn server(&mut self, bytes: &[u8]) {
        self.send(false, self.server, self.client, ACK, bytes);
        self.server = self.server.wrapping_add(u32::try_from(bytes.len()).unwrap());
    }

    /// FIN of the server, then of the client.
    pub(super) fn close(&mut self) {
        self.send(false, self.server, self.client, FIN | ACK, b"");
        self.server = self.server.wrapping_add(1);
        self.send(true, self.client, self.server, FIN | ACK, b"");
        self.client = self.client.wrapping_add(1);
        self.send(false, self.server, self.client, ACK, b"");
    }

    /// Time passes without packets.
    pub(super) fn wait(&mut self, millis: u64) {
        self.now.0 += millis * 1_000_000;
        self.shard.tick(self.now, &mut self.out);
    }

    pub(super) fn told(&mut self) -> Vec<String> {
        self.out.drain().map(|(_, event)| short(&event)).collect()
    }

    pub(super) fn finish(&mut self) -> Vec<String> {
        self.shard.finish(self.now, &mut self.out);
        self.told()
    }
}

/// An event in a few words.
pub(super) fn short(event: &Event) -> String {
    let end = |end: Option<SocketAddr>| end.map_or_else(|| "?".to_owned(), |end| end.to_string());
    match &event.kind {
        Kind::Opened { ends, joined, .. } => {
            let proxied = ends.proxied.map_or(String::new(), |source| format!(" for {source}"));
            format!("opened {}>{}{proxied}{}", end(ends.client), end(ends.server), if *joined { " joined" } else { "" })
        }
        Kind::Protocol(protocol) => protocol.name().to_owned(),
        Kind::Request(exchange) => {
            format!("request {} {}", exchange.id, exchange.request.path.as_deref().unwrap_or("?"))
        }
        Kind::Response { exchange, status, .. } => format!("response {exchange} {}", status.unwrap_or(0)),
        Kind::Reset(seen) => format!("reset {} {} {:?}", seen.reset.stream, seen.reset.code, seen.phase),
        Kind::GoAway(seen) => format!("goaway {} {}", seen.goaway.last_stream, seen.goaway.code),
        Kind::Ended { exchange, end, .. } => match end {
            ExchangeEnd::Complete => format!("ended {exchange} complete"),
            ExchangeEnd::Reset(reset) => format!("ended {exchange} {}", reset.code),
            ExchangeEnd::Closed { how, goaway } => {
                let goaway = goaway.map_or(String::new(), |goaway| format!(" {}", goaway.code));
                format!("ended {exchange} {how:?}{goaway}")
            }
            ExchangeEnd::Unseen => format!("ended {exchange} unseen"),
        },
        Kind::Gap { by, bytes, at } => {
            let bytes = bytes.map_or_else(|| "?".to_owned(), |bytes| bytes.to_string());
            format!("gap {by:?} {bytes} {}", at.name())
        }
        Kind::Dark { by, why } => format!("dark {by:?} {}", why.name()),
        Kind::Closed { how, bytes, unread } => format!("closed {how:?} {bytes} {unread}"),
        Kind::Anomaly { what, .. } => format!("anomaly {what}"),
        Kind::Hello(hello) => format!("hello {}", hello.sni.as_deref().unwrap_or("?")),
        Kind::Secured(secured) => format!("secured {} {}", secured.version, secured.alpn.as_deref().unwrap_or("?")),
        Kind::Alert { by, description, fatal } => {
            format!("alert {by:?} {description}{}", if *fatal { "!" } else { "" })
        }
        Kind::Lit => "lit".to_owned(),
        Kind::Progress { bytes, unread } => format!("progress {bytes} {unread}"),
        Kind::Ends(ends) => format!("ends {}>{}", end(ends.client), end(ends.server)),
        Kind::Named(name) => format!("named {name:?}"),
        Kind::Ending(how) => format!("ending {how:?}"),
        Kind::Process(process) => format!("process {} {}", process.pid, process.command),
    }
}
