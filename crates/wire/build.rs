//! Compiles `proto/*.proto` without a `protoc` on the machine (protox is pure Rust).

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../proto");
    println!("cargo:rerun-if-changed={}", root.display());
    let mut files: Vec<_> = std::fs::read_dir(&root)?
        .filter_map(|entry| entry.ok().map(|entry| entry.path()))
        .filter(|path| path.extension().is_some_and(|ext| ext == "proto"))
        .collect();
    files.sort();
    let descriptors = protox::compile(&files, [&root])?;
    tonic_prost_build::configure()
        .bytes(".")
        // Ordered maps: equal values have equal bytes on every manager.
        .btree_map(".")
        // Secrets are never printed: `src/redacted.rs` has these.
        .skip_debug([
            ".starling.ca.IssueRequest",
            ".starling.objects.Cluster",
            ".starling.objects.LabelledToken",
            ".starling.objects.PayloadSpec",
            ".starling.objects.RegistryAuth",
            ".starling.objects.RootCa",
            ".starling.log.UpdateCluster",
            // Parts of the store, with all of its secrets.
            ".starling.raft.Entry",
            ".starling.raft.SnapshotRequest",
        ])
        .compile_fds(descriptors)?;
    Ok(())
}
