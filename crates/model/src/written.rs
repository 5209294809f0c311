//! Values that may be written in a short and a long form: a word or a table, one thing or a list.

use std::fmt;
use std::marker::PhantomData;
use std::str::FromStr;

use serde::de::value::MapAccessDeserializer;
use serde::de::{self, Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};

/// A value in its short form, a word that `S` reads, or in its long form, a table that `L` reads.
pub(crate) enum Written<S, L> {
    /// The word.
    Short(S),
    /// The table.
    Long(L),
}

/// A short form.
pub(crate) trait Short: Sized {
    /// From a word.
    fn of_word(text: &str) -> Result<Self, String>;

    /// From what YAML takes for a truth value.
    fn of_bool(_value: bool) -> Result<Self, String> {
        Err(taken_for("a truth value"))
    }

    /// From what YAML takes for a number.
    fn of_number(_value: u64) -> Result<Self, String> {
        Err(taken_for("a number"))
    }
}

/// Every short form that is a text.
macro_rules! short_text {
    ($($type:ty),*) => {$(
        impl crate::written::Short for $type {
            fn of_word(text: &str) -> Result<Self, String> {
                text.parse().map_err(|error| format!("{error}"))
            }
        }
    )*};
}

pub(crate) use short_text;

short_text!(crate::name::Name, std::net::IpAddr);

impl Short for bool {
    fn of_word(text: &str) -> Result<Self, String> {
        Err(format!("`{text}` is neither `true` nor `false`"))
    }

    fn of_bool(value: bool) -> Result<Self, String> {
        Ok(value)
    }
}

impl<'de, S: Short, L: Deserialize<'de>> Deserialize<'de> for Written<S, L> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Either(PhantomData))
    }
}

struct Either<S, L>(PhantomData<(S, L)>);

impl<'de, S: Short, L: Deserialize<'de>> Visitor<'de> for Either<S, L> {
    type Value = Written<S, L>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a word or a table")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Self::Value, E> {
        S::of_word(text).map(Written::Short).map_err(E::custom)
    }

    fn visit_bool<E: de::Error>(self, value: bool) -> Result<Self::Value, E> {
        S::of_bool(value).map(Written::Short).map_err(E::custom)
    }

    fn visit_u64<E: de::Error>(self, value: u64) -> Result<Self::Value, E> {
        S::of_number(value).map(Written::Short).map_err(E::custom)
    }

    fn visit_i64<E: de::Error>(self, _: i64) -> Result<Self::Value, E> {
        Err(E::custom(taken_for("a number")))
    }

    fn visit_f64<E: de::Error>(self, _: f64) -> Result<Self::Value, E> {
        Err(E::custom(taken_for("a number")))
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
        L::deserialize(MapAccessDeserializer::new(map)).map(Written::Long)
    }
}

fn taken_for(what: &str) -> String {
    format!("YAML takes this for {what}: put it in quotes if a name is meant")
}

/// A short form without a long one.
pub(crate) fn word<'de, S: Short, D: Deserializer<'de>>(deserializer: D) -> Result<S, D::Error> {
    match deserializer.deserialize_any(Either::<S, Nothing>(PhantomData))? {
        Written::Short(value) => Ok(value),
        Written::Long(nothing) => match nothing {},
    }
}

/// The long form of what has none.
enum Nothing {}

impl<'de> Deserialize<'de> for Nothing {
    fn deserialize<D: Deserializer<'de>>(_: D) -> Result<Self, D::Error> {
        Err(de::Error::custom("a table is written where a word belongs"))
    }
}

/// One thing, or a list of them.
pub(crate) fn one_or_more<'de, T, D>(deserializer: D) -> Result<Vec<T>, D::Error>
where
    T: FromStr<Err: fmt::Display> + Deserialize<'de>,
    D: Deserializer<'de>,
{
    deserializer.deserialize_any(OneOrMore(PhantomData))
}

struct OneOrMore<T>(PhantomData<T>);

impl<'de, T> Visitor<'de> for OneOrMore<T>
where
    T: FromStr<Err: fmt::Display> + Deserialize<'de>,
{
    type Value = Vec<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("one thing or a list of them")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Vec<T>, E> {
        text.parse().map(|one| vec![one]).map_err(E::custom)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Vec<T>, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element()? {
            list.push(item);
        }
        Ok(list)
    }
}

/// Whether a value is what it would be if nothing were written.
pub(crate) fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

/// Serialises as text, and reads the text as it is written, also where YAML would take it for a number
/// or a truth value.
macro_rules! text_form {
    ($($type:ty),*) => {$(
        impl serde::Serialize for $type {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> serde::Deserialize<'de> for $type {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = <String as serde::Deserialize>::deserialize(deserializer)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }
    )*};
}

pub(crate) use text_form;
