//! Errors between a controller and its etcd.

use super::Entry;
use super::codes::{code, code_with};

/// All of them.
pub(super) const CODES: &[Entry] = &[
    code_with(
        "etcd-plain",
        "An etcd on another machine is reached over TLS only: whoever is in between would read and change everything that \
         the deployment has. Without TLS an etcd may be on loopback.",
        "coax init --store https://ADDRESS:PORT --store-cacert FILE --store-cert FILE --store-key FILE",
    ),
    code(
        "etcd-flags",
        "The flags do not say how to get into the etcd: over TLS it takes the authority of its certificates, a certificate of \
         the controller and its key, and perhaps a user with a password; without TLS none of it.",
    ),
    code_with(
        "etcd-files",
        "A certificate, a key or a password for etcd is not there, cannot be read, or is none.",
        "openssl x509 -noout -text -in FILE",
    ),
    code_with(
        "etcd-untrusted",
        "What answers at etcd's address does not prove to be the etcd: its certificate has run out, is for another address, \
         or is signed by another authority than `--store-cacert` names; or it does not speak TLS 1.3 at all.",
        "openssl s_client -connect ADDRESS:PORT -showcerts",
    ),
    code_with(
        "etcd-certificate",
        "etcd does not take the controller's certificate: it has run out, or another authority signed it than etcd was started \
         with (--trusted-ca-file).",
        "openssl x509 -noout -issuer -enddate -in FILE",
    ),
    code(
        "etcd-unguarded",
        "This etcd asks nobody for a certificate, so whoever reaches it reads and changes everything. It is to be started with \
         --client-cert-auth.",
    ),
    code_with(
        "etcd-password",
        "etcd has no such user, or another password for it.",
        "etcdctl user passwd NAME",
    ),
    code_with(
        "etcd-user",
        "etcd asks for users and the controller names none, or the other way round.",
        "etcdctl user list",
    ),
    code(
        "etcd-used",
        "A deployment is restored into an etcd with the revisions that it had, and etcd counts its own: so it has to be one to \
         which nothing was ever written. A restore that ended half way makes one a used one, too.",
    ),
    code_with(
        "etcd-forbidden",
        "The user that the controller is to etcd may not read and write what begins with /coax/. It needs this range, and no \
         other.",
        "etcdctl role grant-permission ROLE readwrite /coax/ --prefix",
    ),
];
