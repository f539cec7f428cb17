use super::HpackError;

/// Reads an integer (RFC 7541 section 5.1) whose first byte, already taken from `input`, holds its low `prefix` bits. At most five
/// bytes may follow, whatever they hold: that is enough for 32 bits and ends a run of padding.
#[inline]
pub(super) fn decode(first: u8, prefix: u32, input: &mut &[u8]) -> Result<u32, HpackError> {
    let mask = 0xff_u8 >> (8 - prefix);
    let low = first & mask;
    if low < mask { Ok(u32::from(low)) } else { continued(mask, input) }
}

#[cold]
fn continued(mask: u8, input: &mut &[u8]) -> Result<u32, HpackError> {
    let mut value = u64::from(mask);
    for shift in [0, 7, 14, 21, 28] {
        let (&byte, rest) = input.split_first().ok_or(HpackError::Truncated)?;
        *input = rest;
        value += u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return u32::try_from(value).map_err(|_| HpackError::Integer);
        }
    }
    Err(HpackError::Integer)
}

#[cfg(test)]
mod tests {
    use super::{HpackError, decode};

    fn whole(prefix: u32, bytes: &[u8]) -> Result<u32, HpackError> {
        let (&first, mut rest) = bytes.split_first().unwrap();
        let value = decode(first, prefix, &mut rest)?;
        assert!(rest.is_empty());
        Ok(value)
    }

    #[test]
    fn examples_of_appendix_c1() {
        assert_eq!(whole(5, &[0b1110_1010]), Ok(10));
        assert_eq!(whole(5, &[0b0001_1111, 0b1001_1010, 0b0000_1010]), Ok(1337));
        assert_eq!(whole(8, &[42]), Ok(42));
    }

    #[test]
    fn the_largest_and_one_more() {
        assert_eq!(whole(7, &[0x7f, 0x80, 0xff, 0xff, 0xff, 0x0f]), Ok(u32::MAX));
        assert_eq!(whole(7, &[0x7f, 0x81, 0xff, 0xff, 0xff, 0x0f]), Err(HpackError::Integer));
        assert_eq!(whole(5, &[0x1f, 0x80, 0x80, 0x80, 0x80, 0x80, 0]), Err(HpackError::Integer));
        assert_eq!(whole(5, &[0x1f, 0x80, 0x80]), Err(HpackError::Truncated));
        assert_eq!(whole(5, &[0x1f]), Err(HpackError::Truncated));
    }
}
