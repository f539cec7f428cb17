use std::sync::Arc;
use std::time::Duration;

use super::{HELD_TOTAL, Once, PATIENCE};
use crate::model::{
    CloseHow, ConnectionId, DarkWhy, Endpoints, Event, Exchange, ExchangeEnd, GapWhere, HandshakeName, HelloSeen, Kind,
    PlaintextUse, Protocol, Request, Side, Time, TlsDark,
};

/// Packets and plaintext of one connection, as events; `p` is the one and `q` the other.
struct Two {
    once: Once,
    now: u64,
    told: Vec<String>,
}

const P: u64 = 1;
const Q: u64 = 2;

fn ends(port: u16) -> Endpoints {
    let at = |port| Some(std::net::SocketAddr::from(([192, 0, 2, 1], port)));
    Endpoints { client: at(port), server: at(443), proxied: None }
}

fn word(event: &Event) -> String {
    let what = match &event.kind {
        Kind::Opened { .. } => "opened".to_owned(),
        Kind::Ends(_) => "ends".to_owned(),
        Kind::Hello(_) => "hello".to_owned(),
        Kind::Protocol(protocol) => protocol.name().to_owned(),
        Kind::Request(exchange) => format!("request {}", exchange.id),
        Kind::Ended { exchange, end: ExchangeEnd::Closed { how, .. }, .. } => format!("ended {exchange} {how:?}"),
        Kind::Dark { .. } => "dark".to_owned(),
        Kind::Lit => "lit".to_owned(),
        Kind::Named(_) => "named".to_owned(),
        Kind::Closed { how, bytes, unread } => format!("closed {how:?} {bytes} {unread}"),
        other => format!("{other:?}"),
    };
    format!("{} {what}", if event.connection.0 == P { "p" } else { "q" })
}

impl Two {
    fn new() -> Self {
        let mut once = Once::default();
        once.watch();
        Self { once, now: 0, told: Vec::new() }
    }

    fn say(&mut self, of: u64, kind: Kind) -> &mut Self {
        self.now += 1;
        let told = &mut self.told;
        let event = Event { time: Time(self.now), connection: ConnectionId(of), kind };
        self.once.event(event, &mut |event| told.push(word(&event)));
        self
    }

    fn open(&mut self, of: u64, ends: Endpoints) -> &mut Self {
        self.say(of, Kind::Opened { ends: Box::new(ends), joined: false, plaintext: of == Q })
    }

    fn ask(&mut self, of: u64, id: u32) -> &mut Self {
        self.say(of, Kind::Protocol(Protocol::H2));
        let request = Arc::new(Request::default());
        self.say(of, Kind::Request(Exchange { id, request, pushed: false }))
    }

    fn name(&mut self, of: u64, name: u8) -> &mut Self {
        self.say(of, Kind::Named(Box::new(HandshakeName::Transcript([name; 32]))))
    }

    fn dark(&mut self) -> &mut Self {
        self.say(P, Kind::Hello(Box::new(HelloSeen { sni: None, alpn: Vec::new() })));
        self.say(P, Kind::Dark { by: None, why: DarkWhy::Tls(TlsDark::NoKey) })
    }

    fn close(&mut self, of: u64) -> &mut Self {
        let (how, bytes, unread) =
            if of == P { (CloseHow::Rst(Side::Server), 900, 900) } else { (CloseHow::Freed, 700, 10) };
        self.say(of, Kind::Closed { how, bytes, unread })
    }

    /// The plaintext's account of how a request ended that was open when its connection was.
    fn cut_off(&mut self, exchange: u32, how: CloseHow) -> &mut Self {
        let end = ExchangeEnd::Closed { how, goaway: None };
        self.say(Q, Kind::Ended { exchange, end, status: None, phase: h2_tap::Phase::BeforeResponse, known: true })
    }

    /// Time passes.
    fn wait(&mut self, span: Duration) -> &mut Self {
        self.now += u64::try_from(span.as_nanos()).unwrap();
        let told = &mut self.told;
        self.once.advance(Time(self.now), &mut |event| told.push(word(&event)));
        self
    }

    fn told(&mut self) -> Vec<String> {
        std::mem::take(&mut self.told)
    }

    fn uses(&self) -> Vec<(PlaintextUse, u64)> {
        self.once.uses().iter().map(|(what, count)| (*what, *count)).collect()
    }

    /// Nothing is kept of what is over.
    fn empty(&self) -> bool {
        self.once.packets.is_empty()
            && self.once.plaintext.is_empty()
            && self.once.by_mark.is_empty()
            && self.once.awaited.is_empty()
            && self.once.held == 0
    }
}

#[test]
fn packets_that_can_be_read_are() {
    let mut two = Two::new();
    two.open(P, ends(9)).open(Q, ends(9)).ask(Q, 1).ask(P, 1).ask(Q, 3).ask(P, 3).close(Q).close(P);
    let read = ["p opened", "p h2", "p request 1", "p h2", "p request 3", "p closed Rst(Server) 900 900"];
    assert_eq!(two.told(), read);
    assert_eq!(two.uses(), [(PlaintextUse::Left, 1)]);
    assert!(two.empty());
}

#[test]
fn plaintext_speaks_for_packets_that_cannot_be_read() {
    let end = ExchangeEnd::Closed { how: CloseHow::Freed, goaway: None };
    let ended = Kind::Ended { exchange: 3, end, status: None, phase: h2_tap::Phase::BeforeResponse, known: true };
    // The plaintext is there before the packets are known to be dark, or comes later; and either ends first.
    for early in [false, true] {
        for packets_first in [false, true] {
            let mut two = Two::new();
            two.open(P, ends(9));
            if early {
                two.open(Q, Endpoints::default()).say(Q, Kind::Ends(Box::new(ends(9)))).ask(Q, 1).dark();
            } else {
                two.dark().open(Q, ends(9)).ask(Q, 1);
            }
            two.ask(Q, 3);
            // A key comes late: what it shows was told already.
            two.say(P, Kind::Lit).ask(P, 1);
            if packets_first {
                two.close(P).say(Q, ended.clone()).close(Q);
            } else {
                two.say(Q, ended.clone()).close(Q).close(P);
            }
            let mut wanted =
                vec!["p opened", "p hello", "p dark", "p lit", "p h2", "p request 1", "p h2", "p request 3"];
            // Whichever ends first, the packets tell how.
            wanted.extend(["p ended 3 Rst(Server)", "p closed Rst(Server) 900 10"]);
            assert_eq!(two.told(), wanted, "{early} {packets_first}");
            assert_eq!(two.uses(), [(PlaintextUse::Instead, 1)]);
            assert!(two.empty(), "{:?}", two.once);
        }
    }
}

#[test]
fn last_words_wait_for_the_packets_and_not_for_ever() {
    let open = || {
        let mut two = Two::new();
        two.open(P, ends(9)).dark().open(Q, ends(9)).ask(Q, 1).told();
        two
    };
    let mut two = open();
    two.cut_off(1, CloseHow::Freed).close(Q).wait(PATIENCE / 2);
    assert!(two.told().is_empty(), "the packets may still say how it ended");
    two.close(P);
    assert_eq!(two.told(), ["p ended 1 Rst(Server)", "p closed Rst(Server) 900 10"]);
    assert!(two.empty());
    // Their last word may wait for a key, or for a client that keeps its end open: the first FIN says enough.
    for packets_first in [true, false] {
        let mut two = open();
        if packets_first {
            two.say(P, Kind::Ending(CloseHow::Fin(Side::Server))).cut_off(1, CloseHow::Freed).close(Q);
        } else {
            two.cut_off(1, CloseHow::Freed).close(Q).say(P, Kind::Ending(CloseHow::Fin(Side::Server)));
        }
        assert_eq!(two.told(), ["p ended 1 Fin(Server)", "p closed Fin(Server) 700 10"]);
        two.close(P);
        assert!(two.told().is_empty() && two.empty(), "its end was told");
    }
    // Not one that was captured.
    let mut two = open();
    two.cut_off(1, CloseHow::Freed).close(Q).wait(PATIENCE);
    assert_eq!(two.told(), ["p ended 1 Freed", "p closed Freed 700 10"]);
    two.close(P);
    assert!(two.told().is_empty() && two.empty(), "its end was told");
    // At the end of the run there is nothing to wait for.
    let mut two = open();
    two.cut_off(1, CloseHow::Freed).close(Q);
    let mut told = Vec::new();
    two.once.finish(&mut |event| told.push(word(&event)));
    assert_eq!(told, ["p ended 1 Freed", "p closed Freed 700 10"]);
    // Packets that do not show how it ended leave it to the process.
    let mut two = open();
    two.cut_off(1, CloseHow::ProcessEnded(Side::Server)).close(Q);
    two.say(P, Kind::Closed { how: CloseHow::InputEnded, bytes: 900, unread: 900 });
    assert_eq!(two.told(), ["p ended 1 ProcessEnded(Server)", "p closed InputEnded 900 10"]);
    assert!(two.empty());
}

#[test]
fn last_words_that_wait_are_bounded() {
    const CONNECTIONS: u64 = HELD_TOTAL as u64 + 5;
    let mut two = Two::new();
    let mut say = |connection, kind| {
        let event = Event { time: Time(1), connection: ConnectionId(connection), kind };
        two.once.event(event, &mut |_| {});
    };
    for number in 0..CONNECTIONS {
        let (packets, plaintext) = (10 + 2 * number, 11 + 2 * number);
        let name = || Kind::Named(Box::new(HandshakeName::Randoms { client: [0; 32], server: numbered(number) }));
        let opened = |plaintext| Kind::Opened { ends: Box::default(), joined: false, plaintext };
        say(packets, opened(false));
        say(packets, name());
        say(packets, Kind::Dark { by: None, why: DarkWhy::Tls(TlsDark::NoKey) });
        say(plaintext, opened(true));
        say(plaintext, name());
    }
    for number in 0..CONNECTIONS {
        say(11 + 2 * number, Kind::Closed { how: CloseHow::Freed, bytes: 1, unread: 0 });
    }
    two.wait(Duration::ZERO);
    assert_eq!((two.once.held, two.told().len()), (HELD_TOTAL - 1, 6));
}

/// Bytes that no other number has.
fn numbered(number: u64) -> [u8; 32] {
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&number.to_le_bytes());
    bytes
}

#[test]
fn plaintext_without_packets_is_passed_over() {
    let mut two = Two::new();
    two.open(Q, ends(9)).ask(Q, 1).close(Q);
    assert!(two.told().is_empty() && two.empty(), "{:?}", two.once);
    assert_eq!(two.uses(), [(PlaintextUse::Unplaced, 1)]);
    // Its packets may be seen a little later.
    let mut two = Two::new();
    two.open(Q, ends(9)).ask(Q, 1).open(P, ends(9)).dark().close(Q).close(P);
    let told = ["p opened", "p hello", "p dark", "p lit", "p h2", "p request 1", "p closed Rst(Server) 900 10"];
    assert_eq!(two.told(), told);
    assert!(two.empty(), "{:?}", two.once);
}

#[test]
fn who_is_the_server_may_be_told_in_two_ways() {
    let mut two = Two::new();
    let Endpoints { client, server, .. } = ends(9);
    two.open(P, ends(9)).dark().open(Q, Endpoints { client: server, server: client, proxied: None }).ask(Q, 1);
    assert_eq!(two.uses(), [(PlaintextUse::Instead, 1)]);
}

#[test]
fn the_handshake_tells_whose_plaintext_it_is() {
    // Whichever is first, and whether the packets are known to be dark by then or not.
    for order in 0..4 {
        let mut two = Two::new();
        two.open(P, ends(9));
        match order {
            0 => two.name(P, 7).dark().open(Q, Endpoints::default()).name(Q, 7).ask(Q, 1),
            1 => two.open(Q, Endpoints::default()).name(Q, 7).ask(Q, 1).name(P, 7).dark(),
            2 => two.open(Q, Endpoints::default()).ask(Q, 1).name(P, 7).name(Q, 7).dark(),
            _ => two.dark().open(Q, Endpoints::default()).ask(Q, 1).name(Q, 7).name(P, 7),
        };
        two.close(Q).close(P);
        let told = ["p opened", "p hello", "p dark", "p lit", "p h2", "p request 1", "p closed Rst(Server) 900 10"];
        assert_eq!(two.told(), told, "{order}");
        assert_eq!(two.uses(), [(PlaintextUse::Instead, 1)]);
        assert!(two.empty(), "{:?}", two.once);
    }
    // Addresses that were changed on the way are no hindrance.
    let mut two = Two::new();
    two.open(P, ends(9)).name(P, 7).dark().open(Q, ends(10)).name(Q, 7).ask(Q, 1).close(P).close(Q);
    assert_eq!(two.uses(), [(PlaintextUse::Instead, 1)]);
    assert!(two.empty(), "{:?}", two.once);
}

#[test]
fn another_handshake_is_another_connection_whatever_the_addresses() {
    for early in [false, true] {
        let mut two = Two::new();
        two.open(P, ends(9));
        if early {
            two.open(Q, ends(9)).name(Q, 8).ask(Q, 1).name(P, 7).dark();
        } else {
            two.name(P, 7)
                .dark()
                .open(Q, Endpoints::default())
                .name(Q, 8)
                .say(Q, Kind::Ends(Box::new(ends(9))))
                .ask(Q, 1);
        }
        two.close(Q).close(P);
        assert_eq!(two.told(), ["p opened", "p hello", "p dark", "p closed Rst(Server) 900 900"], "{early}");
        assert_eq!(two.uses(), [(PlaintextUse::Unplaced, 1)]);
        assert!(two.empty(), "{:?}", two.once);
    }
}

#[test]
fn of_two_processes_at_its_ends_one_is_heard() {
    const R: u64 = 3;
    let mut two = Two::new();
    two.open(P, ends(9)).name(P, 7);
    for of in [Q, R] {
        two.say(of, Kind::Opened { ends: Box::default(), joined: false, plaintext: true }).name(of, 7);
    }
    two.ask(Q, 1).ask(R, 1).dark().close(R).close(Q).close(P);
    let told = ["p opened", "p hello", "p dark", "p lit", "p h2", "p request 1", "p closed Rst(Server) 900 10"];
    assert_eq!(two.told(), told);
    assert_eq!(two.uses(), [(PlaintextUse::Instead, 1), (PlaintextUse::Left, 1)]);
    assert!(two.empty(), "{:?}", two.once);
}

#[test]
fn plaintext_without_addresses_is_passed_over() {
    let mut two = Two::new();
    two.open(P, ends(9)).dark().open(Q, Endpoints::default()).ask(Q, 1).close(Q).close(P);
    assert_eq!(two.told(), ["p opened", "p hello", "p dark", "p closed Rst(Server) 900 900"]);
    assert_eq!(two.uses(), [(PlaintextUse::Unplaced, 1)]);
    assert!(two.empty());
    // And what waits for addresses is bounded.
    two.open(Q, Endpoints::default());
    for id in 0..10_000 {
        two.ask(Q, id);
    }
    assert!(two.once.held == 0 && two.told().is_empty());
    two.close(Q);
    assert!(two.empty());
}

#[test]
fn plaintext_that_ends_before_its_packets_are_judged_waits_for_them() {
    for dark in [true, false] {
        let mut two = Two::new();
        two.open(P, ends(9)).open(Q, ends(9)).ask(Q, 1).close(Q);
        assert_eq!(two.told(), ["p opened"]);
        if dark {
            two.dark().close(P);
            let told = ["p hello", "p dark", "p lit", "p h2", "p request 1", "p closed Rst(Server) 900 10"];
            assert_eq!(two.told(), told);
        } else {
            two.ask(P, 1).close(P);
            assert_eq!(two.told(), ["p h2", "p request 1", "p closed Rst(Server) 900 900"]);
        }
        assert!(two.empty());
    }
    // Packets that end without having shown anything leave it to the plaintext.
    let mut two = Two::new();
    two.open(P, ends(9)).open(Q, ends(9)).ask(Q, 1).close(P).close(Q);
    assert_eq!(two.told(), ["p opened", "p lit", "p h2", "p request 1", "p closed Rst(Server) 900 10"]);
    assert!(two.empty());
}

#[test]
fn alone_either_passes() {
    let mut two = Two { once: Once::default(), now: 0, told: Vec::new() };
    two.open(Q, Endpoints::default()).ask(Q, 1).say(Q, Kind::Lit).close(Q);
    assert_eq!(two.told().len(), 5);
    assert_eq!(two.uses(), [(PlaintextUse::Own, 1)]);
    let gap = Kind::Gap { by: Side::Client, bytes: None, at: GapWhere::Probe };
    two.open(P, ends(9)).say(P, gap);
    assert_eq!(two.told().len(), 2);
    assert!(two.empty());
}
