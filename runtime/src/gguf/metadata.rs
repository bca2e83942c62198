//! Typed access to the metadata: an absent key is `None`, a key that holds something else is an
//! error that names it.

use super::{Gguf, GgufError, MetadataValue};
use crate::error::Result;

/// Why a value is not what was asked for.
enum Misfit {
    Type,
    Range(i128),
}

type Fit<T> = std::result::Result<T, Misfit>;

/// Each of these gives `None` if the key is absent.
///
/// # Errors
/// [`GgufError::WrongType`] if the key holds another kind of value, and, where an integer is asked
/// for, [`GgufError::OutOfRange`] if it does not fit. Integers of every width are accepted.
impl Gguf {
    /// The value as it stands in the file.
    pub fn get(&self, key: &str) -> Option<&MetadataValue> {
        self.header.value(key)
    }

    /// An integer that fits `u32`.
    pub fn get_u32(&self, key: &str) -> Result<Option<u32>> {
        self.scalar(key, "u32", integer)
    }

    /// An integer that fits `u64`.
    pub fn get_u64(&self, key: &str) -> Result<Option<u64>> {
        self.scalar(key, "u64", integer)
    }

    /// A floating-point number, rounded to `f32` if the file has `f64`.
    pub fn get_f32(&self, key: &str) -> Result<Option<f32>> {
        self.scalar(key, "a floating-point number", float)
    }

    /// A boolean.
    pub fn get_bool(&self, key: &str) -> Result<Option<bool>> {
        self.scalar(key, "a boolean", |value| value.as_bool().ok_or(Misfit::Type))
    }

    /// A string.
    pub fn get_str(&self, key: &str) -> Result<Option<&str>> {
        self.scalar(key, "a string", text)
    }

    /// An array of strings.
    pub fn get_strs(&self, key: &str) -> Result<Option<Vec<&str>>> {
        self.array(key, "an array of strings", text)
    }

    /// An array of floating-point numbers, rounded to `f32` if the file has `f64`.
    pub fn get_f32s(&self, key: &str) -> Result<Option<Vec<f32>>> {
        self.array(key, "an array of floating-point numbers", float)
    }

    /// An array of integers that fit `i32`.
    pub fn get_i32s(&self, key: &str) -> Result<Option<Vec<i32>>> {
        self.array(key, "an array of i32", integer)
    }

    /// An array of integers that fit `u32`.
    pub fn get_u32s(&self, key: &str) -> Result<Option<Vec<u32>>> {
        self.array(key, "an array of u32", integer)
    }

    fn scalar<'a, T>(
        &'a self,
        key: &str,
        expected: &'static str,
        convert: impl Fn(&'a MetadataValue) -> Fit<T>,
    ) -> Result<Option<T>> {
        let Some(value) = self.get(key) else {
            return Ok(None);
        };
        let converted = convert(value).map_err(|misfit| refusal(key, expected, value, misfit));
        Ok(Some(converted?))
    }

    fn array<'a, T>(
        &'a self,
        key: &str,
        expected: &'static str,
        convert: impl Fn(&'a MetadataValue) -> Fit<T>,
    ) -> Result<Option<Vec<T>>> {
        self.scalar(key, expected, |value| match value {
            MetadataValue::Array(array) => array.values.iter().map(&convert).collect(),
            _ => Err(Misfit::Type),
        })
    }
}

fn integer<T: TryFrom<i128>>(value: &MetadataValue) -> Fit<T> {
    let wide = match value.as_u64() {
        Some(unsigned) => i128::from(unsigned),
        None => i128::from(value.as_i64().ok_or(Misfit::Type)?),
    };
    T::try_from(wide).map_err(|_| Misfit::Range(wide))
}

fn float(value: &MetadataValue) -> Fit<f32> {
    value.as_f64().map(|wide| wide as f32).ok_or(Misfit::Type)
}

fn text(value: &MetadataValue) -> Fit<&str> {
    value.as_str().ok_or(Misfit::Type)
}

fn refusal(key: &str, expected: &'static str, value: &MetadataValue, misfit: Misfit) -> GgufError {
    let key = key.to_owned();
    match misfit {
        Misfit::Range(value) => GgufError::OutOfRange { key, expected, value },
        Misfit::Type => GgufError::WrongType { key, expected, found: describe(value) },
    }
}

fn describe(value: &MetadataValue) -> String {
    match value {
        MetadataValue::Array(array) => format!("an array of {}", array.element_type),
        other => format!("a value of type {}", other.value_type()),
    }
}
