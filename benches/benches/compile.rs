//! What compiling costs: everything at once, and one port more, against the size of the cloud.

use benches::cloud::{Cloud, Family, chassis_id};
use controller::model::{Change, Object, ObjectId, ObjectKey, Record, Revision};
use criterion::{BatchSize, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};

const SIZES: [u32; 3] = [1_000, 10_000, 100_000];

/// Two hosts with all ports local, from nothing.
fn full(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("compile/full");
    group.sample_size(10);
    let families = [("v4", Family::V4), ("v6", Family::V6), ("dual", Family::Dual)];
    for (name, family, ports) in families.into_iter().flat_map(|(n, f)| SIZES.map(|ports| (n, f, ports))) {
        let cloud = Cloud { family, ..Cloud::new(2, ports) };
        let (flows, bytes) = size(cloud);
        println!("{name}, {ports} ports: {flows} flows of {:.0} octets", bytes as f64 / flows as f64);
        group.throughput(Throughput::ElementsAndBytes { elements: flows, bytes });
        group.bench_function(BenchmarkId::new(name, ports), |bench| {
            bench.iter_with_large_drop(|| cloud.compiler(2));
        });
    }
    group.finish();
}

/// How many flows the two hosts hold, and the length of the flow-mods that make them.
fn size(cloud: Cloud) -> (u64, u64) {
    /// What comes before the match in an OFPT_FLOW_MOD (OpenFlow 1.3.5, 7.3.4.1).
    const HEAD: usize = 48;
    let compiler = cloud.compiler(2);
    let flows = (0..2).filter_map(|index| compiler.desired(&chassis_id(index))).flat_map(|d| d.flows());
    flows.fold((0, 0), |(count, bytes), flow| {
        let length = HEAD + flow.match_bytes().len() + flow.instruction_bytes().len();
        (count + 1, bytes + length as u64)
    })
}

/// One port comes and goes.
fn one_port(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("compile/one port comes and goes");
    for ports in SIZES {
        let cloud = Cloud::new(2, ports);
        let mut compiler = cloud.compiler(2);
        let port = cloud.port(ports);
        let id = ObjectId::Port(port.id.clone());
        let spec = Object::Port(port);
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
