//! A link that fails as often as not, in the ways that links fail.

use ovsdb::{Error, Operation, RowUpdate, TransactError};

use super::{super::OvsdbLink, fake::closed};

/// Any link, with accidents. The accidents follow from the seed and the calls made.
#[derive(Debug)]
pub(super) struct Chaos<L> {
    inner: L,
    random: u64,
    is_lost: bool,
    /// How many may still happen.
    accidents: u32,
}

impl<L: OvsdbLink> Chaos<L> {
    /// With at most so many accidents: in the end it has to work.
    pub(super) const fn new(inner: L, seed: u64, accidents: u32) -> Self {
        Self { inner, random: seed, is_lost: false, accidents }
    }

    /// True in `percent` of the cases, while accidents are left. SplitMix64.
    fn accident(&mut self, percent: u64) -> bool {
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.random;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        let happens = self.accidents > 0 && (z ^ (z >> 31)) % 100 < percent;
        self.accidents -= u32::from(happens);
        happens
    }

    fn lose(&mut self) -> Error {
        self.is_lost = true;
        closed()
    }

    fn check(&self) -> Result<(), Error> {
        if self.is_lost { Err(closed()) } else { Ok(()) }
    }
}

impl<L: OvsdbLink> OvsdbLink for Chaos<L> {
    fn remote(&self) -> String {
        format!("chaos before {}", self.inner.remote())
    }

    async fn connect(&mut self) -> Result<Vec<RowUpdate>, Error> {
        if self.accident(30) {
            return Err(self.lose());
        }
        self.is_lost = false;
        self.inner.connect().await
    }

    async fn transact(&mut self, operations: &[Operation]) -> Result<(), Error> {
        self.check()?;
        if self.accident(20) {
            return Err(self.lose());
        }
        if self.accident(30) {
            let source = TransactError::Commit { error: "I/O error".into(), details: "chaos".into() };
            return Err(Error::Transact { remote: ovsdb::Remote::Unix("/chaos".into()), source });
        }
        self.inner.transact(operations).await?;
        // Done, but the answer never arrives.
        if self.accident(30) { Err(self.lose()) } else { Ok(()) }
    }

    async fn next(&mut self) -> Result<Vec<RowUpdate>, Error> {
        self.check()?;
        if self.accident(5) {
            return Err(self.lose());
        }
        let rows = self.inner.next().await?;
        // Heard, but lost with the connection before anybody could look at it.
        if self.accident(10) { Err(self.lose()) } else { Ok(rows) }
    }

    fn arrived(&mut self) -> Result<Vec<RowUpdate>, Error> {
        self.check()?;
        self.inner.arrived()
    }
}
