use std::fmt;

/// An HTTP/2 error code (RFC 9113 section 7). Unknown codes are kept by number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ErrorCode(pub u32);

macro_rules! codes {
    ($($number:literal $name:ident $doc:literal;)*) => {
        impl ErrorCode {
            $(#[doc = $doc] pub const $name: Self = Self($number);)*

            /// Every code that RFC 9113 section 7 defines, in order.
            pub const ALL: &'static [Self] = &[$(Self::$name),*];

            /// The registered name, or `None` for an unknown code.
            #[must_use]
            pub const fn name(self) -> Option<&'static str> {
                match self.0 {
                    $($number => Some(stringify!($name)),)*
                    _ => None,
                }
            }
        }
    };
}

codes! {
    0x0 NO_ERROR "Graceful shutdown or a condition that is no error.";
    0x1 PROTOCOL_ERROR "Protocol error detected.";
    0x2 INTERNAL_ERROR "Implementation fault.";
    0x3 FLOW_CONTROL_ERROR "Flow-control limits exceeded.";
    0x4 SETTINGS_TIMEOUT "Settings not acknowledged.";
    0x5 STREAM_CLOSED "Frame received for closed stream.";
    0x6 FRAME_SIZE_ERROR "Frame size incorrect.";
    0x7 REFUSED_STREAM "Stream not processed.";
    0x8 CANCEL "Stream cancelled.";
    0x9 COMPRESSION_ERROR "Compression state not updated.";
    0xa CONNECT_ERROR "TCP connection error for CONNECT method.";
    0xb ENHANCE_YOUR_CALM "Processing capacity exceeded.";
    0xc INADEQUATE_SECURITY "Negotiated TLS parameters not acceptable.";
    0xd HTTP_1_1_REQUIRED "Use HTTP/1.1 for the request.";
}

impl fmt::Display for ErrorCode {
    /// The registered name, or `0x…` for an unknown code.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => f.write_str(name),
            None => write!(f, "{:#x}", self.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::ErrorCode;

    #[test]
    fn fourteen_codes_have_names_and_others_a_number() {
        assert_eq!(ErrorCode::ALL.len(), 14);
        assert!(ErrorCode::ALL.iter().zip(0..).all(|(code, n)| code.0 == n));
        assert_eq!(ErrorCode(0xd).to_string(), "HTTP_1_1_REQUIRED");
        assert_eq!(ErrorCode(0xff).to_string(), "0xff");
    }
}
