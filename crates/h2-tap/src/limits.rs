/// Every cap of a [`Connection`](crate::Connection). What exceeds one is dropped and said as an [`Anomaly`](crate::Anomaly).
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Bytes of one header block with its CONTINUATION frames.
    pub header_block: usize,
    /// Bytes of one side's HPACK dynamic table, whatever SETTINGS_HEADER_TABLE_SIZE says (RFC 7541 section 4).
    pub header_table: usize,
    /// Fields of one header block that are kept.
    pub fields: usize,
    /// Bytes of decoded fields of one header block.
    pub field_bytes: usize,
    /// Streams in the ledger of one connection.
    pub streams: usize,
    /// Recently closed streams that are remembered, so that a late frame is not taken for an unknown stream.
    pub closed_streams: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            header_block: 64 << 10,
            header_table: 64 << 10,
            fields: 256,
            field_bytes: 64 << 10,
            streams: 2_048,
            closed_streams: 64,
        }
    }
}
