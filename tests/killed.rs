//! A run that is killed before any of its calls that change the file system, and resumed, ends as if it had
//! never been killed: the same weights, bit for bit.
//!
//! The program is traced (`ptrace`): the system stops it at each call, and at the one whose turn it is it is
//! killed, before the call is done. `cargo test --release --test program killed:: -- --ignored` kills before
//! each call of each run; the usual test before every seventh.

use crate::support::program::Workshop;
use nix::errno::Errno;
use nix::sys::ptrace;
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;
use std::process::{Command, Stdio};

/// Three kinds of runs, small ones: a table, texts, pictures.
const RUNS: [(&str, &[&str]); 3] = [
    (
        "adult",
        &["train.epochs=3", "train.batch_size=full", "train.piece_size=16000", "checkpoint.every_steps=1"],
    ),
    ("sms", &["train.steps=4", "train.evaluate_every=2", "checkpoint.every_steps=2", "model.hidden=8"]),
    ("fashion", &["train.steps=4", "train.batch_size=16", "checkpoint.every_steps=2", "checkpoint.keep=1"]),
];

/// The end of a traced process.
#[derive(Debug, PartialEq)]
enum End {
    /// It was killed before the call whose turn it was.
    Killed,
    /// It ended by itself, after so many calls that change the file system.
    Exited { code: i32, calls: u64 },
}

/// True where the call that a thread is about to do changes the file system, or may: writing to a pipe counts,
/// too.
fn changes(registers: &nix::libc::user_regs_struct) -> bool {
    use nix::libc;
    let call = registers.orig_rax as i64;
    match call {
        libc::SYS_openat => registers.rdx & libc::O_CREAT as u64 != 0,
        libc::SYS_write | libc::SYS_pwrite64 | libc::SYS_writev => registers.rdi > 2,
        _ => [
            libc::SYS_rename,
            libc::SYS_renameat,
            libc::SYS_renameat2,
            libc::SYS_mkdir,
            libc::SYS_mkdirat,
            libc::SYS_unlink,
            libc::SYS_unlinkat,
            libc::SYS_rmdir,
            libc::SYS_ftruncate,
            libc::SYS_fsync,
            libc::SYS_fdatasync,
        ]
        .contains(&call),
    }
}

/// Runs `command`, and kills it before its call number `at`, from 0 on. `None` where processes may not be
/// traced.
#[expect(clippy::zombie_processes, reason = "every thread of it is waited for below")]
fn traced(command: &Command, at: u64) -> Option<End> {
    // A process that stops itself, so that none of its calls is missed.
    let mut stopped = Command::new("sh");
    stopped
        .args(["-c", "kill -STOP $$; exec \"$@\"", "sh"])
        .arg(command.get_program())
        .args(command.get_args());
    stopped.current_dir(command.get_current_dir().unwrap());
    stopped.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
    let mut child = stopped.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let first = Pid::from_raw(child.id() as i32);
    waitpid(first, Some(WaitPidFlag::WUNTRACED)).unwrap();
    let options = ptrace::Options::PTRACE_O_TRACESYSGOOD
        | ptrace::Options::PTRACE_O_TRACECLONE
        | ptrace::Options::PTRACE_O_EXITKILL;
    if ptrace::seize(first, options).is_err() {
        kill(first, Signal::SIGKILL).unwrap();
        child.wait().unwrap();
        return None;
    }
    kill(first, Signal::SIGCONT).unwrap();
    let (mut calls, mut killed) = (0, false);
    loop {
        // Other tests have children, too: this thread's alone.
        let next = waitpid(None, Some(WaitPidFlag::__WALL | WaitPidFlag::__WNOTHREAD));
        let (thread, signal) = match next.unwrap() {
            WaitStatus::Exited(thread, code) if thread == first => {
                return Some(if killed { End::Killed } else { End::Exited { code, calls } });
            }
            WaitStatus::Signaled(thread, ..) if thread == first => return Some(End::Killed),
            WaitStatus::PtraceSyscall(thread) => {
                // A call has no answer yet where it begins.
                let begins =
                    ptrace::getregs(thread).ok().filter(|found| found.rax as i64 == -(Errno::ENOSYS as i64));
                if begins.is_some_and(|registers| changes(&registers)) {
                    if calls == at && !killed {
                        killed = true;
                        kill(first, Signal::SIGKILL).unwrap();
                        continue;
                    }
                    calls += 1;
                }
                (thread, None)
            }
            WaitStatus::PtraceEvent(thread, ..) => (thread, None),
            WaitStatus::Stopped(thread, signal) => (thread, Some(signal)),
            _ => continue,
        };
        // A thread that was killed meanwhile is told of by the next status.
        let _ = ptrace::syscall(thread, signal);
    }
}

fn arguments<'a>(recipe: &'a str, sets: &[&'a str], run: &'a str) -> Vec<&'a str> {
    let mut arguments = vec!["train", recipe, "--threads", "2", "--run", run];
    sets.iter().for_each(|set| arguments.extend(["--set", set]));
    arguments
}

/// Kills each run before its calls `first`, `first + step`, ….
fn killed_before(step: u64) {
    for (recipe, sets) in RUNS {
        let workshop = Workshop::new();
        let Some(whole) = traced(&workshop.command(&arguments(recipe, sets, "whole")), u64::MAX) else {
            eprintln!("skipped: no right to trace processes");
            return;
        };
        let End::Exited { code: 0, calls } = whole else { panic!("{recipe}: {whole:?}") };
        assert!(calls > 20, "{recipe}: {calls} calls");
        let expected = workshop.read("whole/model.safetensors");
        let moments: Vec<u64> = (0..calls).step_by(step as usize).collect();
        for &at in &moments {
            let run = format!("killed-{at}");
            let command = workshop.command(&arguments(recipe, sets, &run));
            // Calls of several threads may change places, so that it may end before the last of them.
            traced(&command, at).unwrap();
            let resumed = [&arguments(recipe, sets, &run)[..], &["--resume"]].concat();
            workshop.succeed(&resumed);
            let found = workshop.read(&format!("{run}/model.safetensors"));
            assert!(found == expected, "{recipe}: killed before call {at} of {calls}, the weights differ");
            std::fs::remove_dir_all(workshop.path(&run)).unwrap();
        }
        println!("{recipe}: killed before {} of {calls} calls", moments.len());
    }
}

#[test]
fn a_run_killed_before_every_seventh_call_ends_bit_identical() {
    killed_before(7);
}

#[test]
#[ignore = "some minutes"]
fn a_run_killed_before_any_call_ends_bit_identical() {
    killed_before(1);
}
