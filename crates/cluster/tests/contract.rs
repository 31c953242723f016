//! The contract of communicators, kept by a process alone and by threads.

mod suite;

use bonfire_cluster::{Alone, Threads};

#[test]
fn a_process_alone_keeps_the_contract() {
    suite::holds(&Alone);
}

#[test]
fn threads_keep_the_contract() {
    for count in 1..5 {
        let ranks = Threads::ranks(count);
        let threads = ranks.into_iter().map(|rank| std::thread::spawn(move || suite::holds(&*rank)));
        for thread in threads.collect::<Vec<_>>() {
            thread.join().expect("a rank that keeps the contract");
        }
    }
}
