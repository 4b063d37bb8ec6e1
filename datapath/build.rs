//! Compiles the eBPF programs of `bpf/` with clang 19, against the headers of the libbpf that loads them.

use std::env;
use std::error::Error;
use std::path::{Path, PathBuf};

use libbpf_cargo::SkeletonBuilder;

const PROGRAMS: [&str; 5] = ["gate", "generator", "lookup", "plain", "router"];

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo:rerun-if-env-changed=CLANG");
    println!("cargo:rerun-if-changed=../bpf");
    let out = PathBuf::from(env::var_os("OUT_DIR").ok_or("OUT_DIR is not set")?);
    let clang = env::var_os("CLANG").unwrap_or_else(|| "clang-19".into());
    // Debian keeps <asm/types.h>, which the kernel's headers include, in a folder of the architecture.
    let arch = format!("-I/usr/include/{}-linux-gnu", env::var("CARGO_CFG_TARGET_ARCH")?);
    for name in PROGRAMS {
        SkeletonBuilder::new()
            .source(Path::new("../bpf").join(format!("{name}.bpf.c")))
            .obj(out.join(format!("{name}.bpf.o")))
            .clang(&clang)
            .clang_args([arch.as_str(), "-mcpu=v3", "-Wall", "-Wextra", "-Werror", "-Wno-unused-parameter"])
            .build()?;
    }
    Ok(())
}
