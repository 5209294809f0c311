//! `create`, `set` and `delete` of objects that a project's file holds: the file as `export` prints it, with one object changed, is
//! applied like any other. So one mechanism checks, plans, stores and takes back, whoever writes the file.

use std::path::PathBuf;
use std::str::FromStr;

use coax_api::{Client, ClientError, StackOptions};
use coax_model::nearest;
use serde_json::{Map, Value};

use super::apply::{ChangeArgs, change};
use super::export::choose;
use crate::commands::Outcome;
use crate::error::CliError;
use crate::names::Wanted;
use crate::output::Output;
use crate::stack::{Source, Stack};

/// How often a file is read and changed where others change the same project at the same time.
const ATTEMPTS: u32 = 10;

/// Which object, and how it is changed: all flags of `delete`.
#[derive(Debug, clap::Args)]
pub struct DeleteArgs {
    /// Its name, alone or as PROJECT/NAME
    #[arg(value_name = "NAME")]
    pub name: String,
    /// The project, if the name does not say it and there are several
    #[arg(long, value_name = "PROJECT")]
    pub project: Option<String>,
    /// How.
    #[command(flatten)]
    pub change: ChangeArgs,
}

/// Flags of `create` and `set`.
#[derive(Debug, clap::Args)]
pub struct EditArgs<C: Content = Settings> {
    /// Which object.
    #[command(flatten)]
    pub object: DeleteArgs,
    /// What it becomes.
    #[command(flatten)]
    pub content: C,
}

/// All flags of what changes a project as a whole.
#[derive(Debug, clap::Args)]
pub struct OfProjectArgs {
    /// The project
    #[arg(value_name = "NAME")]
    pub name: String,
    /// How.
    #[command(flatten)]
    pub change: ChangeArgs,
}

/// Flags of `firewall set`.
#[derive(Debug, clap::Args)]
pub struct FirewallArgs {
    /// Whose firewall.
    #[command(flatten)]
    pub project: OfProjectArgs,
    /// What it becomes.
    #[command(flatten)]
    pub content: Settings,
}

/// What an object becomes.
pub trait Content: clap::Args + std::fmt::Debug {
    /// Writes it into the object as it is.
    fn put(&self, object: &mut Value);
}

/// Keys of an object; those that are not named stay as they are.
#[derive(Debug, clap::Args)]
pub struct Settings {
    /// Its keys, as a stack file has them: `network=web`, `subnets=[10.10.1.0/24]`, `labels.role=db`; `KEY=` takes one out
    #[arg(value_name = "KEY=VALUE")]
    pub settings: Vec<Setting>,
}

/// All of an object that is a list of prefixes.
#[derive(Debug, clap::Args)]
pub struct Prefixes {
    /// All its prefixes, like 192.0.2.0/24 or 2001:db8::7
    #[arg(value_name = "PREFIX", required = true)]
    pub values: Vec<String>,
}

impl Content for Settings {
    fn put(&self, object: &mut Value) {
        self.settings.iter().for_each(|it| it.put(object));
        if object.is_null() {
            *object = Map::new().into();
        }
    }
}

impl Content for Prefixes {
    fn put(&self, object: &mut Value) {
        *object = self.values.as_slice().into();
    }
}

/// A key of an object, or of what is below it, and its value; none: as if it were not written.
#[derive(Clone, Debug, PartialEq)]
pub struct Setting {
    keys: Vec<String>,
    value: Option<Value>,
}

impl FromStr for Setting {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (keys, value) = text
            .split_once('=')
            .ok_or("write a key of the stack file and its value, like mtu=1400")?;
        let keys: Vec<String> = keys.split('.').map(str::to_owned).collect();
        if keys.iter().any(String::is_empty) {
            return Err("the key is missing: write KEY=VALUE".to_owned());
        }
        let value = match value {
            "" => None,
            text => Some(serde_saphyr::from_str(text).map_err(|error| error.to_string())?),
        };
        Ok(Self { keys, value })
    }
}

/// A kind of objects: what it is called, and the key of the file that holds them by name.
#[derive(Clone, Copy, Debug)]
pub struct Kind {
    /// `port`, `network`, …
    pub noun: &'static str,
    /// `ports`, `networks`, …
    pub key: &'static str,
}

/// What is to become of an object.
#[derive(Clone, Copy, Debug)]
enum Edit<'a, C> {
    Create(&'a C),
    Set(&'a C),
    Delete,
}

impl Kind {
    /// `create`.
    pub async fn create<C: Content>(self, args: &EditArgs<C>, output: &Output) -> Outcome {
        self.run(&args.object, Edit::Create(&args.content), output)
            .await
    }

    /// `set`.
    pub async fn set<C: Content>(self, args: &EditArgs<C>, output: &Output) -> Outcome {
        self.run(&args.object, Edit::Set(&args.content), output)
            .await
    }

    /// `delete`.
    pub async fn delete(self, args: &DeleteArgs, output: &Output) -> Outcome {
        self.run::<Settings>(args, Edit::Delete, output).await
    }

    async fn run<C: Content>(
        self,
        args: &DeleteArgs,
        edit: Edit<'_, C>,
        output: &Output,
    ) -> Outcome {
        let wanted = Wanted::new(&args.name, args.project.as_deref());
        let client = args.change.connection.client()?;
        let project = match (&wanted.project, &edit) {
            // The first object makes its project.
            (Some(project), Edit::Create(_)) => project.clone(),
            (project, _) => choose(&client, project.as_deref()).await?,
        };
        let creates = matches!(edit, Edit::Create(_));
        let edit = |file: &mut Value| self.edit(file, &project, &wanted.name, &edit);
        change_file(&client, (&project, creates), edit, &args.change, output).await
    }

    /// Changes one object in a file.
    fn edit<C: Content>(
        self,
        file: &mut Value,
        project: &str,
        name: &str,
        edit: &Edit<'_, C>,
    ) -> Result<(), CliError> {
        let objects = entry(file, self.key);
        let names = || objects.as_object().into_iter().flat_map(Map::keys);
        let exists = names().any(|known| known == name);
        match edit {
            Edit::Create(_) if exists => Err(CliError::Exists {
                kind: self.noun,
                name: format!("{project}/{name}"),
            }),
            Edit::Set(_) | Edit::Delete if !exists => Err(CliError::NoSuchObject {
                kind: self.noun,
                name: name.to_owned(),
                project: Some(project.to_owned()),
                similar: nearest(name, names().map(String::as_str))
                    .map(|name| format!("{project}/{name}")),
            }),
            Edit::Create(content) | Edit::Set(content) => {
                content.put(entry(objects, name));
                Ok(())
            }
            Edit::Delete => {
                remove(objects, name);
                Ok(())
            }
        }
    }
}

/// Changes a project's firewall, which has no name of its own; without one it gets one.
pub async fn set_firewall(args: &FirewallArgs, output: &Output) -> Outcome {
    edit_firewall(&args.project, output, |firewall| args.content.put(firewall)).await
}

/// Takes a project's firewall away.
pub async fn delete_firewall(args: &OfProjectArgs, output: &Output) -> Outcome {
    edit_firewall(args, output, |firewall| *firewall = Value::Null).await
}

async fn edit_firewall(
    args: &OfProjectArgs,
    output: &Output,
    edit: impl Fn(&mut Value),
) -> Outcome {
    let client = args.change.connection.client()?;
    let project = choose(&client, Some(&args.name)).await?;
    let edit = |file: &mut Value| {
        let firewall = entry(file, "firewall");
        edit(firewall);
        if firewall.is_null() {
            remove(file, "firewall");
        }
        Ok(())
    };
    change_file(&client, (&project, false), edit, &args.change, output).await
}

/// Changes a project's file, which may be made if it may be new; again with a newer one, if others change the project meanwhile.
async fn change_file(
    client: &Client,
    (project, may_be_new): (&str, bool),
    edit: impl Fn(&mut Value) -> Result<(), CliError>,
    args: &ChangeArgs,
    output: &Output,
) -> Outcome {
    let mut attempts_left = ATTEMPTS;
    loop {
        attempts_left -= 1;
        let (mut file, revision) = match client.stack_at(project).await {
            Err(error) if may_be_new && has_code(&error, "no-such-project") => {
                let file = serde_json::json!({ "version": 1, "project": project });
                (file, None)
            }
            answer => answer?,
        };
        edit(&mut file)?;
        let condition = StackOptions {
            if_match: revision,
            if_absent: revision.is_none(),
            ..StackOptions::default()
        };
        match change(&[written(project, &file)?], args, condition, output).await {
            Err(CliError::Api(error))
                if has_code(&error, "revision-mismatch") && attempts_left > 0 => {}
            outcome => return outcome,
        }
    }
}

impl Setting {
    fn put(&self, object: &mut Value) {
        let Some((last, above)) = self.keys.split_last() else {
            return;
        };
        match &self.value {
            Some(value) => {
                let object = above.iter().fold(object, |object, key| entry(object, key));
                *entry(object, last) = value.clone();
            }
            None => {
                let object = above
                    .iter()
                    .try_fold(object, |object, key| object.get_mut(key));
                if let Some(object) = object {
                    remove(object, last);
                }
            }
        }
    }
}

/// The value of a key; what is no map becomes one.
fn entry<'a>(value: &'a mut Value, key: &str) -> &'a mut Value {
    if !value.is_object() {
        *value = Value::Null;
    }
    // Of nothing, an index makes a map.
    &mut value[key]
}

fn remove(value: &mut Value, key: &str) {
    if let Some(map) = value.as_object_mut() {
        map.remove(key);
    }
}

/// The changed file, as if somebody had written it: mistakes are shown in it.
fn written(project: &str, file: &Value) -> Result<Stack, CliError> {
    let text = serde_saphyr::to_string(file).map_err(|source| CliError::Yaml { source })?;
    let path = PathBuf::from(format!("{project}, changed"));
    Source { path, text }.parse()
}

fn has_code(error: &ClientError, code: &str) -> bool {
    error.problem().is_some_and(|problem| problem.code == code)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::panic)]
mod tests {
    use super::*;
    use serde_json::json;

    const PORT: Kind = Kind {
        noun: "port",
        key: "ports",
    };

    fn settings(texts: &[&str]) -> Vec<Setting> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    #[test]
    fn values_are_those_of_a_file() {
        let mut port =
            json!({ "network": "web", "labels": { "tier": "1" }, "mac": "02:00:00:00:00:01" });
        for setting in settings(&[
            "network=app",
            "addresses=[10.0.0.7, \"fd00::7\"]",
            "isolated=true",
            "labels.role=db",
            "mac=",
            "labels.tier=",
            "never.there=",
        ]) {
            setting.put(&mut port);
        }
        let wanted = json!({
            "network": "app", "addresses": ["10.0.0.7", "fd00::7"], "isolated": true, "labels": { "role": "db" },
        });
        assert_eq!(port, wanted);
        for text in ["mtu", "=7", "labels.=7", "a=[1"] {
            assert!(text.parse::<Setting>().is_err(), "{text}");
        }
    }

    #[test]
    fn what_is_there_is_not_created_and_what_is_not_there_is_not_changed() {
        let mut file =
            json!({ "version": 1, "project": "p", "ports": { "web-1": { "network": "web" } } });
        let whole = file.clone();
        let keys = &Settings {
            settings: settings(&["network=web"]),
        };
        let exists = PORT.edit(&mut file, "p", "web-1", &Edit::Create(keys));
        assert!(matches!(exists, Err(CliError::Exists { .. })));
        for edit in [Edit::Set(keys), Edit::Delete] {
            let error = PORT.edit(&mut file, "p", "web-2", &edit).unwrap_err();
            let CliError::NoSuchObject { similar, .. } = error else {
                panic!("{error}")
            };
            assert_eq!(similar.as_deref(), Some("p/web-1"));
        }
        assert_eq!(file, whole);
        PORT.edit(&mut file, "p", "web-2", &Edit::Create(keys))
            .unwrap();
        assert_eq!(file["ports"]["web-2"], json!({ "network": "web" }));
        let delete: Edit<'_, Settings> = Edit::Delete;
        PORT.edit(&mut file, "p", "web-2", &delete).unwrap();
        assert_eq!(file, whole);
    }
}
