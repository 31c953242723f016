//! The contract of communicators, kept by a process alone.

mod suite;

#[test]
fn a_process_alone_keeps_the_contract() {
    suite::holds(&bonfire_cluster::Alone);
}
