use proptest::prelude::*;

use super::*;

#[derive(Debug, Default, PartialEq, Eq)]
struct Got {
    bytes: Vec<u8>,
    gaps: Vec<(u64, GapWhere)>,
}

impl<'m> Ordered<'m> for Got {
    fn data(&mut self, _: Time, chunk: Chunk<'m, '_>) {
        self.bytes.extend_from_slice(chunk.bytes());
    }

    fn gap(&mut self, _: Time, bytes: u64, at: GapWhere) {
        self.gaps.push((bytes, at));
    }
}

/// One direction under test.
struct Line {
    stream: Reassembly<'static>,
    got: Got,
    limits: Limits,
    now: Time,
}

impl Line {
    fn new(first: Option<u32>) -> Self {
        Self { stream: Reassembly::new(first), got: Got::default(), limits: Limits::default(), now: Time(0) }
    }

    fn put(&mut self, seq: u32, bytes: &[u8]) -> Option<Oddity> {
        self.cut(seq, bytes, 0)
    }

    fn cut(&mut self, seq: u32, bytes: &[u8], missing: u32) -> Option<Oddity> {
        let payload = Payload { time: self.now, seq, chunk: Chunk::Passing(bytes), missing };
        self.stream.data(payload, &self.limits, &mut self.got)
    }

    fn ack(&mut self, ack: u32) {
        self.stream.overdue(self.now, &mut self.got);
        self.stream.acknowledged(self.now, ack, &mut self.got);
    }

    fn wait(&mut self, ms: u64) {
        self.now.0 += ms * 1_000_000;
        self.stream.overdue(self.now, &mut self.got);
    }

    fn flush(mut self) -> Got {
        self.stream.flush(self.now, &mut self.got);
        self.got
    }
}

#[test]
fn out_of_order_overlap_and_retransmission() {
    let mut line = Line::new(Some(100));
    line.put(103, b"def");
    line.put(100, b"abcd");
    line.put(100, b"abcdef");
    line.put(105, b"fgh");
    assert_eq!(line.got.bytes, b"abcdefgh");
    assert_eq!(line.flush().gaps, []);
}

#[test]
fn the_first_copy_wins_and_a_conflict_is_said() {
    let mut line = Line::new(Some(0));
    line.put(2, b"cd");
    assert_eq!(line.put(0, b"abXd"), Some(Oddity::Conflict));
    assert_eq!(line.got.bytes, b"abcd");
}

#[test]
fn sequence_numbers_wrap() {
    let mut line = Line::new(Some(u32::MAX - 1));
    line.put(1, b"de");
    line.put(u32::MAX - 1, b"abc");
    line.ack(3);
    assert_eq!(line.got.bytes, b"abcde");
    assert_eq!(line.got.gaps, []);
}

#[test]
fn keep_alives_and_zero_window_probes_add_nothing() {
    let mut line = Line::new(Some(10));
    line.put(10, b"ab");
    line.put(11, b"?");
    line.put(11, b"");
    line.put(12, b"c");
    line.put(12, b"cde");
    assert_eq!(line.got.bytes, b"abcde");
    assert_eq!(line.flush().gaps, []);
}

#[test]
fn a_hole_is_lost_when_bytes_behind_it_are_acknowledged() {
    let mut line = Line::new(Some(0));
    line.put(0, b"ab");
    line.put(4, b"ef");
    line.ack(2);
    line.ack(4);
    assert_eq!(line.got.gaps, [], "an acknowledgment can be captured in front of its data");
    line.ack(6);
    assert_eq!(line.got, Got { bytes: b"abef".to_vec(), gaps: vec![(2, GapWhere::Acknowledged)] });
}

#[test]
fn bytes_that_never_came_are_lost_after_a_while() {
    let mut line = Line::new(Some(0));
    line.put(0, b"ab");
    line.ack(6);
    line.wait(5);
    line.put(2, b"cd");
    line.wait(5);
    assert_eq!(line.got.gaps, []);
    line.wait(20);
    assert_eq!(line.got.gaps, [(2, GapWhere::Acknowledged)]);
    line.put(6, b"gh");
    assert_eq!(line.flush().bytes, b"abcdgh");
}

#[test]
fn an_acknowledged_fin_is_no_byte() {
    let mut line = Line::new(Some(0));
    line.put(0, b"ab");
    line.ack(3);
    line.wait(1_000);
    assert_eq!(line.flush().gaps, []);
}

#[test]
fn what_the_snap_length_cut_off_is_a_gap_in_place() {
    let mut line = Line::new(Some(0));
    line.cut(6, b"gh", 2);
    line.cut(0, b"ab", 4);
    line.put(10, b"kl");
    assert_eq!(line.got.bytes, b"abghkl");
    assert_eq!(line.got.gaps, [(4, GapWhere::Truncated), (2, GapWhere::Truncated)]);
}

#[test]
fn the_cap_gives_up_the_hole() {
    let mut line = Line::new(Some(0));
    line.limits.reassembly_flow = 10;
    line.put(5, b"fghij");
    line.put(10, b"klmno");
    assert_eq!(line.got.bytes, b"");
    line.put(15, b"p");
    assert_eq!(line.got, Got { bytes: b"fghijklmnop".to_vec(), gaps: vec![(5, GapWhere::Cap)] });
}

#[test]
fn the_cap_on_pieces_holds_for_tiny_segments() {
    let mut line = Line::new(Some(0));
    line.limits.reassembly_pieces = 8;
    for n in 0..1_000 {
        line.put(2 * n + 1, b"x");
        assert!(line.stream.held.len() <= 8);
    }
}

#[test]
fn a_hole_at_the_end_is_said() {
    let mut line = Line::new(Some(0));
    line.put(0, b"ab");
    line.put(5, b"f");
    line.stream.fin(9, &mut line.got);
    assert!(!line.stream.ended());
    let got = line.flush();
    assert_eq!(got, Got { bytes: b"abf".to_vec(), gaps: vec![(3, GapWhere::End), (3, GapWhere::End)] });
}

#[test]
fn a_fin_ends_the_stream_and_what_follows_is_odd() {
    let mut line = Line::new(Some(0));
    line.stream.fin(2, &mut line.got);
    assert!(!line.stream.ended());
    assert_eq!(line.put(0, b"abc"), Some(Oddity::AfterFin));
    assert!(line.stream.ended());
    assert_eq!(line.got.bytes, b"ab");
}

#[test]
fn without_a_syn_the_lowest_of_the_first_segments_is_the_start() {
    let mut line = Line::new(None);
    line.put(103, b"de");
    line.put(100, b"abc");
    assert_eq!(line.got.bytes, b"");
    line.ack(105);
    assert_eq!(line.got, Got { bytes: b"abcde".to_vec(), gaps: vec![] });
    line.put(90, b"old");
    assert_eq!(line.flush().bytes, b"abcde");
}

#[test]
fn acknowledgments_alone_show_what_was_not_seen() {
    let lost = |acks: &[(u64, u32)]| {
        let mut line = Line::new(None);
        for &(ms, ack) in acks {
            line.wait(ms);
            line.ack(ack);
        }
        line.flush().gaps
    };
    let whole = |bytes| vec![(bytes, GapWhere::Acknowledged)];
    assert_eq!(lost(&[(0, 500)]), [], "a place to count from");
    assert_eq!(lost(&[(0, 500), (30, 900), (30, 1_300)]), [], "under way when the capture began");
    assert_eq!(lost(&[(0, 500), (30, 900), (1_000, 900), (5, 1_000), (30, 1_000)]), whole(100));
    assert_eq!(lost(&[(0, u32::MAX), (1_000, 9), (20, 9)]), whole(10), "sequence numbers wrap");
    assert_eq!(lost(&[(0, 500), (2_000, 501), (9_000, 501)]), [], "a FIN takes one");
    assert_eq!(lost(&[(0, 500), (2_000, 600), (30, 600), (9, 601), (30, 601)]), whole(100), "and is no byte");
    assert_eq!(lost(&[(0, 500), (2_000, 500 + (1 << 30) + 1), (2_000, 400), (30, 0x8000_0000)]), [], "no window");
    assert_eq!(lost(&[(0, 500), (2_000, 600)]), [(100, GapWhere::End)]);
}

#[test]
fn a_direction_that_is_seen_late_begins_where_it_is_seen() {
    let joined = |ms: u64, seq: u32, ms_more: u64| {
        let mut line = Line::new(None);
        line.ack(100);
        line.wait(ms);
        line.ack(103);
        line.wait(ms_more);
        line.put(seq, b"defg");
        line.ack(seq + 4);
        line.wait(1_000);
        line.flush()
    };
    let got = |bytes: &[u8], gaps: &[u64]| Got {
        bytes: bytes.to_vec(),
        gaps: gaps.iter().map(|&bytes| (bytes, GapWhere::Acknowledged)).collect(),
    };
    assert_eq!(joined(5, 103, 5), got(b"defg", &[]));
    assert_eq!(joined(5, 150, 5), got(b"defg", &[]), "what is missing was under way when the capture began");
    assert_eq!(joined(5, 99, 5), got(b"defg", &[]), "it can be captured behind its acknowledgment");
    assert_eq!(joined(2_000, 99, 5), got(b"defg", &[]), "whenever that is");
    assert_eq!(joined(2_000, 103, 5), got(b"defg", &[3]));
    assert_eq!(joined(2_000, 113, 5), got(b"defg", &[13]));
    assert_eq!(joined(2_000, 113, 50), got(b"defg", &[3, 10]));
    assert_eq!(joined(2_000, 0x7000_0000, 5), got(b"defg", &[]), "the acknowledgments were of something else");
}

#[test]
fn a_hole_and_what_never_came_are_lost_once() {
    let mut line = Line::new(Some(0));
    line.put(0, b"ab");
    line.ack(8);
    line.put(4, b"ef");
    line.wait(20);
    line.put(8, b"ij");
    let got = line.flush();
    assert_eq!(got.bytes, b"abefij");
    assert_eq!(got.gaps, [(2, GapWhere::Acknowledged), (2, GapWhere::Acknowledged)]);
}

#[test]
fn a_stray_segment_is_no_loss_but_a_run_of_them_is() {
    let mut line = Line::new(Some(0));
    line.put(0, b"ab");
    assert_eq!(line.put(0x7000_0000, b"x"), Some(Oddity::OutOfWindow));
    line.put(2, b"cd");
    for n in 0..u32::from(STRAYS) {
        line.put(0x7000_0000 + n, b"y");
    }
    line.put(0x7000_0000 + u32::from(STRAYS), b"z");
    assert_eq!(line.got.bytes, b"abcdyz");
    assert_eq!(line.got.gaps, [(0x7000_0000 + u64::from(STRAYS) - 1 - 4, GapWhere::Cap)]);
}

#[test]
fn a_reset_needs_a_sequence_number_near_the_next() {
    let mut line = Line::new(Some(1_000));
    line.put(1_000, b"abcd");
    assert!(line.stream.accepts_reset(1_004));
    assert!(line.stream.accepts_reset(1_003));
    assert!(!line.stream.accepts_reset(900));
    assert!(!line.stream.accepts_reset(0x6000_0000));
    assert!(Reassembly::new(None).accepts_reset(7));
}

/// Cuts of a stream: where, how long, and in which order they come.
fn segments() -> impl Strategy<Value = (u32, Vec<u8>, Vec<(usize, usize)>)> {
    (any::<u32>(), prop::collection::vec(any::<u8>(), 1..200)).prop_flat_map(|(first, bytes)| {
        let length = bytes.len();
        let cuts = prop::collection::vec((0..length, 1..40usize), 0..60);
        (Just(first), Just(bytes), cuts)
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]
    #[test]
    fn however_it_is_cut_reordered_and_repeated((first, bytes, cuts) in segments()) {
        let mut line = Line::new(Some(first));
        let place = |at: usize| first.wrapping_add(u32::try_from(at).unwrap());
        for (at, length) in cuts {
            line.put(place(at), &bytes[at..bytes.len().min(at + length)]);
        }
        for (at, part) in bytes.chunks(7).enumerate() {
            line.put(place(at * 7), part);
        }
        line.ack(place(bytes.len()));
        prop_assert_eq!(line.stream.held(), 0);
        prop_assert_eq!(line.flush(), Got { bytes, gaps: vec![] });
    }

    #[test]
    fn any_numbers_at_all_keep_the_caps(steps in prop::collection::vec((any::<u32>(), 0..3u8, 0..50usize), 0..100)) {
        let mut line = Line::new(None);
        line.limits.reassembly_flow = 100;
        for (number, what, length) in steps {
            match what {
                0 => { line.put(number >> 20, &vec![1; length]); }
                1 => line.ack(number >> 20),
                _ => { line.put(number, &vec![2; length]); }
            }
            prop_assert!(line.stream.held() <= 150);
        }
        line.flush();
    }
}
