//! The methods of our services and which of them are streams. Both are read from the .proto descriptors, so a
//! new method needs no entry anywhere.

use std::collections::HashMap;

use everynode_proto::weight::MessageType;
use prost::{DecodeError, Message};
use prost_types::FileDescriptorSet;

use super::Kind;

/// Properties of a method that matter for limits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Method {
    pub(super) kind: Kind,
    /// The type of its requests' messages.
    pub(super) message: Option<MessageType>,
}

/// The methods of our services, by path. Health and reflection aren't among them: they have limits of their
/// own.
#[derive(Debug)]
pub(super) struct Methods(HashMap<String, Method>);

impl Methods {
    /// The methods of all services in an encoded `FileDescriptorSet`.
    pub(super) fn described_in(descriptors: &[u8]) -> Result<Self, DecodeError> {
        let mut methods = HashMap::new();
        for file in FileDescriptorSet::decode(descriptors)?.file {
            for service in &file.service {
                for method in &service.method {
                    let path = format!("/{}.{}/{}", file.package(), service.name(), method.name());
                    let streams = method.client_streaming() || method.server_streaming();
                    let method = Method {
                        kind: if streams { Kind::Stream } else { Kind::Call },
                        message: MessageType::from_full_name(method.input_type().trim_start_matches('.')),
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
    fn the_descriptors_tell_streams_from_calls() {
        let methods = Methods::described_in(everynode_proto::FILE_DESCRIPTOR_SET).unwrap();
        for (path, kind) in [
            ("/everynode.planner.v1.PlannerService/Explain", Some(Kind::Call)),
            ("/everynode.planner.v1.PlannerService/Session", Some(Kind::Stream)),
            ("/everynode.executor.v1.ExecutorService/GetInfo", Some(Kind::Call)),
            (
                "/everynode.executor.v1.ExecutorService/WatchPlans",
                Some(Kind::Stream),
            ),
            ("/everynode.planner.v1.PlannerService/Unheard", None),
            ("/grpc.health.v1.Health/Watch", None),
        ] {
            let method = methods.get(path);
            assert_eq!(method.map(|method| method.kind), kind, "{path}");
            assert_eq!(
                method.is_some(),
                method.is_some_and(|method| method.message.is_some())
            );
        }
    }
}
