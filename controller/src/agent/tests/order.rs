//! Whatever comes first, and whatever goes wrong meanwhile: in the end the switch holds what the model says.

use super::{CLOUD, Faults, Rig, Stage, foreign, insert, ports};
use crate::{
    agent::planner::Ask,
    model::Object,
    pipeline::{Category, Cookie},
    southbound::ovsdb::ChassisPorts,
    store::Transaction,
};
use bolero::TypeGenerator;
use openflow::Flow;
use std::{sync::Arc, time::Duration};
use tokio::time::{sleep, timeout};

/// By the test's clock, which runs only when nobody has anything to do: more than any pause between two attempts.
const FOR_EVER: Duration = Duration::from_secs(600);

/// What may happen next.
#[derive(Debug, Clone, TypeGenerator)]
enum Event {
    /// One of the objects that are not there yet comes; it may refer to some that come later.
    Object(u8),
    /// The database tells of some of the ports.
    Ports { a: bool, b: bool, tunnel: bool },
    /// The switch connects, anew if it is connected.
    Connect,
    /// The connection ends after so many further messages: in the handshake, a dump, a bundle.
    Break(u8),
    /// The switch is killed and started again: it holds nothing and knows nobody.
    Restart,
    /// Another controller was master, with a later generation, and went.
    Stale,
    /// From now on the switch refuses some flows, when they are added or when the bundle is committed.
    Refuse { category: bool, late: bool },
    /// Somebody adds a flow and takes one away, and the switch tells or not.
    Meddle { quiet: bool },
    /// Everything that can happen by itself does.
    Wait,
}

impl Rig {
    async fn meet(&self, event: &Event, objects: &mut Vec<Object>) {
        match event {
            Event::Object(n) => {
                if let Some(at) = usize::from(*n).checked_rem(objects.len()) {
                    self.store.commit(Transaction::put([objects.swap_remove(at)])).unwrap();
                }
            }
            Event::Ports { a, b, tunnel } => self.tell(some_ports(*a, *b, *tunnel)).await,
            Event::Connect => self.connect().await,
            Event::Break(after) => self.fault(|faults| faults.close_after = Some(usize::from(*after % 64))),
            Event::Restart => self.sim.restart(),
            Event::Stale => {
                // It may be that its connection breaks, too.
                if let Ok(other) = self.sim.connect().await {
                    let _ = other.switch.claim(u64::MAX / 4).await;
                }
            }
            Event::Refuse { category, late } => {
                let category = if *category { Category::Port } else { Category::Router };
                let stage = if *late { Stage::Commit } else { Stage::Add };
                let is_it = move |flow: &Flow| {
                    Cookie::from_bits(flow.cookie).map(|cookie| cookie.unit.category == category)
                };
                self.fault(|faults| {
                    faults.refuse = Some(Box::new(move |flow| is_it(flow).filter(|it| *it).map(|_| stage)));
                });
            }
            Event::Meddle { quiet } => {
                self.sim.meddle(insert(foreign(1)), *quiet);
                self.sim.meddle(|tables| drop(tables.flows.pop_last()), *quiet);
            }
            Event::Wait => sleep(Duration::from_secs(1)).await,
        }
    }

    async fn tell(&self, ports: ChassisPorts) {
        self.asks.send(Ask::Ports { chassis: super::hv1(), ports: Arc::new(ports) }).await.unwrap();
        self.ready.send_replace(true);
    }

    fn fault(&self, change: impl FnOnce(&mut Faults)) {
        let mut faults = Faults::default();
        change(&mut faults);
        self.sim.set_faults(faults);
    }
}

fn some_ports(a: bool, b: bool, tunnel: bool) -> ChassisPorts {
    let mut some = ports();
    some.interfaces.retain(|id, _| if &**id == "a" { a } else { b });
    some.tunnels.retain(|_, _| tunnel);
    some
}

#[test]
fn the_order_of_arrival_and_accidents_make_no_difference() {
    let objects: Vec<Object> = serde_json::from_str(CLOUD).unwrap();
    bolero::check!().with_type::<Vec<Event>>().with_iterations(200).for_each(|events| {
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
        runtime.block_on(async {
            let rig = Rig::with("[]");
            let mut waiting = objects.clone();
            for event in events {
                rig.meet(event, &mut waiting).await;
                tokio::task::yield_now().await;
            }
            // What has not come yet comes now, and nothing goes wrong any more. A switch that is connected may connect
            // before or after the rest.
            rig.sim.set_faults(Faults::default());
            if events.len() % 2 == 0 {
                rig.connect().await;
            }
            while !waiting.is_empty() {
                rig.meet(&Event::Object(0), &mut waiting).await;
            }
            if events.len() % 2 == 1 {
                rig.connect().await;
            }
            rig.tell(ports()).await;
            let settled = timeout(FOR_EVER, async {
                while !rig.left().await.is_empty() {
                    sleep(Duration::from_secs(1)).await;
                }
            });
            assert!(
                settled.await.is_ok(),
                "still to do: {:?}, {:?}",
                rig.left().await.counts(),
                rig.status()
            );
        });
    });
}
