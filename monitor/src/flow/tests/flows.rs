use super::script::{ACK, FIN, RST, SYN, Script, short};
use crate::limits::Limits;

const REQUEST: &[u8] = b"GET /a?b HTTP/1.1\r\nHost: x\r\n\r\n";
const RESPONSE: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";
const OPENED: &str = "opened 10.0.0.2:50000>10.0.0.1:80";

fn script() -> Script {
    Script::new(Limits::default())
}

#[test]
fn a_whole_http1_connection() {
    let mut script = script();
    script.open();
    script.client(REQUEST);
    script.server(RESPONSE);
    script.close();
    let told = script.told();
    assert_eq!(
        told,
        [OPENED, "http/1.1", "request 1 /a", "response 1 200", "ended 1 complete", "closed Fin(Server) 70 0"]
    );
    assert_eq!(script.finish(), [""; 0]);
}

#[test]
fn half_open_flows_cost_a_slot_and_tell_nothing() {
    let limits = Limits { flows: 100, ..Limits::default() };
    let mut script = Script::new(limits);
    script.open();
    script.client(REQUEST);
    script.told();
    for port in 0..10_000 {
        script.port = port;
        script.send(true, 7, 0, SYN, b"");
    }
    let counts = script.shard.counts();
    assert_eq!((counts.open, counts.light, counts.evicted), (1, 99, 0));
    assert!(counts.table_bytes < 64 << 10);
    script.port = 50_000;
    script.server(RESPONSE);
    assert_eq!(script.told(), ["response 1 200", "ended 1 complete"]);
}

#[test]
fn flows_that_are_idle_are_forgotten() {
    let mut script = script();
    script.open();
    script.client(REQUEST);
    script.told();
    script.now.0 += 4_000_000_000_000;
    script.port = 1;
    script.send(true, 7, 0, SYN, b"");
    assert_eq!(script.told(), ["ended 1 Idle", "closed Idle 30 0"]);
    assert_eq!(script.shard.counts().light, 1);
}

#[test]
fn a_full_table_drops_the_oldest_and_says_so() {
    let mut script = Script::new(Limits { flows: 2, ..Limits::default() });
    for port in 1..4 {
        (script.port, script.client, script.server) = (port, 1_000, 9_000);
        script.open();
        script.client(REQUEST);
    }
    let told = script.told();
    assert_eq!(told.iter().filter(|word| word.starts_with("closed Evicted")).count(), 1);
    assert_eq!(script.shard.counts().evicted, 1);
}

#[test]
fn the_same_ports_again_are_a_new_connection() {
    let mut script = script();
    script.open();
    script.client(REQUEST);
    script.told();
    (script.client, script.server) = (777_000, 888_000);
    script.open();
    script.client(REQUEST);
    assert_eq!(script.told(), ["ended 1 Reused", "closed Reused 30 0", OPENED, "http/1.1", "request 1 /a"]);
    script.send(true, 776_999, 0, SYN, b"");
    script.server(RESPONSE);
    assert_eq!(script.told(), ["response 1 200", "ended 1 complete"], "a repeated SYN is the same connection");
    script.close();
    script.told();
    script.server(b"late");
    assert_eq!(script.told(), [""; 0], "packets after the end are ignored");
}

#[test]
fn a_reset_in_the_window_ends_it() {
    let mut script = script();
    script.open();
    script.client(REQUEST);
    script.told();
    script.send(false, 4_000_000_000, 0, RST, b"");
    assert_eq!(script.told(), ["anomaly tcp_rst_out_of_window"]);
    script.send(false, script.server, 0, RST, b"");
    assert_eq!(script.told(), ["ended 1 Rst(Server)", "closed Rst(Server) 30 0"]);
}

#[test]
fn a_fin_of_the_server_ends_what_it_did_not_answer_at_once() {
    let mut script = script();
    script.open();
    script.client(REQUEST);
    script.told();
    script.send(false, script.server, script.client, FIN | ACK, b"");
    assert_eq!(script.told(), ["ended 1 Fin(Server)"]);
    assert_eq!(script.finish(), ["closed Fin(Server) 30 0"]);
}

#[test]
fn without_a_syn_the_content_says_who_is_who() {
    let mut script = script();
    script.port = 22;
    script.client(REQUEST);
    script.server(RESPONSE);
    assert_eq!(
        script.finish(),
        [
            "opened 10.0.0.2:22>10.0.0.1:80 joined",
            "http/1.1",
            "request 1 /a",
            "response 1 200",
            "ended 1 complete",
            "closed InputEnded 70 0"
        ]
    );
}

#[test]
fn what_a_client_left_was_left_when_it_left() {
    let mut script = script();
    script.open();
    script.client(REQUEST);
    script.now.0 += 30_000_000_000;
    script.send(true, script.client, script.server, FIN | ACK, b"");
    let left = script.now;
    script.now.0 += 5_000_000_000;
    script.shard.finish(script.now, &mut script.out);
    let ended = script.out.drain().find(|(_, event)| short(event) == "ended 1 Fin(Client)");
    assert_eq!(ended.map(|(_, event)| event.time), Some(left));
}

#[test]
fn one_direction_alone_shows_what_the_other_had() {
    let mut script = script();
    let (client, server) = (script.client, script.server);
    script.send(true, client - 1, 0, SYN, b"");
    script.send(true, client, server, ACK, b"");
    script.client(REQUEST);
    script.server += 40;
    script.send(true, script.client, script.server, ACK, b"");
    script.now.0 += 30_000_000;
    script.send(true, script.client, script.server + 1, FIN | ACK, b"");
    let told = script.finish();
    assert!(told.contains(&"gap Server 40 acknowledged".to_owned()), "{told:?}");
    assert_eq!(script.shard.counts().one_way, [0, 1]);
    script.port += 1;
    script.send(false, server - 1, client, SYN | ACK, b"");
    script.send(false, server, client + 30, ACK, RESPONSE);
    assert!(script.finish().contains(&"gap Client 30 end".to_owned()));
    assert_eq!(script.shard.counts().one_way, [1, 1]);
}

#[test]
fn input_that_ends_leaves_requests_in_flight() {
    let mut script = script();
    script.open();
    script.client(REQUEST);
    assert_eq!(script.finish()[3..], ["ended 1 InputEnded", "closed InputEnded 30 0"]);
}

#[test]
fn an_acknowledged_hole_is_a_gap() {
    let mut script = script();
    script.open();
    script.client(REQUEST);
    script.told();
    script.server(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n12");
    script.server += 5;
    script.server(b"890");
    script.client(b"");
    script.server(b"");
    assert_eq!(script.told(), ["response 1 200", "gap Server 5 acknowledged", "ended 1 complete"]);
}

#[test]
fn a_proxy_header_names_the_source() {
    let mut script = script();
    script.open();
    script.client(b"PROXY TCP4 192.0.2.1 192.0.2.2 56324 443\r\n");
    script.client(REQUEST);
    assert_eq!(script.told(), [format!("{OPENED} for 192.0.2.1:56324").as_str(), "http/1.1", "request 1 /a"]);
}

#[test]
fn a_preface_on_an_http1_port_that_gets_a_bare_goaway() {
    let mut script = script();
    script.open();
    script.client(PREFACE);
    // HEADERS on stream 1: GET, http, /, authority a.
    script.client(b"\0\0\x06\x01\x05\0\0\0\x01\x82\x86\x84\x41\x01a");
    script.server(b"\0\0\x08\x07\0\0\0\0\0\0\0\0\0\0\0\0\x0d");
    script.close();
    let told = script.told();
    assert_eq!(told[..4], [OPENED, "h2c", "request 1 /", "goaway 0 HTTP_1_1_REQUIRED"]);
    assert_eq!(told[4], "ended 1 Fin(Server) HTTP_1_1_REQUIRED");
    assert!(told[5].starts_with("closed Fin(Server)"), "{told:?}");
}

#[test]
fn an_accepted_upgrade_goes_on_as_stream_1() {
    let mut script = script();
    script.open();
    script.client(
        b"GET /u HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n\r\n",
    );
    script.server(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: h2c\r\n\r\n\0\0\0\x04\0\0\0\0\0");
    script.client(PREFACE);
    // RST_STREAM on stream 1.
    script.server(b"\0\0\x04\x03\0\0\0\0\x01\0\0\0\x0d");
    let told = script.told();
    assert_eq!(
        told,
        [
            OPENED,
            "http/1.1",
            "request 1 /u",
            "response 1 101",
            "h2c",
            "reset 1 HTTP_1_1_REQUIRED BeforeResponse",
            "ended 1 HTTP_1_1_REQUIRED"
        ]
    );
}

#[test]
fn something_else_is_dark_with_a_reason() {
    let mut script = script();
    script.open();
    script.server(b"SSH-2.0-OpenSSH_9\r\n");
    script.client(b"SSH-2.0-OpenSSH_9\r\n");
    script.close();
    assert_eq!(script.told(), [OPENED, "other", "dark None not_http", "closed Fin(Server) 38 38"]);
}

#[test]
fn a_shard_that_is_full_of_holes_gives_up_the_oldest() {
    let mut script = Script::new(Limits { reassembly_shard: 100, ..Limits::default() });
    for port in 1..5 {
        (script.port, script.client, script.server) = (port, 1_000, 9_000);
        script.open();
        script.client(REQUEST);
        script.server += 7;
        script.server(&[b'x'; 40]);
    }
    let counts = script.shard.counts();
    assert_eq!((counts.waiting_bytes, counts.reassembly_evicted), (80, 2));
}

#[test]
fn payload_that_nobody_reads_may_be_left_out() {
    let mut script = script();
    let interests = |script: &mut Script| -> Vec<bool> {
        script.shard.samples().interests.iter().map(|interest| interest.payload).collect()
    };
    script.open();
    script.server(b"SSH-2.0-OpenSSH_9\r\n");
    script.client(b"SSH-2.0-OpenSSH_9\r\n");
    assert_eq!(interests(&mut script), [false]);
    script.told();
    // Its packets still say how much there was.
    let (client, server) = (script.client, script.server);
    script.send_cut(true, client, server, ACK, b"", 1_000);
    script.client = client.wrapping_add(1_000);
    script.server(b"seen whole");
    assert_eq!(interests(&mut script), [false; 0], "said once");
    script.close();
    assert_eq!(script.told(), ["closed Fin(Server) 1048 1048"]);
}

#[test]
fn payload_that_is_read_is_asked_for_when_it_is_cut() {
    let mut script = script();
    script.open();
    script.client(REQUEST);
    assert!(script.shard.samples().interests.is_empty());
    let (client, server) = (script.client, script.server);
    script.send_cut(true, client, server, ACK, b"", 10);
    assert!(script.shard.samples().interests.iter().all(|interest| interest.payload));
    assert!(script.told().contains(&"gap Client 10 truncated".to_owned()));
}
