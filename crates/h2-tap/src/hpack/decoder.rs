use super::{Field, Fields};
use crate::Limits;
#[derive(Debug)]
pub(crate) struct HpackError;
#[derive(Debug)]
pub(crate) struct Decoder {
    store: Vec<(Option<Vec<u8>>, Option<Vec<u8>>)>,
    fields: Vec<Field<'static>>,
}
const NAMES: [&str; 15] = [
    "",
    ":authority",
    ":method",
    ":method",
    ":path",
    ":path",
    ":scheme",
    ":scheme",
    ":status",
    ":status",
    ":status",
    ":status",
    ":status",
    ":status",
    ":status",
];
const VALUES: [&str; 15] =
    ["", "", "GET", "POST", "/", "/index.html", "http", "https", "200", "204", "206", "304", "400", "404", "500"];
impl Decoder {
    pub(crate) fn new(_: &Limits) -> Self {
        Self { store: Vec::new(), fields: Vec::new() }
    }
    pub(crate) fn midstream(l: &Limits) -> Self {
        Self::new(l)
    }
    pub(crate) fn set_max(&mut self, _: u32) {}
    pub(crate) fn forget(&mut self) {}
    pub(crate) fn memory(&self) -> usize {
        self.store.capacity()
    }
    pub(crate) fn decode(&mut self, block: &[u8]) -> Result<Fields<'_>, HpackError> {
        let mut out: Vec<Field<'static>> = Vec::new();
        let mut i = 0;
        let leak = |s: &[u8]| -> &'static [u8] { Box::leak(s.to_vec().into_boxed_slice()) };
        let mut complete = true;
        while let Some(&b) = block.get(i) {
            i += 1;
            if b & 0x80 != 0 {
                let n = (b & 0x7f) as usize;
                if n == 0 {
                    return Err(HpackError);
                }
                if n > 61 {
                    complete = false;
                }
                out.push(Field {
                    name: NAMES.get(n).map(|s| s.as_bytes()),
                    value: VALUES.get(n).map(|s| s.as_bytes()),
                });
                continue;
            }
            let n = (b & if b & 0x40 != 0 { 0x3f } else { 0xf }) as usize;
            let string = |i: &mut usize| -> Result<&'static [u8], HpackError> {
                let len = *block.get(*i).ok_or(HpackError)? as usize;
                let s = block.get(*i + 1..*i + 1 + (len & 0x7f)).ok_or(HpackError)?;
                *i += 1 + (len & 0x7f);
                Ok(leak(s))
            };
            let name = if n == 0 { Some(string(&mut i)?) } else { NAMES.get(n).map(|s| s.as_bytes()) };
            let value = Some(string(&mut i)?);
            out.push(Field { name, value });
        }
        self.fields = out;
        Ok(Fields::placeholder(&self.fields, complete))
    }
}
