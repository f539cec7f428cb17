//! The Huffman code of RFC 7541 appendix B.
//!
//! The code is canonical: codes of one length count up in the order of the symbols. So the lengths alone say all of it, and every
//! table here is made from them at compile time.

use super::HpackError;

/// Bits of each symbol's code; the last is EOS.
#[rustfmt::skip]
const LENGTHS: [u8; 257] = [
    13, 23, 28, 28, 28, 28, 28, 28, 28, 24, 30, 28, 28, 30, 28, 28, 28, 28, 28, 28, 28, 28, 30, 28, 28, 28, 28, 28, 28, 28, 28, 28,
    6, 10, 10, 12, 13, 6, 8, 11, 10, 10, 8, 11, 8, 6, 6, 6, 5, 5, 5, 6, 6, 6, 6, 6, 6, 6, 7, 8, 15, 6, 12, 10,
    13, 6, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 8, 7, 8, 13, 19, 13, 14, 6,
    15, 5, 6, 5, 6, 5, 6, 6, 6, 5, 7, 7, 6, 6, 6, 5, 6, 7, 6, 5, 5, 6, 7, 7, 7, 7, 7, 15, 11, 14, 13, 28,
    20, 22, 20, 20, 22, 22, 22, 23, 22, 23, 23, 23, 23, 23, 24, 23, 24, 24, 22, 23, 24, 23, 23, 23, 23, 21, 22, 23, 22, 23, 23, 24,
    22, 21, 20, 22, 22, 23, 23, 21, 23, 22, 22, 24, 21, 22, 23, 23, 21, 21, 22, 21, 23, 22, 23, 23, 20, 22, 22, 22, 23, 22, 22, 23,
    26, 26, 20, 19, 22, 23, 22, 25, 26, 26, 26, 27, 27, 26, 24, 25, 19, 21, 26, 27, 27, 26, 27, 24, 21, 21, 26, 26, 28, 27, 27, 27,
    20, 24, 20, 21, 22, 21, 21, 23, 22, 22, 25, 25, 24, 24, 26, 23, 26, 27, 26, 26, 27, 27, 27, 27, 27, 28, 27, 27, 27, 27, 27, 26,
    30,
];

/// The longest code, EOS and three control characters.
const LONGEST: usize = 30;
/// Bits that [`PAIRS`] looks up at once: two of the usual characters, and every code of a printable one but a few.
const WIDTH: usize = 12;

/// Symbols in the order of their codes.
const SORTED: [u16; 257] = sorted();
/// For each length the first code, and the place of its symbol in [`SORTED`]. `[LONGEST + 1]` ends the list.
const FIRST: [(u32, usize); LONGEST + 2] = first();

/// What the next [`WIDTH`] bits begin with: one or two symbols.
static PAIRS: [Pair; 1 << WIDTH] = pairs();
/// For each length above [`WIDTH`]: the first 32 bits that no code so short has, the length, its first code, and the place of that.
static LONG: [(u64, u32, u32, usize); LONGEST - WIDTH] = long();
static SYMBOLS: [u16; 257] = SORTED;

/// One or two symbols. Of no bits when the code is longer than [`WIDTH`].
#[derive(Clone, Copy)]
struct Pair {
    /// The symbols, the first in the low byte.
    symbols: u16,
    /// Bits of both codes.
    bits: u8,
    /// Eight times their number.
    filled: u8,
}

const fn sorted() -> [u16; 257] {
    let mut sorted = [0; 257];
    let (mut n, mut len) = (0, 0);
    while len <= LONGEST {
        let mut symbol = 0;
        while symbol < 257 {
            #[expect(clippy::indexing_slicing, reason = "runs at compile time")]
            if LENGTHS[symbol] as usize == len {
                sorted[n] = symbol as u16;
                n += 1;
            }
            symbol += 1;
        }
        len += 1;
    }
    sorted
}

#[expect(clippy::indexing_slicing, reason = "runs at compile time")]
const fn first() -> [(u32, usize); LONGEST + 2] {
    let mut first = [(0, 0); LONGEST + 2];
    let (mut code, mut n, mut len) = (0, 0, 1);
    while len <= LONGEST + 1 {
        code <<= 1;
        first[len] = (code, n);
        while n < 257 && LENGTHS[SORTED[n] as usize] as usize == len {
            code += 1;
            n += 1;
        }
        len += 1;
    }
    first
}

/// The symbol that `bits`, [`WIDTH`] of them, begin with, and its length; length 0 when it is longer than `have`.
#[expect(clippy::indexing_slicing, reason = "runs at compile time")]
const fn begin(bits: u32, have: usize) -> (u16, usize) {
    let mut len = 1;
    while len <= have {
        let (code, n) = FIRST[len];
        let count = FIRST[len + 1].1 - n;
        let offset = (bits >> (WIDTH - len)).wrapping_sub(code) as usize;
        if offset < count {
            return (SORTED[n + offset], len);
        }
        len += 1;
    }
    (0, 0)
}

#[expect(clippy::indexing_slicing, reason = "runs at compile time")]
const fn pairs() -> [Pair; 1 << WIDTH] {
    let mut pairs = [Pair { symbols: 0, bits: 0, filled: 0 }; 1 << WIDTH];
    let mut n = 0;
    while n < pairs.len() {
        let (one, bits) = begin(n as u32, WIDTH);
        if bits > 0 {
            let (two, more) = begin((n << bits) as u32 & ((1 << WIDTH) - 1), WIDTH - bits);
            pairs[n] =
                Pair { symbols: one | two << 8, bits: (bits + more) as u8, filled: if more > 0 { 16 } else { 8 } };
        }
        n += 1;
    }
    pairs
}

#[expect(clippy::indexing_slicing, reason = "runs at compile time")]
const fn long() -> [(u64, u32, u32, usize); LONGEST - WIDTH] {
    let mut long = [(0, 0, 0, 0); LONGEST - WIDTH];
    let mut n = 0;
    while n < long.len() {
        let len = WIDTH + 1 + n;
        let (code, place) = FIRST[len];
        let end = code as u64 + (FIRST[len + 1].1 - place) as u64;
        long[n] = (end << (32 - len), len as u32, code, place);
        n += 1;
    }
    long
}

/// How many bytes `len` coded bytes can be at most; the shortest code has five bits.
pub(super) const fn longest(len: usize) -> usize {
    len.saturating_mul(8) / 5
}

/// Bytes that [`decode`] wants of `out` beyond [`longest`]: it stores eight at a time, and one symbol may reach into the padding before
/// that is seen.
pub(super) const SLACK: usize = 9;

/// Decodes the first `len` bytes of `input` to the front of `out`, which must have [`longest`] + [`SLACK`] bytes, and says how many
/// they are. What follows in `input` makes no difference.
pub(super) fn decode(input: &[u8], len: usize, out: &mut [u8]) -> Result<usize, HpackError> {
    let mut n = 0;
    let mut bits = Bits { word: 0, have: 0, ahead: input, left: i64::try_from(len).map_err(|_| HpackError::TooLong)? };
    loop {
        // At least 56 bits are there: enough for four.
        bits.refill();
        n += bits.pairs::<4>(out.get_mut(n..).and_then(<[u8]>::first_chunk_mut).ok_or(HpackError::Huffman)?);
        if bits.pair().bits != 0 {
            continue;
        }
        let left = bits.left();
        if left < 8 {
            // Padding is what is left: no code so short is all ones. Less than nothing: the last code reached into it.
            return if left >= 0 { Ok(n) } else { Err(HpackError::Huffman) };
        }
        bits.refill();
        let (symbol, len) = bits.long();
        if i64::from(len) > left {
            return Err(HpackError::Huffman);
        }
        *out.get_mut(n).ok_or(HpackError::Huffman)? = u8::try_from(symbol).map_err(|_| HpackError::Huffman)?;
        n += 1;
        bits.skip(len);
    }
}

/// Bits to decode, the next one highest. Beyond the end stand ones, as padding does.
struct Bits<'a> {
    word: u64,
    /// How many are taken from `ahead`. Those below may be there too, and are right.
    have: u32,
    /// Bytes from the next one on, and perhaps what follows the last.
    ahead: &'a [u8],
    /// Bytes of the string that are not taken yet; less than none when some from beyond its end were.
    left: i64,
}

impl Bits<'_> {
    /// Fills up to at least 56 bits.
    #[inline]
    fn refill(&mut self) {
        let next = match self.ahead.first_chunk() {
            Some(next) => u64::from_be_bytes(*next),
            None => self.last(),
        };
        let beyond = u64::MAX.checked_shr(8 * self.left.clamp(0, 8) as u32).unwrap_or(0);
        self.word |= (next | beyond) >> self.have;
        let taken = (63 - self.have) / 8;
        self.ahead = self.ahead.get(taken as usize..).unwrap_or_default();
        self.left -= i64::from(taken);
        self.have += 8 * taken;
    }

    /// Fewer than eight bytes.
    #[cold]
    fn last(&self) -> u64 {
        self.ahead.iter().rev().fold(0, |word, &byte| word >> 8 | u64::from(byte) << 56)
    }

    /// Bits of the string that are not decoded yet; less than none when some from beyond its end were.
    const fn left(&self) -> i64 {
        self.have as i64 + 8 * self.left
    }

    #[inline]
    fn pair(&self) -> Pair {
        let next = (self.word >> (64 - WIDTH)) as usize;
        PAIRS.get(next).copied().unwrap_or(Pair { symbols: 0, bits: 0, filled: 0 })
    }

    /// Decodes up to `N` pairs to the front of `out`, as far as no code longer than [`WIDTH`] comes, and says how many symbols they
    /// are. `N` times [`WIDTH`] bits must be there.
    #[inline]
    fn pairs<const N: usize>(&mut self, out: &mut [u8; 8]) -> usize {
        let mut word = 0;
        let mut filled = 0;
        for _ in 0..N {
            let pair = self.pair();
            word |= u64::from(pair.symbols) << filled;
            filled += u32::from(pair.filled);
            self.skip(u32::from(pair.bits));
        }
        *out = word.to_le_bytes();
        filled as usize / 8
    }

    /// The next symbol, of a code longer than [`WIDTH`], and its length; 256 is EOS.
    #[cold]
    fn long(&self) -> (u16, u32) {
        let next = self.word >> 32;
        for &(end, len, code, place) in &LONG {
            if next < end {
                let offset = ((next >> (32 - len)) as u32).wrapping_sub(code) as usize;
                return (SYMBOLS.get(place + offset).copied().unwrap_or(256), len);
            }
        }
        // All codes are used up, so this is EOS.
        (256, LONGEST as u32)
    }

    #[inline]
    fn skip(&mut self, bits: u32) {
        self.word <<= bits;
        self.have -= bits;
    }
}

/// Encodes, for tests; the code's own test compares it with another implementation's.
#[cfg(test)]
pub(super) fn encode(text: &[u8]) -> Vec<u8> {
    let mut bits: Vec<bool> = Vec::new();
    let code = |symbol: usize| {
        let len = usize::from(LENGTHS[symbol]);
        let place = SORTED.iter().position(|&s| usize::from(s) == symbol).unwrap();
        let value = FIRST[len].0 + u32::try_from(place - FIRST[len].1).unwrap();
        (0..len).rev().map(move |bit| value >> bit & 1 == 1)
    };
    for &byte in text {
        bits.extend(code(usize::from(byte)));
    }
    bits.resize(bits.len().next_multiple_of(8), true);
    bits.chunks(8).map(|byte| byte.iter().fold(0, |sum, &bit| sum << 1 | u8::from(bit))).collect()
}

#[cfg(test)]
mod tests {
    use super::{HpackError, LENGTHS, SLACK, decode, encode, longest};
    use proptest::prelude::*;

    fn all(input: &[u8]) -> Result<Vec<u8>, HpackError> {
        let mut out = vec![0; longest(input.len()) + SLACK];
        let n = decode(input, input.len(), &mut out)?;
        // What follows makes no difference.
        for after in [0, 0xff] {
            let mut more = input.to_vec();
            more.extend([after; 9]);
            let mut again = vec![0; out.len()];
            assert_eq!(decode(&more, input.len(), &mut again).map(|n| again[..n].to_vec()), Ok(out[..n].to_vec()));
        }
        assert!(n <= longest(input.len()));
        out.truncate(n);
        Ok(out)
    }

    /// The code by its definition: bit by bit, to compare with.
    fn slow(input: &[u8]) -> Option<Vec<u8>> {
        let bits: Vec<bool> = input.iter().flat_map(|byte| (0..8).rev().map(move |bit| byte >> bit & 1 == 1)).collect();
        let (mut out, mut value, mut len) = (Vec::new(), 0_u32, 0_usize);
        for bit in bits {
            (value, len) = (value << 1 | u32::from(bit), len + 1);
            let (code, place) = *super::FIRST.get(len)?;
            let count = super::FIRST.get(len + 1)?.1 - place;
            let offset = value.wrapping_sub(code) as usize;
            if offset < count {
                out.push(u8::try_from(super::SORTED[place + offset]).ok()?);
                (value, len) = (0, 0);
            }
        }
        (len < 8 && value + 1 == 1 << len).then_some(out)
    }

    #[test]
    fn every_byte_in_every_place() {
        for byte in 0..=255 {
            for before in 0..20 {
                let mut text = vec![b'a'; before];
                text.push(byte);
                text.extend_from_slice(b"/Z&");
                assert_eq!(all(&encode(&text)).as_deref(), Ok(&*text));
            }
        }
    }

    #[test]
    fn the_code_is_complete() {
        let sum: u64 = LENGTHS.iter().map(|&len| 1 << (30 - len)).sum();
        assert_eq!(sum, 1 << 30);
    }

    #[test]
    fn padding_and_eos() {
        assert_eq!(all(&[]).as_deref(), Ok(&[][..]));
        assert_eq!(all(&[0b0001_1111]).as_deref(), Ok(&b"a"[..]));
        assert_eq!(all(&[0b0001_1110]), Err(HpackError::Huffman));
        assert_eq!(all(&[0b0001_1111, 0xff]), Err(HpackError::Huffman));
        for len in 1..20 {
            assert_eq!(all(&vec![0xff; len]), Err(HpackError::Huffman));
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(512))]

        #[test]
        fn text_survives(text in proptest::collection::vec(any::<u8>(), 0..100)) {
            prop_assert_eq!(all(&encode(&text)), Ok(text));
        }

        #[test]
        fn any_bytes_as_bit_by_bit(bytes in proptest::collection::vec(prop_oneof![any::<u8>(), 0xf0_u8..], 0..40)) {
            prop_assert_eq!(all(&bytes).ok(), slow(&bytes));
        }
    }
}
