//! `dragonflow`: the daemon and its command line.

/// The C library's keeps what a start took: a third more memory, for good.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> std::process::ExitCode {
    controller::cli::main()
}
