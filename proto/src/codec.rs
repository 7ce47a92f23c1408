//! Decodes messages from the wire as prost does, but first counts the facts of a session's message. An empty fact has
//! two bytes on the wire and about two hundred in memory, so a message full of them would grow to gigabytes before
//! anyone could refuse it.

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
/// The limit of bytes in one encoded `SessionRequest`.
pub const MAX_SESSION_REQUEST_BYTES: usize = 4 * 1024 * 1024;
/// The field number of `SessionRequest.facts`.
const FACTS: u32 = 4;

/// The codec of all services.
#[derive(Debug)]
pub struct Counting<T, U>(PhantomData<(T, U)>);

impl<T, U> Default for Counting<T, U> {
    fn default() -> Self {
        Self(PhantomData)
    }
}

impl<T, U> Codec for Counting<T, U>
where
    T: Message + Send + 'static,
    U: Message + Name + Default + Send + 'static,
{
    type Encode = T;
    type Decode = U;
    type Encoder = ProstEncoder<T>;
    type Decoder = CountingDecoder<U>;

    fn encoder(&mut self) -> Self::Encoder {
        ProstCodec::<T, U>::default().encoder()
    }

    fn decoder(&mut self) -> Self::Decoder {
        CountingDecoder(ProstCodec::<T, U>::default().decoder())
    }
}

/// Counts facts before it decodes a message.
#[derive(Debug)]
pub struct CountingDecoder<U>(ProstDecoder<U>);

impl<U: Message + Name + Default> Decoder for CountingDecoder<U> {
    type Item = U;
    type Error = Status;

    fn decode(&mut self, message: &mut DecodeBuf<'_>) -> Result<Option<U>, Status> {
        if U::full_name() == SessionRequest::full_name() {
            // When the message can't be read, prost refuses it. The whole message is in one piece.
            let facts = count(FACTS, message.chunk()).unwrap_or_default();
            check_facts(facts)?;
        }
        self.0.decode(message)
    }
}

/// Refuses more facts than one `SessionRequest` may hold.
///
/// # Errors
/// `RESOURCE_EXHAUSTED`, naming the field.
pub fn check_facts(count: usize) -> Result<(), Status> {
    if count <= MAX_FACTS {
        return Ok(());
    }
    let message = format!("holds {count}, at most {MAX_FACTS} are taken at once; split the request");
    Err(status::too_many("facts", &message))
}

/// Counts the occurrences of a field in a message, without those in nested messages.
fn count(field: u32, mut message: &[u8]) -> Result<usize, DecodeError> {
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
    use super::*;
    use crate::planner::v1::Fact;

    #[test]
    fn facts_are_counted_as_they_are_encoded() {
        for facts in [0, 1, 1_000, 1_001] {
            let request = SessionRequest {
                sequence: 7,
                facts: vec![Fact::default(); facts],
                ..SessionRequest::default()
            };
            assert_eq!(count(FACTS, &request.encode_to_vec()).unwrap(), facts);
            assert_eq!(check_facts(facts).is_ok(), facts <= MAX_FACTS);
        }
        // A length beyond the end of the message.
        assert!(count(FACTS, &[0x22, 0x7F]).is_err());
    }
}
