//! Compiles the agents' protocols with `protox`, so that no `protoc` is needed.

fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!("cargo:rerun-if-changed=proto");
    let files = protox::compile(["proto/agent.proto", "proto/identity.proto"], ["proto"])?;
    // `bytes` fields become `bytes::Bytes`: a slice is encoded once and its bytes are shared by
    // all the messages that carry it.
    tonic_prost_build::configure()
        .bytes(".")
        // Has the authority's key.
        .skip_debug([".coax.identity.v1.Controllership"])
        .compile_fds(files)?;
    Ok(())
}
