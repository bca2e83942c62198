//! A cursor over untrusted bytes that reads the format's primitives and metadata values. A length is
//! checked against the bytes that are left before anything is reserved for it, and all that is
//! reserved against one budget, so that a lie costs neither a panic nor memory.
//!
//! `what` names the record for error messages; it is formatted only when there is one.

use std::fmt::Arguments;

use gguf_rs_lib::format::constants::GGUF_MAX_METADATA_DECODED_SIZE as BUDGET;

use super::{GgufError, MetadataArray, MetadataValue, ValueType};

/// Deeper nesting of arrays than any known file has; it bounds what nested lies can reserve.
const MAX_NESTING: usize = 4;

type Result<T> = std::result::Result<T, GgufError>;

/// A position in the file, and the memory that the header may still take.
pub(super) struct Reader<'a> {
    bytes: &'a [u8],
    position: usize,
    budget: usize,
}

impl<'a> Reader<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, position: 0, budget: BUDGET }
    }

    /// Bytes read so far.
    pub(super) fn position(&self) -> u64 {
        self.position as u64
    }

    fn remaining(&self) -> u64 {
        (self.bytes.len() - self.position) as u64
    }

    /// Takes `n` bytes of memory off the budget.
    pub(super) fn charge(&mut self, n: usize) -> Result<()> {
        let left = self.budget.checked_sub(n);
        self.budget = left.ok_or(GgufError::HeaderTooLarge { limit: BUDGET })?;
        Ok(())
    }

    fn take(&mut self, n: u64, what: Arguments) -> Result<&'a [u8]> {
        let rest = self.bytes.get(self.position..).unwrap_or_default();
        let taken = usize::try_from(n).ok().and_then(|n| rest.get(..n));
        let taken = taken.ok_or_else(|| GgufError::Truncated {
            what: what.to_string(),
            offset: self.position(),
            needed: n,
            available: self.remaining(),
        })?;
        self.position += taken.len();
        Ok(taken)
    }

    /// The next `N` bytes.
    pub(super) fn array<const N: usize>(&mut self, what: Arguments) -> Result<[u8; N]> {
        let mut array = [0; N];
        array.copy_from_slice(self.take(N as u64, what)?);
        Ok(array)
    }

    pub(super) fn u32(&mut self, what: Arguments) -> Result<u32> {
        self.array(what).map(u32::from_le_bytes)
    }

    pub(super) fn u64(&mut self, what: Arguments) -> Result<u64> {
        self.array(what).map(u64::from_le_bytes)
    }

    /// A count of entries that take `least` bytes each or more: the file must have room for them.
    pub(super) fn count(&mut self, least: u64, what: Arguments) -> Result<usize> {
        let count = self.u64(what)?;
        let most = self.remaining() / least;
        let fits = usize::try_from(count).ok().filter(|_| count <= most);
        fits.ok_or_else(|| GgufError::CountTooLarge { what: what.to_string(), count, most })
    }

    fn text(&mut self, what: Arguments) -> Result<String> {
        let len = self.u64(what)?;
        let bytes = self.take(len, what)?;
        self.charge(bytes.len())?;
        String::from_utf8(bytes.to_vec()).map_err(|_| GgufError::NotUtf8 { what: what.to_string() })
    }

    /// A key or a name of 1 to `most` bytes.
    pub(super) fn name(&mut self, most: usize, what: Arguments) -> Result<String> {
        let name = self.text(what)?;
        let what = || what.to_string();
        match name.len() {
            0 => Err(GgufError::EmptyName { what: what() }),
            len if len > most => Err(GgufError::NameTooLong { what: what(), len, most }),
            _ => Ok(name),
        }
    }

    /// A metadata value with its type before it.
    pub(super) fn typed_value(&mut self, what: Arguments) -> Result<MetadataValue> {
        let ty = self.value_type(what)?;
        self.value(ty, 0, what)
    }

    fn value_type(&mut self, what: Arguments) -> Result<ValueType> {
        let id = self.u32(what)?;
        ValueType::from_u32(id).map_err(|_| GgufError::UnknownValueType { what: what.to_string(), id })
    }

    fn value(&mut self, ty: ValueType, depth: usize, what: Arguments) -> Result<MetadataValue> {
        match ty {
            ValueType::String => self.text(what).map(MetadataValue::String),
            ValueType::Array => self.values(depth + 1, what),
            scalar => {
                let mut bytes = self.take(least_size(scalar), what)?;
                let first = bytes.first().copied().unwrap_or_default();
                // With all its bytes there, only a boolean can be wrong.
                MetadataValue::read_from(&mut bytes, scalar)
                    .map_err(|_| GgufError::BadBool { what: what.to_string(), found: first })
            }
        }
    }

    /// An array: the type of its elements, their number, the elements.
    fn values(&mut self, depth: usize, what: Arguments) -> Result<MetadataValue> {
        if depth > MAX_NESTING {
            return Err(GgufError::NestedTooDeep { what: what.to_string(), most: MAX_NESTING });
        }
        let element_type = self.value_type(what)?;
        let count = self.count(least_size(element_type), what)?;
        self.charge(size_of::<MetadataArray>())?;
        self.charge(count.saturating_mul(size_of::<MetadataValue>()))?;
        let mut values = Vec::with_capacity(count);
        for _ in 0..count {
            values.push(self.value(element_type, depth, what)?);
        }
        Ok(MetadataValue::Array(Box::new(MetadataArray { element_type, length: count as u64, values })))
    }
}

/// The fewest bytes that a value of this type takes in the file; for a scalar, its size.
fn least_size(ty: ValueType) -> u64 {
    const EMPTY_STRING: u64 = 8;
    const EMPTY_ARRAY: u64 = 4 + 8;
    match ty {
        ValueType::String => EMPTY_STRING,
        ValueType::Array => EMPTY_ARRAY,
        scalar => scalar.size_in_bytes().map_or(1, |size| size as u64),
    }
}
