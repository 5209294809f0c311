//! Errors of who is who: deployments, joining, certificates.

use super::Entry;
use super::codes::{code, code_with};

/// All of them.
pub(super) const CODES: &[Entry] = &[
    code(
        "body-too-large",
        "A program sent the controller more than it takes: 64 MiB for the file of a project, 1 MiB for everything \
         else.",
    ),
    code(
        "too-many-requests",
        "The users of one project have 64 requests answered at once, streams of events and flows included. More would \
         take from other projects what the controller has for all.",
    ),
    code(
        "body-incomplete",
        "A request ended before the length that it announced, or took longer than a minute to come.",
    ),
    code_with(
        "no-deployment",
        "The state folder holds no authority: no deployment was made here, or it lies elsewhere.",
        "coax init",
    ),
    code(
        "deployment-exists",
        "A deployment was made in this folder before. Making another would lock all its hosts out.",
    ),
    code(
        "deployment",
        "The keys and certificates of a lab could not be made.",
    ),
    code(
        "identity",
        "A key or certificate cannot be made, read or written; the message says which.",
    ),
    code(
        "not-a-backup",
        "The file does not begin like a backup of Coax.",
    ),
    code_with(
        "backup-damaged",
        "The backup is not as it was written: bytes are missing or are others, on the way or on the disk.",
        "coax backup verify FILE",
    ),
    code(
        "backup-format",
        "The backup was made by another version of Coax, in a format that this one does not read.",
    ),
    code(
        "wrong-passphrase",
        "The backup is whole, and this passphrase does not open it; or somebody changed it on purpose.",
    ),
    code(
        "short-passphrase",
        "Who has the backup can try passphrases at leisure; short ones are found.",
    ),
    code(
        "backup-failed",
        "The controller could not read its store, or not encrypt what is in it.",
    ),
    code_with(
        "not-joined",
        "The machine has no certificate, and without one no controller listens to it.",
        "coax join TOKEN",
    ),
    code(
        "other-host",
        "The certificate in the state folder is that of another host than the one that is to run.",
    ),
    code_with(
        "join-refused",
        "The controller does not take the machine in: the token is used, expired, for another name, \
         or of another deployment.",
        "coax host invite NAME",
    ),
    code_with(
        "embedded-store",
        "Controllers of one deployment share one etcd. This controller has its store in a file, which no other can \
         share; a backup moves what is in the file into an etcd.",
        "coax backup restore FILE --store https://ADDRESS:PORT",
    ),
    code(
        "store-unreachable",
        "A machine that is to become a controller does not reach the etcd that the other controllers store in. They \
         may have another address for it, such as one that is only good on their own machine.",
    ),
    code(
        "other-store",
        "Where the other controllers have their etcd, this machine finds another one: an address such as 127.0.0.1 \
         means something else on each machine.",
    ),
    code_with(
        "bad-token",
        "The text is no join token, a part of it is missing, or it makes a host where a controller is wanted or the \
         reverse.",
        "coax host invite NAME",
    ),
    code_with(
        "no-address",
        "Join tokens carry an address of the controller, and it does not know which of the machine's \
         addresses hosts reach.",
        "coax controller --address ADDRESS:PORT",
    ),
    code_with(
        "no-token",
        "A controller on another machine is asked without a token, which says who asks and which \
         controller is the right one.",
        "coax token create NAME --role ROLE",
    ),
    code_with(
        "not-identified",
        "The request carries no token, or one that was deleted, has expired, or is of another deployment.",
        "coax token create NAME --role ROLE",
    ),
    code(
        "forbidden",
        "The role of whoever asks does not allow this, or not in this project.",
    ),
    code(
        "bad-scope",
        "A role of the network team cannot be limited to a project.",
    ),
    code_with(
        "token-exists",
        "A token has this name; names are what lists and logs show, so each is used once.",
        "coax token list",
    ),
    code_with(
        "no-such-token",
        "No token has that name, as far as you may know.",
        "coax token list",
    ),
    code_with(
        "no-such-invitation",
        "No invitation has that name, as far as you may know: it was withdrawn, or more than a week has passed since it \
         expired.",
        "coax invitation list --all",
    ),
    code_with(
        "invitation-used",
        "A machine joined with the invitation, and withdrawing it would take nothing back. A host goes with \
         `coax host remove`; a controller that must not be one any more is kept out by another authority.",
        "coax authority renew",
    ),
    code_with(
        "other-authority",
        "A token knows the authority of its deployment, and the controller that answers has a certificate of another one. Either \
         the deployment's authority was renewed since the token was made, or something else answers there, to which the token was not \
         said.",
        "coax token create NAME --role ROLE",
    ),
    code_with(
        "authority-renewed",
        "The deployment's authority was renewed, and this controller was not given the new key: no host listens to it any more, so \
         it does not run. A controller that is to stay joins again with a token of another one.",
        "coax controller invite",
    ),
    code_with(
        "renewal-under-way",
        "The deployment has two authorities already: hosts and controllers move from one to the other. That is finished before \
         there is a third, unless the new key is lost with every controller that had it.",
        "coax authority show",
    ),
    code_with(
        "no-renewal",
        "One authority counts, so there is none to give up.",
        "coax authority show",
    ),
    code_with(
        "authority-key-elsewhere",
        "The renewal of the authority is finished where its new key is, so that nobody gives the old one up who cannot go on. A \
         controller gets the key by joining again.",
        "coax authority show",
    ),
    code_with(
        "renewal-cuts-off",
        "Some hosts still have certificates of the old authority, or some controllers do not have the key of the new one. Once \
         the old authority counts no more they are refused, and join again with a token. Hosts that are away go on forwarding.",
        "coax authority show",
    ),
    code(
        "bad-config",
        "A configuration file cannot be read, or has a setting that the daemon does not know.",
    ),
    code(
        "no-answer",
        "Something that `coax init` or `coax join` has to know was neither said nor found.",
    ),
    code(
        "bad-answer",
        "An answer cannot be used; the message says why.",
    ),
];
