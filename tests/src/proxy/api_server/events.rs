//! Splits a watch's body into events, in either of the API server's encodings.

use axum::body::Bytes;
use http::{HeaderMap, header};
use serde_json::json;

/// A splitter for the body of one watch.
#[derive(Debug)]
pub(super) struct Events {
    is_protobuf: bool,
    rest: Vec<u8>,
}

impl Events {
    pub(super) fn of(headers: &HeaderMap) -> Self {
        let kind = headers
            .get(header::CONTENT_TYPE)
            .map(header::HeaderValue::as_bytes);
        Self {
            is_protobuf: kind.is_some_and(|kind| kind.starts_with(b"application/vnd.kubernetes.protobuf")),
            rest: Vec::new(),
        }
    }

    /// Appends a piece of the body and returns the events that are now complete, with their framing.
    pub(super) fn take(&mut self, piece: &[u8]) -> Vec<Bytes> {
        self.rest.extend_from_slice(piece);
        let mut events = Vec::new();
        while let Some(length) = self.first().filter(|length| *length <= self.rest.len()) {
            let later = self.rest.split_off(length);
            events.push(std::mem::replace(&mut self.rest, later).into());
        }
        events
    }

    /// The length of the first event with its framing, or `None` until it is known.
    fn first(&self) -> Option<usize> {
        if self.is_protobuf {
            let length = u32::from_be_bytes(*self.rest.first_chunk()?);
            return Some(size_of::<u32>() + usize::try_from(length).ok()?);
        }
        let end = self.rest.iter().position(|byte| *byte == b'\n')?;
        Some(end + 1)
    }

    /// The error event that an API server sends if the watch's resource version is too old (410).
    pub(super) fn expired(&self) -> Bytes {
        const MESSAGE: &str = "injected: too old resource version";
        if !self.is_protobuf {
            let status = json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
                "message": MESSAGE, "reason": "Expired", "code": 410});
            return format!("{}\n", json!({"type": "ERROR", "object": status})).into();
        }
        let meta = [field(1, b"v1"), field(2, b"Status")].concat();
        let code = [6 << 3, 0x9a, 0x03]; // 410 as a varint.
        let status = [
            field(2, b"Failure"),
            field(3, MESSAGE.as_bytes()),
            field(4, b"Expired"),
            code.to_vec(),
        ];
        let unknown = [b"k8s\0".to_vec(), field(1, &meta), field(2, &status.concat())].concat();
        let event = [field(1, b"ERROR"), field(2, &field(1, &unknown))].concat();
        let length = u32::try_from(event.len()).unwrap_or_default();
        [&length.to_be_bytes()[..], &event].concat().into()
    }
}

/// Whether an event is a bookmark. A bookmark only states the watch's position, so it must stay after the events that
/// preceded it and before those that follow.
pub(super) fn is_bookmark(event: &[u8]) -> bool {
    event.windows(8).take(32).any(|bytes| bytes == b"BOOKMARK")
}

/// Encodes a length-delimited protobuf field. `content` must be shorter than 16 KiB.
pub(super) fn field(number: u8, content: &[u8]) -> Vec<u8> {
    let [high, low] = u16::try_from(content.len()).unwrap_or_default().to_be_bytes();
    let length = if content.len() < 128 {
        vec![low]
    } else {
        vec![low | 0x80, (high << 1) | (low >> 7)]
    };
    [&[number << 3 | 2][..], &length, content].concat()
}
