//! How much goes into one request, and which objects are too large for any.

use std::collections::HashSet;

use everynode_proto::{
    planner::v1::{ActionDone, DaemonSetGone, Fact, SyncComplete, fact::Fact as Kind},
    weight::decoded_bytes,
};
use indexmap::IndexSet;
use prost::{Message, encoding::encoded_len_varint};

use super::Object;
use crate::cluster::Text;

/// Requests stay below this, so that the planner's memory stays flat however large the cluster is. One fact that is
/// larger goes alone.
const TARGET_BYTES: usize = 1024 * 1024;
/// What planners take that don't tell their limit: half of what a message of theirs may have.
const UNTOLD_BYTES: usize = 32 * 1024 * 1024;
/// What one request may take in the planner's memory once it is decoded. Planners take 48 MiB, which no object reaches that an API server
/// lets through as it is set up by default.
const DECODED_BYTES: usize = 40 * 1024 * 1024;
/// Facts below this take far less than that, whatever they hold.
const SMALL_BYTES: usize = 64 * 1024;
/// What a request has beside its facts: sequence and time, at their longest.
const ENVELOPE_BYTES: usize = 64;
/// The field number of `SessionRequest.facts` takes one byte.
const TAG_BYTES: usize = 1;

/// What the planner takes in one request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RequestLimits {
    /// Facts.
    pub facts: usize,
    /// Bytes, as encoded.
    pub bytes: usize,
}

impl RequestLimits {
    /// The limits that a planner tells; 0 bytes from one that tells no limit.
    pub fn told(facts: u32, bytes: u64) -> Self {
        let bytes = match bytes {
            0 => UNTOLD_BYTES,
            bytes => usize::try_from(bytes).unwrap_or(usize::MAX),
        };
        Self {
            facts: usize::try_from(facts).unwrap_or(usize::MAX).max(1),
            bytes,
        }
    }
}

/// An object that no request has room for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TooLarge {
    /// The object.
    pub object: Object,
    /// How many bytes it would take in a request.
    pub bytes: usize,
    /// How many it may take.
    pub limit: usize,
    /// Whether this is new: it could be told before, or wasn't there.
    pub is_new: bool,
}

/// A request while it is filled.
pub(super) struct Filling<'o> {
    limits: RequestLimits,
    bytes: usize,
    is_full: bool,
    known: &'o mut HashSet<Object>,
    pub(super) facts: Vec<Fact>,
    pub(super) too_large: Vec<TooLarge>,
}

impl<'o> Filling<'o> {
    /// An empty request. `known` are the objects that are known to be too large.
    pub(super) fn new(limits: RequestLimits, known: &'o mut HashSet<Object>) -> Self {
        Self {
            limits,
            bytes: ENVELOPE_BYTES,
            is_full: false,
            known,
            facts: Vec::new(),
            too_large: Vec::new(),
        }
    }

    /// Takes objects that are due for as long as there is room, and returns which. What is next in line after the room has run out stays
    /// due, and so does everything behind it: a later kind must not overtake.
    pub(super) fn take(
        &mut self,
        due: &mut IndexSet<Text>,
        object: impl Fn(Text) -> Object,
        fact: impl Fn(&Text) -> Option<Kind>,
    ) -> Vec<Text> {
        let mut taken = 0;
        for name in due.iter() {
            if self.is_full || self.facts.len() >= self.limits.facts {
                self.is_full = true;
                break;
            }
            if let Some(fact) = fact(name)
                && !self.offer(fact, || object(name.clone()))
            {
                break;
            }
            taken += 1;
        }
        due.drain(..taken).collect()
    }

    /// Takes ends of actions for as long as there is room.
    pub(super) fn take_done(&mut self, done: &mut Vec<ActionDone>) {
        let room = self.limits.facts.saturating_sub(self.facts.len());
        let mut taken = 0;
        for done in done.iter().take(if self.is_full { 0 } else { room }) {
            if !self.push(Kind::ActionDone(*done)) {
                break;
            }
            taken += 1;
        }
        self.is_full |= taken < done.len();
        done.drain(..taken);
    }

    /// Says that everything has been said, if there is room for it.
    pub(super) fn complete(&mut self) -> bool {
        !self.is_full
            && self.facts.len() < self.limits.facts
            && self.push(Kind::SyncComplete(SyncComplete {}))
    }

    /// Whether the object has been dealt with: it is in the request, or too large for any.
    fn offer(&mut self, kind: Kind, object: impl FnOnce() -> Object) -> bool {
        let fact = Fact { fact: Some(kind) };
        let Excess { bytes, limit } = match measure(&fact, self.limits) {
            Ok(bytes) => {
                if !self.known.is_empty() {
                    self.known.remove(&object());
                }
                return self.put(fact, bytes);
            }
            Err(excess) => excess,
        };
        let object = object();
        // The planner would go on with what it was told before, which isn't what the object says any more. A node or a
        // pod that is said to be gone would be acted on, so of those it keeps what it knows.
        if let Object::DaemonSet(uid) = &object
            && !self.push(Kind::DaemonSetGone(DaemonSetGone { uid: uid.to_string() }))
        {
            return false;
        }
        let is_new = self.known.insert(object.clone());
        self.too_large.push(TooLarge {
            object,
            bytes,
            limit,
            is_new,
        });
        true
    }

    fn push(&mut self, kind: Kind) -> bool {
        let fact = Fact { fact: Some(kind) };
        let bytes = bytes_in_request(&fact);
        self.put(fact, bytes)
    }

    /// Puts a fact into the request, unless that would become too large by it.
    fn put(&mut self, fact: Fact, bytes: usize) -> bool {
        let target = TARGET_BYTES.min(self.limits.bytes);
        if !self.facts.is_empty() && self.bytes + bytes > target {
            self.is_full = true;
            return false;
        }
        self.bytes += bytes;
        self.facts.push(fact);
        true
    }
}

/// How many bytes a fact takes in a request.
fn bytes_in_request(fact: &Fact) -> usize {
    let bytes = fact.encoded_len();
    TAG_BYTES + encoded_len_varint(u64::try_from(bytes).unwrap_or(u64::MAX)) + bytes
}

/// By how much a fact is too large.
struct Excess {
    bytes: usize,
    limit: usize,
}

/// How many bytes a fact takes in a request. This is the one place that decides whether a fact is too large.
///
/// # Errors
/// No request has room for it.
fn measure(fact: &Fact, limits: RequestLimits) -> Result<usize, Excess> {
    let bytes = bytes_in_request(fact);
    let limit = limits.bytes.saturating_sub(ENVELOPE_BYTES);
    if bytes > limit {
        return Err(Excess { bytes, limit });
    }
    if bytes > SMALL_BYTES {
        let decoded = decoded_bytes(fact);
        if decoded > DECODED_BYTES {
            return Err(Excess {
                bytes: decoded,
                limit: DECODED_BYTES,
            });
        }
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests;
