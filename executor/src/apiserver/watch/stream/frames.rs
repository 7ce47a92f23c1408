//! Splits the body of a watch into events.

use futures::{Stream, StreamExt, TryStreamExt};
use http_body_util::BodyExt;
use kube::client::Body;
use prost::bytes::{Bytes, BytesMut};
use tokio_util::{
    codec::{AnyDelimiterCodec, FramedRead, LengthDelimitedCodec},
    io::StreamReader,
};

use super::MAX_EVENT_BYTES;
use crate::apiserver::objects::Encoding;

/// Splits a watch's body into events.
pub(super) fn frames(
    body: Body,
    encoding: Encoding,
) -> impl Stream<Item = Result<Bytes, FrameError>> + Unpin {
    let chunks = body.into_data_stream().map_err(std::io::Error::other);
    let reader = StreamReader::new(chunks);
    match encoding {
        Encoding::Json => {
            let lines = AnyDelimiterCodec::new_with_max_length(b"\n".into(), Vec::new(), MAX_EVENT_BYTES);
            FramedRead::new(reader, lines).map_err(FrameError::from).boxed()
        }
        Encoding::Protobuf => {
            let messages = LengthDelimitedCodec::builder()
                .max_frame_length(MAX_EVENT_BYTES)
                .new_codec();
            FramedRead::new(reader, messages)
                .map_ok(BytesMut::freeze)
                .map_err(FrameError::from)
                .boxed()
        }
    }
}

/// Why the body can't be split into further events.
#[derive(Debug, thiserror::Error)]
pub(super) enum FrameError {
    #[error("the connection broke: {0}")]
    Io(#[from] std::io::Error),
    #[error("an event is too long: {0}")]
    Line(#[from] tokio_util::codec::AnyDelimiterCodecError),
}
