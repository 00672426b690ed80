//! Reads JSON as Go's `encoding/json` does: keys without regard to case, `null` as "not given", unknown keys ignored, and errors
//! that name the field. It sits between serde_json's values and the derived code, which tells it the names of each struct.

use serde::de::value::StrDeserializer;
use serde::de::{
    self, DeserializeOwned, DeserializeSeed, Deserializer, EnumAccess, IntoDeserializer, MapAccess,
    SeqAccess, VariantAccess, Visitor,
};
use serde_json::{Map, Number, Value};
use std::fmt;

/// JSON that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DecodeError {
    /// The text is not JSON.
    Syntax(String),
    /// Nothing was sent.
    Empty,
    /// There is more text behind the JSON.
    Trailing,
    /// A value has another type than its field.
    Type {
        /// What was sent: `string`, `number 1.5`, `object` ...
        got: String,
        /// What the field holds, in Go's words.
        want: String,
        /// The innermost struct, empty outside of any.
        owner: String,
        /// From the outermost struct to the field.
        path: Vec<String>,
    },
    /// A value has the right type but makes no sense.
    Value {
        /// Why.
        why: String,
        /// From the outermost struct to the field.
        path: Vec<String>,
    },
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            DecodeError::Syntax(why) => write!(f, "invalid JSON: {why}"),
            DecodeError::Empty => f.write_str("invalid JSON: got EOF while reading request body"),
            DecodeError::Trailing => f.write_str("unexpected content after JSON"),
            DecodeError::Type {
                got, want, path, ..
            } if path.is_empty() => {
                write!(
                    f,
                    "invalid JSON: json: cannot unmarshal {got} into Go value of type {want}"
                )
            }
            DecodeError::Type {
                got,
                want,
                owner,
                path,
            } => {
                write!(
                    f,
                    "invalid JSON: json: cannot unmarshal {got} into Go struct field {owner}.{} of type {want}",
                    path.join(".")
                )
            }
            DecodeError::Value { why, path } if path.is_empty() => write!(f, "invalid JSON: {why}"),
            DecodeError::Value { why, path } => {
                write!(f, "invalid JSON: {}: {why}", path.join("."))
            }
        }
    }
}

impl std::error::Error for DecodeError {}

impl de::Error for DecodeError {
    fn custom<T: fmt::Display>(why: T) -> Self {
        DecodeError::Value {
            why: why.to_string(),
            path: Vec::new(),
        }
    }
}

impl DecodeError {
    fn inside(mut self, name: &str) -> Self {
        if let DecodeError::Type { path, .. } | DecodeError::Value { path, .. } = &mut self {
            path.insert(0, name.to_owned());
        }
        self
    }

    fn owned_by(mut self, name: &str) -> Self {
        if let DecodeError::Type { owner, .. } = &mut self
            && owner.is_empty()
        {
            name.clone_into(owner);
        }
        self
    }
}

/// Reads one value from the whole of `text`.
pub fn from_json<T: DeserializeOwned>(text: &[u8]) -> Result<T, DecodeError> {
    if text.iter().all(u8::is_ascii_whitespace) {
        return Err(DecodeError::Empty);
    }
    let mut values = serde_json::Deserializer::from_slice(text).into_iter::<Value>();
    let value = values
        .next()
        .ok_or(DecodeError::Empty)?
        .map_err(|err| DecodeError::Syntax(err.to_string()))?;
    if !text[values.byte_offset()..]
        .iter()
        .all(u8::is_ascii_whitespace)
    {
        return Err(DecodeError::Trailing);
    }
    from_value(value)
}

/// Reads a value that was parsed already.
pub fn from_value<T: DeserializeOwned>(value: Value) -> Result<T, DecodeError> {
    T::deserialize(GoValue(value))
}

struct GoValue(Value);

impl GoValue {
    fn mismatch(&self, want: impl Into<String>) -> DecodeError {
        let got = match &self.0 {
            Value::Null => "null".to_owned(),
            Value::Bool(_) => "bool".to_owned(),
            Value::Number(number) => format!("number {number}"),
            Value::String(_) => "string".to_owned(),
            Value::Array(_) => "array".to_owned(),
            Value::Object(_) => "object".to_owned(),
        };
        DecodeError::Type {
            got,
            want: want.into(),
            owner: String::new(),
            path: Vec::new(),
        }
    }
}

macro_rules! integers {
    ($($method:ident $visit:ident $type:ty = $go:literal, $get:ident;)*) => {$(
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
            let number = match &self.0 {
                Value::Null => Some(0),
                Value::Number(number) => number.$get().and_then(|wide| <$type>::try_from(wide).ok()),
                _ => None,
            };
            number.map_or_else(|| Err(self.mismatch($go)), |number| visitor.$visit(number))
        }
    )*};
}

impl<'de> Deserializer<'de> for GoValue {
    type Error = DecodeError;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        match self.0 {
            Value::Null => visitor.visit_unit(),
            Value::Bool(value) => visitor.visit_bool(value),
            Value::Number(number) => visit_number(number, visitor),
            Value::String(text) => visitor.visit_string(text),
            Value::Array(list) => visitor.visit_seq(GoList(list.into_iter())),
            Value::Object(map) => visitor.visit_map(GoMap::new(map, None)),
        }
    }

    integers! {
        deserialize_i8 visit_i8 i8 = "int8", as_i64;
        deserialize_i16 visit_i16 i16 = "int16", as_i64;
        deserialize_i32 visit_i32 i32 = "int32", as_i64;
        deserialize_i64 visit_i64 i64 = "int64", as_i64;
        deserialize_u8 visit_u8 u8 = "uint8", as_u64;
        deserialize_u16 visit_u16 u16 = "uint16", as_u64;
        deserialize_u32 visit_u32 u32 = "uint32", as_u64;
        deserialize_u64 visit_u64 u64 = "uint64", as_u64;
    }

    fn deserialize_f32<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        match &self.0 {
            Value::Null => visitor.visit_f32(0.0),
            Value::Number(number) => visitor.visit_f32(number.as_f64().unwrap_or(f64::MAX) as f32),
            _ => Err(self.mismatch("float32")),
        }
    }

    fn deserialize_f64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        match &self.0 {
            Value::Null => visitor.visit_f64(0.0),
            Value::Number(number) => visitor.visit_f64(number.as_f64().unwrap_or(f64::MAX)),
            _ => Err(self.mismatch("float64")),
        }
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        match self.0 {
            Value::Null => visitor.visit_bool(false),
            Value::Bool(value) => visitor.visit_bool(value),
            _ => Err(self.mismatch("bool")),
        }
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        match self.0 {
            Value::Null => visitor.visit_str(""),
            Value::String(text) => visitor.visit_string(text),
            _ => Err(self.mismatch("string")),
        }
    }

    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        self.deserialize_string(visitor)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        if self.0.is_null() {
            visitor.visit_none()
        } else {
            visitor.visit_some(self)
        }
    }

    fn deserialize_unit<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        visitor.visit_unit()
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        visitor: V,
    ) -> Result<V::Value, DecodeError> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        match self.0 {
            Value::Null => visitor.visit_seq(GoList(Vec::new().into_iter())),
            Value::Array(list) => visitor.visit_seq(GoList(list.into_iter())),
            _ => Err(self.mismatch("[]")),
        }
    }

    /// A Go array of fixed length: what is missing is zero, what is too much is dropped.
    fn deserialize_tuple<V: Visitor<'de>>(
        self,
        len: usize,
        visitor: V,
    ) -> Result<V::Value, DecodeError> {
        match self.0 {
            Value::Null => visitor.visit_seq(GoList(vec![Value::Null; len].into_iter())),
            Value::Array(mut list) => {
                list.resize(len, Value::Null);
                visitor.visit_seq(GoList(list.into_iter()))
            }
            _ => Err(self.mismatch("[]")),
        }
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        match self.0 {
            Value::Null => visitor.visit_map(GoMap::new(Map::new(), None)),
            Value::Object(map) => visitor.visit_map(GoMap::new(map, None)),
            _ => Err(self.mismatch("map")),
        }
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, DecodeError> {
        let nulls = NULL_CLEARS.contains(&name);
        match self.0 {
            Value::Null => visitor.visit_map(GoMap::new(Map::new(), None)),
            Value::Object(map) => visitor
                .visit_map(GoMap::new(known_fields(map, fields, nulls), Some(name)))
                .map_err(|err| err.owned_by(name)),
            _ => Err(self.mismatch(name)),
        }
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        name: &'static str,
        _variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, DecodeError> {
        match self.0 {
            Value::String(text) => visitor.visit_enum(UnitVariant(text)),
            _ => Err(self.mismatch(name)),
        }
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        visitor.visit_unit()
    }

    serde::forward_to_deserialize_any! { i128 u128 char bytes byte_buf unit_struct tuple_struct identifier }
}

fn visit_number<'de, V: Visitor<'de>>(number: Number, visitor: V) -> Result<V::Value, DecodeError> {
    if let Some(value) = number.as_u64() {
        visitor.visit_u64(value)
    } else if let Some(value) = number.as_i64() {
        visitor.visit_i64(value)
    } else {
        visitor.visit_f64(number.as_f64().unwrap_or(f64::MAX))
    }
}

/// Structs of ours in which `null` means something else than a missing key, see [`Change`](crate::starling::Change).
const NULL_CLEARS: &[&str] = &["StarlingServiceSpec", "StarlingNodeSpec"];

/// Keeps what the struct knows, under the struct's spelling; an exact key wins over one in another case. `null` is not given,
/// unless `nulls` are wanted.
fn known_fields(
    map: Map<String, Value>,
    fields: &'static [&'static str],
    nulls: bool,
) -> Map<String, Value> {
    let mut known = Map::new();
    let mut folded = Vec::new();
    for (key, value) in map
        .into_iter()
        .filter(|(_, value)| nulls || !value.is_null())
    {
        if fields.contains(&key.as_str()) {
            known.insert(key, value);
        } else if let Some(field) = fields.iter().find(|field| field.eq_ignore_ascii_case(&key)) {
            folded.push((*field, value));
        }
    }
    for (field, value) in folded {
        known.entry(field).or_insert(value);
    }
    known
}

struct GoList(std::vec::IntoIter<Value>);

impl<'de> SeqAccess<'de> for GoList {
    type Error = DecodeError;

    fn next_element_seed<T: DeserializeSeed<'de>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, DecodeError> {
        self.0
            .next()
            .map(|value| seed.deserialize(GoValue(value)))
            .transpose()
    }
}

struct GoMap {
    entries: serde_json::map::IntoIter,
    current: Option<(String, Value)>,
    owner: Option<&'static str>,
}

impl GoMap {
    fn new(map: Map<String, Value>, owner: Option<&'static str>) -> Self {
        GoMap {
            entries: map.into_iter(),
            current: None,
            owner,
        }
    }
}

impl<'de> MapAccess<'de> for GoMap {
    type Error = DecodeError;

    fn next_key_seed<K: DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, DecodeError> {
        self.current = self.entries.next();
        let Some((key, _)) = &self.current else {
            return Ok(None);
        };
        let key: StrDeserializer<'_, DecodeError> = key.as_str().into_deserializer();
        seed.deserialize(key).map(Some)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(
        &mut self,
        seed: V,
    ) -> Result<V::Value, DecodeError> {
        let (key, value) = self
            .current
            .take()
            .expect("serde asks for a value only after its key");
        seed.deserialize(GoValue(value)).map_err(|err| {
            if self.owner.is_some() {
                err.inside(&key)
            } else {
                err
            }
        })
    }
}

struct UnitVariant(String);

impl<'de> EnumAccess<'de> for UnitVariant {
    type Error = DecodeError;
    type Variant = Self;

    fn variant_seed<V: DeserializeSeed<'de>>(
        self,
        seed: V,
    ) -> Result<(V::Value, Self), DecodeError> {
        let name: StrDeserializer<'_, DecodeError> = self.0.as_str().into_deserializer();
        let variant = seed.deserialize(name)?;
        Ok((variant, self))
    }
}

impl<'de> VariantAccess<'de> for UnitVariant {
    type Error = DecodeError;

    fn unit_variant(self) -> Result<(), DecodeError> {
        Ok(())
    }

    fn newtype_variant_seed<T: DeserializeSeed<'de>>(
        self,
        _seed: T,
    ) -> Result<T::Value, DecodeError> {
        Err(GoValue(Value::String(self.0)).mismatch("object"))
    }

    fn tuple_variant<V: Visitor<'de>>(
        self,
        _len: usize,
        _visitor: V,
    ) -> Result<V::Value, DecodeError> {
        Err(GoValue(Value::String(self.0)).mismatch("array"))
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        _fields: &'static [&'static str],
        _visitor: V,
    ) -> Result<V::Value, DecodeError> {
        Err(GoValue(Value::String(self.0)).mismatch("object"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::container::Config;
    use crate::service::ServiceSpec;

    fn refused(text: &str) -> String {
        from_json::<ServiceSpec>(text.as_bytes())
            .unwrap_err()
            .to_string()
    }

    #[test]
    fn keys_match_in_any_case_and_null_is_nothing() {
        let spec: ServiceSpec =
            from_json(br#"{"name":"web","LABELS":null,"taskTemplate":{"containerspec":{"image":"a","Mounts":null,"Init":null}},"Mode":null,"Unknown":{"a":[1]}}"#).unwrap();
        assert_eq!(spec.name, "web");
        assert_eq!(spec.task_template.container_spec.unwrap().image, "a");
        let spec: ServiceSpec = from_json(br#"{"name":"wrong","Name":"right"}"#).unwrap();
        assert_eq!(spec.name, "right");
    }

    #[test]
    fn errors_name_the_field() {
        assert_eq!(
            refused(r#"{"TaskTemplate":{"ForceUpdate":"1"}}"#),
            "invalid JSON: json: cannot unmarshal string into Go struct field TaskSpec.TaskTemplate.ForceUpdate of type uint64"
        );
        assert_eq!(
            refused(r#"{"Mode":{"Replicated":{"Replicas":-1}}}"#),
            "invalid JSON: json: cannot unmarshal number -1 into Go struct field ReplicatedService.Mode.Replicated.Replicas of type uint64"
        );
        assert_eq!(
            refused(r#"{"Mode":{"Replicated":{"Replicas":1.5}}}"#),
            "invalid JSON: json: cannot unmarshal number 1.5 into Go struct field ReplicatedService.Mode.Replicated.Replicas of type uint64"
        );
        assert_eq!(
            refused(r#"{"Labels":{"a":1}}"#),
            "invalid JSON: json: cannot unmarshal number 1 into Go struct field ServiceSpec.Labels of type string"
        );
        assert_eq!(
            refused(r#"{"Mode":[]}"#),
            "invalid JSON: json: cannot unmarshal array into Go struct field ServiceSpec.Mode of type ServiceMode"
        );
        assert_eq!(
            refused("[]"),
            "invalid JSON: json: cannot unmarshal array into Go value of type ServiceSpec"
        );
    }

    #[test]
    fn bodies_that_are_not_one_json_value() {
        assert_eq!(
            refused(""),
            "invalid JSON: got EOF while reading request body"
        );
        assert_eq!(refused("{} {}"), "unexpected content after JSON");
        assert!(
            refused("{\"Name\":").starts_with("invalid JSON: EOF"),
            "{}",
            refused("{\"Name\":")
        );
        assert!(from_json::<ServiceSpec>(b"{}\n").is_ok());
        assert!(refused(&format!("{}{}", "[".repeat(500), "]".repeat(500))).contains("recursion"));
    }

    #[test]
    fn a_command_is_a_list_or_a_word() {
        let read = |text: &str| {
            from_json::<Config>(text.as_bytes())
                .unwrap()
                .cmd
                .map(|cmd| cmd.0)
        };
        assert_eq!(read(r#"{"Cmd":"top"}"#), Some(vec!["top".to_owned()]));
        assert_eq!(
            read(r#"{"Cmd":["top","-b"]}"#),
            Some(vec!["top".to_owned(), "-b".to_owned()])
        );
        assert_eq!(read(r#"{"Cmd":null}"#), None);
        assert!(
            from_json::<Config>(br#"{"Cmd":[1]}"#)
                .unwrap_err()
                .to_string()
                .contains("Cmd")
        );
    }
}
