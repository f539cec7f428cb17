//! The error codes of HTTP/2: meaning, senders, reactions, remedies.

use h2_tap::ErrorCode;

use super::page::Page;
use super::{Fact, Grade};

macro_rules! fact {
    ($grade:ident, $text:expr, $source:expr) => {
        Fact { text: $text, grade: Grade::$grade, source: $source }
    };
}
macro_rules! seen {
    ($text:expr, $source:expr $(,)?) => {
        fact!(Seen, $text, $source)
    };
}
macro_rules! read {
    ($text:expr, $source:expr $(,)?) => {
        fact!(Source, $text, $source)
    };
}
macro_rules! documented {
    ($text:expr, $source:expr $(,)?) => {
        fact!(Documented, $text, $source)
    };
}
macro_rules! unknown {
    ($text:expr $(,)?) => {
        fact!(Unknown, $text, "")
    };
}

/// What is known of a code.
pub(super) struct Code {
    pub(super) meaning: &'static str,
    pub(super) senders: &'static [Fact],
    pub(super) reactions: &'static [Fact],
    pub(super) remedies: &'static [Fact],
}

const NO_SENDERS: &[Fact] = &[unknown!("Which servers send it, and why.")];
const NO_REACTIONS: &[Fact] = &[unknown!("How edges react to this code in particular.")];
const AFTER_HEADERS: Fact = seen!(
    "When a reset comes after response headers, the visitor gets the origin's status (200) and a cut-off body, not an error page.",
    "HAProxy 2.6, YARP 2.3",
);
const NO_RETRY: Fact = seen!(".NET's HttpClient gives its caller an exception.", ".NET 10.0.12");
const ENVOY: Fact = read!("Envoy has it as a generic remote reset: the code is lost.", "Envoy");
const LOOK: Fact = documented!(
    "Find the requests it hits: `h2watch watch` or `h2watch replay` names each, with its phase, its sender and what became of it.",
    "h2watch, docs/events.md",
);

/// What is known of a registered code; `None` for others.
pub(super) fn known(code: ErrorCode) -> Option<Code> {
    let plain = |meaning| Code { meaning, senders: NO_SENDERS, reactions: NO_REACTIONS, remedies: &[LOOK] };
    Some(match code {
        ErrorCode::NO_ERROR => Code {
            meaning: "Nothing went wrong. A GOAWAY with it ends a connection in good order; an RST_STREAM with it after a \
                      complete response asks the client to stop sending its request.",
            senders: &[seen!(
                "Kestrel answers before the upload is read, then resets with it: no failure of the response.",
                "Kestrel 10.0.12",
            )],
            reactions: NO_REACTIONS,
            remedies: &[documented!(
                "None is needed where the response was complete (phase after_end).",
                "RFC 9113 section 8.1",
            )],
        },
        ErrorCode::PROTOCOL_ERROR => Code {
            meaning: "The peer did something that the protocol does not allow, and no more specific code fits.",
            senders: &[seen!(
                "Kestrel, for every request with `:scheme http` on a TLS connection, which is what nghttpx sends by default. Its log: \
                 \"The request :scheme header 'http' does not match the transport scheme 'https'\".",
                "Kestrel 10.0.12, nghttpx 1.52",
            )],
            reactions: &[seen!("nghttpx: nothing works at all then.", "nghttpx 1.52 before Kestrel 10.0.12"), ENVOY],
            remedies: &[
                seen!(
                    "Kestrel: the setting AllowAlternateSchemes is about such requests (evidence `scheme_mismatch`).",
                    "Kestrel 10.0.12, its log",
                ),
                LOOK,
            ],
        },
        ErrorCode::INTERNAL_ERROR => Code {
            meaning: "The sender met an unexpected fault of its own.",
            senders: &[
                seen!(
                    "Kestrel: HttpContext.Abort(), and an exception after the response had begun.",
                    "Kestrel 10.0.12"
                ),
                seen!("nghttpx sends it to an HTTP/2 visitor whose request the origin refused.", "nghttpx 1.52"),
            ],
            reactions: &[AFTER_HEADERS, ENVOY],
            remedies: &[
                documented!(
                    "Look for an exception in the origin's log at the time of the event.",
                    "h2watch, docs/events.md",
                ),
                LOOK,
            ],
        },
        ErrorCode::FLOW_CONTROL_ERROR => plain("The peer sent more than flow control allowed."),
        ErrorCode::SETTINGS_TIMEOUT => plain("The peer did not acknowledge a SETTINGS frame in time."),
        ErrorCode::STREAM_CLOSED => plain("A frame came for a stream that was half-closed already."),
        ErrorCode::FRAME_SIZE_ERROR => plain("A frame had a size that is not allowed."),
        ErrorCode::REFUSED_STREAM => Code {
            meaning: "The stream was refused before the application did anything with it: the request can safely be sent again.",
            senders: NO_SENDERS,
            reactions: &[
                documented!("Any client may ask again, also automatically.", "RFC 9113 section 8.7"),
                read!("Go's net/http asks again.", "Go 1.19, h2_bundle.go"),
                unknown!("How edges react to this code in particular."),
            ],
            remedies: &[LOOK],
        },
        ErrorCode::CANCEL => Code {
            meaning: "The stream is no longer needed.",
            senders: &[seen!(
                "A gRPC call past its deadline: client and server both send it within 0.1 ms of each other. No failure of the origin.",
                "gRPC on Kestrel 10.0.12",
            )],
            reactions: NO_REACTIONS,
            remedies: &[
                documented!(
                    "See `sender`: from the client it says that the visitor or the edge gave up first.",
                    "RFC 9113 section 7",
                ),
                LOOK,
            ],
        },
        ErrorCode::COMPRESSION_ERROR => {
            plain("The header compression state of the connection cannot be kept: the connection ends.")
        }
        ErrorCode::CONNECT_ERROR => plain("The connection that a CONNECT request made was reset or closed abnormally."),
        ErrorCode::ENHANCE_YOUR_CALM => Code {
            meaning: "The peer behaves in a way that might make too much load.",
            senders: &[seen!(
                "Kestrel, after too many cancelled requests, to the streams that follow.",
                "Kestrel 10.0.12",
            )],
            reactions: &[ENVOY, unknown!("How other edges react to this code in particular.")],
            remedies: &[
                documented!(
                    "See who cancels: resets with CANCEL from the client, just before.",
                    "h2watch, docs/events.md",
                ),
                LOOK,
            ],
        },
        ErrorCode::INADEQUATE_SECURITY => {
            plain("The TLS connection does not meet the requirements of HTTP/2 (RFC 9113 section 9.2).")
        }
        ErrorCode::HTTP_1_1_REQUIRED => Code {
            meaning: "The endpoint requires that HTTP/1.1 is used instead of HTTP/2. The request was refused as it came: asked over \
                      HTTP/1.1, it may be answered.",
            senders: SENDERS_0XD,
            reactions: REACTIONS_0XD,
            remedies: REMEDIES_0XD,
        },
        _ => return None,
    })
}

const SENDERS_0XD: &[Fact] = &[
    seen!(
        "Apache mod_http2, where a <Location> or <Directory> has SSLVerifyClient or SSLCipherSuite of its own and would need to \
         renegotiate: RST_STREAM without any HEADERS. Its access log says `HTTP/2.0 403`, its error log nothing.",
        "Apache 2.4.71; h2_stream.c, ssl_engine_kernel.c",
    ),
    documented!(
        "IIS (HTTP.sys) with Windows authentication (NTLM, Negotiate): the anonymous request gets 401 and WWW-Authenticate, the one \
         with credentials gets the reset.",
        "Microsoft, \"HTTP/2 on IIS\"; reports in yarp#1739, hyper#2469, curl#11357",
    ),
    unknown!(
        "IIS (HTTP.sys): whether renegotiation for a client certificate, or a WebSocket upgrade, makes it send the code.",
    ),
    seen!("Kestrel, where the application calls IHttpResetFeature.Reset(13).", "Kestrel 10.0.12; aspnetcore#4745"),
    seen!(
        "Kestrel, when an HTTP/2 preface comes to a clear-text port that has only HTTP/1: a bare GOAWAY, last stream 0, no SETTINGS.",
        "Kestrel 10.0.12; Http1Connection.cs",
    ),
    read!(
        "Kestrel with the Negotiate handler does not send it: it answers 401 over HTTP/2 and expects the client to change protocol. \
         That was read in an older version; newer ones are not known.",
        "NegotiateHandler.cs",
    ),
    read!(
        "nginx, Tomcat, Jetty, Apache Traffic Server and HAProxy define the code, and no place was found where they send it.",
        "their sources",
    ),
];

const REACTIONS_0XD: &[Fact] = &[
    documented!(
        "Cloudflare Gateway does not ask again over HTTP/1.1, and answers 502.",
        "Cloudflare's documentation of Gateway",
    ),
    unknown!("What Cloudflare's CDN edge does when the origin answers with it."),
    documented!(
        "HTTP/2 to the origin is on by default at Cloudflare's CDN edge, chosen by ALPN.",
        "Cloudflare's documentation",
    ),
    read!(
        "Cloudflare's pingora asks again over HTTP/1.1, and remembers that for the peer.",
        "pingora, whose comment says \"mostly IIS server for NTLM\"",
    ),
    seen!("curl asks again over HTTP/1.1 within milliseconds, even after response headers.", "curl 7.88"),
    documented!("Chrome asks again over HTTP/1.1.", "reqwest#1308"),
    seen!(
        "HAProxy answers 502. With L7 retries it repeats the request over HTTP/2: four resets, still 502.",
        "HAProxy 2.6",
    ),
    seen!("Apache mod_proxy_http2 answers 502.", "Apache 2.4.71"),
    seen!("YARP answers 502 and does not ask again, also with RequestVersionOrLower.", "YARP 2.3"),
    seen!(
        "nghttpx closes an HTTP/1 visitor's connection without a response, and sends an HTTP/2 visitor INTERNAL_ERROR.",
        "nghttpx 1.52",
    ),
    AFTER_HEADERS,
    NO_RETRY,
    read!("Go's net/http does not ask again after a reset with it.", "Go 1.19, h2_bundle.go"),
    documented!(".NET asks again over HTTP/2 after a GOAWAY with it.", "runtime#133317"),
    read!("nginx logs `upstream rejected request with error 13`.", "nginx, HTTP/2 to upstreams"),
    ENVOY,
    documented!("CloudFront speaks only HTTP/1.1 to origins.", "CloudFront's documentation"),
];

const REMEDIES_0XD: &[Fact] = &[
    documented!("Turn HTTP/2 to the origin off at the edge.", "Cloudflare's documentation of Gateway"),
    seen!(
        "Or let the origin offer http/1.1 alone by ALPN on the port that the edge uses: such requests work then.",
        "Kestrel 10.0.12",
    ),
    documented!(
        "Or remove the cause: in Apache, a location's own SSLVerifyClient or SSLCipherSuite; in IIS, Windows authentication over HTTP/2.",
        "the senders above",
    ),
    unknown!("Whether Apache stops sending it when SSLVerifyClient stands for the whole virtual host: not tried."),
    seen!(
        "To confirm it in Kestrel without a capture: raise the log category Microsoft.AspNetCore.Server.Kestrel.Http2 to Debug; event \
         35 is `HTTP/2 stream error \"HTTP_1_1_REQUIRED\". A Reset is being sent to the stream.` At Information there is only \
         `Request finished HTTP/2 GET ... 499`.",
        "Kestrel 10.0.12",
    ),
    LOOK,
];

/// Writes everything that is known of a code.
pub(super) fn write(page: &mut Page, code: ErrorCode) {
    page.heading(&format!("{code} ({:#x}, {})", code.0, code.0));
    let Some(known) = known(code) else {
        page.paragraph(
            "This is none of the 14 error codes that RFC 9113 section 7 defines. A receiver may treat an unknown \
             code like INTERNAL_ERROR, and must do nothing special because of it (RFC 9113 section 7). Who sends it and why is not known.",
        );
        return;
    };
    page.paragraph(&format!("{} (RFC 9113 section 7)", known.meaning));
    page.facts("Who sends it, and why", known.senders);
    page.facts("How clients and edges react", known.reactions);
    page.facts("What to do", known.remedies);
}
