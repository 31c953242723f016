//! The contract of communicators, kept by a process alone and by threads.

mod suite;

use bonfire_cluster::{Alone, Bucket, Communicator, Threads};

#[test]
fn a_process_alone_keeps_the_contract() {
    suite::holds(&Alone);
}

#[test]
#[should_panic(expected = "every bucket is sent: [true, false]")]
fn a_bucket_that_is_not_sent_is_noticed() {
    let mut buckets = [(); 2].map(|()| Bucket { length: 1, ..Bucket::default() });
    Alone.sum_buckets(&[1.0], &mut buckets, &mut |send| send(0, vec![1.0]));
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
