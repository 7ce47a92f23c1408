//! Mutation of valid inputs, so that the results are nearly valid.

use fastrand::Rng;
use prost::encoding::{WireType, decode_key, decode_varint, encode_key, encode_varint};

/// The longest input, in bytes.
const MAX_BYTES: usize = 32 * 1024;
/// How many levels of nested messages a mutation may descend.
const MAX_DEPTH: u32 = 12;
/// Numbers that often trigger errors.
const EXTREMES: [u64; 16] = [
    0,
    1,
    2,
    99,
    127,
    128,
    1_000,
    0x7FFF_FFFF,
    0x8000_0000,
    0xFFFF_FFFF,
    0xFFFF_FFFF_8000_0000,
    // Just beyond the limits of a protobuf timestamp, and the limits of a time in milliseconds.
    253_402_300_800,
    (-62_135_596_801_i64).cast_unsigned(),
    i64::MAX.cast_unsigned(),
    i64::MIN.cast_unsigned(),
    u64::MAX,
];

/// A random one of the numbers that often trigger errors.
pub(crate) fn extreme(random: &mut Rng) -> u64 {
    EXTREMES[random.usize(..EXTREMES.len())]
}

/// A random seed with a few changes.
pub(crate) fn mutated(random: &mut Rng, seeds: &[Vec<u8>]) -> Vec<u8> {
    let mut input = seeds[random.usize(..seeds.len())].clone();
    // Mostly one or two changes, because most decoders refuse an input with more changes early.
    let changes = 1 + random.u32(..64).trailing_zeros().min(5);
    for _ in 0..changes {
        input = if random.u8(..3) == 0 {
            change_bytes(random, input, seeds)
        } else {
            change_field(random, &input, seeds, MAX_DEPTH)
        };
    }
    input.truncate(MAX_BYTES);
    input
}

fn range(random: &mut Rng, length: usize) -> std::ops::Range<usize> {
    let start = random.usize(..=length);
    start..random.usize(start..=length)
}

/// Changes bytes regardless of their meaning.
fn change_bytes(random: &mut Rng, mut input: Vec<u8>, seeds: &[Vec<u8>]) -> Vec<u8> {
    let (position, length) = (random.usize(..=input.len()), input.len());
    match random.u8(..7) {
        0 => input.truncate(position),
        1 => drop(input.drain(range(random, length))),
        2 => {
            let again = input[range(random, length)].to_vec();
            input.splice(position..position, again);
        }
        3 => {
            let other = &seeds[random.usize(..seeds.len())];
            let part = other[range(random, other.len())].to_vec();
            input.splice(position..position, part);
        }
        4 => {
            let mut number = Vec::new();
            encode_varint(extreme(random), &mut number);
            let over = if random.bool() {
                position..position
            } else {
                position..(position + 1).min(length)
            };
            input.splice(over, number);
        }
        _ => {
            if let Some(byte) = input.get_mut(position) {
                *byte ^= 1 << random.u8(..8);
            }
        }
    }
    input
}

#[derive(Clone)]
enum Part {
    Number(u64),
    Eight(u64),
    Bytes(Vec<u8>),
    Four(u32),
}

type Field = (u32, Part);

/// The fields of a message; `None` if the bytes can't be a message.
fn fields(mut encoded: &[u8]) -> Option<Vec<Field>> {
    let mut fields = Vec::new();
    while !encoded.is_empty() {
        let (number, wire_type) = decode_key(&mut encoded).ok()?;
        let part = match wire_type {
            WireType::Varint => Part::Number(decode_varint(&mut encoded).ok()?),
            WireType::SixtyFourBit => Part::Eight(u64::from_le_bytes(*take::<8>(&mut encoded)?)),
            WireType::ThirtyTwoBit => Part::Four(u32::from_le_bytes(*take::<4>(&mut encoded)?)),
            WireType::LengthDelimited => {
                let length = usize::try_from(decode_varint(&mut encoded).ok()?).ok()?;
                let (bytes, rest) = encoded.split_at_checked(length)?;
                encoded = rest;
                Part::Bytes(bytes.to_vec())
            }
            WireType::StartGroup | WireType::EndGroup => return None,
        };
        fields.push((number, part));
    }
    Some(fields)
}

fn take<'a, const N: usize>(encoded: &mut &'a [u8]) -> Option<&'a [u8; N]> {
    let (taken, rest) = encoded.split_first_chunk()?;
    *encoded = rest;
    Some(taken)
}

fn encode(fields: &[Field]) -> Vec<u8> {
    let mut encoded = Vec::new();
    for (number, part) in fields {
        let wire_type = match part {
            Part::Number(_) => WireType::Varint,
            Part::Eight(_) => WireType::SixtyFourBit,
            Part::Bytes(_) => WireType::LengthDelimited,
            Part::Four(_) => WireType::ThirtyTwoBit,
        };
        encode_key(*number, wire_type, &mut encoded);
        match part {
            Part::Number(number) => encode_varint(*number, &mut encoded),
            Part::Eight(bits) => encoded.extend(bits.to_le_bytes()),
            Part::Four(bits) => encoded.extend(bits.to_le_bytes()),
            Part::Bytes(bytes) => {
                encode_varint(bytes.len() as u64, &mut encoded);
                encoded.extend(bytes);
            }
        }
    }
    encoded
}

/// Changes a field of the message or of a nested message, and adjusts the enclosing lengths.
fn change_field(random: &mut Rng, message: &[u8], seeds: &[Vec<u8>], depth: u32) -> Vec<u8> {
    let Some(mut fields) = fields(message).filter(|fields| !fields.is_empty()) else {
        return change_bytes(random, message.to_vec(), seeds);
    };
    let index = random.usize(..fields.len());
    let other = random.usize(..fields.len());
    match random.u8(..12) {
        0 => drop(fields.remove(index)),
        1 => fields.insert(other, fields[index].clone()),
        2 => fields.swap(index, other),
        3 => fields[index].0 = random.u32(1..24),
        4 => fields[index].1 = fields[other].1.clone(),
        _ => match &mut fields[index].1 {
            Part::Number(number) => *number = extreme(random),
            Part::Eight(bits) => {
                let extremes = [
                    f64::NAN,
                    f64::INFINITY,
                    f64::MAX,
                    f64::MIN_POSITIVE,
                    -0.0,
                    1e18,
                    0.5,
                ];
                let float = extremes[random.usize(..extremes.len())];
                *bits = if random.bool() {
                    float.to_bits()
                } else {
                    extreme(random)
                };
            }
            #[expect(clippy::cast_possible_truncation, reason = "the low bits are enough")]
            Part::Four(bits) => *bits = extreme(random) as u32,
            Part::Bytes(bytes) if depth > 0 => *bytes = change_field(random, bytes, seeds, depth - 1),
            Part::Bytes(bytes) => *bytes = change_bytes(random, std::mem::take(bytes), seeds),
        },
    }
    encode(&fields)
}
