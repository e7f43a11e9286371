//! A private CA, and a server's certificate of it.

use std::{fs, path::Path, process::Command, sync::LazyLock};

use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _};

/// A host that no resolver knows.
pub(crate) const HOST: &str = "models.invalid";

/// A private CA, and a server's certificate of it for [`HOST`] and 127.0.0.1.
pub(crate) struct Certificates {
    pub(crate) ca: Vec<u8>,
    pub(crate) certificate: CertificateDer<'static>,
    pub(crate) key: PrivateKeyDer<'static>,
}

pub(crate) static CERTIFICATES: LazyLock<Certificates> = LazyLock::new(|| {
    let folder = tempfile::tempdir().unwrap();
    let create = |name: &str, arguments: &[&str]| {
        let path = |kind| folder.path().join(format!("{name}.{kind}"));
        let created = Command::new("openssl")
            .current_dir(folder.path())
            .args(["req", "-x509", "-nodes", "-days", "2", "-newkey", "ec"])
            .args(["-pkeyopt", "ec_paramgen_curve:prime256v1"])
            .args(["-subj", &format!("/CN={name}")])
            .args(arguments)
            .arg("-keyout")
            .arg(path("key"))
            .arg("-out")
            .arg(path("pem"))
            .output()
            .expect("openssl is installed");
        let said = String::from_utf8_lossy(&created.stderr);
        assert!(created.status.success(), "{said}");
    };
    create("ca", &["-addext", "basicConstraints=critical,CA:TRUE"]);
    let names = format!("subjectAltName=DNS:{HOST},IP:127.0.0.1");
    let server = ["-CA", "ca.pem", "-CAkey", "ca.key", "-addext", &names];
    let server = [
        &server[..],
        &["-addext", "basicConstraints=critical,CA:FALSE"],
    ]
    .concat();
    create("server", &server);
    let path = |name: &str| folder.path().join(name);
    let read = |path: &Path| fs::read(path).unwrap();
    Certificates {
        ca: read(&path("ca.pem")),
        certificate: CertificateDer::from_pem_file(path("server.pem")).unwrap(),
        key: PrivateKeyDer::from_pem_file(path("server.key")).unwrap(),
    }
});
