//! The command line: `dragonflow controller` is the daemon, everything else talks to it.
//!
//! Exit codes: 0 done; 1 refused or failed; 2 wrong usage or configuration; 3 the controller answers but is not
//! healthy (`status`), not in time (`apply --wait`), or tables differ or must not go live (`table`); 4 the controller
//! cannot be reached.

mod access;
mod apply;
mod client;
mod config;
mod daemon;
mod explain;
mod get;
mod image;
mod show;
mod status;
mod table;
mod wait;

use crate::{
    model::{Kind, Revision, topology::TopologyError},
    northbound::{ErrorBody, with_sources},
    southbound::openflow::TlsError,
};
use clap::{CommandFactory, Parser, Subcommand, ValueEnum};
use client::{Client, Server};
use std::{
    io::{self, IsTerminal, Write},
    process::ExitCode,
    time::Duration,
};

/// Distributed routing and switching on Open vSwitch.
#[derive(Debug, Parser)]
#[command(name = "dragonflow", version, disable_help_subcommand = true, after_help = EXIT_CODES)]
struct Cli {
    /// Where the controller listens: unix:PATH, http://ADDRESS:PORT or https://ADDRESS:PORT.
    #[arg(long, global = true, env = "DRAGONFLOW_SERVER", default_value = "unix:/run/dragonflow/api.sock")]
    server: Server,
    #[command(flatten)]
    access: access::Access,
    #[command(subcommand)]
    command: Command,
}

const EXIT_CODES: &str = "Exit codes: 0 done; 1 refused or failed; 2 wrong usage or configuration; 3 the controller \
                          is not healthy, was not in time (apply --wait), tables differ or must not go live; 4 the \
                          controller cannot be reached.";

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the controller: keep the model, serve the API, program the switches.
    Controller(Box<config::Flags>),
    /// Make the model as a topology file says.
    Apply(apply::ApplyArgs),
    /// Delete objects, by name or all those of a topology file.
    Delete(apply::DeleteArgs),
    /// Show objects.
    Get(get::GetArgs),
    /// Show how the controller and its switches are; exits 3 if anything is wrong.
    Status(status::StatusArgs),
    /// Show what becomes of a packet, step by step.
    Trace(explain::TraceArgs),
    /// Show the flows and groups of a chassis.
    Flows(explain::FlowsArgs),
    /// Look into a compiled routing table.
    #[command(subcommand)]
    Table(image::TableCommand),
    /// Print a completion script.
    Completion {
        /// For which shell.
        shell: clap_complete::Shell,
    },
    /// Print the version.
    Version,
    /// Print the description of the API.
    #[command(hide = true)]
    Openapi,
}

/// How a command ended without an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Done {
    Well,
    Degraded,
}

/// Why a command failed.
#[derive(Debug, thiserror::Error)]
enum CliError {
    #[error("cannot reach the controller at {server}")]
    Unreachable { server: Server, source: io::Error },
    #[error("lost the controller at {server}: {why}")]
    Lost { server: Server, why: String },
    #[error("{}", .0.error)]
    Refused(ErrorBody),
    #[error("the controller at {server} answered what no controller answers: {why}")]
    NotOurs { server: Server, why: String },
    #[error("{name}")]
    Topology { name: String, source: TopologyError },
    #[error("{name}")]
    Image { name: String, source: fib::LoadError },
    #[error("no tls with the controller")]
    Tls(#[from] TlsError),
    #[error("cannot read {name}")]
    Read { name: String, source: io::Error },
    #[error("{error}")]
    Usage { error: String, hint: String },
    #[error("{error}")]
    Daemon { error: String, hint: String },
    #[error("not every chassis is at revision {} after {patience:?}: {missing}", .revision.0)]
    NotInTime { revision: Revision, patience: Duration, missing: String },
    #[error("cannot write the answer")]
    Output(#[from] io::Error),
}

impl CliError {
    const fn code(&self) -> u8 {
        match self {
            Self::Unreachable { .. } | Self::Lost { .. } => 4,
            Self::Usage { .. } | Self::Tls(_) => 2,
            Self::NotInTime { .. } => 3,
            _ => 1,
        }
    }

    fn hint(&self) -> String {
        match self {
            Self::Unreachable { source, .. } if source.kind() == io::ErrorKind::PermissionDenied => {
                "you may not open its socket: run this as root or as a member of the socket's group".into()
            }
            Self::Unreachable { source, .. } if source.kind() == io::ErrorKind::InvalidData => {
                "--ca-file names who may sign for the controller, --client-cert what it may ask for".into()
            }
            Self::Unreachable { .. } | Self::Lost { .. } => {
                "is it running? try `systemctl status dragonflow`, or name another with --server".into()
            }
            Self::Refused(body) => body.hint.clone(),
            Self::NotOurs { .. } => "check --server, and that both sides are of the same version".into(),
            Self::Topology { .. } => {
                "correct the file; examples/two-tenants.yaml shows every kind of object".into()
            }
            Self::Image { .. } => "is it the file of an image, whole, and written by this version?".into(),
            Self::Tls(_) => "check --ca-file, --client-cert and --client-key: PEM, all of them".into(),
            Self::Read { .. } => "check the name, or give - to read standard input".into(),
            Self::Usage { hint, .. } | Self::Daemon { hint, .. } => hint.clone(),
            Self::NotInTime { .. } => {
                "nothing was undone, and the controller goes on; `dragonflow status` shows how it is".into()
            }
            Self::Output(_) => "check where the output goes".into(),
        }
    }
}

/// Runs the program; its arguments are those of the process.
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    match run(cli) {
        Ok(Done::Well) => ExitCode::SUCCESS,
        Ok(Done::Degraded) => ExitCode::from(3),
        // As when the output goes to `head`: whoever read it had enough.
        Err(CliError::Output(error)) if error.kind() == io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        Err(error) => {
            complain(&error);
            ExitCode::from(error.code())
        }
    }
}

fn complain(error: &CliError) {
    let colour = io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    let (red, plain) = if colour { ("\x1b[31m", "\x1b[0m") } else { ("", "") };
    let mut text = format!("{red}error:{plain} {}\n", with_sources(error));
    if let CliError::Refused(body) = error {
        for other in body.problems.iter().skip(1) {
            text += &format!("{red}error:{plain} {}\n  {}\n", other.error, other.hint);
        }
    }
    text += &format!("hint: {}\n", error.hint());
    // Where errors cannot be told, the exit code has to do.
    let _ = io::stderr().write_all(text.as_bytes());
}

fn run(cli: Cli) -> Result<Done, CliError> {
    let mut out = Out::stdout();
    match cli.command {
        Command::Controller(flags) => daemon::run(&flags),
        Command::Completion { shell } => {
            clap_complete::generate(shell, &mut Cli::command(), "dragonflow", &mut out.to);
            Ok(Done::Well)
        }
        Command::Table(command) => image::run(&command, &mut out),
        Command::Version => {
            writeln!(out.to, "dragonflow {}", env!("CARGO_PKG_VERSION"))?;
            Ok(Done::Well)
        }
        Command::Openapi => {
            out.json(&crate::northbound::document())?;
            Ok(Done::Well)
        }
        command => {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            let client = Client::new(cli.server, cli.access.secrets()?);
            runtime.block_on(ask(command, &client, &mut out))
        }
    }
}

async fn ask(command: Command, client: &Client, out: &mut Out) -> Result<Done, CliError> {
    match command {
        Command::Apply(args) => apply::apply(&args, client, out).await,
        Command::Delete(args) => apply::delete(&args, client, out).await,
        Command::Get(args) => get::get(&args, client, out).await,
        Command::Status(args) => status::status(&args, client, out).await,
        Command::Trace(args) => explain::trace(args, client, out).await,
        Command::Flows(args) => explain::flows(&args, client, out).await,
        // Handled by the caller: they need no controller.
        Command::Controller(_)
        | Command::Completion { .. }
        | Command::Version
        | Command::Openapi
        | Command::Table(_) => Ok(Done::Well),
    }
}

/// Text for people or JSON for programs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
enum Format {
    /// Text for people.
    #[default]
    Text,
    /// JSON for programs.
    Json,
}

/// Standard output, with colours if a person reads it.
struct Out {
    to: Box<dyn Write>,
    colour: bool,
}

/// What a piece of text means, where there are colours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Tone {
    Good,
    Warning,
    Bad,
    Heading,
}

impl Out {
    fn stdout() -> Self {
        let stdout = io::stdout();
        let colour = stdout.is_terminal() && std::env::var_os("NO_COLOR").is_none();
        Self { to: Box::new(stdout.lock()), colour }
    }

    fn json(&mut self, value: &impl serde::Serialize) -> Result<(), CliError> {
        let text = serde_json::to_string_pretty(value).map_err(io::Error::from)?;
        Ok(writeln!(self.to, "{text}")?)
    }

    fn paint(&self, tone: Tone, text: &str) -> String {
        let code = match tone {
            Tone::Good => "32",
            Tone::Warning => "33",
            Tone::Bad => "31",
            Tone::Heading => "1",
        };
        if self.colour { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }
}

/// A kind as a person may write it: singular or plural.
fn parse_kind(text: &str) -> Result<Kind, String> {
    let named = |kind: &Kind| text == kind.name() || text == kind.plural();
    Kind::ALL.into_iter().find(named).ok_or_else(|| {
        let kinds: Vec<&str> = Kind::ALL.into_iter().map(Kind::plural).collect();
        format!("want one of {}", kinds.join(", "))
    })
}
