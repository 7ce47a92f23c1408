//! Decodes messages as prost does, but first counts the facts of a `SessionRequest`. An empty fact takes two bytes on
//! the wire and about two hundred in memory, so a message full of them would grow to gigabytes while it is decoded.

use std::marker::PhantomData;

use prost::{
    DecodeError, Message, Name,
    bytes::Buf,
    encoding::{DecodeContext, decode_key, skip_field},
};
use tonic::{
    Status,
    codec::{Codec, DecodeBuf, Decoder},
};
use tonic_prost::{ProstCodec, ProstDecoder, ProstEncoder};

use crate::{planner::v1::SessionRequest, status};

/// The limit of facts in one `SessionRequest`.
pub const MAX_FACTS: usize = 1_000;
/// The limit of bytes in one encoded `SessionRequest`. The planner announces it, and executors keep to it.
pub const MAX_SESSION_REQUEST_BYTES: usize = 4 * 1024 * 1024;
/// The field number of `SessionRequest.facts`.
const FACTS_FIELD: u32 = 4;

/// The codec of all services. It refuses a `SessionRequest` with too many facts before decoding it.
#[derive(Debug)]
pub struct FactLimitCodec<T, U>(PhantomData<(T, U)>);

impl<T, U> Default for FactLimitCodec<T, U> {
    fn default() -> Self {
        Self(PhantomData)
    }
}

impl<T, U> Codec for FactLimitCodec<T, U>
where
    T: Message + Send + 'static,
    U: Message + Name + Default + Send + 'static,
{
    type Encode = T;
    type Decode = U;
    type Encoder = ProstEncoder<T>;
    type Decoder = FactLimitDecoder<U>;

    fn encoder(&mut self) -> Self::Encoder {
        ProstCodec::<T, U>::default().encoder()
    }

    fn decoder(&mut self) -> Self::Decoder {
        FactLimitDecoder(ProstCodec::<T, U>::default().decoder())
    }
}

/// The decoder of [`FactLimitCodec`].
#[derive(Debug)]
pub struct FactLimitDecoder<U>(ProstDecoder<U>);

impl<U: Message + Name + Default> Decoder for FactLimitDecoder<U> {
    type Item = U;
    type Error = Status;

    fn decode(&mut self, message: &mut DecodeBuf<'_>) -> Result<Option<U>, Status> {
        if U::full_name() == SessionRequest::full_name() {
            // The buffer holds the whole message in one piece.
            check_encoded_facts(message.chunk())?;
        }
        self.0.decode(message)
    }
}

/// Checks the number of facts in an encoded `SessionRequest`. A malformed message is refused here with prost's error,
/// because prost would decode all facts in front of the error.
fn check_encoded_facts(message: &[u8]) -> Result<(), Status> {
    let facts = count_field(FACTS_FIELD, message).map_err(|error| Status::internal(error.to_string()))?;
    check_fact_count(facts)
}

/// Checks the number of facts in one `SessionRequest`.
///
/// # Errors
/// `RESOURCE_EXHAUSTED`, naming the field.
pub fn check_fact_count(count: usize) -> Result<(), Status> {
    if count <= MAX_FACTS {
        return Ok(());
    }
    let message = format!("has {count} items, but at most {MAX_FACTS} are allowed; split the request");
    Err(status::too_many("facts", &message))
}

/// Counts the occurrences of a field in a message, without those in nested messages.
fn count_field(field: u32, mut message: &[u8]) -> Result<usize, DecodeError> {
    let mut found = 0;
    while message.has_remaining() {
        let (number, wire_type) = decode_key(&mut message)?;
        if number == field {
            found += 1;
        }
        skip_field(wire_type, number, &mut message, DecodeContext::default())?;
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use tonic::Code;

    use super::*;
    use crate::planner::v1::Fact;

    #[test]
    fn facts_are_counted_in_the_encoding() {
        for facts in [0, 1, 1_000, 1_001] {
            let request = SessionRequest {
                sequence: 7,
                facts: vec![Fact::default(); facts],
                ..SessionRequest::default()
            };
            assert_eq!(count_field(FACTS_FIELD, &request.encode_to_vec()).unwrap(), facts);
            assert_eq!(check_fact_count(facts).is_ok(), facts <= MAX_FACTS);
        }
    }

    #[test]
    fn malformed_message_is_refused_however_many_facts_it_begins_with() {
        for facts in [0, 1, 1_000_000] {
            let mut message = [0x22_u8, 0].repeat(facts);
            // A fact whose length is beyond the end of the message.
            message.extend([0x22, 0x7F]);
            let refused = check_encoded_facts(&message).unwrap_err();
            assert_eq!(refused.code(), Code::Internal, "{facts}: {refused}");
        }
    }
}
