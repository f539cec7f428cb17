use crate::{ErrorCode, Side, Wanted};

/// What a header block begins or ends (RFC 9113 section 8.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HeadKind {
    /// A client's request.
    Request,
    /// A request that the server promises (PUSH_PROMISE); the response follows on the promised stream.
    Promise,
    /// A 1xx response: not the beginning of the response.
    Informational,
    /// The final response's header section.
    Response,
    /// Trailers of either side.
    Trailers,
}

/// Where in its life a stream was when something happened to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Phase {
    /// The request was seen, no final response header section yet.
    BeforeResponse,
    /// The final response's header section was seen, its end not.
    InBody,
    /// The response was complete.
    AfterEnd,
    /// The stream's state is not known: joined late, lost, evicted, or never opened.
    Unknown,
}

/// A stream as the ledger knows it. Times are the nanoseconds that the caller gave.
#[derive(Clone, Debug)]
pub struct Stream<T> {
    /// Stream identifier.
    pub id: u32,
    /// What the caller attached at the request; `None` when the request's header block was not seen.
    pub tag: Option<T>,
    /// When the ledger first saw the stream.
    pub opened: u64,
    /// When the final response's header section was seen.
    pub responded: Option<u64>,
    /// Status of the final response, where it could be decoded.
    pub status: Option<u16>,
    /// Status of the last 1xx response.
    pub informational: Option<u16>,
    /// Where in its life it is.
    pub phase: Phase,
    /// END_STREAM was seen from the client.
    pub client_ended: bool,
    /// END_STREAM was seen from the server.
    pub server_ended: bool,
    /// DATA payload bytes from the server so far (as far as they were seen).
    pub response_bytes: u64,
    /// Length of the final response's body as its header section declares it (RFC 9113 section 8.1.1).
    pub content_length: Option<u64>,
}

impl<T> Stream<T> {
    /// The client has the whole body: as many bytes as the final response declares, whether END_STREAM came or not.
    pub(crate) fn has_body(&self) -> bool {
        self.responded.is_some() && self.content_length == Some(self.response_bytes)
    }
}

/// An RST_STREAM frame (RFC 9113 section 6.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reset {
    /// Who sent it.
    pub by: Side,
    /// Stream identifier.
    pub stream: u32,
    /// Error code.
    pub code: ErrorCode,
    /// Everything that led to this frame was authenticated. `false`: the bytes of an earlier record that decides where frames begin
    /// were gone.
    pub verified: bool,
}

/// A GOAWAY frame (RFC 9113 section 6.8).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GoAway {
    /// Who sent it.
    pub by: Side,
    /// The highest peer-initiated stream that was or might be processed.
    pub last_stream: u32,
    /// Error code.
    pub code: ErrorCode,
    /// Length of the debug data in bytes; its content is not kept.
    pub debug_len: u32,
    /// As [`Reset::verified`].
    pub verified: bool,
}

/// How a stream left the ledger.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// The response is complete: the server's END_STREAM was seen, or the client had all bytes that Content-Length declares when it let
    /// go of the stream (curl does not wait for the end of the stream then).
    Complete,
    /// RST_STREAM before the response was complete.
    Reset(Reset),
    /// The connection ended, or ended for this stream, before the response was complete. Whether that is a failure (FIN, RST, alert)
    /// or only the capture's end is for the caller, who ended it. Carries the last GOAWAY of the server that covers the stream: one
    /// whose last stream is below this stream, or, at close, any with an error.
    Closed(Option<GoAway>),
    /// The ledger was full, or a gap may have held the stream's end; its fate is not known.
    Unknown,
}

/// Bytes that RFC 9113 or RFC 7541 does not allow, or that a cap of this crate cut off.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Anomaly {
    /// A frame longer than SETTINGS_MAX_FRAME_SIZE allows.
    FrameTooLong,
    /// A frame whose length its type does not allow (RFC 9113 section 6).
    FrameSize,
    /// A frame on a stream that its type does not allow.
    StreamId,
    /// More padding than payload.
    Padding,
    /// A CONTINUATION without HEADERS, or another frame inside a header block.
    Continuation,
    /// A header block longer than the cap; its fields are unknown and the HPACK state with them.
    HeaderBlockTooLong,
    /// A header block that is not valid HPACK; the HPACK state is unknown from here.
    Hpack,
    /// The stream ledger was full; the oldest stream was dropped from it.
    LedgerFull,
    /// The place in the frame sequence was lost and is being searched.
    LostSync,
}

/// Hears what happens on a connection. Every method has an empty default but [`request`](Self::request).
pub trait Observer {
    /// What the caller keeps with a stream from its request on.
    type Tag;

    /// The header fields whose values it wants.
    const WANTED: Wanted = Wanted::ALL;

    /// A request's header section (also a promised one). The returned tag stays with the stream.
    fn request(
        &mut self,
        time: u64,
        stream: u32,
        kind: HeadKind,
        fields: &crate::Fields<'_>,
        end_stream: bool,
    ) -> Self::Tag;

    /// A response's header section, 1xx or final, or trailers.
    fn response(
        &mut self,
        time: u64,
        stream: &Stream<Self::Tag>,
        kind: HeadKind,
        by: Side,
        fields: &crate::Fields<'_>,
    ) {
        let _ = (time, stream, kind, by, fields);
    }

    /// An RST_STREAM. `stream` is as it was before the frame; `None` when the ledger does not know it.
    fn reset(&mut self, time: u64, reset: Reset, stream: Option<&Stream<Self::Tag>>) {
        let _ = (time, reset, stream);
    }

    /// A GOAWAY. `open` is how many client streams are open.
    fn goaway(&mut self, time: u64, goaway: GoAway, open: usize) {
        let _ = (time, goaway, open);
    }

    /// A stream left the ledger. One whose request comes to light later, as its side is read on its own, leaves it a second time then.
    fn end(&mut self, time: u64, stream: &Stream<Self::Tag>, end: End) {
        let _ = (time, stream, end);
    }

    /// Something that the RFCs do not allow, or a cap.
    fn anomaly(&mut self, time: u64, by: Side, anomaly: Anomaly) {
        let _ = (time, by, anomaly);
    }
}
