//! Certificates for tests.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result};

use crate::run;

/// Two authorities, "ca" and "other-ca", and keys with certificates: "controller" and "switch" of the first, "stranger"
/// of the other. Files are called `NAME.key` and `NAME.pem`.
#[derive(Debug)]
pub struct Pki {
    dir: PathBuf,
}

impl Pki {
    /// Makes them all in a directory.
    ///
    /// # Errors
    /// `openssl` is missing or fails.
    pub fn new(dir: &Path) -> Result<Self> {
        let this = Self { dir: dir.to_owned() };
        for authority in ["ca", "other-ca"] {
            let begin = ["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"];
            this.openssl(
                &begin,
                &["-subj", &format!("/CN={authority}")],
                authority,
                &format!("{authority}.pem"),
            )?;
        }
        // Clients of a web server look for its address.
        let extensions = "basicConstraints=CA:FALSE\nsubjectAltName=IP:127.0.0.1\n";
        fs::write(this.path("v3.ext"), extensions).context("write v3.ext")?;
        for (name, authority) in [("controller", "ca"), ("switch", "ca"), ("stranger", "other-ca")] {
            let request = format!("{name}.csr");
            let begin = ["req", "-newkey", "rsa:2048", "-nodes"];
            this.openssl(&begin, &["-subj", &format!("/CN={name}")], name, &request)?;
            let (key, pem) = (format!("{authority}.key"), format!("{authority}.pem"));
            run(Command::new("openssl")
                .current_dir(dir)
                .args(["x509", "-req", "-days", "2", "-CAcreateserial"])
                .args([
                    "-extfile",
                    "v3.ext",
                    "-in",
                    &request,
                    "-CA",
                    &pem,
                    "-CAkey",
                    &key,
                    "-out",
                    &format!("{name}.pem"),
                ]))?;
        }
        Ok(this)
    }

    fn openssl(&self, begin: &[&str], subject: &[&str], name: &str, out: &str) -> Result<()> {
        let mut command = Command::new("openssl");
        command.current_dir(&self.dir).args(begin).args(subject);
        run(command.args(["-keyout", &format!("{name}.key"), "-out", out]))?;
        Ok(())
    }

    /// One of the files.
    pub fn path(&self, file: &str) -> PathBuf {
        self.dir.join(file)
    }

    /// The arguments of `ovs-vsctl` that give a switch the identity `name` and the trust in `authority`.
    pub fn set_ssl(&self, name: &str, authority: &str) -> [String; 4] {
        let file = |name: String| self.path(&name).display().to_string();
        [
            "set-ssl".into(),
            file(format!("{name}.key")),
            file(format!("{name}.pem")),
            file(format!("{authority}.pem")),
        ]
    }
}
