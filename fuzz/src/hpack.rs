use h2_tap::{Decoder, Limits};

use crate::input::Input;

/// Decodes header blocks with a decoder that sees everything and with one that misses blocks: what the second one says must be what
/// the first one says, or unknown.
pub(crate) fn hpack(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    let flags = input.byte();
    let limits = if flags & 1 == 0 {
        Limits::default()
    } else {
        Limits { header_table: 256, fields: 8, field_bytes: 512, ..Limits::default() }
    };
    let mut whole = Decoder::new(&limits);
    let mut late = if flags & 2 == 0 { Decoder::new(&limits) } else { Decoder::midstream(&limits) };
    // After a block that is wrong nobody knows the truth.
    let mut truth = true;
    // The smallest size since the last block: an encoder must take it up at the next one's beginning (RFC 7541 section 4.2).
    let mut update = None;
    while let Some(op) = input.op() {
        match op & 7 {
            0..=3 => {
                let block = with_update(&mut update, if op & 8 == 0 { input.short() } else { input.long() });
                truth &= compare(&mut whole, &mut late, &block, truth);
            }
            4 => {
                truth &= whole.decode(&with_update(&mut update, input.short())).is_ok();
                late.forget();
            }
            5 | 6 => {
                let size = if op & 8 == 0 { u32::from(input.u16()) } else { input.u32() };
                update = Some(update.unwrap_or(size).min(size));
                whole.set_max(size);
                late.set_max(size);
            }
            _ => late.forget(),
        }
        for decoder in [&whole, &late] {
            assert!(decoder.memory() < 1 << 20, "{} bytes", decoder.memory());
        }
    }
}

/// The block behind a dynamic table size update (RFC 7541 section 6.3).
fn with_update(update: &mut Option<u32>, block: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    if let Some(size) = update.take() {
        if size < 31 {
            out.push(0x20 | size as u8);
        } else {
            out.push(0x3f);
            let mut rest = size - 31;
            while rest >= 128 {
                out.push(0x80 | rest as u8);
                rest >>= 7;
            }
            out.push(rest as u8);
        }
    }
    out.extend_from_slice(block);
    out
}

/// Decodes a block with both; whether it was right.
fn compare(whole: &mut Decoder, late: &mut Decoder, block: &[u8], truth: bool) -> bool {
    let (all, some) = match (whole.decode(block), late.decode(block)) {
        (Err(_), _) => return false,
        (Ok(_), Err(error)) if truth => panic!("valid, but for who missed something: {error}"),
        (Ok(_), Err(_)) => return false,
        (Ok(all), Ok(some)) => (all, some),
    };
    if truth {
        assert!(all.complete() || !some.complete(), "more is known to who missed something");
        for (all, some) in all.iter().zip(some.iter()) {
            assert!(some.name.is_none() || some.name == all.name, "{some:?} for {all:?}");
            assert!(some.value.is_none() || some.value == all.value, "{some:?} for {all:?}");
        }
    }
    true
}
