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

impl<'de, S, L> Deserialize<'de> for Written<S, L>
where
    S: FromStr<Err: fmt::Display>,
    L: Deserialize<'de>,
{
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Either(PhantomData))
    }
}

/// A word that `S` reads, however YAML or JSON would understand it: `80`, `true`, `web`.
pub(crate) fn word<'de, S, D>(deserializer: D) -> Result<S, D::Error>
where
    S: FromStr<Err: fmt::Display>,
    D: Deserializer<'de>,
{
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

struct Either<S, L>(PhantomData<(S, L)>);

impl<'de, S, L> Visitor<'de> for Either<S, L>
where
    S: FromStr<Err: fmt::Display>,
    L: Deserialize<'de>,
{
    type Value = Written<S, L>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a word or a table")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Self::Value, E> {
        text.parse().map(Written::Short).map_err(E::custom)
    }

    fn visit_bool<E: de::Error>(self, value: bool) -> Result<Self::Value, E> {
        self.visit_str(if value { "true" } else { "false" })
    }

    fn visit_u64<E: de::Error>(self, value: u64) -> Result<Self::Value, E> {
        self.visit_str(&value.to_string())
    }

    fn visit_i64<E: de::Error>(self, value: i64) -> Result<Self::Value, E> {
        self.visit_str(&value.to_string())
    }

    fn visit_f64<E: de::Error>(self, value: f64) -> Result<Self::Value, E> {
        self.visit_str(&value.to_string())
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
        L::deserialize(MapAccessDeserializer::new(map)).map(Written::Long)
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

/// Serialises as text and reads text with the given error for what it cannot read.
macro_rules! text_form {
    ($($type:ty),*) => {$(
        impl serde::Serialize for $type {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> serde::Deserialize<'de> for $type {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                crate::written::word(deserializer)
            }
        }
    )*};
}

pub(crate) use text_form;
