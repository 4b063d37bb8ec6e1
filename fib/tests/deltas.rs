//! Changes in place: after every step the image answers as the model, and at the end as a full build.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests, helpers included")]

#[allow(unreachable_pub, missing_docs, dead_code, reason = "one of several test crates that share it")]
mod common;

use bolero::TypeGenerator;
use common::{AnyAddr, AnyRoute, agree, edges, tables, visible, vrf};
use fib::naive::Model;
use fib::{
    AdjacencyId, BuildError, EcmpGroup, FibImage, GroupId, Member, Memory, Options, Route, Tables, Writer,
};
use packet::MacAddr;
use std::net::IpAddr;

#[derive(Debug, Clone, Copy, TypeGenerator)]
enum Op {
    Insert(AnyRoute),
    Remove(AnyRoute),
    RemoveVrf(u8),
    Adjacency { id: u8, mac: u8 },
    Group { id: u8, members: u8 },
    Quiesce,
}

/// The writer under test with the truth beside it.
struct Bench {
    model: Model,
    tables: Tables,
    writer: Writer<Memory>,
    options: Options,
    rebuilds: u32,
}

impl Bench {
    fn new(load: u32, spare: u32) -> Self {
        let options = Options { load, spare, table_seed: 9, ..Options::default() };
        let writer = Writer::new(Memory::default(), [], &tables(), options).unwrap();
        Self { model: Model::default(), tables: tables(), writer, options, rebuilds: 0 }
    }

    /// Applies to the truth first; an image that is full gives way to a larger one.
    fn apply(&mut self, op: Op) {
        if let Err(error) = self.change(op) {
            assert!(matches!(error, BuildError::Full(_)), "{error}");
            self.rebuilds += 1;
            let options = Options { epoch: self.writer.epoch() + 1, ..self.options };
            self.writer = Writer::new(Memory::default(), self.model.routes(), &self.tables, options).unwrap();
        }
    }

    fn change(&mut self, op: Op) -> Result<(), BuildError> {
        match op {
            Op::Insert(any) => {
                self.model.insert(any.route());
                self.writer.insert(any.route())
            }
            Op::Remove(any) => {
                let Route { vrf, prefix, .. } = any.route();
                let had = self.model.remove(vrf, prefix).is_some();
                self.writer.remove(vrf, prefix).map(|was| assert_eq!(was, had, "{vrf} {prefix}"))
            }
            Op::RemoveVrf(index) => {
                for route in self.model.routes().iter().filter(|route| route.vrf == vrf(index)) {
                    self.model.remove(route.vrf, route.prefix);
                }
                self.writer.remove_vrf(vrf(index))
            }
            Op::Adjacency { id, mac } => {
                let id = AdjacencyId(u32::from(id % 6) * 1000);
                let adjacency = self.tables.adjacencies.get_mut(&id).unwrap();
                adjacency.dst_mac = MacAddr([2, 0, 0, 0, 9, mac]);
                self.writer.set_adjacency(id, adjacency, &self.tables.entry)
            }
            Op::Group { id, members } => {
                let id = GroupId(u32::from(id % 3));
                let ids = (0..6).filter(|index| members >> index & 1 == 1 || *index == 0);
                let member = |key: u32| Member { key: key * 7, adjacency: AdjacencyId(key * 1000) };
                let group = EcmpGroup::new(ids.map(member));
                self.tables.groups.insert(id, group.clone());
                self.writer.set_group(id, &group)
            }
            Op::Quiesce => {
                self.writer.quiesced(self.writer.epoch());
                Ok(())
            }
        }
    }

    fn verify(&mut self, addrs: &[IpAddr]) {
        let routes = self.model.routes();
        agree(&self.model, self.writer.image(), addrs);
        let edges: Vec<IpAddr> = routes.iter().flat_map(|route| edges(route.prefix)).collect();
        agree(&self.model, self.writer.image(), &edges);
        assert_eq!(self.writer.image().routes(), visible(&routes));
        assert_eq!(self.writer.image().tables(), self.tables);
    }
}

#[test]
fn every_step_answers_as_the_model_and_the_end_as_a_full_build() {
    let full = std::sync::Mutex::new(0);
    type Case = (bool, bool, Vec<Op>, Vec<AnyAddr>);
    bolero::check!().with_type::<Case>().for_each(|(tight, roomy, ops, addrs)| {
        let (load, spare) = (if *tight { 95 } else { 20 }, if *roomy { 10_000 } else { 300 });
        let mut bench = Bench::new(load, spare);
        let addrs: Vec<IpAddr> = addrs.iter().map(|addr| addr.addr()).collect();
        for op in ops {
            bench.apply(*op);
            bench.verify(&addrs);
        }
        *full.lock().unwrap() += bench.rebuilds;
        bench.writer.seal();
        let loaded = FibImage::open(bench.writer.container()).unwrap();
        let built = fib::build(bench.model.routes(), &bench.tables, 0, 0).unwrap();
        assert_eq!(loaded.routes(), built.image().routes());
        assert_eq!(loaded.tables(), built.image().tables());
    });
    assert!(full.into_inner().unwrap() > 0, "no image was ever full");
}
