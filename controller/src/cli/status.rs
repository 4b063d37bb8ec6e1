//! `dragonflow status`.

use super::{
    CliError, Client, Done, Format, Out, Tone,
    table::{Cell, Table},
};
use crate::{
    model::Kind,
    northbound::{ChassisStatus, Link, Status},
};
use std::{
    io::Write as _,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

#[derive(Debug, clap::Args)]
pub(super) struct StatusArgs {
    /// How to show it.
    #[arg(short, long, value_enum, default_value_t)]
    output: Format,
}

pub(super) async fn status(args: &StatusArgs, client: &Client, out: &mut Out) -> Result<Done, CliError> {
    let status: Status = client.get("/v1/status").await?;
    if args.output == Format::Json {
        out.json(&status)?;
    } else {
        show(&status, out)?;
    }
    Ok(if status.healthy { Done::Well } else { Done::Degraded })
}

fn show(status: &Status, out: &mut Out) -> Result<(), CliError> {
    let health =
        if status.healthy { out.paint(Tone::Good, "healthy") } else { out.paint(Tone::Bad, "degraded") };
    let up = span(Duration::from_secs(status.uptime_s));
    let (version, round, revision) = (&status.version, status.round, status.revision.0);
    writeln!(out.to, "dragonflow {version}, {health}, up {up}, round {round}, revision {revision}")?;
    let count = |kind: Kind| match status.counts.get(kind.plural()) {
        Some(1) => format!("1 {kind}"),
        n => format!("{} {}", n.unwrap_or(&0), kind.plural()),
    };
    writeln!(out.to, "{}", Kind::ALL.map(count).join(", "))?;
    if status.chassis.is_empty() {
        writeln!(
            out.to,
            "\nthis controller serves no chassis: give it some with --chassis or in its configuration"
        )?;
    } else {
        writeln!(out.to)?;
        chassis_table(&status.chassis).print(out)?;
    }
    section("problems", status.problems.iter(), out)?;
    let more = status.pending_count.saturating_sub(status.pending.len() as u64);
    let more = (more > 0).then(|| format!("and {more} more"));
    section("waiting", status.pending.iter().map(ToString::to_string).chain(more), out)
}

fn section<T: AsRef<str>>(
    title: &str,
    lines: impl Iterator<Item = T>,
    out: &mut Out,
) -> Result<(), CliError> {
    let mut lines = lines.peekable();
    if lines.peek().is_some() {
        writeln!(out.to, "\n{}", out.paint(Tone::Warning, title))?;
    }
    for line in lines {
        writeln!(out.to, "  {}", line.as_ref())?;
    }
    Ok(())
}

fn chassis_table(all: &[ChassisStatus]) -> Table {
    let mut table = Table::new(vec![
        "CHASSIS",
        "OVSDB",
        "OPENFLOW",
        "DATAPATH",
        "FLOWS",
        "GROUPS",
        "PORTS",
        "LAST RECONCILE",
    ]);
    for chassis in all {
        let wired = chassis.ports_wired;
        let bound = wired + chassis.ports_not_wired.len() as u64;
        let tone = if wired == bound { Tone::Good } else { Tone::Warning };
        let last = chassis.last_reconcile.as_ref().map_or_else(
            || "never".to_owned(),
            |last| {
                let took = Duration::from_micros(last.duration_us);
                format!("{}, +{} -{} in {took:.1?}", ago(last.at_unix_ms), last.adds, last.deletes)
            },
        );
        table.row(vec![
            chassis.id.to_string().into(),
            link(&chassis.ovsdb),
            link(&chassis.openflow),
            chassis.datapath_id.map(|id| id.to_string()).unwrap_or_default().into(),
            chassis.flows.to_string().into(),
            chassis.groups.to_string().into(),
            Cell::new(tone, format!("{wired}/{bound}")),
            last.into(),
        ]);
    }
    table
}

fn link(link: &Link) -> Cell {
    match link {
        Link::Connected => Cell::new(Tone::Good, "connected"),
        Link::Disconnected { .. } => Cell::new(Tone::Bad, "down"),
    }
}

fn ago(unix_ms: u64) -> String {
    let then = UNIX_EPOCH + Duration::from_millis(unix_ms);
    // A clock that was set back in between: just now.
    let since = SystemTime::now().duration_since(then).unwrap_or_default();
    format!("{} ago", span(since))
}

/// "5s", "3m 5s", "2h 3m", "4d 2h".
fn span(time: Duration) -> String {
    let s = time.as_secs();
    match s {
        0..60 => format!("{s}s"),
        60..3600 => format!("{}m {}s", s / 60, s % 60),
        3600..86_400 => format!("{}h {}m", s / 3600, s / 60 % 60),
        _ => format!("{}d {}h", s / 86_400, s / 3600 % 24),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_have_two_units_at_most() {
        let told = [0, 59, 60, 3599, 3600, 86_399, 86_400].map(|s| span(Duration::from_secs(s)));
        assert_eq!(told, ["0s", "59s", "1m 0s", "59m 59s", "1h 0m", "23h 59m", "1d 0h"]);
    }
}
