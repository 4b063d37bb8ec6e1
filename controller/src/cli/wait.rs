//! `dragonflow apply --wait`: until the switches hold what was applied.

use super::{CliError, Client, Done, Out, Tone};
use crate::{
    model::Revision,
    northbound::{ChassisStatus, Link, Status},
};
use std::{
    io::{self, Write as _},
    time::{Duration, Instant},
};

/// Pause between two looks at the status; a switch takes milliseconds.
const PAUSE: Duration = Duration::from_millis(50);

/// Waits until every chassis of the controller holds `revision`, and tells on standard error who is still missing
/// whenever that changes.
pub(super) async fn wait(
    revision: Revision,
    patience: Duration,
    client: &Client,
    out: &mut Out,
) -> Result<Done, CliError> {
    let begin = Instant::now();
    let mut told = String::new();
    loop {
        let status: Status = client.get("/v1/status").await?;
        let behind: Vec<String> =
            status.chassis.iter().filter_map(|chassis| behind(chassis, revision)).collect();
        let all = status.chassis.len();
        if behind.is_empty() {
            let line = match all {
                0 => "this controller serves no chassis, so there is nothing to wait for".to_owned(),
                _ => {
                    format!("{} at revision {} after {:.1?}", holders(all, all), revision.0, begin.elapsed())
                }
            };
            // Not on standard output: there may be JSON.
            writeln!(io::stderr(), "{}", out.paint(Tone::Good, &line))?;
            return Ok(Done::Well);
        }
        let missing = behind.join("; ");
        if begin.elapsed() >= patience {
            return Err(CliError::NotInTime { revision, patience, missing });
        }
        let line = format!("{} at revision {}; {missing}", holders(all - behind.len(), all), revision.0);
        if line != told {
            writeln!(io::stderr(), "{line}")?;
            told = line;
        }
        tokio::time::sleep(PAUSE).await;
    }
}

fn holders(there: usize, all: usize) -> String {
    match all {
        1 => format!("{there} of 1 chassis is"),
        _ => format!("{there} of {all} chassis are"),
    }
}

/// What a chassis still lacks; `None` if it holds the revision.
fn behind(chassis: &ChassisStatus, revision: Revision) -> Option<String> {
    if chassis.revision >= revision {
        return None;
    }
    let id = &chassis.id;
    let down = |link: &Link, name: &str| match link {
        Link::Connected => None,
        Link::Disconnected { why } => Some(format!("{id}: {name} not connected: {why}")),
    };
    down(&chassis.ovsdb, "ovsdb")
        .or_else(|| down(&chassis.openflow, "openflow"))
        .or_else(|| chassis.errors.first().map(|error| format!("{id}: {error}")))
        .or_else(|| Some(format!("{id}: is at revision {}", chassis.revision.0)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chassis(revision: u64, openflow: Link, errors: &[&str]) -> ChassisStatus {
        ChassisStatus {
            id: "hv1".parse().unwrap(),
            revision: Revision(revision),
            ovsdb: Link::Connected,
            openflow,
            datapath_id: None,
            flows: 0,
            groups: 0,
            ports_wired: 0,
            ports_not_wired: Vec::new(),
            last_reconcile: None,
            errors: errors.iter().map(ToString::to_string).collect(),
        }
    }

    #[test]
    fn what_is_behind_says_why() {
        let down = Link::Disconnected { why: "connection refused".into() };
        let told = |chassis| behind(&chassis, Revision(5));
        assert_eq!(told(chassis(5, down.clone(), &["a port is refused"])), None);
        assert_eq!(
            told(chassis(4, down, &["a port is refused"])).unwrap(),
            "hv1: openflow not connected: connection refused"
        );
        assert_eq!(
            told(chassis(4, Link::Connected, &["a port is refused"])).unwrap(),
            "hv1: a port is refused"
        );
        assert_eq!(told(chassis(4, Link::Connected, &[])).unwrap(), "hv1: is at revision 4");
    }
}
