//! What compiling costs: everything at once, and one port more, against the size of the cloud.
#![expect(missing_docs, reason = "criterion's macros make undocumented items")]

use benches::cloud::{Cloud, chassis_id};
use controller::model::{Change, ObjectKey, Record, Revision};
use criterion::{BatchSize, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};

const SIZES: [u32; 3] = [1_000, 10_000, 100_000];

fn cloud(ports: u32) -> Cloud {
    Cloud { chassis: 2, ports, ports_per_network: 50 }
}

/// Two hosts with all ports local, from nothing.
fn full(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("compile/full");
    group.sample_size(10);
    for ports in SIZES {
        let flows: usize = {
            let compiler = cloud(ports).compiler(2);
            (0..2).filter_map(|index| compiler.desired(&chassis_id(index))).map(|d| d.flow_count()).sum()
        };
        group.throughput(Throughput::Elements(flows as u64));
        group.bench_function(BenchmarkId::from_parameter(format!("{ports} ports, {flows} flows")), |bench| {
            bench.iter_with_large_drop(|| cloud(ports).compiler(2));
        });
    }
    group.finish();
}

/// One port comes and goes.
fn one_port(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("compile/one port comes and goes");
    for ports in SIZES {
        let cloud = cloud(ports);
        let mut compiler = cloud.compiler(2);
        let spec = cloud.port(ports);
        let id = spec.id();
        let put = Change::Put(Record { key: ObjectKey(ports + 1), revision: Revision(1 << 40), spec });
        group.bench_function(BenchmarkId::from_parameter(ports), |bench| {
            bench.iter_batched(
                || (put.clone(), Change::Delete(id.clone())),
                |(put, delete)| {
                    compiler.apply(&[put]);
                    let came = compiler.poll();
                    compiler.apply(&[delete]);
                    (came, compiler.poll())
                },
                BatchSize::SmallInput,
            );
        });
    }
    group.finish();
}

criterion_group!(benches, full, one_port);
criterion_main!(benches);
