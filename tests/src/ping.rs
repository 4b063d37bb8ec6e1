//! Echo requests: a few by ping(8), and an endless stream whose losses are counted exactly.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::os::fd::OwnedFd;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::thread::{JoinHandle, sleep, spawn};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, anyhow, ensure};
use nix::sys::socket::{AddressFamily, SockFlag, SockProtocol, SockType, socket};

use crate::vm::Vm;

/// What ping(8) saw.
#[derive(Debug, Clone)]
pub struct PingReport {
    /// Requests sent.
    pub sent: u32,
    /// Replies received.
    pub received: u32,
    /// Round-trip times of the replies, in order.
    pub rtts: Vec<Duration>,
    /// ICMP errors and everything else that was no reply, in ping's words.
    pub complaints: Vec<String>,
}

impl PingReport {
    /// True if every request had a reply.
    pub fn all(&self) -> bool {
        self.received == self.sent
    }

    /// True if no request had a reply.
    pub fn none(&self) -> bool {
        self.received == 0
    }

    /// Reads what `ping -n` printed.
    fn parse(text: &str) -> Result<Self> {
        let (mut counts, mut rtts, mut complaints) = (None, Vec::new(), Vec::new());
        for line in text.lines() {
            if let Some(rtt) = between(line, " time=", " ms") {
                let millis: f64 = rtt.parse().with_context(|| format!("time in \"{line}\""))?;
                rtts.push(Duration::from_secs_f64(millis / 1000.0));
            } else if let Some((sent, rest)) = line.split_once(" packets transmitted, ") {
                let received = rest.split(' ').next().unwrap_or_default();
                counts = Some((sent.parse()?, received.parse()?));
            } else if line.starts_with("From ") {
                complaints.push(line.into());
            }
        }
        let (sent, received) =
            counts.with_context(|| format!("no statistics in what ping printed: {text}"))?;
        Ok(Self { sent, received, rtts, complaints })
    }
}

fn between<'a>(line: &'a str, before: &str, after: &str) -> Option<&'a str> {
    line.split_once(before)?.1.split_once(after).map(|(inner, _)| inner)
}

impl Vm {
    /// Sends `count` echo requests, 50 ms apart, and waits 1 s for the last reply.
    ///
    /// # Errors
    /// ping does not start or cannot send at all (no route). Lost packets are no error.
    pub fn ping(&self, to: IpAddr, count: u32) -> Result<PingReport> {
        self.ping_with(to, &["-c", &count.to_string(), "-i", "0.05", "-W", "1"])
    }

    /// As [`Vm::ping`] with ping(8)'s own options, for example `-t 1` or `-M do -s 1472`.
    ///
    /// # Errors
    /// As [`Vm::ping`].
    pub fn ping_with(&self, to: IpAddr, options: &[&str]) -> Result<PingReport> {
        // ping ends with 1 when nothing came back, so its status does not tell an error from a loss.
        let output = self.netns().within(|| {
            let mut command = Command::new("ping");
            command.arg("-n").args(options).arg(to.to_string()).stdin(Stdio::null());
            command.output().context("start ping")
        })?;
        let text = String::from_utf8_lossy(&output.stdout);
        PingReport::parse(&text).with_context(|| {
            format!("ping {to} from {}: {}", self.name(), String::from_utf8_lossy(&output.stderr).trim())
        })
    }

    /// Pings `to` once each `interval` until [`Pinger::stop`].
    ///
    /// # Errors
    /// The sockets cannot be opened.
    pub fn pinger(&self, to: IpAddr, interval: Duration) -> Result<Pinger> {
        Pinger::start(self, to, interval)
    }
}

/// A stream of echo requests in the background.
///
/// ping(8) counts the request that is still on its way when it is stopped as lost; this one waits for it.
#[derive(Debug)]
pub struct Pinger {
    stop: Arc<AtomicBool>,
    sent: Arc<AtomicU32>,
    sender: Option<JoinHandle<Vec<Instant>>>,
    receiver: Option<JoinHandle<Vec<(u16, Instant)>>>,
}

/// What a [`Pinger`] counted.
#[derive(Debug, Clone)]
pub struct PingerReport {
    /// Requests sent, or refused by the guest's own kernel.
    pub sent: usize,
    /// Requests that had a reply.
    pub received: usize,
    /// Numbers of the requests without a reply, from 0.
    pub lost: Vec<usize>,
    /// Replies beyond the first to the same request.
    pub duplicates: usize,
    /// The longest time from the sending of one answered request to that of the next.
    pub longest_gap: Duration,
    /// The longest round trip.
    pub worst_rtt: Duration,
}

impl Pinger {
    fn start(vm: &Vm, to: IpAddr, interval: Duration) -> Result<Self> {
        // The kernel lets whole groups use echo sockets; it fills in identifier and checksum.
        vm.netns().sysctl("ipv4/ping_group_range", "0 0")?;
        let socket = vm.netns().within(|| echo_socket(to))?;
        socket.set_read_timeout(Some(Duration::from_millis(20))).context("set a time limit")?;
        let twin = socket.try_clone().context("share the echo socket")?;
        let (stop, sent) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU32::new(0)));
        let sender = spawn({
            let (stop, sent) = (stop.clone(), sent.clone());
            move || send_loop(&socket, to, interval, &stop, &sent)
        });
        let receiver = spawn({
            let (stop, sent) = (stop.clone(), sent.clone());
            move || receive_loop(&twin, &stop, &sent)
        });
        Ok(Self { stop, sent, sender: Some(sender), receiver: Some(receiver) })
    }

    /// Requests sent so far.
    pub fn sent(&self) -> u32 {
        self.sent.load(Ordering::Relaxed)
    }

    /// Stops sending, waits up to 1 s for the replies on their way, and counts.
    ///
    /// # Errors
    /// A thread of the pinger panicked.
    pub fn stop(mut self) -> Result<PingerReport> {
        self.stop.store(true, Ordering::Release);
        let sent = join(self.sender.take())?;
        let replies = join(self.receiver.take())?;
        Ok(PingerReport::count(&sent, &replies))
    }
}

impl Drop for Pinger {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Release);
    }
}

fn join<T>(thread: Option<JoinHandle<T>>) -> Result<T> {
    thread
        .context("pinger was stopped before")?
        .join()
        .map_err(|_| anyhow!("a thread of the pinger panicked"))
}

impl PingerReport {
    /// Matches replies to requests. Sequence numbers have 16 bits and come round after 65,536 requests, so
    /// a reply belongs to the youngest request of its number that was sent before it.
    fn count(sent: &[Instant], replies: &[(u16, Instant)]) -> Self {
        let mut answers: Vec<Option<Instant>> = vec![None; sent.len()];
        let mut duplicates = 0;
        for (sequence, at) in replies {
            let mut same = (usize::from(*sequence)..sent.len()).step_by(1 << 16);
            let Some(index) = same.rfind(|i| sent.get(*i).is_some_and(|time| time <= at)) else {
                continue;
            };
            match answers.get_mut(index) {
                Some(answer @ None) => *answer = Some(*at),
                _ => duplicates += 1,
            }
        }
        let mut report = Self {
            sent: sent.len(),
            received: 0,
            lost: Vec::new(),
            duplicates,
            longest_gap: Duration::ZERO,
            worst_rtt: Duration::ZERO,
        };
        let mut last = sent.first().copied();
        for (index, (sent_at, answer)) in sent.iter().zip(&answers).enumerate() {
            let Some(answered_at) = answer else {
                report.lost.push(index);
                continue;
            };
            report.received += 1;
            report.worst_rtt = report.worst_rtt.max(*answered_at - *sent_at);
            report.longest_gap = report.longest_gap.max(last.map_or(Duration::ZERO, |last| *sent_at - last));
            last = Some(*sent_at);
        }
        report
    }
}

/// An echo socket (Linux "ping socket") as std's datagram socket: datagrams are ICMP messages.
fn echo_socket(to: IpAddr) -> Result<UdpSocket> {
    let (family, protocol) = match to {
        IpAddr::V4(_) => (AddressFamily::Inet, SockProtocol::Icmp),
        IpAddr::V6(_) => (AddressFamily::Inet6, SockProtocol::IcmpV6),
    };
    let fd: OwnedFd = socket(family, SockType::Datagram, SockFlag::SOCK_CLOEXEC, protocol)
        .context("open an echo socket")?;
    let socket = UdpSocket::from(fd);
    // Bound so that the receiver may start before the first request gives the socket its identifier.
    let any: IpAddr = if to.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    nix_bind(&socket, any)?;
    Ok(socket)
}

fn nix_bind(socket: &UdpSocket, any: IpAddr) -> Result<()> {
    use nix::sys::socket::{SockaddrStorage, bind};
    use std::os::fd::AsRawFd as _;
    bind(socket.as_raw_fd(), &SockaddrStorage::from(SocketAddr::new(any, 0))).context("bind an echo socket")
}

fn send_loop(
    socket: &UdpSocket,
    to: IpAddr,
    interval: Duration,
    stop: &AtomicBool,
    sent: &AtomicU32,
) -> Vec<Instant> {
    // RFC 792 echo request is type 8, RFC 4443 section 4.1 echo request is type 128.
    let kind = if to.is_ipv4() { 8 } else { 128 };
    let mut times = Vec::new();
    let start = Instant::now();
    while !stop.load(Ordering::Acquire) {
        let number = u32::try_from(times.len()).unwrap_or(u32::MAX);
        let [_, _, high, low] = number.to_be_bytes();
        let mut message = [0; 64];
        if let Some(head) = message.get_mut(..8) {
            head.copy_from_slice(&[kind, 0, 0, 0, 0, 0, high, low]);
        }
        times.push(Instant::now());
        // A guest without carrier cannot send: that request is lost, as on a real machine.
        let _ = socket.send_to(&message, SocketAddr::new(to, 0));
        sent.store(number + 1, Ordering::Release);
        // By the schedule, not by the last sending: the rate holds on a busy machine.
        let next = start + interval * (number + 1);
        sleep(next.saturating_duration_since(Instant::now()));
    }
    times
}

/// Collects replies until stopped, and then until all are there or 1 s has passed.
fn receive_loop(socket: &UdpSocket, stop: &AtomicBool, sent: &AtomicU32) -> Vec<(u16, Instant)> {
    let mut replies = Vec::new();
    let mut stopped_at = None;
    let mut buffer = [0; 2048];
    loop {
        if let Ok((length, _)) = socket.recv_from(&mut buffer) {
            let now = Instant::now();
            // Echo reply: type 0 (RFC 792), 129 (RFC 4443, 4.2); the sequence number is in octets 6 and 7.
            if let Some([0 | 129, _, _, _, _, _, high, low]) = buffer.get(..length.min(8)) {
                replies.push((u16::from_be_bytes([*high, *low]), now));
            }
        }
        if stop.load(Ordering::Acquire) {
            let since = *stopped_at.get_or_insert_with(Instant::now);
            let all = replies.len() >= usize::try_from(sent.load(Ordering::Acquire)).unwrap_or(usize::MAX);
            // Not before 50 ms: the sender may be about to send one more.
            let waited = since.elapsed();
            if waited > Duration::from_secs(1) || (all && waited > Duration::from_millis(50)) {
                return replies;
            }
        }
    }
}

impl PingerReport {
    /// Fails unless every request had exactly one reply, and says which had none.
    ///
    /// # Errors
    /// Something was lost or doubled.
    pub fn expect_no_loss(&self) -> Result<()> {
        ensure!(self.lost.is_empty() && self.duplicates == 0, "ping stream was hurt: {self:?}");
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_ping_output() {
        let text = "PING 10.0.0.2 (10.0.0.2) 56(84) bytes of data.\n\
            64 bytes from 10.0.0.2: icmp_seq=1 ttl=64 time=4.30 ms\n\
            From 10.0.0.9 icmp_seq=2 Time to live exceeded\n\n\
            --- 10.0.0.2 ping statistics ---\n\
            2 packets transmitted, 1 received, +1 errors, 50% packet loss, time 802ms\n\
            rtt min/avg/max/mdev = 0.918/2.544/4.930/1.706 ms\n";
        let report = PingReport::parse(text).unwrap();
        assert_eq!((report.sent, report.received), (2, 1));
        assert_eq!(report.rtts, [Duration::from_micros(4300)]);
        assert_eq!(report.complaints, ["From 10.0.0.9 icmp_seq=2 Time to live exceeded"]);
        assert!(PingReport::parse("ping: connect: Network is unreachable").is_err());
    }

    #[test]
    fn counts_losses_across_the_wrap_of_sequence_numbers() {
        let start = Instant::now();
        let at = |n: u64| start + Duration::from_millis(n);
        let sent: Vec<_> = (0..65_540).map(at).collect();
        // All answered after half a millisecond but numbers 5 and 65,537 (sequence number 1 again).
        let reply = |n: u64| (u16::try_from(n % 65_536).unwrap(), at(n) + Duration::from_micros(500));
        let mut replies: Vec<_> = (0..65_540).filter(|n| ![5, 65_537].contains(n)).map(reply).collect();
        replies.push(reply(7));
        let report = PingerReport::count(&sent, &replies);
        assert_eq!(report.lost, [5, 65_537]);
        assert_eq!((report.sent, report.received), (65_540, 65_538));
        assert_eq!(report.longest_gap, Duration::from_millis(2));
        assert_eq!(report.duplicates, 1);
    }
}
