//! Compiles the .proto files without protoc, and keeps the descriptor set for reflection.

use std::{env, fs, path::PathBuf};

use prost::Message;

const PROTOS: [&str; 5] = [
    "everynode/executor/v1/executor.proto",
    "everynode/planner/v1/facts.proto",
    "everynode/planner/v1/planner.proto",
    "everynode/planner/v1/rollout.proto",
    "everynode/planner/v1/session.proto",
];

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let out_dir = PathBuf::from(env::var("OUT_DIR")?);
    println!("cargo::rerun-if-changed=everynode");
    let descriptors = protox::compile(PROTOS, ["."])?;
    fs::write(out_dir.join("descriptors.bin"), descriptors.encode_to_vec())?;
    let mut config = prost_build::Config::new();
    // The code that prints an answer looks up its descriptor by message name.
    config.enable_type_names();
    tonic_prost_build::configure()
        .btree_map(".")
        .codec_path("crate::codec::FactLimitCodec")
        // Kubernetes objects stay encoded until they are read.
        .extern_path(".google.protobuf.Struct", "crate::facts::RawStruct")
        .compile_fds_with_config(descriptors, config)?;
    Ok(())
}
