//! The ways in which an app answers.

use std::time::Duration;

/// An answer of an app.
#[derive(Clone, Debug)]
pub enum Script {
    /// This answer, after a while.
    Reply {
        status: u16,
        /// Whole lines, each with its `\r\n`.
        headers: String,
        body: Vec<u8>,
        /// True if the body goes in chunks, of at most 1,000 bytes.
        chunked: bool,
        delay: Duration,
    },
    /// As JSON, what was asked: `{"head": …, "body": …}`.
    Echo,
    /// These bytes as they are, then the connection closes.
    Raw(Vec<u8>),
    /// These bytes as they are, and the connection stays.
    Bytes(Vec<u8>),
    /// These bytes, and then those again and again for as long as they are taken.
    Flood(Vec<u8>, Vec<u8>),
    /// No answer, and the connection stays.
    Never,
    /// The connection is reset.
    Reset,
    /// The connection is closed without an answer.
    Close,
    /// A head that promises 100 bytes, and then the connection closes.
    CloseAfterHead,
    /// A WebSocket that sends each data frame back, with a right or a wrong
    /// `Sec-WebSocket-Accept`.
    WebSocket { is_right: bool },
    /// A 101 although nobody asked for it, to this protocol.
    Switch(&'static str),
    /// A `text/event-stream` with so many events, one every while; it stays open after
    /// them.
    Events { every: Duration, count: usize },
    /// A body of so many bytes, one every while, with its length announced.
    Drip { every: Duration, bytes: usize },
}

impl Script {
    /// A plain answer with a text.
    pub fn text(status: u16, body: &str) -> Self {
        Self::with(status, "Content-Type: text/plain\r\n", body)
    }

    /// An answer with these headers, whole lines.
    pub fn with(status: u16, headers: &str, body: &str) -> Self {
        Self::Reply {
            status,
            headers: headers.to_owned(),
            body: body.as_bytes().to_vec(),
            chunked: false,
            delay: Duration::ZERO,
        }
    }

    /// The same later.
    pub fn after(self, time: Duration) -> Self {
        match self {
            Self::Reply {
                status,
                headers,
                body,
                chunked,
                ..
            } => Self::Reply {
                status,
                headers,
                body,
                chunked,
                delay: time,
            },
            other => other,
        }
    }

    /// The same in chunks.
    pub fn in_chunks(self) -> Self {
        match self {
            Self::Reply {
                status,
                headers,
                body,
                delay,
                ..
            } => Self::Reply {
                status,
                headers,
                body,
                chunked: true,
                delay,
            },
            other => other,
        }
    }
}
