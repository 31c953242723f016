//! A job on two hosts: network namespaces with names, addresses and a link of their own. The link is slow,
//! and is cut in the middle of the run. Needs root; without it the test is skipped with a message.

use crate::support::job::{Job, LONG, arguments, curve};
use crate::support::link::Link;
use crate::support::program::Workshop;
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// The network of the two hosts, which no other process sees.
const NETWORK: &str = "10.213.0.0/24";

/// The time that a frame takes from host to host.
const DELAY: Duration = Duration::from_millis(10);

/// Two hosts and the link between them.
struct Hosts {
    names: [String; 2],
}

impl Hosts {
    /// The hosts; `None` if this process may not make any.
    fn new() -> Option<Self> {
        let name = |host: &str| format!("bonfire-{}-{host}", std::process::id());
        let hosts = Hosts { names: ["a", "b"].map(name) };
        if !hosts.names.iter().all(|name| ip(&["netns", "add", name])) {
            return None;
        }
        let link = Link::new(DELAY).ok()?;
        let made = hosts.names.iter().zip(link.ends()).enumerate().all(|(at, (name, end))| {
            ip(&["link", "set", end, "netns", name, "name", "link0"])
                && ip(&["-n", name, "address", "add", &format!("{}/24", address(at)), "dev", "link0"])
                && ip(&["-n", name, "link", "set", "link0", "up"])
                && ip(&["-n", name, "link", "set", "lo", "up"])
                // A frame without an answer is given up after 3 s, not after a quarter of an hour.
                && ip(&["netns", "exec", name, "sh", "-c", "echo 3 > /proc/sys/net/ipv4/tcp_retries2"])
        });
        made.then_some(hosts)
    }

    fn cut(&self) {
        assert!(ip(&["-n", &self.names[1], "link", "set", "link0", "down"]));
    }

    /// A command on a host, which has its own host name.
    fn command(&self, host: usize, program: &str) -> Command {
        let name = &self.names[host];
        let mut command = Command::new("ip");
        command.args(["netns", "exec", name, "unshare", "--uts", "sh", "-c"]);
        command.args([&format!("hostname {name}; exec \"$0\" \"$@\""), program]);
        command
    }

    /// `mpirun` on the first host, with a rank on each host. A script stands for ssh.
    fn mpirun(&self, workshop: &Workshop, arguments: &[&str]) -> Command {
        let second = &self.names[1];
        let script = format!(
            "#!/bin/sh\nshift\nexec ip netns exec {second} unshare --uts sh -c \"hostname {second}; $*\"\n"
        );
        let agent = workshop.write("agent", script);
        std::fs::set_permissions(&agent, std::fs::Permissions::from_mode(0o755)).unwrap();
        let mut command = self.command(0, "mpirun");
        command.current_dir(workshop.path("")).env("BONFIRE_CACHE", workshop.path("cache"));
        command.args(["--allow-run-as-root", "--oversubscribe", "-n", "2"]);
        command.args(["--host", &format!("{}:1,{}:1", address(0), address(1))]);
        for (key, value) in [
            ("plm_rsh_agent", agent.as_str()),
            ("btl", "tcp,self"),
            ("btl_tcp_if_include", NETWORK),
            ("oob_tcp_if_include", NETWORK),
            // Without these the launcher does not notice for a long time that an idle host is gone.
            ("oob_tcp_keepalive_time", "5"),
            ("oob_tcp_keepalive_intvl", "2"),
            ("oob_tcp_keepalive_probes", "3"),
        ] {
            command.args(["--mca", key, value]);
        }
        command.arg(env!("CARGO_BIN_EXE_bonfire")).args(arguments);
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }
}

impl Drop for Hosts {
    /// Ends all processes on the hosts, and removes the hosts.
    fn drop(&mut self) {
        for name in &self.names {
            if let Ok(found) = Command::new("ip").args(["netns", "pids", name]).output() {
                let processes = String::from_utf8_lossy(&found.stdout).into_owned();
                quiet(Command::new("kill").arg("-9").args(processes.split_whitespace()));
            }
            ip(&["netns", "delete", name]);
        }
    }
}

fn address(host: usize) -> String {
    format!("10.213.0.{}", host + 1)
}

fn ip(arguments: &[&str]) -> bool {
    quiet(Command::new("ip").args(arguments))
}

fn quiet(command: &mut Command) -> bool {
    command.stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok_and(|status| status.success())
}

#[test]
fn a_host_that_is_cut_off_ends_the_job_which_goes_on_from_its_checkpoint() {
    let workshop = Workshop::new();
    let Some(hosts) = Hosts::new() else {
        assert!(
            std::env::var_os("BONFIRE_REQUIRE_HOSTS").is_none(),
            "hosts of network namespaces are required"
        );
        eprintln!("left out: this process may not make network namespaces and TAP devices, as root may");
        return;
    };
    let mut long = arguments("adult", "run", &LONG);
    long.extend(["--timeout", "4"]);
    let mut job = Job::start(hosts.mpirun(&workshop, &long));
    job.wait_for("2 ranks on 2 hosts: batches of ");
    job.wait_for("step 10/");
    let began = Instant::now();
    job.wait_for("step 50/");
    // At each step a rank waits for the other's sums of the gradients that it sent. Lines may be read late,
    // but not half of them.
    assert!(began.elapsed() > 20 * 2 * DELAY, "{:?} for 40 steps", began.elapsed());
    eprintln!("{:?} a step over a link of {:?} there and back", began.elapsed() / 40, 2 * DELAY);
    hosts.cut();
    let (code, text) = job.end(Duration::from_secs(60));
    assert_ne!(code, Some(0));
    let expected = format!("waited 4 s for rank 1 on {}", hosts.names[1]);
    assert!(text.contains(&expected), "{text}");

    let steps = "train.steps=90";
    workshop.succeed(&["train", "--run", "run", "--resume", "--set", steps]);
    let whole = LONG.map(|set| if set.starts_with("train.steps") { steps } else { set });
    workshop.succeed(&arguments("adult", "whole", &whole));
    let (found, expected) = (curve(&workshop.path("run")), curve(&workshop.path("whole")));
    assert_eq!(found.len(), expected.len());
    for ((place, found), (_, expected)) in found.iter().zip(&expected) {
        assert!((found[0].1 - expected[0].1).abs() < 1e-5, "{place}: {found:?} against {expected:?}");
    }
}
