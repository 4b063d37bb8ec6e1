//! `dragonflow`: the daemon and its command line.

fn main() -> std::process::ExitCode {
    controller::cli::main()
}
