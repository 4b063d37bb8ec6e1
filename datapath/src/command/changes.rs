//! Waiting for the controller's next image.

use std::ffi::OsString;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::Path;

use anyhow::{Context as _, Result};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify};

/// Waits for a file to be replaced.
#[derive(Debug)]
pub(crate) struct Changes {
    inotify: Inotify,
    name: OsString,
}

impl Changes {
    pub(crate) fn of(file: &Path) -> Result<Self> {
        let name = file.file_name().with_context(|| format!("{} names no file", file.display()))?.to_owned();
        let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let inotify = Inotify::init(InitFlags::IN_CLOEXEC).context("watch the image")?;
        let events = AddWatchFlags::IN_MOVED_TO | AddWatchFlags::IN_CLOSE_WRITE;
        inotify.add_watch(folder, events).with_context(|| format!("watch {}", folder.display()))?;
        Ok(Self { inotify, name })
    }

    /// Returns at a change, or when the time is over. Several changes at once count as one.
    pub(crate) fn wait(&self, limit: PollTimeout) -> Result<()> {
        loop {
            let mut fds = [PollFd::new(self.inotify.as_fd(), PollFlags::POLLIN)];
            if poll(&mut fds, limit).context("wait for a change")? == 0 {
                return Ok(());
            }
            if self.is_change()? {
                return Ok(());
            }
        }
    }

    /// Whether the events that there are, and there must be one, are about the file.
    pub(crate) fn is_change(&self) -> Result<bool> {
        let events = self.inotify.read_events().context("watch the image")?;
        Ok(events.iter().any(|event| event.name.as_ref() == Some(&self.name)))
    }
}

impl AsFd for Changes {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.inotify.as_fd()
    }
}
