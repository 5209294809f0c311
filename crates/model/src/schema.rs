//! The JSON Schema of files: what editors complete and underline, made from the types that read them.
//!
//! Invariant: it is never stricter than reading a file that writes texts as texts (`"42"`, not `42`, for a name). It is
//! more lenient: what depends on other objects is left to `coax validate`.

use std::borrow::Cow;

use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde_json::{Value, json};

use crate::check::CheckSide;
use crate::file::{RailsFile, StackFile};
use crate::firewall::Selector;
use crate::group::{AddressGroup, Label, NamePattern};
use crate::name::{HostName, Name};
use crate::network::Subnet;
use crate::port::AllowedAddress;
use crate::quantity::{LeaseTime, PacketRate, ShutTime};
use crate::service::Service;

/// A letter or digit, then the same and hyphens, at most 63.
macro_rules! name {
    () => {
        "[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?"
    };
}

macro_rules! ipv4 {
    () => {
        "((25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])\\.){3}(25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])"
    };
}

/// Only the characters: which groups may be left out, a pattern says badly.
macro_rules! ipv6 {
    () => {
        "[0-9A-Fa-f:]*:[0-9A-Fa-f:]*(:[0-9.]+)?"
    };
}

macro_rules! prefix {
    () => {
        concat!(
            "(",
            ipv4!(),
            "/([0-9]|[12][0-9]|3[0-2])|",
            ipv6!(),
            "/([0-9]|[1-9][0-9]|1[01][0-9]|12[0-8]))"
        )
    };
}

macro_rules! address {
    () => {
        concat!("(", ipv4!(), "|", ipv6!(), ")")
    };
}

/// Types that are written as texts of a form.
macro_rules! texts {
    ($($type:ty, $name:literal, $says:literal, $form:expr;)*) => {$(
        impl JsonSchema for $type {
            fn inline_schema() -> bool {
                true
            }

            fn schema_name() -> Cow<'static, str> {
                $name.into()
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!({ "type": "string", "description": $says, "pattern": concat!("^", $form, "$") })
            }
        }
    )*};
}

/// An IP address, in schemas.
pub(crate) enum Address {}
/// A prefix of a subnet or a route, in schemas.
pub(crate) enum Cidr {}
/// A MAC address, in schemas.
pub(crate) enum Mac {}
/// The number of a VLAN as a key, in schemas.
pub(crate) enum Vlan {}
/// `KIND/NAME` of an object that was renamed, in schemas.
pub(crate) enum Renamed {}
/// An address or a prefix, in schemas.
enum GroupPrefix {}

texts! {
    Name, "Name", "A name: a-z, 0-9 and hyphens inside, at most 63 characters", name!();
    HostName, "HostName", "A name, or several with dots between: hv1.example.org", concat!(name!(), "(\\.", name!(), ")*");
    Address, "Address", "An IP address", address!();
    Cidr, "Prefix", "An address and a prefix length: 10.10.1.0/24", prefix!();
    Mac, "MacAddress", "Six pairs of hexadecimal digits: 02:00:00:00:00:01", "[0-9A-Fa-f]{2}(:[0-9A-Fa-f]{2}){5}";
    Vlan, "VlanId", "A VLAN from 1 to 4094", "([1-9][0-9]{0,2}|[1-3][0-9]{3}|40[0-8][0-9]|409[0-4])";
    Renamed, "Renamed", "What an object was, or is, called: network/web",
        concat!("(network|port|vtep|router|group|address-group|firewall-rule)/", name!());
    GroupPrefix, "GroupPrefix", "An address, or a prefix", concat!("(", address!(), "|", prefix!(), ")");
    NamePattern, "NamePattern", "A name in which * stands for anything and ? for one character: web-*", "[a-z0-9*?-]{1,63}";
    Selector, "Selector", "any, group/NAME, address-group/NAME, network/NAME, an address or a prefix",
        concat!("(any|(group|address-group|network)/", name!(), "|", address!(), "|", prefix!(), ")");
    CheckSide, "CheckSide", "any, group/NAME, network/NAME or port/NAME",
        concat!("(any|(group|network|port)/", name!(), ")");
    Service, "Service", "any, tcp/443, udp/8000-8080, icmp/8, icmpv6/128, tcp, udp, icmp, icmpv6 or ip/PROTOCOL",
        "(any|(tcp|udp)(/[0-9]{1,5}(-[0-9]{1,5})?)?|icmp(v6)?(/[0-9]{1,3}){0,2}|ip/[0-9]{1,3})";
}

/// Types that are written as one of several things.
macro_rules! forms {
    ($($type:ty, $name:literal, |$generator:ident| $schema:expr;)*) => {$(
        impl JsonSchema for $type {
            fn inline_schema() -> bool {
                true
            }

            fn schema_name() -> Cow<'static, str> {
                $name.into()
            }

            fn json_schema($generator: &mut SchemaGenerator) -> Schema {
                $schema
            }
        }
    )*};
}

fn time(says: &str) -> Schema {
    json_schema!({
        "type": ["string", "integer"], "description": format!("{says}: 90s, 30m, 12h, 7d"),
        "pattern": "^[0-9]+[smhd]?$", "minimum": 1,
    })
}

/// A network of a trunk, a subnet, DHCP: a word or a table.
pub(crate) struct WordOrTable<W, T>(std::marker::PhantomData<(W, T)>);

impl<W: JsonSchema, T: JsonSchema> JsonSchema for WordOrTable<W, T> {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        format!("{}Or{}", W::schema_name(), T::schema_name()).into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let word = generator.subschema_for::<W>();
        let table = generator.subschema_for::<T>();
        json_schema!({ "anyOf": [word, table] })
    }
}

forms! {
    Label, "Label", |_generator| json_schema!({
        "type": ["string", "number", "boolean"], "description": "Letters, digits, -, _ and dots",
        "pattern": "^[A-Za-z0-9._-]{1,63}$",
    });
    PacketRate, "PacketRate", |_generator| json_schema!({
        "anyOf": [{ "type": "integer", "minimum": 1, "maximum": u32::MAX }, { "const": "unlimited" }],
        "description": "Packets a second, or unlimited",
    });
    LeaseTime, "LeaseTime", |_generator| time("From a minute to a month");
    ShutTime, "ShutTime", |_generator| time("From a second to a day");
    AddressGroup, "AddressGroup", |generator| Vec::<GroupPrefix>::json_schema(generator);
    Subnet, "Subnet", |generator| {
        let (prefix, address) = (generator.subschema_for::<Cidr>(), generator.subschema_for::<Address>());
        json_schema!({
            "anyOf": [prefix, {
                "type": "object", "additionalProperties": false, "required": ["prefix"],
                "properties": {
                    "prefix": prefix,
                    "gateway": address,
                    "dhcp": { "type": "boolean", "description": "DHCP offers addresses of this subnet" },
                },
            }],
        })
    };
    AllowedAddress, "AllowedAddress", |generator| {
        let (address, mac) = (generator.subschema_for::<Address>(), generator.subschema_for::<Mac>());
        json_schema!({
            "anyOf": [address, {
                "type": "object", "additionalProperties": false, "required": ["ip"],
                "properties": { "ip": address, "mac": mac },
            }],
        })
    };
}

/// One thing, or a list of them, in schemas.
pub(crate) struct OneOrMore<T>(std::marker::PhantomData<T>);

impl<T: JsonSchema> JsonSchema for OneOrMore<T> {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        format!("OneOrMore{}", T::schema_name()).into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let one = generator.subschema_for::<T>();
        json_schema!({ "anyOf": [one, { "type": "array", "items": one }] })
    }
}

/// The schema of what `coax apply` takes: a project, or the operator's rails.
pub fn files() -> Value {
    let mut generator = SchemaSettings::draft2020_12().into_generator();
    let stack = generator.subschema_for::<StackFile>();
    let rails = generator.subschema_for::<RailsFile>();
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Coax stack file",
        "description": "A project, or with `rails` and without `project` the operator's rails",
        "if": { "required": ["rails"], "not": { "required": ["project"] } },
        "then": rails,
        "else": stack,
        "$defs": generator.take_definitions(true),
    })
}
