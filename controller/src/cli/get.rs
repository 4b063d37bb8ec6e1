//! `dragonflow get`.

use super::{
    CliError, Client, Done, Out, Tone, parse_kind,
    show::{Show, header, row},
    table::Table,
};
use crate::{
    model::{
        AddressGroup, Chassis, FloatingIp, Kind, Network, Object, ObjectId, Port, Record, Revision, Router,
        SecurityGroup, Subnet, topology::Topology,
    },
    northbound::{Listed, WatchLine},
};
use clap::ValueEnum;
use std::{
    collections::BTreeMap,
    io::{self, Write as _},
};

#[derive(Debug, clap::Args)]
pub(super) struct GetArgs {
    /// chassis, networks, subnets, ports, routers, floating_ips, security_groups, address_groups, or all.
    #[arg(value_parser = parse_what)]
    what: What,
    /// Only this one.
    id: Option<String>,
    /// How to show it. yaml is a topology that `apply` takes.
    #[arg(short, long, value_enum, default_value_t)]
    output: Shape,
    /// Go on with every change. Not with -o yaml.
    #[arg(short, long)]
    watch: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum What {
    Kind(Kind),
    All,
}

fn parse_what(text: &str) -> Result<What, String> {
    match text {
        "all" => Ok(What::All),
        text => parse_kind(text).map(What::Kind).map_err(|error| format!("{error}, all")),
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
enum Shape {
    #[default]
    Table,
    /// A table with more columns.
    Wide,
    Json,
    Yaml,
}

pub(super) async fn get(args: &GetArgs, client: &Client, out: &mut Out) -> Result<Done, CliError> {
    let kinds = match (args.what, &args.id) {
        (What::All, Some(_)) => {
            let hint = "say of which kind it is, as in `dragonflow get port web-1`".into();
            return Err(CliError::Usage { error: "an id needs a kind".into(), hint });
        }
        (What::All, None) => Kind::ALL.to_vec(),
        (What::Kind(kind), _) => vec![kind],
    };
    if args.watch && args.output == Shape::Yaml {
        let hint = "watch with -o json, or take -o yaml without --watch".into();
        return Err(CliError::Usage { error: "changes cannot be shown as yaml".into(), hint });
    }
    let mut answers = Vec::new();
    for kind in kinds {
        answers.push(Answer::get(kind, args.id.as_deref(), client).await?);
    }
    print(&answers, args, out)?;
    if args.watch {
        // Kinds were listed one after the other: changes since the first list are told, some for the second time.
        let since = answers.iter().map(Answer::revision).min().unwrap_or_default();
        watch(args, since, client, out).await?;
    }
    Ok(Done::Well)
}

/// The objects of one kind.
enum Answer {
    Chassis(Listed<Chassis>),
    Networks(Listed<Network>),
    Subnets(Listed<Subnet>),
    Ports(Listed<Port>),
    Routers(Listed<Router>),
    FloatingIps(Listed<FloatingIp>),
    SecurityGroups(Listed<SecurityGroup>),
    AddressGroups(Listed<AddressGroup>),
}

macro_rules! each {
    ($answer:expr, $listed:ident => $what:expr) => {
        match $answer {
            Answer::Chassis($listed) => $what,
            Answer::Networks($listed) => $what,
            Answer::Subnets($listed) => $what,
            Answer::Ports($listed) => $what,
            Answer::Routers($listed) => $what,
            Answer::FloatingIps($listed) => $what,
            Answer::SecurityGroups($listed) => $what,
            Answer::AddressGroups($listed) => $what,
        }
    };
}

impl Answer {
    async fn get(kind: Kind, id: Option<&str>, client: &Client) -> Result<Self, CliError> {
        Ok(match kind {
            Kind::Chassis => Self::Chassis(list(id, client).await?),
            Kind::Network => Self::Networks(list(id, client).await?),
            Kind::Subnet => Self::Subnets(list(id, client).await?),
            Kind::Port => Self::Ports(list(id, client).await?),
            Kind::Router => Self::Routers(list(id, client).await?),
            Kind::FloatingIp => Self::FloatingIps(list(id, client).await?),
            Kind::SecurityGroup => Self::SecurityGroups(list(id, client).await?),
            Kind::AddressGroup => Self::AddressGroups(list(id, client).await?),
        })
    }

    fn revision(&self) -> Revision {
        each!(self, listed => listed.revision)
    }

    fn table(&self, wide: bool) -> (Kind, Option<Table>) {
        each!(self, listed => table(listed, wide))
    }

    /// The list, or the one object asked for by id.
    fn print_json(&self, one: bool, out: &mut Out) -> Result<(), CliError> {
        each!(self, listed => match listed.items.first() {
            Some(first) if one => out.json(first),
            _ => out.json(listed),
        })
    }

    fn json(&self) -> Result<serde_json::Value, serde_json::Error> {
        each!(self, listed => serde_json::to_value(listed))
    }

    fn objects(&self) -> Vec<Object> {
        match self {
            Self::Chassis(listed) => specs(listed, Object::Chassis),
            Self::Networks(listed) => specs(listed, Object::Network),
            Self::Subnets(listed) => specs(listed, Object::Subnet),
            Self::Ports(listed) => specs(listed, Object::Port),
            Self::Routers(listed) => specs(listed, Object::Router),
            Self::FloatingIps(listed) => specs(listed, Object::FloatingIp),
            Self::SecurityGroups(listed) => specs(listed, Object::SecurityGroup),
            Self::AddressGroups(listed) => specs(listed, Object::AddressGroup),
        }
    }
}

fn specs<T: Clone>(listed: &Listed<T>, wrap: fn(T) -> Object) -> Vec<Object> {
    listed.items.iter().map(|record| wrap(record.spec.clone())).collect()
}

async fn list<T: Show>(id: Option<&str>, client: &Client) -> Result<Listed<T>, CliError> {
    let Some(id) = id else { return client.get(&format!("/v1/{}", T::KIND.plural())).await };
    let id = ObjectId::new(T::KIND, id).map_err(|error| CliError::Usage {
        error: error.to_string(),
        hint: format!("`dragonflow get {}` shows what there is", T::KIND.plural()),
    })?;
    let record: Record<T> = client.get(&format!("/v1/{}/{}", T::KIND.plural(), id.as_str())).await?;
    Ok(Listed { revision: record.revision, items: vec![record], next: None })
}

fn table<T: Show>(listed: &Listed<T>, wide: bool) -> (Kind, Option<Table>) {
    let mut table = Table::new(header::<T>(wide));
    for record in &listed.items {
        table.row(row(record, wide).into_iter().map(Into::into).collect());
    }
    (T::KIND, (!listed.items.is_empty()).then_some(table))
}

fn print(answers: &[Answer], args: &GetArgs, out: &mut Out) -> Result<(), CliError> {
    match args.output {
        Shape::Table | Shape::Wide => {
            for (i, answer) in answers.iter().enumerate() {
                let (kind, table) = answer.table(args.output == Shape::Wide);
                if answers.len() > 1 {
                    let gap = if i > 0 { "\n" } else { "" };
                    writeln!(out.to, "{gap}{}", out.paint(Tone::Heading, kind.plural()))?;
                }
                match table {
                    Some(table) => table.print(out)?,
                    None => writeln!(out.to, "no {}", kind.plural())?,
                }
            }
            Ok(())
        }
        Shape::Json => match answers {
            [answer] => answer.print_json(args.id.is_some(), out),
            answers => {
                let lists = answers.iter().map(|answer| Ok((answer.table(false).0.plural(), answer.json()?)));
                let lists = lists.collect::<Result<BTreeMap<_, _>, serde_json::Error>>();
                out.json(&lists.map_err(io::Error::from)?)
            }
        },
        Shape::Yaml => {
            let topology: Topology = answers.iter().flat_map(Answer::objects).collect();
            let text = topology.to_yaml().map_err(io::Error::other)?;
            Ok(out.to.write_all(text.as_bytes())?)
        }
    }
}

async fn watch(args: &GetArgs, mut since: Revision, client: &Client, out: &mut Out) -> Result<(), CliError> {
    loop {
        let mut lines = client.stream(&format!("/v1/watch?since={}", since.0)).await?;
        loop {
            match lines.next::<WatchLine>().await {
                Ok(Some(line)) => since = tell(&line, args, out)?.unwrap_or(since),
                // The controller ended or was restarted: go on where it stopped, or say that it is gone.
                Ok(None) | Err(CliError::Lost { .. }) => break,
                Err(error) => return Err(error),
            }
        }
    }
}

/// Shows a change if it is asked for; the revision up to which all is known now.
fn tell(line: &WatchLine, args: &GetArgs, out: &mut Out) -> Result<Option<Revision>, CliError> {
    let (revision, kind, id) = match line {
        WatchLine::Put { revision, kind, id, .. } | WatchLine::Delete { revision, kind, id } => {
            (*revision, kind, id)
        }
        WatchLine::Heartbeat { revision } => return Ok(Some(*revision)),
        WatchLine::Gone { error, hint } => {
            return Err(CliError::Daemon { error: error.clone(), hint: hint.clone() });
        }
    };
    let asked = matches!(args.what, What::All) || args.what == What::Kind(*kind);
    if asked && args.id.as_ref().is_none_or(|asked| asked == id) {
        if args.output == Shape::Json {
            writeln!(out.to, "{}", serde_json::to_string(line).map_err(io::Error::from)?)?;
        } else {
            let (tone, text) = match line {
                WatchLine::Put { spec, .. } => {
                    let cells = describe(*kind, spec.clone()).unwrap_or_default();
                    (Tone::Good, format!("{:>8}  put     {kind} {}", revision.0, cells.join("  ")))
                }
                _ => (Tone::Bad, format!("{:>8}  delete  {kind} {id}", revision.0)),
            };
            writeln!(out.to, "{}", out.paint(tone, &text))?;
        }
        out.to.flush()?;
    }
    Ok(Some(revision))
}

fn describe(kind: Kind, spec: serde_json::Value) -> Result<Vec<String>, serde_json::Error> {
    fn cells<T: Show>(spec: serde_json::Value) -> Result<Vec<String>, serde_json::Error> {
        let mut cells = serde_json::from_value::<T>(spec)?.cells();
        cells.truncate(T::COLUMNS.len());
        Ok(cells)
    }
    match kind {
        Kind::Chassis => cells::<Chassis>(spec),
        Kind::Network => cells::<Network>(spec),
        Kind::Subnet => cells::<Subnet>(spec),
        Kind::Port => cells::<Port>(spec),
        Kind::Router => cells::<Router>(spec),
        Kind::FloatingIp => cells::<FloatingIp>(spec),
        Kind::SecurityGroup => cells::<SecurityGroup>(spec),
        Kind::AddressGroup => cells::<AddressGroup>(spec),
    }
}
