//! `dragonflow apply` and `dragonflow delete`.

use super::{CliError, Client, Done, Format, Out, Tone, parse_kind, wait::wait};
use crate::{
    model::{Kind, Object, ObjectId, topology::Topology},
    northbound::{DeleteRequest, Difference, ObjectRef},
};
use std::{
    io::{self, Read as _, Write as _},
    time::Duration,
};

#[derive(Debug, clap::Args)]
pub(super) struct ApplyArgs {
    /// The topology, YAML or JSON; - is standard input.
    #[arg(short, long, value_name = "FILE")]
    file: String,
    /// Only show what would change.
    #[arg(long)]
    dry_run: bool,
    /// Refuse objects that refer to what is not there.
    #[arg(long)]
    strict: bool,
    /// Delete every object that the file does not name.
    #[arg(long)]
    prune: bool,
    /// Wait until every switch of the controller holds it; exits 3 if that takes too long.
    #[arg(long, conflicts_with = "dry_run")]
    wait: bool,
    /// How many seconds to wait at most.
    #[arg(long, value_name = "SECONDS", default_value_t = 60, requires = "wait")]
    timeout: u64,
    /// How to show the difference.
    #[arg(short, long, value_enum, default_value_t)]
    output: Format,
}

#[derive(Debug, clap::Args)]
pub(super) struct DeleteArgs {
    /// Delete all objects that this topology names; - is standard input.
    #[arg(short, long, value_name = "FILE", conflicts_with = "kind", required_unless_present = "kind")]
    file: Option<String>,
    /// chassis, networks, subnets, ports or routers.
    #[arg(value_parser = parse_kind, requires = "ids")]
    kind: Option<Kind>,
    /// Which.
    ids: Vec<String>,
    /// Delete even what others refer to: they wait until it comes back.
    #[arg(long)]
    dangling: bool,
    /// Only show what would go.
    #[arg(long)]
    dry_run: bool,
    /// How to show the difference.
    #[arg(short, long, value_enum, default_value_t)]
    output: Format,
}

pub(super) async fn apply(args: &ApplyArgs, client: &Client, out: &mut Out) -> Result<Done, CliError> {
    let topology = read(&args.file)?;
    let flag = |name: &str, set: bool| format!("{name}={set}");
    let query =
        [flag("dry_run", args.dry_run), flag("strict", args.strict), flag("prune", args.prune)].join("&");
    let difference: Difference = client.post(&format!("/v1/apply?{query}"), &topology).await?;
    let done = show(&difference, args.output, out)?;
    if args.wait {
        return wait(difference.revision, Duration::from_secs(args.timeout), client, out).await;
    }
    Ok(done)
}

pub(super) async fn delete(args: &DeleteArgs, client: &Client, out: &mut Out) -> Result<Done, CliError> {
    let objects = match (&args.file, args.kind) {
        (Some(file), _) => read(file)?.objects().map(|object: Object| (&object.id()).into()).collect(),
        (None, Some(kind)) => named(kind, &args.ids)?,
        // clap asks for one of them.
        (None, None) => Vec::new(),
    };
    let dangling = if args.dangling { "&dangling=allow" } else { "" };
    let path = format!("/v1/delete?dry_run={}{dangling}", args.dry_run);
    let difference: Difference = client.post(&path, &DeleteRequest { objects }).await?;
    show(&difference, args.output, out)
}

fn named(kind: Kind, ids: &[String]) -> Result<Vec<ObjectRef>, CliError> {
    let parse = |id: &String| {
        ObjectId::new(kind, id).map(|id| ObjectRef::from(&id)).map_err(|error| CliError::Usage {
            error: error.to_string(),
            hint: format!("`dragonflow get {}` shows what there is", kind.plural()),
        })
    };
    ids.iter().map(parse).collect()
}

fn read(name: &str) -> Result<Topology, CliError> {
    let mut bytes = Vec::new();
    let read = match name {
        "-" => io::stdin().read_to_end(&mut bytes),
        path => std::fs::File::open(path).and_then(|mut file| file.read_to_end(&mut bytes)),
    };
    let name = if name == "-" { "standard input" } else { name }.to_owned();
    let text = read.and_then(|_| {
        String::from_utf8(bytes)
            .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error.utf8_error()))
    });
    match text {
        Ok(text) => Topology::from_yaml(&text).map_err(|source| CliError::Topology { name, source }),
        Err(source) => Err(CliError::Read { name, source }),
    }
}

fn show(difference: &Difference, format: Format, out: &mut Out) -> Result<Done, CliError> {
    if format == Format::Json {
        out.json(difference)?;
        return Ok(Done::Well);
    }
    for object in &difference.created {
        writeln!(out.to, "{}", out.paint(Tone::Good, &format!("+ {object}")))?;
    }
    for changed in &difference.changed {
        writeln!(out.to, "{}", out.paint(Tone::Warning, &format!("~ {}", changed.object)))?;
        for field in &changed.fields {
            let value = |value: &serde_json::Value| match value {
                serde_json::Value::Null => "(none)".to_owned(),
                serde_json::Value::String(text) => text.clone(),
                other => other.to_string(),
            };
            writeln!(out.to, "    {}: {} -> {}", field.field, value(&field.before), value(&field.after))?;
        }
    }
    for object in &difference.deleted {
        writeln!(out.to, "{}", out.paint(Tone::Bad, &format!("- {object}")))?;
    }
    for object in &difference.absent {
        writeln!(out.to, "  {object} was not there")?;
    }
    for pending in &difference.pending {
        writeln!(out.to, "{}", out.paint(Tone::Warning, &format!("! {pending}")))?;
    }
    let counts = [
        (difference.created.len() as u64, "created"),
        (difference.changed.len() as u64, "changed"),
        (difference.deleted.len() as u64, "deleted"),
        (difference.unchanged, "unchanged"),
    ];
    let counts: Vec<String> = counts.iter().map(|(n, what)| format!("{n} {what}")).collect();
    let (what, at) = (counts.join(", "), difference.revision.0);
    if difference.dry_run {
        writeln!(out.to, "{what}; a dry run at revision {at}: nothing was done")?;
    } else {
        writeln!(out.to, "{what}; revision {at}")?;
    }
    Ok(Done::Well)
}
