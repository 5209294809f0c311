//! From the words of a request to a filter that agents understand: names are looked up here, where all objects are known, so
//! that a mistyped one is an error and not an empty answer.

use std::net::IpAddr;
use std::time::{Duration, SystemTime};

use coax_api::flows::{Choice, FlowFilter, FlowParams, FlowPlace, FlowVerdict};
use coax_model::Name;
use coax_tables::DropReason;
use ipnet::IpNet;

use super::failure::Failure;
use super::input;
use crate::core::{Core, Listing};

/// What a rule is called where none matched.
const DEFAULT: &str = "default";

/// Project and name of each object of a kind.
type Known = Vec<(String, String)>;

/// The filter of a request at this moment.
pub(super) fn filter(listing: &Listing<'_>, params: &FlowParams) -> Result<FlowFilter, Failure> {
    let projects = listing.projects().into_iter();
    let projects: Vec<String> = projects.map(|project| project.name).collect();
    // Who asks for one project, by choice or because he may see no other, means its objects.
    let only: Option<Name> = params.project.as_deref().and_then(|text| text.parse().ok());
    let only = only.as_ref();
    let ends = Ends {
        listing,
        only,
        ports: known(listing.ports(only), |it| (it.project, it.name)),
        networks: known(listing.networks(only), |it| (it.project, it.name)),
    };
    let rules = known(listing.firewall_rules(only), |it| (it.project, it.name));
    Ok(FlowFilter {
        project: choice(params.project.as_deref(), |name| {
            one_of("project", name, &projects)
        })?,
        from: choice(params.from.as_deref(), |text| ends.places(text))?,
        to: choice(params.to.as_deref(), |text| ends.places(text))?,
        verdict: choice(params.verdict.as_deref(), verdict)?,
        reason: choice(params.reason.as_deref(), reason)?,
        rule: choice(params.rule.as_deref(), |text| match text {
            DEFAULT => Ok(vec![String::new()]),
            name => Ok(vec![find("firewall-rule", name, &rules)?]),
        })?,
        port: choice(params.port.as_deref(), port)?,
        protocol: choice(params.protocol.as_deref(), |name| {
            Ok(vec![name.to_ascii_lowercase()])
        })?,
        since: moment(params.since.as_deref())?,
    })
}

/// The moment that was so long ago, in milliseconds since 1970.
pub(super) fn moment(since: Option<&str>) -> Result<u64, Failure> {
    match since {
        Some(text) => Ok(now().saturating_sub(milliseconds(age(text)?))),
        None => Ok(0),
    }
}

/// The hosts that a request is about.
pub(super) fn hosts(core: &Core, params: &FlowParams) -> Result<Vec<String>, Failure> {
    let known = core.host_views().into_iter();
    let known: Vec<String> = known.map(|host| host.name).collect();
    let chosen = choice(params.host.as_deref(), |name| one_of("host", name, &known))?;
    let wanted = known.into_iter();
    Ok(wanted
        .filter(|host| chosen.takes(|it| it == host))
        .collect())
}

fn known<T>(objects: Vec<T>, name: impl Fn(T) -> (String, String)) -> Known {
    objects.into_iter().map(name).collect()
}

/// Reads values that are separated by commas, those with `!` in front into what is not wanted.
fn choice<T>(
    text: Option<&str>,
    read: impl Fn(&str) -> Result<Vec<T>, Failure>,
) -> Result<Choice<T>, Failure> {
    let mut choice = Choice::default();
    for value in input::list(text) {
        match value.strip_prefix('!') {
            Some(value) => choice.not.extend(read(value)?),
            None => choice.only.extend(read(value)?),
        }
    }
    Ok(choice)
}

fn one_of(kind: &str, name: &str, known: &[String]) -> Result<Vec<String>, Failure> {
    match known.iter().any(|one| one == name) {
        true => Ok(vec![name.to_owned()]),
        false => Err(Failure::no_such(kind, name)),
    }
}

/// The full name of the only object that is called so.
fn find(kind: &str, typed: &str, known: &Known) -> Result<String, Failure> {
    let (project, name) = match typed.split_once('/') {
        Some((project, name)) => (Some(project), name),
        None => (None, typed),
    };
    let mut found = known
        .iter()
        .filter(|(of, called)| called == name && project.is_none_or(|it| it == of))
        .map(|(project, name)| format!("{project}/{name}"));
    let first = found.next().ok_or_else(|| Failure::no_such(kind, typed))?;
    match found.next() {
        None => Ok(first),
        Some(second) => Err(Failure::bad_request(
            "ambiguous-name",
            format!("`{typed}` may be {first} or {second}"),
            format!("write `{first}`"),
        )),
    }
}

/// What ends of flows may be called.
struct Ends<'a> {
    listing: &'a Listing<'a>,
    only: Option<&'a Name>,
    ports: Known,
    networks: Known,
}

impl Ends<'_> {
    fn places(&self, text: &str) -> Result<Vec<FlowPlace>, Failure> {
        if let Ok(address) = text.parse::<IpAddr>() {
            return Ok(vec![FlowPlace::Prefix(IpNet::from(address).to_string())]);
        }
        if let Ok(prefix) = text.parse::<IpNet>() {
            return Ok(vec![FlowPlace::Prefix(prefix.to_string())]);
        }
        if let Some(name) = text.strip_prefix("network/") {
            let network = find("network", name, &self.networks)?;
            return Ok(vec![FlowPlace::Network(network)]);
        }
        if let Some(name) = text.strip_prefix("group/") {
            return self.members(name);
        }
        Ok(vec![FlowPlace::Port(find("port", text, &self.ports)?)])
    }

    /// The ports that are in a group now. No port has the empty name: a group without members takes nothing.
    fn members(&self, name: &str) -> Result<Vec<FlowPlace>, Failure> {
        let groups = self.listing.groups(self.only);
        let names = groups
            .iter()
            .map(|group| (group.project.clone(), group.name.clone()))
            .collect();
        let full = find("group", name, &names)?;
        let group = groups.iter().find(|group| group.id == full);
        let members = group.into_iter().flat_map(|group| {
            let project = &group.project;
            group
                .members
                .iter()
                .map(move |it| format!("{project}/{it}"))
        });
        let mut places: Vec<FlowPlace> = members.map(FlowPlace::Port).collect();
        if places.is_empty() {
            places.push(FlowPlace::Port(String::new()));
        }
        Ok(places)
    }
}

fn verdict(text: &str) -> Result<Vec<FlowVerdict>, Failure> {
    let known = FlowVerdict::ALL.into_iter();
    let found = known.clone().find(|verdict| verdict.as_str() == text);
    found.map(|verdict| vec![verdict]).ok_or_else(|| {
        let known: Vec<&str> = known.map(FlowVerdict::as_str).collect();
        Failure::bad_request(
            "bad-parameter",
            format!("`{text}` is no verdict"),
            format!("write {}", known.join(", ")),
        )
    })
}

fn reason(text: &str) -> Result<Vec<String>, Failure> {
    match DropReason::ALL.iter().any(|reason| reason.name() == text) {
        true => Ok(vec![text.to_owned()]),
        false => Err(Failure::bad_request(
            "bad-parameter",
            format!("`{text}` is no drop reason"),
            "`coax explain` lists them",
        )),
    }
}

fn port(text: &str) -> Result<Vec<u16>, Failure> {
    let port = text.parse().map_err(|_| {
        Failure::bad_request(
            "bad-parameter",
            format!("`{text}` is no port"),
            "write a number up to 65535, as in 443",
        )
    })?;
    Ok(vec![port])
}

/// A time in the past as users write it.
fn age(text: &str) -> Result<Duration, Failure> {
    let hours = text.strip_suffix('h').and_then(|it| it.parse::<u64>().ok());
    match hours {
        Some(hours) => Ok(Duration::from_secs(hours.saturating_mul(3600))),
        None => input::timeout(Some(text)),
    }
}

fn milliseconds(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// Milliseconds since 1970.
fn now() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    milliseconds(since.unwrap_or_default())
}
