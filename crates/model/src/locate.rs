//! From a field path back to the line and column of a YAML text.

use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_saphyr::{Location, Spanned};

use crate::diagnostic::{FieldPath, Place, Step};

/// The places of all fields of a text.
#[derive(Debug)]
pub struct Places(Option<Spanned<Node>>);

/// The shape of a text without its values.
#[derive(Debug)]
enum Node {
    Leaf,
    List(Vec<Spanned<Node>>),
    Table(Vec<(Spanned<String>, Spanned<Node>)>),
}

impl Places {
    /// Reads the shape of a text. A text that is not YAML has no places.
    pub fn of(text: &str) -> Self {
        Self(serde_saphyr::from_str(text).ok())
    }

    /// The place of a field, or of the nearest thing around it that was written: the value if it is
    /// one word, otherwise the key in front of it.
    pub fn find(&self, path: &FieldPath) -> Option<Place> {
        let mut node = self.0.as_ref()?;
        let mut place = None;
        for step in &path.0 {
            let (key, value) = match (step, &node.value) {
                (Step::Key(name), Node::Table(entries)) => {
                    match entries.iter().find(|(key, _)| key.value == *name) {
                        Some((key, value)) => (Some(key.referenced), value),
                        None => break,
                    }
                }
                (Step::Item(number), Node::List(items)) => match items.get(*number) {
                    Some(item) => (None, item),
                    None => break,
                },
                _ => break,
            };
            place = match (&value.value, key) {
                (Node::List(_) | Node::Table(_), Some(key)) => place_of(key),
                _ => place_of(value.referenced),
            };
            node = value;
        }
        place
    }
}

/// Our form of a location of the YAML library, if it knows the place.
pub(crate) fn place_of(location: Location) -> Option<Place> {
    let known = location != Location::UNKNOWN;
    let line = usize::try_from(location.line()).ok()?;
    let column = usize::try_from(location.column()).ok()?;
    known.then_some(Place { line, column })
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Shape)
    }
}

struct Shape;

macro_rules! leaf {
    ($($visit:ident: $type:ty),*) => {$(
        fn $visit<E>(self, _: $type) -> Result<Node, E> {
            Ok(Node::Leaf)
        }
    )*};
}

impl<'de> Visitor<'de> for Shape {
    type Value = Node;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("anything")
    }

    leaf!(visit_bool: bool, visit_i64: i64, visit_u64: u64, visit_i128: i128, visit_u128: u128,
        visit_f64: f64, visit_str: &str, visit_bytes: &[u8]);

    fn visit_unit<E>(self) -> Result<Node, E> {
        Ok(Node::Leaf)
    }

    fn visit_none<E>(self) -> Result<Node, E> {
        Ok(Node::Leaf)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Node, D::Error> {
        Node::deserialize(deserializer)
    }

    fn visit_newtype_struct<D: Deserializer<'de>>(self, inner: D) -> Result<Node, D::Error> {
        IgnoredAny::deserialize(inner).map(|_| Node::Leaf)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Node, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element()? {
            list.push(item);
        }
        Ok(Node::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Node, A::Error> {
        let mut table = Vec::new();
        while let Some(entry) = entries.next_entry()? {
            table.push(entry);
        }
        Ok(Node::Table(table))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod tests {
    use super::*;

    const TEXT: &str = "\
version: 1
networks:
  web: { subnets: [10.0.0.0/24, \"fd00::/64\"], vni: 5 }
ports:
  web-1:
    network: web
";

    fn find(path: &str) -> Option<(usize, usize)> {
        let place = Places::of(TEXT).find(&path.parse().unwrap());
        place.map(|place| (place.line, place.column))
    }

    #[test]
    fn values_items_and_keys_are_found() {
        assert_eq!(find("networks.web.vni"), Some((3, 52)));
        assert_eq!(find("networks.web.subnets[1]"), Some((3, 33)));
        assert_eq!(find("networks.web.subnets"), Some((3, 10)));
        assert_eq!(find("ports.web-1"), Some((5, 3)));
    }

    #[test]
    fn what_was_left_out_is_shown_where_it_would_be() {
        assert_eq!(find("ports.web-1.mac"), Some((5, 3)));
        assert_eq!(find("vteps.x"), None);
        assert_eq!(Places::of("{").find(&FieldPath::keys(&["a"])), None);
    }
}
