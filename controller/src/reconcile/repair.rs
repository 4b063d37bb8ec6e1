//! Flows that somebody else added, changed or deleted, put right again.

use super::{
    diff::unit_bits,
    plan::{FlowKey, Plan},
};
use crate::compile::EncodedFlow;
use openflow::{Flow, message::FlowUpdate};
use std::collections::HashMap;

/// Flows that somebody touched, with what is there now; of several events of one flow the last counts.
#[derive(Debug, Default)]
pub struct Touched(HashMap<FlowKey, Option<EncodedFlow>>);

impl Touched {
    /// Takes in one event of a flow monitor. False if it says nothing that could be kept: only comparing everything
    /// can help then.
    pub fn note(&mut self, update: &FlowUpdate) -> bool {
        match update {
            FlowUpdate::Added(now) | FlowUpdate::Modified(now) => match EncodedFlow::new(&now.flow) {
                Ok(flow) => {
                    // A flow that will go by itself is not the one that shall be there.
                    let permanent = now.idle_timeout == 0 && now.hard_timeout == 0;
                    let state = if permanent { flow } else { with_other_cookie(&now.flow).unwrap_or(flow) };
                    self.0.insert(FlowKey::from(&state), Some(state));
                    true
                }
                Err(_) => false,
            },
            FlowUpdate::Removed { flow, .. } => match EncodedFlow::new(&flow.flow) {
                Ok(flow) => {
                    self.0.insert(FlowKey::from(&flow), None);
                    true
                }
                Err(_) => false,
            },
            // Our own doing.
            FlowUpdate::Abbreviated(_) => true,
            FlowUpdate::Unknown(_) => false,
        }
    }

    /// True if nothing was touched.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// How many flows were touched.
    pub fn len(&self) -> usize {
        self.0.len()
    }
}

/// The same flow under a cookie that is never ours, so that it compares as different.
fn with_other_cookie(flow: &Flow) -> Option<EncodedFlow> {
    EncodedFlow::new(&Flow { cookie: u64::MAX, ..flow.clone() }).ok()
}

/// What to do so that each touched flow is again what it shall be. Of two desired flows with one key the one with the
/// lower cookie counts, as in [`diff`](super::diff).
pub fn repair<'a>(flows: impl IntoIterator<Item = &'a EncodedFlow>, touched: &Touched) -> Plan {
    let index: HashMap<_, _> = touched.0.iter().map(|(key, now)| (key.as_tuple(), (key, now))).collect();
    let mut wanted: HashMap<&FlowKey, &EncodedFlow> = HashMap::new();
    for flow in flows {
        if let Some((key, _)) = index.get(&flow.key()) {
            let best = wanted.entry(key).or_insert(flow);
            if unit_bits(flow.cookie()) < unit_bits(best.cookie()) {
                *best = flow;
            }
        }
    }
    let mut put = Vec::new();
    let mut delete = Vec::new();
    for (key, now) in &touched.0 {
        match (wanted.get(key), now) {
            (Some(flow), Some(now)) if flow.same_as(now) => {}
            (Some(flow), _) => put.push((*flow).clone()),
            (None, Some(_)) => delete.push(key.clone()),
            (None, None) => {}
        }
    }
    Plan::ordered([], put, delete, [])
}
