//! The self-test on the kernel that runs the tests.
#![allow(clippy::unwrap_used, missing_docs)]

#[tokio::test]
async fn this_kernel_forwards() {
    coax_bench::selftest::kernel().await.unwrap();
}

#[tokio::test]
async fn the_verifier_counts() {
    for (program, instructions) in coax_bench::selftest::budget().await.unwrap() {
        assert!(
            (2..500_000).contains(&instructions),
            "{program}: {instructions}"
        );
    }
}
