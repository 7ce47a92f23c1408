//! Size limits of requests: how much goes into one, and which objects are too large for any.

use std::collections::HashSet;

use everynode_proto::{
    planner::v1::{ActionDone, DaemonSetGone, Fact, SyncComplete, fact::Fact as Kind},
    weight::decoded_bytes,
};
use indexmap::IndexSet;
use prost::{Message, encoding::encoded_len_varint};

use super::Object;
use crate::cluster::SharedStr;

/// Requests stay below this size, so that the planner's memory for them doesn't grow with the cluster. A larger fact is
/// sent alone.
const TARGET_BYTES: usize = 1024 * 1024;
/// Limit assumed for planners that don't announce theirs: half of the largest message that they accept.
const DEFAULT_MAX_BYTES: usize = 32 * 1024 * 1024;
/// Maximum memory that one request may take in the planner once it is decoded. Planners accept 48 MiB. No object
/// reaches that if it passes an API server with default settings.
const DECODED_BYTES: usize = 40 * 1024 * 1024;
/// Facts smaller than this stay far below that limit, whatever their content is.
const SMALL_BYTES: usize = 64 * 1024;
/// Size of a request without its facts: sequence and time, at their longest.
const ENVELOPE_BYTES: usize = 64;
/// The field number of `SessionRequest.facts` takes one byte.
const TAG_BYTES: usize = 1;

/// Limits on what the planner accepts in one request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct RequestLimits {
    /// Maximum number of facts.
    pub(crate) facts: usize,
    /// Maximum size in bytes, as encoded.
    pub(crate) bytes: usize,
}

impl RequestLimits {
    /// The limits in a planner's welcome. `bytes` is 0 if it announces no limit.
    pub(crate) fn from_welcome(facts: u32, bytes: u64) -> Self {
        let bytes = match bytes {
            0 => DEFAULT_MAX_BYTES,
            bytes => usize::try_from(bytes).unwrap_or(usize::MAX),
        };
        Self {
            facts: usize::try_from(facts).unwrap_or(usize::MAX).max(1),
            bytes,
        }
    }
}

/// An object that fits into no request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TooLarge {
    pub(crate) object: Object,
    /// Size of its fact in bytes: decoded if it exceeds the limit on decoded facts, otherwise encoded.
    pub(crate) bytes: usize,
    /// The exceeded limit, in bytes.
    pub(crate) limit: usize,
    /// Whether this is new: until now, the object was small enough or didn't exist.
    pub(crate) is_new: bool,
}

/// A request that is being filled.
pub(super) struct RequestBuilder<'o> {
    limits: RequestLimits,
    bytes: usize,
    is_full: bool,
    known: &'o mut HashSet<Object>,
    pub(super) facts: Vec<Fact>,
    pub(super) too_large: Vec<TooLarge>,
}

impl<'o> RequestBuilder<'o> {
    /// Creates an empty request. `known` holds the objects that are already known to be too large.
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

    /// Takes due objects while there is room, and returns those that it took. The first object that doesn't fit stays
    /// due, and so do all later ones, so that no later kind is sent before it.
    pub(super) fn take(
        &mut self,
        due: &mut IndexSet<SharedStr>,
        object: impl Fn(SharedStr) -> Object,
        fact: impl Fn(&SharedStr) -> Option<Kind>,
    ) -> Vec<SharedStr> {
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

    /// Takes outcomes of actions while there is room.
    pub(super) fn take_outcomes(&mut self, done: &mut Vec<ActionDone>) {
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

    /// Adds a small fact if there is room for it. Returns whether it did.
    pub(super) fn push_if_room(&mut self, kind: Kind) -> bool {
        let is_added = !self.is_full && self.facts.len() < self.limits.facts && self.push(kind);
        self.is_full |= !is_added;
        is_added
    }

    /// Adds the fact that the full sync is complete, if there is room for it. Returns whether it did.
    pub(super) fn complete(&mut self) -> bool {
        !self.is_full
            && self.facts.len() < self.limits.facts
            && self.push(Kind::SyncComplete(SyncComplete {}))
    }

    /// Adds an object's fact. Returns whether the object is done: it is in the request, or too large for any request.
    fn offer(&mut self, kind: Kind, object: impl FnOnce() -> Object) -> bool {
        let fact = Fact { fact: Some(kind) };
        let Excess { bytes, limit } = match measure(&fact, self.limits) {
            Ok(bytes) => {
                if !self.known.is_empty() {
                    self.known.remove(&object());
                }
                return self.try_append(fact, bytes);
            }
            Err(excess) => excess,
        };
        let object = object();
        // A DaemonSet is reported as gone, because the planner would otherwise continue with its outdated facts. A node
        // or pod isn't reported as gone, because the planner would act on that. It keeps the old facts instead.
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
        self.try_append(fact, bytes)
    }

    /// Adds a fact, unless it would make the request too large.
    fn try_append(&mut self, fact: Fact, bytes: usize) -> bool {
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

/// Size of a fact in a request, in bytes.
fn bytes_in_request(fact: &Fact) -> usize {
    let bytes = fact.encoded_len();
    TAG_BYTES + encoded_len_varint(u64::try_from(bytes).unwrap_or(u64::MAX)) + bytes
}

/// The size of a fact that is too large, and the limit that it exceeds.
struct Excess {
    bytes: usize,
    limit: usize,
}

/// Size of a fact in a request, in bytes. This is the only place that decides whether a fact is too large.
///
/// # Errors
/// The fact fits into no request.
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
