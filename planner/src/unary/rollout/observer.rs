//! Counts the nodes without an available pod during a simulation. It decides nothing, so it is independent of the engine.

use std::collections::BTreeMap;

use hashbrown::HashMap;

use crate::model::{LabelKey, Node, Text};

/// Nodes without an available pod, now and at most.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Unavailable {
    /// Now.
    pub(super) now: usize,
    /// The most at the same time.
    pub(super) most: usize,
}

impl Unavailable {
    fn rise(&mut self) {
        self.now += 1;
        self.most = self.most.max(self.now);
    }

    fn fall(&mut self) {
        self.now = self.now.saturating_sub(1);
    }
}

/// A topology domain.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Domain {
    /// The value of the label. Empty for the nodes without it.
    pub(super) name: Text,
    /// Nodes that should run a pod.
    pub(super) nodes: usize,
    pub(super) unavailable: Unavailable,
}

#[derive(Debug)]
struct Watched {
    domain: usize,
    available_pods: usize,
}

/// The nodes that should run a pod.
#[derive(Debug, Default)]
pub(super) struct Observer {
    nodes: HashMap<Text, Watched>,
    domains: Vec<Domain>,
    total: Unavailable,
    /// The most nodes without an available pod since the last call of [`Observer::take_most`].
    recent: usize,
}

impl Observer {
    /// Watches nodes that have no pod yet, and divides them into domains by the value of a label.
    pub(super) fn new<'n>(nodes: impl Iterator<Item = &'n Node>, key: &LabelKey) -> Self {
        let mut by_domain = BTreeMap::<(bool, Text), Vec<Text>>::new();
        for node in nodes {
            let value = node.labels.get(key);
            // The nodes without the label come last, as in rollouts.
            let domain = (value.is_none(), value.cloned().unwrap_or_default());
            by_domain.entry(domain).or_default().push(node.name.clone());
        }
        let mut observer = Self::default();
        for (index, ((_, name), nodes)) in by_domain.into_iter().enumerate() {
            let count = nodes.len();
            for node in nodes {
                let watched = Watched {
                    domain: index,
                    available_pods: 0,
                };
                observer.nodes.insert(node, watched);
            }
            observer.domains.push(Domain {
                name,
                nodes: count,
                unavailable: Unavailable {
                    now: count,
                    most: count,
                },
            });
        }
        observer.total.now = observer.nodes.len();
        observer.restart();
        observer
    }

    /// Forgets all maxima.
    pub(super) fn restart(&mut self) {
        let domains = self.domains.iter_mut().map(|domain| &mut domain.unavailable);
        for unavailable in domains.chain([&mut self.total]) {
            unavailable.most = unavailable.now;
        }
        self.recent = self.total.now;
    }

    /// A pod on a node has become available.
    pub(super) fn available(&mut self, node: &str) {
        let Some(watched) = self.nodes.get_mut(node) else {
            return;
        };
        watched.available_pods += 1;
        if watched.available_pods == 1 {
            self.total.fall();
            if let Some(domain) = self.domains.get_mut(watched.domain) {
                domain.unavailable.fall();
            }
        }
    }

    /// An available pod on a node isn't available any more.
    pub(super) fn unavailable(&mut self, node: &str) {
        let Some(watched) = self.nodes.get_mut(node) else {
            return;
        };
        watched.available_pods = watched.available_pods.saturating_sub(1);
        if watched.available_pods == 0 {
            self.total.rise();
            self.recent = self.recent.max(self.total.now);
            if let Some(domain) = self.domains.get_mut(watched.domain) {
                domain.unavailable.rise();
            }
        }
    }

    /// The number of watched nodes.
    pub(super) fn len(&self) -> usize {
        self.nodes.len()
    }

    /// All nodes together.
    pub(super) fn total(&self) -> Unavailable {
        self.total
    }

    /// The domains, sorted by name, with the nodes without the label last.
    pub(super) fn domains(&self) -> &[Domain] {
        &self.domains
    }

    /// The most nodes that were without an available pod since the last call.
    pub(super) fn take_most(&mut self) -> usize {
        std::mem::replace(&mut self.recent, self.total.now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::node;

    #[test]
    fn node_is_unavailable_without_an_available_pod_and_maxima_are_kept() {
        let nodes = [
            node("a", &["zone=x"], &[]),
            node("b", &["zone=x"], &[]),
            node("c", &[], &[]),
        ];
        let mut observer = Observer::new(nodes.iter(), &LabelKey::new("zone".into()));
        for node in ["a", "b", "c", "unwatched"] {
            observer.available(node);
        }
        observer.restart();
        assert_eq!(observer.total(), Unavailable::default());
        // A second pod beside the first one keeps the node available.
        observer.available("a");
        observer.unavailable("a");
        assert_eq!(observer.total().most, 0);
        observer.unavailable("a");
        observer.unavailable("c");
        observer.available("a");
        observer.unavailable("b");
        assert_eq!(observer.total(), Unavailable { now: 2, most: 2 });
        let domains: Vec<_> = observer
            .domains()
            .iter()
            .map(|domain| (&*domain.name, domain.nodes))
            .collect();
        assert_eq!(domains, [("x", 2), ("", 1)]);
        assert_eq!(observer.domains()[0].unavailable, Unavailable { now: 1, most: 1 });
        assert_eq!((observer.take_most(), observer.take_most()), (2, 2));
    }
}
