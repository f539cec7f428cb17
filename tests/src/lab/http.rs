//! A GET, for looking at what h2watch serves.

use std::io::{Read, Write};
use std::net::SocketAddr;
use std::time::Duration;

use super::Host;

/// An answer.
#[derive(Clone, Debug)]
pub struct Answer {
    /// Status code.
    pub status: u16,
    /// Header section, with its status line.
    pub head: String,
    /// Body.
    pub body: Vec<u8>,
}

impl Answer {
    /// The body as text.
    #[must_use]
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

impl Host {
    /// Asks for `path`, saying what is accepted.
    ///
    /// # Errors
    /// When nobody answers within ten seconds, or not in HTTP.
    pub fn get(&self, at: SocketAddr, path: &str, accept: &str) -> Result<Answer, String> {
        let mut stream = self.connect(at)?;
        let mut bytes = Vec::new();
        // HTTP/1.0: the answer ends with the connection.
        let asked = stream
            .set_read_timeout(Some(Duration::from_secs(10)))
            .and_then(|()| write!(stream, "GET {path} HTTP/1.0\r\nHost: {at}\r\nAccept: {accept}\r\n\r\n"))
            .and_then(|()| stream.read_to_end(&mut bytes));
        asked.map_err(|error| format!("GET http://{at}{path}: {error}"))?;
        let end = bytes.windows(4).position(|window| window == b"\r\n\r\n");
        let (head, body) =
            end.and_then(|end| bytes.split_at_checked(end + 4)).ok_or("an answer without a header section")?;
        let head = String::from_utf8_lossy(head).into_owned();
        let status = head.split_whitespace().nth(1).and_then(|status| status.parse().ok());
        Ok(Answer { status: status.ok_or_else(|| format!("no status: {head}"))?, head, body: body.to_vec() })
    }
}
