//! What a user does inside a VM: traceroute, TCP, throughput.

use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result};

use crate::vm::Vm;

/// How traceroute probes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Probe {
    /// UDP datagrams to high ports.
    Udp,
    /// Echo requests.
    Icmp,
}

impl Vm {
    /// The routers on the way to `to`, and `to` itself if it answers: one entry a hop, `None` where nobody
    /// answered within 1 s. At most 8 hops.
    ///
    /// # Errors
    /// traceroute is missing or cannot send.
    pub fn traceroute(&self, to: IpAddr, probe: Probe) -> Result<Vec<Option<IpAddr>>> {
        let mut args = vec!["-n", "-q", "1", "-N", "1", "-w", "1", "-m", "8"];
        if probe == Probe::Icmp {
            args.push("-I");
        }
        let to = to.to_string();
        args.push(&to);
        let text = self.netns().exec("traceroute", &args)?;
        text.lines()
            .skip(1)
            .map(|line| parse_hop(line).with_context(|| format!("traceroute line \"{line}\"")))
            .collect()
    }

    /// Listens for TCP connections inside the VM.
    ///
    /// # Errors
    /// The address is not the VM's, or the port is taken.
    pub fn tcp_listen(&self, at: SocketAddr) -> Result<TcpListener> {
        self.netns()
            .within(|| TcpListener::bind(at).with_context(|| format!("listen at {at} in {}", self.name())))
    }

    /// Opens a TCP connection from inside the VM.
    ///
    /// # Errors
    /// Refused, unreachable, or no answer within `limit`.
    pub fn tcp_connect(&self, to: SocketAddr, limit: Duration) -> Result<TcpStream> {
        self.netns().within(|| {
            TcpStream::connect_timeout(&to, limit)
                .with_context(|| format!("connect from {} to {to}", self.name()))
        })
    }

    /// TCP throughput from this VM to `server` at address `at`, in bits per second as received, by iperf3.
    ///
    /// # Errors
    /// iperf3 is missing or finds no connection.
    pub fn iperf(&self, server: &Self, at: IpAddr, time: Duration) -> Result<f64> {
        const PORT: &str = "5201";
        let at = at.to_string();
        let mut listener = server.netns().within(|| {
            let mut command = Command::new("iperf3");
            command.args(["--server", "--one-off", "--bind", &at, "--port", PORT]).stdin(Stdio::null());
            command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().context("start iperf3")
        })?;
        let report = wait_for_listener(server, PORT).and_then(|()| {
            let seconds = time.as_secs().max(1).to_string();
            self.netns().exec(
                "iperf3",
                &["--client", &at, "--port", PORT, "--time", &seconds, "--json", "--connect-timeout", "3000"],
            )
        });
        // Not by itself when the client never came.
        let _ = listener.kill();
        let _ = listener.wait();
        let report: serde_json::Value = serde_json::from_str(&report?).context("iperf3 report")?;
        report
            .pointer("/end/sum_received/bits_per_second")
            .and_then(serde_json::Value::as_f64)
            .with_context(|| format!("no throughput in iperf3 report: {report}"))
    }
}

/// Waits until something listens at TCP `port` in the VM, up to 2 s.
fn wait_for_listener(vm: &Vm, port: &str) -> Result<()> {
    for _ in 0..200 {
        let sockets = vm.netns().exec("ss", &["-Hltn", &format!("sport = :{port}")])?;
        if !sockets.trim().is_empty() {
            return Ok(());
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    anyhow::bail!("nothing listens at port {port} in {} after 2 s", vm.name())
}

/// ` 2  10.0.1.5  0.512 ms` or ` 3  *`.
fn parse_hop(line: &str) -> Result<Option<IpAddr>> {
    match line.split_whitespace().nth(1) {
        Some("*") => Ok(None),
        Some(address) => Ok(Some(address.parse()?)),
        None => anyhow::bail!("no hop"),
    }
}
