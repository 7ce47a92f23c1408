//! The manifests in `deploy`, on a real control plane: what it says of them, whether their pods come up, and whether the executor may
//! do all that it does with them and nothing else.

mod containers;
mod grants;
mod manifests;
mod overlays;
mod rights;
mod viewer;
mod work;
