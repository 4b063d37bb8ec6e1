//! The fast path: what it needs of a chassis is one image, published whole. `dragonflow-datapath` follows it.

use std::{
    fs::{self, File},
    io::{self, Write as _},
    path::PathBuf,
};

/// Where images go. Whatever happens, readers see a whole image, the old one or the new one.
pub trait Publisher: Send {
    /// Puts an image in the place of the one before.
    ///
    /// # Errors
    /// Then the one before is still there.
    fn publish(&mut self, image: &[u8]) -> io::Result<()>;
}

/// A file, replaced by renaming.
#[derive(Debug)]
pub struct ImageFile {
    path: PathBuf,
}

impl ImageFile {
    /// The file need not exist, its folder must.
    pub const fn new(path: PathBuf) -> Self {
        Self { path }
    }
}

impl Publisher for ImageFile {
    /// Without waiting for the disk: after a crash of the machine nothing forwards by it, and a start writes it anew.
    fn publish(&mut self, image: &[u8]) -> io::Result<()> {
        let mut draft = self.path.clone().into_os_string();
        draft.push(".new");
        let mut file = File::create(&draft)?;
        file.write_all(image)?;
        drop(file);
        fs::rename(&draft, &self.path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::{Arc, Mutex};

    /// The twin in memory.
    #[derive(Default, Clone)]
    struct Fake(Arc<Mutex<Vec<u8>>>);

    impl Publisher for Fake {
        fn publish(&mut self, image: &[u8]) -> io::Result<()> {
            *self.0.lock().unwrap() = image.to_vec();
            Ok(())
        }
    }

    /// The twin that fails every other time.
    struct Chaos<P>(P, bool);

    impl<P: Publisher> Publisher for Chaos<P> {
        fn publish(&mut self, image: &[u8]) -> io::Result<()> {
            self.1 = !self.1;
            if self.1 { Err(io::ErrorKind::StorageFull.into()) } else { self.0.publish(image) }
        }
    }

    /// What holds for every publisher: what is seen is the last image that was accepted, whole.
    fn check(publisher: &mut impl Publisher, seen: impl Fn() -> Vec<u8>) {
        let mut last = seen();
        for byte in 0..10 {
            let image = vec![byte; 1000 * usize::from(byte)];
            if publisher.publish(&image).is_ok() {
                last = image;
            }
            assert_eq!(seen(), last);
        }
        assert!(!last.is_empty(), "nothing was ever accepted");
    }

    #[test]
    fn a_reader_sees_the_last_image_accepted() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("image");
        let read = || fs::read(&path).unwrap_or_default();
        check(&mut ImageFile::new(path.clone()), read);
        check(&mut Chaos(ImageFile::new(path.clone()), false), read);
        let fake = Fake::default();
        check(&mut fake.clone(), || fake.0.lock().unwrap().clone());
        check(&mut Chaos(fake.clone(), false), || fake.0.lock().unwrap().clone());
    }

    #[test]
    fn a_missing_folder_is_an_error_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        assert!(ImageFile::new(folder.path().join("none/image")).publish(b"x").is_err());
    }
}
