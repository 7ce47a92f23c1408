//! What nobody can do who has some rights in the cluster, or some place in Everynode, and not all of them.

mod tenants;
