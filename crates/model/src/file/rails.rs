//! The operator's file: rules that come before those of every project, and the address groups that
//! they name. And [`File`], either kind of file.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{FILE_VERSION, RuleEntry, StackFile, read};
use crate::diagnostic::{Diagnostic, FieldPath};
use crate::group::AddressGroup;
use crate::locate::Places;
use crate::name::Name;

/// The operator's rails as a file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RailsFile {
    /// The version of the format: 1.
    #[schemars(extend("const" = 1))]
    pub version: u32,
    /// The rails.
    pub rails: RailsEntry,
}

/// The rails as they are written.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RailsEntry {
    /// Groups of addresses, which no project can change.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub address_groups: BTreeMap<Name, AddressGroup>,
    /// The rules; the first one that matches decides, before any rule of a project.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rules: Vec<RuleEntry>,
}

impl RailsFile {
    /// A file of these rails.
    pub fn new(rails: RailsEntry) -> Self {
        Self {
            version: FILE_VERSION,
            rails,
        }
    }
}

/// A file of either kind.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum File {
    /// A project.
    Stack(StackFile),
    /// The operator's rails.
    Rails(RailsFile),
}

impl File {
    /// Reads a file, or says where and why not. A file with `rails` and without `project` is the
    /// operator's.
    pub fn parse(text: &str) -> Result<Self, Diagnostic> {
        let places = Places::of(text);
        let has = |key: &str| places.find(&FieldPath::keys(&[key])).is_some();
        if has("rails") && !has("project") {
            read(text).map(Self::Rails)
        } else {
            StackFile::parse(text).map(Self::Stack)
        }
    }

    /// The project that the file owns; that of the rails for the operator's.
    pub fn project(&self) -> Name {
        match self {
            Self::Stack(file) => file.project.clone(),
            Self::Rails(_) => Name::rails(),
        }
    }
}

impl From<StackFile> for File {
    fn from(file: StackFile) -> Self {
        Self::Stack(file)
    }
}

impl From<RailsFile> for File {
    fn from(file: RailsFile) -> Self {
        Self::Rails(file)
    }
}
