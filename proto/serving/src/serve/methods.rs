//! The methods of our services, read from the .proto descriptors. So a new method needs no entry in a list.

use std::collections::HashMap;

use everynode_proto::weight::MessageType;
use prost::{DecodeError, Message};
use prost_types::FileDescriptorSet;

use super::CallKind;

/// Properties of a method that matter for limits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Method {
    pub(super) kind: CallKind,
    /// The type of its request messages. `None` if the type isn't known.
    pub(super) request_type: Option<MessageType>,
}

/// The methods of our services, by path. Health and reflection aren't among them: they have limits of their
/// own.
#[derive(Debug)]
pub(super) struct Methods(HashMap<String, Method>);

impl Methods {
    /// The methods of all services in an encoded `FileDescriptorSet`.
    pub(super) fn from_descriptors(descriptors: &[u8]) -> Result<Self, DecodeError> {
        let mut methods = HashMap::new();
        for file in FileDescriptorSet::decode(descriptors)?.file {
            for service in &file.service {
                for method in &service.method {
                    let path = format!("/{}.{}/{}", file.package(), service.name(), method.name());
                    let is_stream = method.client_streaming() || method.server_streaming();
                    let method = Method {
                        kind: if is_stream {
                            CallKind::Stream
                        } else {
                            CallKind::Unary
                        },
                        request_type: MessageType::from_full_name(
                            method.input_type().trim_start_matches('.'),
                        ),
                    };
                    methods.insert(path, method);
                }
            }
        }
        Ok(Self(methods))
    }

    pub(super) fn get(&self, path: &str) -> Option<Method> {
        self.0.get(path).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn descriptors_distinguish_streams_from_unary_calls() {
        let methods = Methods::from_descriptors(everynode_proto::FILE_DESCRIPTOR_SET).unwrap();
        for (path, kind) in [
            (
                "/everynode.planner.v1.PlannerService/Explain",
                Some(CallKind::Unary),
            ),
            (
                "/everynode.planner.v1.PlannerService/Session",
                Some(CallKind::Stream),
            ),
            (
                "/everynode.executor.v1.ExecutorService/GetInfo",
                Some(CallKind::Unary),
            ),
            (
                "/everynode.executor.v1.ExecutorService/WatchPlans",
                Some(CallKind::Stream),
            ),
            ("/everynode.planner.v1.PlannerService/Unknown", None),
            ("/grpc.health.v1.Health/Watch", None),
        ] {
            let method = methods.get(path);
            assert_eq!(method.map(|method| method.kind), kind, "{path}");
            assert_eq!(
                method.is_some(),
                method.is_some_and(|method| method.request_type.is_some())
            );
        }
    }
}
