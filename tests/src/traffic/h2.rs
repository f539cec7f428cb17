use httlib_hpack::Encoder as Hpack;

/// One side's header encoder.
#[derive(Default)]
pub struct Encoder {
    hpack: Hpack<'static>,
}

impl Encoder {
    /// Encodes a header list, with indexing and Huffman where they are shorter, as real endpoints do. Values that change with every
    /// request (`:path`, ids, lengths, dates) go without indexing.
    pub fn block(&mut self, fields: &[(&str, &str)]) -> Vec<u8> {
        const INDEXED: u8 = Hpack::WITH_INDEXING | Hpack::HUFFMAN_NAME | Hpack::HUFFMAN_VALUE | Hpack::BEST_FORMAT;
        const LITERAL: u8 = Hpack::HUFFMAN_NAME | Hpack::HUFFMAN_VALUE | Hpack::BEST_FORMAT;
        let mut block = Vec::new();
        for &(name, value) in fields {
            let flags = match name {
                ":path" | "x-request-id" | "content-length" | "date" | "etag" => LITERAL,
                _ => INDEXED,
            };
            let field = (name.as_bytes().to_vec(), value.as_bytes().to_vec(), flags);
            self.hpack.encode(field, &mut block).expect("a valid field");
        }
        block
    }
}

/// A frame (RFC 9113 section 4.1).
#[must_use]
pub fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(9 + payload.len());
    bytes.extend_from_slice(&(payload.len() as u32).to_be_bytes()[1..]);
    bytes.extend_from_slice(&[kind, flags]);
    bytes.extend_from_slice(&stream.to_be_bytes());
    bytes.extend_from_slice(payload);
    bytes
}

/// HEADERS with END_HEADERS.
#[must_use]
pub fn headers(stream: u32, block: &[u8], end_stream: bool) -> Vec<u8> {
    frame(1, 4 | u8::from(end_stream), stream, block)
}

/// A body in DATA frames of at most 16,384 bytes.
#[must_use]
pub fn data(stream: u32, body: &[u8], end_stream: bool) -> Vec<u8> {
    let mut out = Vec::with_capacity(body.len() + 64);
    let mut parts = body.chunks(16_384).peekable();
    while let Some(part) = parts.next() {
        out.extend_from_slice(&frame(0, u8::from(end_stream && parts.peek().is_none()), stream, part));
    }
    out
}

/// RST_STREAM.
#[must_use]
pub fn rst_stream(stream: u32, code: u32) -> Vec<u8> {
    frame(3, 0, stream, &code.to_be_bytes())
}

/// GOAWAY.
#[must_use]
pub fn goaway(last_stream: u32, code: u32) -> Vec<u8> {
    frame(7, 0, 0, &[last_stream.to_be_bytes(), code.to_be_bytes()].concat())
}
