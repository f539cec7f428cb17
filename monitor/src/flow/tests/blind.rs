//! Connections that cannot be read, and what is told of them while they are open.

use super::script::{ACK, Script};
use crate::limits::Limits;

/// Records that were protected with nobody's keys. `first`: TLS 1.2 numbers them in front, from here on.
fn records(count: u64, first: Option<u64>) -> Vec<u8> {
    let mut bytes = Vec::new();
    for number in 0..count {
        bytes.extend([0x17, 3, 3, 0, 40]);
        let front = first.map_or(number.wrapping_add(7).wrapping_mul(0x9e37_79b9_7f4a_7c15), |first| first + number);
        bytes.extend(front.to_be_bytes());
        bytes.extend([0xa5; 32]);
    }
    bytes
}

/// A connection that was there before, in a live run.
fn joined(limits: Limits) -> Script {
    let mut script = Script::new(limits);
    script.client(&records(2, None));
    script.server(&records(2, None));
    acknowledge(&mut script);
    assert_eq!(script.told(), ["opened 10.0.0.2:50000>10.0.0.1:80 joined"]);
    script
}

/// What was sent is acknowledged: nothing came before it.
fn acknowledge(script: &mut Script) {
    script.send(false, script.server, script.client, ACK, b"");
    script.send(true, script.client, script.server, ACK, b"");
}

fn dark(told: &[String]) -> Vec<&str> {
    told.iter().map(String::as_str).filter(|said| said.starts_with("dark") || *said == "lit").collect()
}

#[test]
fn a_connection_joined_late_is_dark_long_before_its_end() {
    let mut script = joined(Limits::default());
    script.wait(900);
    assert!(dark(&script.told()).is_empty(), "a search may still find its key");
    script.wait(200);
    assert_eq!(dark(&script.told()), ["dark None joined_late"]);
    script.client(&records(1, None));
    script.wait(5_000);
    assert!(dark(&script.told()).is_empty(), "once");
    assert_eq!(dark(&script.finish()), [""; 0]);
}

#[test]
fn without_further_packets_time_tells_and_with_them_they_do() {
    let mut script = joined(Limits::default());
    script.now.0 += 2_000_000_000;
    script.client(&records(1, None));
    assert_eq!(dark(&script.told()), ["dark None joined_late"]);
}

#[test]
fn a_side_that_says_nothing_yet_is_not_dark() {
    let mut script = Script::new(Limits::default());
    script.client(&records(3, None));
    acknowledge(&mut script);
    script.wait(1_100);
    assert_eq!(dark(&script.told()), ["dark Some(Client) joined_late"]);
    script.server(&records(3, None));
    acknowledge(&mut script);
    script.wait(1_100);
    assert_eq!(dark(&script.told()), ["dark Some(Server) joined_late"]);
}

#[test]
fn tls_12_joined_late_is_dark_from_the_record_on_that_shows_it() {
    let mut script = Script::new(Limits::default());
    script.client(&records(1, Some(40)));
    script.server(&records(1, Some(90)));
    acknowledge(&mut script);
    assert!(dark(&script.told()).is_empty());
    script.client(&records(1, Some(41)));
    assert_eq!(dark(&script.told()), ["dark None joined_late_tls12"]);
}

#[test]
fn in_a_replay_the_end_tells() {
    let mut script = joined(Limits::default().of_replay());
    script.wait(60_000);
    assert_eq!(script.told(), [""; 0]);
    assert_eq!(dark(&script.finish()), ["dark Some(Client) joined_late", "dark Some(Server) joined_late"]);
}

#[test]
fn an_open_connection_tells_what_it_has_carried() {
    let mut script = Script::new(Limits { held_flow: 400, ..Limits::default() });
    script.client(&records(2, None));
    script.server(&records(20, None));
    acknowledge(&mut script);
    script.told();
    script.wait(10);
    // What is held back may still be read; what there was no room for will not be.
    assert_eq!(script.told().last().unwrap(), "progress 990 400");
    script.wait(10_000);
    script.told();
    script.wait(10_000);
    assert_eq!(script.told(), [""; 0], "nothing has moved");
    script.client(&records(1, None));
    script.wait(2_100);
    assert_eq!(script.told().last().unwrap(), "progress 1035 400");
    assert_eq!(script.finish().last().unwrap(), "closed InputEnded 1035 920");
}
