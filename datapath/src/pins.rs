//! What stays when this process ends: links, maps and the image, pinned in a bpffs of its own.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use libbpf_rs::{Link, MapCore as _, MapHandle};
use nix::mount::{MsFlags, mount};
use nix::sys::statfs::{BPF_FS_MAGIC, statfs};
use packet::IfIndex;

use crate::reason::Reason;
use crate::{Error, router};

/// Where pins are kept unless told otherwise.
pub const DEFAULT: &str = "/run/dragonflow/bpf";
const LINK: &str = "link-";

/// The folder of pins of one host, or of one network namespace.
#[derive(Debug, Clone)]
pub struct Pins {
    folder: PathBuf,
}

impl Pins {
    /// The folder, made and mounted if need be.
    ///
    /// # Errors
    /// It cannot be made, or a bpffs cannot be mounted there.
    pub fn create(folder: &Path) -> Result<Self, Error> {
        fs::create_dir_all(folder).map_err(Error::io(format!("make {}", folder.display())))?;
        if !is_bpffs(folder) {
            mount(Some("bpf"), folder, Some("bpf"), MsFlags::empty(), Some("mode=0700")).map_err(
                |errno| Error::Io {
                    what: format!("mount a bpffs at {}", folder.display()),
                    source: errno.into(),
                },
            )?;
        }
        Ok(Self { folder: folder.to_owned() })
    }

    /// The folder, if there is one.
    pub fn open(folder: &Path) -> Option<Self> {
        is_bpffs(folder).then(|| Self { folder: folder.to_owned() })
    }

    /// The folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Where the place of the image is pinned.
    pub fn images(&self) -> PathBuf {
        self.folder.join("images")
    }

    /// Where the link of an interface is pinned.
    pub fn link(&self, index: IfIndex) -> PathBuf {
        self.folder.join(format!("{LINK}{index}"))
    }

    /// The interfaces that have a link, in order.
    ///
    /// # Errors
    /// The folder cannot be read.
    pub fn linked(&self) -> Result<Vec<IfIndex>, Error> {
        let what = || format!("read {}", self.folder.display());
        let mut all = Vec::new();
        for entry in fs::read_dir(&self.folder).map_err(Error::io(what()))? {
            let name = entry.map_err(Error::io(what()))?.file_name();
            let number = name.to_str().and_then(|name| name.strip_prefix(LINK)?.parse().ok());
            all.extend(number.map(IfIndex));
        }
        all.sort_unstable();
        Ok(all)
    }

    /// The link of an interface, if it is pinned.
    ///
    /// # Errors
    /// What is pinned there is no link.
    pub fn take_link(&self, index: IfIndex) -> Result<Option<Link>, Error> {
        let path = self.link(index);
        if !path.exists() {
            return Ok(None);
        }
        Link::open(&path).map(Some).map_err(Error::bpf(format!("open {}", path.display())))
    }

    /// Ends the program on an interface: Open vSwitch gets every frame of it.
    ///
    /// # Errors
    /// The pin cannot be removed.
    pub fn detach(&self, index: IfIndex) -> Result<(), Error> {
        remove(&self.link(index))
    }

    /// Ends all programs and forgets everything.
    ///
    /// # Errors
    /// A pin cannot be removed.
    pub fn clear(&self) -> Result<(), Error> {
        for index in self.linked()? {
            self.detach(index)?;
        }
        // A bpffs has files of its own too.
        router::PINNED.iter().try_for_each(|name| remove(&self.folder.join(name)))
    }

    /// The interfaces that frames may be redirected to.
    ///
    /// # Errors
    /// Nothing is pinned.
    pub fn open_ports(&self) -> Result<BTreeSet<IfIndex>, Error> {
        let path = self.folder.join("ports");
        let map = MapHandle::from_pinned_path(&path);
        let map = map.map_err(Error::bpf(format!("open {}", path.display())))?;
        let keys = map.keys().filter_map(|key| key.try_into().ok());
        Ok(keys.map(|key| IfIndex(u32::from_ne_bytes(key))).collect())
    }

    /// How many frames ended with each reason.
    ///
    /// # Errors
    /// There are no counters.
    pub fn counters(&self) -> Result<Vec<(Reason, u64)>, Error> {
        let path = self.folder.join("counters");
        let map = MapHandle::from_pinned_path(&path);
        router::counters(&map.map_err(Error::bpf(format!("open {}", path.display())))?)
    }
}

fn is_bpffs(folder: &Path) -> bool {
    statfs(folder).is_ok_and(|found| found.filesystem_type() == BPF_FS_MAGIC)
}

fn remove(path: &Path) -> Result<(), Error> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(Error::io(format!("remove {}", path.display()))(error))
        }
        _ => Ok(()),
    }
}
