use aes::cipher::{BlockModeEncrypt, KeyIvInit};
use aes::{Aes128, Aes256, Block};
use aws_lc_rs::aead::{AES_128_GCM, AES_256_GCM, Aad, Algorithm, CHACHA20_POLY1305, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::hmac;
use ccm::Ccm;
use ccm::aead::inout::InOutBuf;
use ccm::aead::{AeadInOut, KeyInit};
use ccm::consts::{U8, U12, U16};
use proptest::prelude::*;

use super::*;
use crate::schedule::hmac_algorithm;
use crate::schedule::tls12::KeyBlock;
use crate::side::Side;
use crate::suite::{Aes, Hash};
use crate::testing::hex;

const TLS13: [u16; 5] = [0x1301, 0x1302, 0x1303, 0x1304, 0x1305];
const TLS12: [u16; 12] =
    [0xc02f, 0xc030, 0xcca8, 0xc0ac, 0xc0ad, 0xc0ae, 0xc0af, 0xc013, 0xc014, 0xc027, 0x003d, 0xc028];

fn seal_with(protection: Protection, key: &[u8], nonce: [u8; 12], aad: &[u8], text: &mut Vec<u8>) {
    let aead = |algorithm: &'static Algorithm, text: &mut Vec<u8>| {
        let key = LessSafeKey::new(UnboundKey::new(algorithm, key).unwrap());
        key.seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), Aad::from(aad), text).unwrap();
    };
    fn ccm<K: AeadInOut + KeyInit>(key: &[u8], nonce: [u8; 12], aad: &[u8], text: &mut Vec<u8>) {
        let nonce = nonce[..].try_into().unwrap();
        let buffer = InOutBuf::from(&mut text[..]);
        let tag = K::new_from_slice(key).unwrap().encrypt_inout_detached(nonce, aad, buffer).unwrap();
        text.extend_from_slice(&tag);
    }
    match protection {
        Protection::Gcm(Aes::Aes128) => aead(&AES_128_GCM, text),
        Protection::Gcm(Aes::Aes256) => aead(&AES_256_GCM, text),
        Protection::ChaCha20Poly1305 => aead(&CHACHA20_POLY1305, text),
        Protection::Ccm(Aes::Aes128) => ccm::<Ccm<Aes128, U16, U12>>(key, nonce, aad, text),
        Protection::Ccm(Aes::Aes256) => ccm::<Ccm<Aes256, U16, U12>>(key, nonce, aad, text),
        Protection::Ccm8(Aes::Aes128) => ccm::<Ccm<Aes128, U8, U12>>(key, nonce, aad, text),
        Protection::Ccm8(Aes::Aes256) => ccm::<Ccm<Aes256, U8, U12>>(key, nonce, aad, text),
        Protection::Cbc(..) => panic!("no AEAD"),
    }
}

fn header(content_type: u8, len: usize) -> RecordHeader {
    let [high, low] = (len as u16).to_be_bytes();
    [content_type, 3, 3, high, low]
}

/// A TLS 1.3 record, as a sender makes it.
pub(crate) fn seal13(
    suite: &Suite,
    secret: &[u8],
    sequence: u64,
    content_type: u8,
    content: &[u8],
    padding: usize,
) -> (RecordHeader, Vec<u8>) {
    let keys = TrafficKeys::derive(suite, secret).unwrap();
    let mut nonce = *keys.iv();
    nonce[4..].iter_mut().zip(sequence.to_be_bytes()).for_each(|(byte, number)| *byte ^= number);
    let mut text = [content, &[content_type], &vec![0; padding]].concat();
    let header = header(23, text.len() + suite.protection.tag_len());
    seal_with(suite.protection, keys.key(), nonce, &header, &mut text);
    (header, text)
}

/// A TLS 1.2 record.
fn seal12(suite: &Suite, keys: WriteKeys<'_>, etm: bool, sequence: u64, content: &[u8]) -> (RecordHeader, Vec<u8>) {
    let aad = |len| additional_data(sequence, [23, 3, 3], len);
    let explicit = *b"explicit nonce..";
    let fragment = match suite.protection {
        Protection::Cbc(aes, mac) => {
            let mac = hmac::Key::new(hmac_algorithm(mac), keys.mac_key);
            let sign = |len: usize, text: &[u8]| hmac::sign(&mac, &[&aad(len)[..], text].concat());
            let mut text = content.to_vec();
            if !etm {
                text.extend_from_slice(sign(content.len(), content).as_ref());
            }
            // More than the least padding, as a sender may.
            let padding = 15 - text.len() % 16 + 32;
            text.extend(std::iter::repeat_n(padding as u8, padding + 1));
            let (blocks, _) = Block::slice_as_chunks_mut(&mut text);
            match aes {
                Aes::Aes128 => {
                    ::cbc::Encryptor::<Aes128>::new_from_slices(keys.key, &explicit).unwrap().encrypt_blocks(blocks)
                }
                Aes::Aes256 => {
                    ::cbc::Encryptor::<Aes256>::new_from_slices(keys.key, &explicit).unwrap().encrypt_blocks(blocks)
                }
            }
            let mut fragment = [&explicit[..], &text].concat();
            if etm {
                let tag = sign(fragment.len(), &fragment);
                fragment.extend_from_slice(tag.as_ref());
            }
            fragment
        }
        protection => {
            let mut text = content.to_vec();
            let (nonce, front) = if protection == Protection::ChaCha20Poly1305 {
                let mut nonce: [u8; 12] = keys.iv.try_into().unwrap();
                nonce[4..].iter_mut().zip(sequence.to_be_bytes()).for_each(|(byte, number)| *byte ^= number);
                (nonce, &[][..])
            } else {
                ([keys.iv, &explicit[..8]].concat().try_into().unwrap(), &explicit[..8])
            };
            seal_with(protection, keys.key, nonce, &aad(content.len()), &mut text);
            [front, &text].concat()
        }
    };
    (header(23, fragment.len()), fragment)
}

/// Every suite with a record that its sender sealed.
fn each(sequence: u64, content: &[u8], mut check: impl FnMut(&str, &RecordCipher, RecordHeader, Vec<u8>)) {
    for id in TLS13 {
        let suite = Suite::by_id(id).unwrap();
        let secret = vec![id as u8; suite.hash.output_len()];
        let (header, fragment) = seal13(suite, &secret, sequence, 23, content, content.len() % 3);
        check(suite.name, &RecordCipher::tls13(suite, &secret).unwrap(), header, fragment);
    }
    for (id, etm) in TLS12.into_iter().flat_map(|id| [(id, false), (id, true)]) {
        let suite = Suite::by_id(id).unwrap();
        let block = KeyBlock::derive(suite, &[7; 48], &[8; 32], &[9; 32]);
        let keys = block.write_keys(Side::Server);
        let (header, fragment) = seal12(suite, keys, etm, sequence, content);
        check(suite.name, &RecordCipher::tls12(suite, keys, etm).unwrap(), header, fragment);
    }
}

/// RFC 8448 section 3: the client's application data record, sequence 0.
#[test]
fn a_record_of_rfc_8448() {
    let secret = hex("9e40646ce79a7f9dc05af8889bce6552875afa0b06df0087f792ebb7c17504a5");
    let record = hex("17030300 43a23f7054b62c94d0affafe8228ba55cbefacea42f914aa66bcab3f2b9819a8a5b46b395bd54a9a\
                      20441e2b62974e1f5a6292a2977014bd1e3deae63aeebb21694915e4");
    let cipher = RecordCipher::tls13(Suite::by_id(0x1301).unwrap(), &secret).unwrap();
    let (header, fragment) = record.split_first_chunk().unwrap();
    let mut out = Vec::new();
    let opened = cipher.open(0, *header, &[fragment], &mut out).unwrap();
    assert_eq!(opened, Opened { content_type: 23, len: 50 });
    assert_eq!(out, (0..50).collect::<Vec<u8>>());
}

#[test]
fn key_update() {
    let suite = Suite::by_id(0x1302).unwrap();
    let second = next_secret(Hash::Sha384, &[5; 48]).unwrap();
    let (header, fragment) = seal13(suite, second.as_bytes(), 0, 22, b"after", 0);
    let first = RecordCipher::tls13(suite, &[5; 48]).unwrap();
    assert_eq!(first.open(0, header, &[&fragment], &mut Vec::new()), Err(Unauthentic));
    let mut out = Vec::new();
    let opened = first.next_generation().unwrap().open(0, header, &[&fragment], &mut out).unwrap();
    assert_eq!((opened.content_type, &out[..]), (22, &b"after"[..]));
}

#[test]
fn nothing_but_padding_has_no_type() {
    let suite = Suite::by_id(0x1301).unwrap();
    let (header, fragment) = seal13(suite, &[1; 32], 0, 0, b"", 9);
    let mut out = vec![9];
    let opened = RecordCipher::tls13(suite, &[1; 32]).unwrap().open(0, header, &[&fragment], &mut out).unwrap();
    assert_eq!((opened, out), (Opened { content_type: 0, len: 0 }, vec![9]));
}

#[test]
fn short_records_are_unauthentic() {
    each(0, b"x", |name, cipher, _, fragment| {
        for len in 0..fragment.len() {
            let cut = &fragment[..len];
            assert_eq!(cipher.open(0, header(23, len), &[cut], &mut Vec::new()), Err(Unauthentic), "{name}");
        }
    });
}

#[test]
fn keys_of_the_wrong_kind_are_refused() {
    let (old, new) = (Suite::by_id(0xc02f).unwrap(), Suite::by_id(0x1301).unwrap());
    assert!(RecordCipher::tls13(old, &[0; 32]).is_none());
    assert!(RecordCipher::tls13(new, &[0; 48]).is_none());
    let keys = WriteKeys { mac_key: &[], key: &[0; 16], iv: &[0; 4] };
    assert!(RecordCipher::tls12(new, keys, false).is_none());
    assert!(RecordCipher::tls12(old, WriteKeys { key: &[0; 15], ..keys }, false).is_none());
    assert!(RecordCipher::tls12(old, WriteKeys { iv: &[0; 12], ..keys }, false).is_none());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn opens_what_was_sealed_however_it_is_cut(
        content in proptest::collection::vec(any::<u8>(), 0..400),
        sequence in any::<u64>(),
        size in 1_usize..80,
    ) {
        each(sequence, &content, |name, cipher, header, fragment| {
            let pieces: Vec<_> = fragment.chunks(size).collect();
            for pieces in [&[&fragment[..]][..], &pieces] {
                let mut out = b"before".to_vec();
                let opened = cipher.open(sequence, header, pieces, &mut out);
                assert_eq!(opened, Ok(Opened { content_type: 23, len: content.len() }), "{name}");
                assert_eq!(out, [b"before", &content[..]].concat(), "{name}");
            }
        });
    }

    #[test]
    fn a_changed_bit_fails(
        content in proptest::collection::vec(any::<u8>(), 1..100),
        at in any::<proptest::sample::Index>(),
        bit in 0..8,
        sequence in 0_u64..1000,
    ) {
        each(sequence, &content, |name, cipher, header, fragment| {
            let mut wrong = fragment.clone();
            wrong[at.index(fragment.len())] ^= 1_u8 << bit;
            let mut out = b"before".to_vec();
            assert_eq!(cipher.open(sequence, header, &[&wrong], &mut out), Err(Unauthentic), "{name}");
            assert_eq!(out, b"before");
            if cipher.explicit_len() != 8 {
                // An explicit nonce does not depend on the sequence number; the additional data does.
                assert!(cipher.open(sequence + 1, header, &[&fragment], &mut out).is_err(), "{name}");
            }
            let [_, rest @ ..] = header;
            let [a, b, c, d] = rest;
            assert!(cipher.verify(sequence, [22, a, b, c, d], &[&fragment], &mut out).is_err(), "{name}");
        });
    }

    #[test]
    fn a_peek_shows_what_opening_shows(
        content in proptest::collection::vec(any::<u8>(), 1..400),
        sequence in any::<u64>(),
        at in any::<proptest::sample::Index>(),
        len in 1_usize..100,
    ) {
        each(sequence, &content, |name, cipher, _, fragment| {
            let explicit = cipher.explicit_len();
            let offset = at.index(content.len());
            let ciphertext = &fragment[explicit..][offset..content.len()];
            let mut out = vec![0; len];
            let n = cipher.peek(sequence, &fragment[..explicit], ciphertext, offset, &mut out);
            if cipher.seekable() {
                assert_eq!(n, len.min(content.len() - offset), "{name}");
                assert_eq!(out[..n], content[offset..offset + n], "{name}");
            } else {
                assert_eq!(n, 0, "{name}");
            }
        });
    }
}
