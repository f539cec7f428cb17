//! The decoder as a whole: the examples of RFC 7541 appendix C, another implementation's encoder, and a model.

use std::collections::VecDeque;

use httlib_hpack::Encoder;
use proptest::prelude::*;

use super::{Decoder, Field, Fields, FieldsBuf, HpackError, Wanted, huffman};
use crate::Limits;

type Pair = (Vec<u8>, Vec<u8>);

fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> =
        text.chars().filter(|c| !c.is_whitespace()).map(|c| u8::try_from(c.to_digit(16).unwrap()).unwrap()).collect();
    digits.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect()
}

fn pairs(fields: &Fields<'_>) -> Vec<Pair> {
    fields.iter().map(|field| (field.name.unwrap().to_vec(), field.value.unwrap().to_vec())).collect()
}

fn owned(text: &[(&str, &str)]) -> Vec<Pair> {
    text.iter().map(|(name, value)| (name.as_bytes().to_vec(), value.as_bytes().to_vec())).collect()
}

/// The dynamic table, newest first.
fn table(decoder: &Decoder) -> Vec<Pair> {
    let part = |span: super::span::Span| span.resolve(decoder.arena()).unwrap().to_vec();
    (0..decoder.table().len())
        .map(|index| decoder.table().get(index).unwrap())
        .map(|entry| (part(entry.name), part(entry.value)))
        .collect()
}

/// Bytes, fields, and the table afterwards with its size.
type Step<'a> = (&'a str, &'a [(&'a str, &'a str)], &'a [(&'a str, &'a str)], usize);

/// Blocks of one connection.
fn story(max: u32, blocks: &[Step<'_>]) {
    let mut decoder = Decoder::new(&Limits::default());
    decoder.set_max(max);
    if max < 4096 {
        decoder.decode(&size_update(max)).unwrap();
    }
    for (block, fields, after, size) in blocks {
        let decoded = decoder.decode(&hex(block)).unwrap();
        assert!(decoded.complete());
        assert_eq!(pairs(&decoded), owned(fields));
        assert_eq!(table(&decoder), owned(after));
        assert_eq!(decoder.table().size(), *size);
    }
}

#[test]
fn examples_of_appendix_c2() {
    let custom = ("custom-key", "custom-header");
    story(4096, &[("400a 6375 7374 6f6d 2d6b 6579 0d63 7573 746f 6d2d 6865 6164 6572", &[custom], &[custom], 55)]);
    story(4096, &[("040c 2f73 616d 706c 652f 7061 7468", &[(":path", "/sample/path")], &[], 0)]);
    story(4096, &[("1008 7061 7373 776f 7264 0673 6563 7265 74", &[("password", "secret")], &[], 0)]);
    story(4096, &[("82", &[(":method", "GET")], &[], 0)]);
}

const AUTHORITY: (&str, &str) = (":authority", "www.example.com");
const NO_CACHE: (&str, &str) = ("cache-control", "no-cache");
const CUSTOM: (&str, &str) = ("custom-key", "custom-value");

fn requests(blocks: [&str; 3]) {
    let get = |scheme, path| [(":method", "GET"), (":scheme", scheme), (":path", path), AUTHORITY];
    story(
        4096,
        &[
            (blocks[0], &get("http", "/"), &[AUTHORITY], 57),
            (blocks[1], &[&get("http", "/")[..], &[NO_CACHE]].concat(), &[NO_CACHE, AUTHORITY], 110),
            (blocks[2], &[&get("https", "/index.html")[..], &[CUSTOM]].concat(), &[CUSTOM, NO_CACHE, AUTHORITY], 164),
        ],
    );
}

#[test]
fn examples_of_appendix_c3() {
    requests([
        "8286 8441 0f77 7777 2e65 7861 6d70 6c65 2e63 6f6d",
        "8286 84be 5808 6e6f 2d63 6163 6865",
        "8287 85bf 400a 6375 7374 6f6d 2d6b 6579 0c63 7573 746f 6d2d 7661 6c75 65",
    ]);
}

#[test]
fn examples_of_appendix_c4() {
    requests([
        "8286 8441 8cf1 e3c2 e5f2 3a6b a0ab 90f4 ff",
        "8286 84be 5886 a8eb 1064 9cbf",
        "8287 85bf 4088 25a8 49e9 5ba9 7d7f 8925 a849 e95b b8e8 b4bf",
    ]);
}

fn responses(blocks: [&str; 3]) {
    let (found, not_modified, ok) = ((":status", "302"), (":status", "307"), (":status", "200"));
    let private = ("cache-control", "private");
    let (date, later) = (("date", "Mon, 21 Oct 2013 20:13:21 GMT"), ("date", "Mon, 21 Oct 2013 20:13:22 GMT"));
    let location = ("location", "https://www.example.com");
    let gzip = ("content-encoding", "gzip");
    let cookie = ("set-cookie", "foo=ASDJKHQKBZXOQWEOPIUAXQWEOIU; max-age=3600; version=1");
    story(
        256,
        &[
            (blocks[0], &[found, private, date, location], &[location, date, private, found], 222),
            (blocks[1], &[not_modified, private, date, location], &[not_modified, location, date, private], 222),
            (blocks[2], &[ok, private, later, location, gzip, cookie], &[cookie, gzip, later], 215),
        ],
    );
}

#[test]
fn examples_of_appendix_c5() {
    responses([
        "4803 3330 3258 0770 7269 7661 7465 611d 4d6f 6e2c 2032 3120 4f63 7420 3230 3133 2032 303a 3133 3a32 3120 474d \
         546e 1768 7474 7073 3a2f 2f77 7777 2e65 7861 6d70 6c65 2e63 6f6d",
        "4803 3330 37c1 c0bf",
        "88c1 611d 4d6f 6e2c 2032 3120 4f63 7420 3230 3133 2032 303a 3133 3a32 3220 474d 54c0 5a04 677a 6970 7738 666f \
         6f3d 4153 444a 4b48 514b 425a 584f 5157 454f 5049 5541 5851 5745 4f49 553b 206d 6178 2d61 6765 3d33 3630 303b \
         2076 6572 7369 6f6e 3d31",
    ]);
}

#[test]
fn examples_of_appendix_c6() {
    responses([
        "4882 6402 5885 aec3 771a 4b61 96d0 7abe 9410 54d4 44a8 2005 9504 0b81 66e0 82a6 2d1b ff6e 919d 29ad 1718 63c7 \
         8f0b 97c8 e9ae 82ae 43d3",
        "4883 640e ffc1 c0bf",
        "88c1 6196 d07a be94 1054 d444 a820 0595 040b 8166 e084 a62d 1bff c05a 839b d9ab 77ad 94e7 821d d7f2 e6c7 b335 \
         dfdf cd5b 3960 d5af 2708 7f36 72c1 ab27 0fb5 291f 9587 3160 65c0 03ed 4ee5 b106 3d50 07",
    ]);
}

fn integer(value: u32, prefix: u32, first: u8, out: &mut Vec<u8>) {
    let mask = (1 << prefix) - 1;
    if value < mask {
        return out.push(first | u8::try_from(value).unwrap());
    }
    out.push(first | u8::try_from(mask).unwrap());
    let mut rest = value - mask;
    while rest >= 128 {
        out.push(u8::try_from(rest % 128).unwrap() | 128);
        rest /= 128;
    }
    out.push(u8::try_from(rest).unwrap());
}

fn string(text: &[u8], coded: bool, out: &mut Vec<u8>) {
    let bytes = if coded { huffman::encode(text) } else { text.to_vec() };
    integer(u32::try_from(bytes.len()).unwrap(), 7, u8::from(coded) << 7, out);
    out.extend(bytes);
}

fn size_update(size: u32) -> Vec<u8> {
    let mut block = Vec::new();
    integer(size, 5, 0x20, &mut block);
    block
}

/// A literal with incremental indexing and a new name.
fn literal(name: &[u8], value: &[u8]) -> Vec<u8> {
    let mut block = vec![0x40];
    string(name, false, &mut block);
    string(value, false, &mut block);
    block
}

/// One field, with numbers that choose among what the table allows.
#[derive(Clone, Debug)]
enum Op {
    Static(u32),
    Dynamic(usize),
    /// Kind (incremental, without, never), name's origin, value.
    Literal(u8, Name, Vec<u8>, bool),
}

#[derive(Clone, Debug)]
enum Name {
    New(Vec<u8>),
    Static(u32),
    Dynamic(usize),
}

/// What an encoder does, by the letter of RFC 7541.
struct Model {
    table: VecDeque<Pair>,
    max: usize,
}

impl Model {
    fn evict(&mut self, room: usize) {
        let size = |pair: &Pair| pair.0.len() + pair.1.len() + 32;
        while !self.table.is_empty() && self.table.iter().map(size).sum::<usize>() + room > self.max {
            self.table.pop_back();
        }
    }

    fn at(&self, index: u32) -> Pair {
        let mut decoder = Decoder::new(&Limits::default());
        match index.checked_sub(62) {
            Some(index) => self.table[index as usize].clone(),
            None => pairs(&decoder.decode(&[0x80 | u8::try_from(index).unwrap()]).unwrap())[0].clone(),
        }
    }

    fn dynamic(&self, choice: usize) -> Option<u32> {
        let place = choice.checked_rem(self.table.len())?;
        Some(62 + u32::try_from(place).unwrap())
    }

    fn encode(&mut self, resize: Option<u32>, ops: &[Op]) -> (Vec<u8>, Vec<Pair>) {
        let (mut block, mut fields) = (Vec::new(), Vec::new());
        if let Some(max) = resize {
            self.max = max as usize;
            self.evict(0);
            block = size_update(max);
        }
        for op in ops {
            match op {
                Op::Static(_) | Op::Dynamic(_) => {
                    let index = match op {
                        Op::Static(index) => Some(*index),
                        Op::Dynamic(choice) => self.dynamic(*choice),
                        Op::Literal(..) => None,
                    };
                    let Some(index) = index else { continue };
                    integer(index, 7, 0x80, &mut block);
                    fields.push(self.at(index));
                }
                Op::Literal(kind, name, value, coded) => {
                    let index = match name {
                        Name::New(_) => Some(0),
                        Name::Static(index) => Some(*index),
                        Name::Dynamic(choice) => self.dynamic(*choice),
                    };
                    let Some(index) = index else { continue };
                    let (prefix, first) = [(6, 0x40), (4, 0), (4, 0x10)][usize::from(*kind)];
                    integer(index, prefix, first, &mut block);
                    let name = match name {
                        Name::New(name) => {
                            string(name, *coded, &mut block);
                            name.clone()
                        }
                        _ => self.at(index).0,
                    };
                    string(value, *coded, &mut block);
                    let pair = (name, value.clone());
                    if *kind == 0 {
                        let size = pair.0.len() + pair.1.len() + 32;
                        self.evict(size);
                        if size <= self.max {
                            self.table.push_front(pair.clone());
                        }
                    }
                    fields.push(pair);
                }
            }
        }
        (block, fields)
    }
}

fn text() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        6 => proptest::collection::vec(b'a'..=b'z', 0..12),
        2 => proptest::collection::vec(any::<u8>(), 0..60),
        1 => proptest::collection::vec(b'0'..=b'9', 60..300),
    ]
}

fn op() -> impl Strategy<Value = Op> {
    let name = prop_oneof![
        text().prop_map(Name::New),
        (1_u32..62).prop_map(Name::Static),
        any::<usize>().prop_map(Name::Dynamic)
    ];
    prop_oneof![
        1 => (1_u32..62).prop_map(Op::Static),
        4 => any::<usize>().prop_map(Op::Dynamic),
        4 => (0_u8..3, name, text(), any::<bool>())
            .prop_map(|(kind, name, value, coded)| Op::Literal(kind % 2 * kind, name, value, coded)),
    ]
}

type Block = (Option<u32>, Vec<Op>, bool);

/// Blocks with a size update before some, and whether the decoder forgets before it.
fn connection() -> impl Strategy<Value = Vec<Block>> {
    let resize = prop_oneof![5 => Just(None), 1 => (0_u32..700).prop_map(Some), 1 => Just(Some(4096))];
    let block = (resize, proptest::collection::vec(op(), 0..12), proptest::bool::weighted(0.15));
    proptest::collection::vec(block, 1..20)
}

fn small(header_table: usize) -> Limits {
    Limits { header_table, ..Limits::default() }
}

/// Every field is right or, in parts, unknown.
fn right_or_unknown(decoded: &Fields<'_>, fields: &[Pair]) -> Result<(), TestCaseError> {
    let mut known = 0;
    prop_assert_eq!(decoded.iter().count(), fields.len());
    for (field, (name, value)) in decoded.iter().zip(fields) {
        prop_assert!(field.name.is_none_or(|known| known == name), "name of {:?}", field);
        prop_assert!(field.value.is_none_or(|known| known == value), "value of {:?}", field);
        known += usize::from(field.name.is_some()) + usize::from(field.value.is_some());
    }
    prop_assert_eq!(decoded.complete(), known == 2 * fields.len());
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn from_the_start_everything_is_right(blocks in connection()) {
        let mut model = Model { table: VecDeque::new(), max: 4096 };
        let mut decoder = Decoder::new(&Limits::default());
        for (resize, ops, _) in blocks {
            let (block, fields) = model.encode(resize, &ops);
            let decoded = decoder.decode(&block).unwrap();
            prop_assert!(decoded.complete());
            prop_assert_eq!(pairs(&decoded), fields);
            prop_assert_eq!(table(&decoder), Vec::from(model.table.clone()));
        }
    }

    #[test]
    fn late_or_short_of_storage_nothing_is_wrong(
        blocks in connection(), skip in 0_usize..6, storage in prop_oneof![Just(65_536), 0_usize..600], known in any::<bool>(),
    ) {
        let mut model = Model { table: VecDeque::new(), max: 4096 };
        let mut decoder = Decoder::midstream(&small(storage));
        if known {
            decoder.set_max(4096);
        }
        for (n, (resize, ops, forget)) in blocks.into_iter().enumerate() {
            let (block, fields) = model.encode(resize, &ops);
            if n < skip {
                continue;
            }
            if forget {
                decoder.forget();
            }
            right_or_unknown(&decoder.decode(&block).unwrap(), &fields)?;
        }
    }

    #[test]
    fn other_encoders_lists(lists in proptest::collection::vec(proptest::collection::vec((text(), text(), 0_u8..32), 0..10), 1..6)) {
        let mut encoder = Encoder::with_dynamic_size(4096);
        let mut decoder = Decoder::new(&Limits::default());
        for list in lists {
            let mut block = Vec::new();
            for (name, value, flags) in &list {
                encoder.encode((name.clone(), value.clone(), *flags), &mut block).unwrap();
            }
            let expected: Vec<Pair> = list.into_iter().map(|(name, value, _)| (name, value)).collect();
            prop_assert_eq!(pairs(&decoder.decode(&block).unwrap()), expected);
        }
    }

    #[test]
    fn any_bytes_end_in_fields_or_an_error(blocks in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..80), 1..6), late: bool) {
        let limits = small(256);
        let mut decoder = if late { Decoder::midstream(&limits) } else { Decoder::new(&limits) };
        for block in blocks {
            if let Ok(fields) = decoder.decode(&block) {
                prop_assert!(fields.iter().count() <= block.len());
            }
            prop_assert!(decoder.table().size() <= 256);
        }
    }

    #[test]
    fn cut_anywhere_a_block_has_its_first_fields_or_an_error(ops in proptest::collection::vec(op(), 1..8)) {
        let (block, fields) = Model { table: VecDeque::new(), max: 4096 }.encode(None, &ops);
        for end in 0..block.len() {
            match Decoder::new(&Limits::default()).decode(&block[..end]) {
                Ok(decoded) => prop_assert!(fields.starts_with(&pairs(&decoded))),
                Err(error) => prop_assert_eq!(error, HpackError::Truncated),
            }
        }
    }
}

#[test]
fn joined_late_the_newest_are_known() {
    let mut decoder = Decoder::midstream(&Limits::default());
    let unknown = Field { name: None, value: None };
    assert_eq!(decoder.decode(&[0xbe]).unwrap().iter().collect::<Vec<_>>(), [unknown]);
    decoder.decode(&literal(b"a", b"1")).unwrap();
    // Name of the second newest: unknown. Then that new entry, and the one before it.
    let fields = decoder.decode(&[0x7f, 0, 1, b'2', 0xbe, 0xbf, 0xc0]).unwrap();
    let half = Field { name: None, value: Some(&b"2"[..]) };
    let known = Field { name: Some(&b"a"[..]), value: Some(&b"1"[..]) };
    assert_eq!(fields.iter().collect::<Vec<_>>(), [half, half, known, unknown]);
    assert!(!fields.complete());
    assert_eq!(fields.get(b"a"), Some(&b"1"[..]));
    // An emptied table is a known one.
    decoder.decode(&[0x20]).unwrap();
    assert_eq!(decoder.decode(&[0xbe]).unwrap_err(), HpackError::Index);
}

#[test]
fn errors_forget() {
    let errors: [(&[u8], HpackError); 5] = [
        (&[0x80], HpackError::Index),
        (&[0xbf], HpackError::Index),
        (&[0x82, 0x20], HpackError::TableSize),
        (&[0x3f, 0xe2, 0x1f], HpackError::TableSize),
        (&[0x00, 0x81, 0x00, 0x00], HpackError::Huffman),
    ];
    for (block, error) in errors {
        let mut decoder = Decoder::new(&Limits::default());
        decoder.decode(&literal(b"a", b"1")).unwrap();
        assert_eq!(decoder.decode(block).unwrap_err(), error);
        let fields = decoder.decode(&[0xbe]).unwrap();
        assert_eq!(fields.iter().next(), Some(Field { name: None, value: None }));
    }
}

#[test]
fn caps_cut_fields_but_not_the_table() {
    let mut block = literal(b"a", b"1");
    block.extend(literal(b"b", b"2"));
    block.extend([0x00, 1, b'x', 1, b'y']);
    block.extend(literal(b"c", b"3"));
    for limits in [Limits { fields: 1, ..Limits::default() }, Limits { field_bytes: 3, ..Limits::default() }] {
        let mut decoder = Decoder::new(&limits);
        let fields = decoder.decode(&block).unwrap();
        assert!(!fields.complete());
        assert_eq!(pairs(&fields), owned(&[("a", "1")]));
        assert_eq!(table(&decoder), owned(&[("c", "3"), ("b", "2"), ("a", "1")]));
    }
}

#[test]
fn a_bomb_costs_what_its_bytes_cost() {
    let limits = Limits { fields: usize::MAX, field_bytes: usize::MAX, ..Limits::default() };
    let mut decoder = Decoder::new(&limits);
    decoder.decode(&literal(&[b'n'; 2000], &[b'v'; 2000])).unwrap();
    let before = decoder.memory();
    let fields = decoder.decode(&[0xbe; 20_000]).unwrap();
    assert_eq!(fields.iter().count(), 20_000);
    // Sixteen bytes a field, doubled by growth: nothing of the entry's 4,000 bytes.
    assert!(decoder.memory() < before + 40 * 20_000);
    // New entries that take the large name from the newest one: it is not copied within the block, and once after it.
    let block = [0x7e, 0].repeat(20_000);
    for _ in 0..5 {
        decoder.decode(&block).unwrap();
        assert!(decoder.memory() < before + 40 * 40_000);
    }
    assert_eq!(table(&decoder), vec![(vec![b'n'; 2000], vec![]); 2]);
}

#[test]
fn memory_follows_the_caps() {
    let mut decoder = Decoder::midstream(&Limits::default());
    let value = [b'v'; 1000];
    for n in 0..1000_u32 {
        decoder.decode(&literal(&n.to_be_bytes(), &value)).unwrap();
        assert!(decoder.memory() < 4 * (64 << 10), "{}", decoder.memory());
    }
    decoder.decode(&literal(b"large", &[b'v'; 200_000])).unwrap();
    decoder.decode(&[0x82]).unwrap();
    assert!(decoder.memory() < 32 << 10, "{}", decoder.memory());
}

#[test]
fn fields_put_together() {
    let mut buf = FieldsBuf::from_pairs([(":method", "GET"), ("a", "1")]);
    assert!(buf.fields().complete());
    assert_eq!(buf.fields().get(b":method"), Some(&b"GET"[..]));
    buf.push(Field { name: Some(b"b"), value: None });
    assert!(!buf.fields().complete());
    assert_eq!(buf.fields().get(b"b"), None);
    assert_eq!(buf.fields().iter().count(), 3);
}

#[test]
fn what_nobody_wants_is_not_decoded() {
    let wanted = Wanted { indexed: 1 << 4, literal: |name| if name == b"x-id" { 99 } else { 0 } };
    let mut decoder = Decoder::new(&Limits::default());
    // Into the table goes everything, wanted or not.
    let mut block = [literal(b"x-id", b"1"), literal(b"x-other", b"2")].concat();
    // :path and date by their indices, x-other and :odd as literals, of no table; of the first two the Huffman code is wrong.
    block.extend([
        0x0f,
        33 - 15,
        0x81,
        0x00,
        0x00,
        1,
        b'o',
        0x81,
        0x00,
        0x04,
        1,
        b'p',
        0x00,
        4,
        b':',
        b'o',
        b'd',
        b'd',
        1,
        b'q',
    ]);
    let fields = decoder.decode_wanted(&block, wanted).unwrap();
    assert_eq!(fields.marked().collect::<Vec<_>>(), [(99, Some(&b"1"[..])), (4, Some(b"p"))]);
    assert!(fields.complete());
    assert_eq!(fields.get(b":odd"), Some(&b"q"[..]));
    assert_eq!(fields.iter().count(), 3);
    // An entry keeps its mark.
    let fields = decoder.decode_wanted(&[0xbf, 0xbe, 0x84], wanted).unwrap();
    assert_eq!(fields.marked().collect::<Vec<_>>(), [(99, Some(&b"1"[..])), (4, Some(b"/"))]);
    assert_eq!(decoder.decode(&block).unwrap_err(), HpackError::Huffman);
}
