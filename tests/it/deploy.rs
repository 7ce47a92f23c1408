//! Tests of the manifests in `deploy` on a real control plane: whether the API server accepts them without warnings,
//! whether their pods come up, and whether the executor has exactly the rights that it uses. Also tests the roles for people.

mod containers;
mod grants;
mod manifests;
mod overlays;
mod rights;
mod rollouts;
mod viewer;
mod work;
