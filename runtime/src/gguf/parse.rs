//! Reads the header: counts, metadata, tensor records; then places every tensor in the data section
//! and checks that each lies inside the file and none overlaps another.

use gguf_rs_lib::format::constants::{
    GGUF_DEFAULT_ALIGNMENT, GGUF_MAX_DIMENSIONS, GGUF_MAX_METADATA_KEY_LENGTH, GGUF_MAX_TENSOR_NAME_LENGTH,
};

use super::{GgufError, MetadataValue, TensorInfo, TensorType, reader::Reader};

/// The smallest metadata entry: key length, a key of one byte, type, a value of one byte.
const LEAST_ENTRY: u64 = 8 + 1 + 4 + 1;
/// The smallest tensor record: name length, a name of one byte, rank, one dimension, type, offset.
const LEAST_TENSOR: u64 = 8 + 1 + 4 + 8 + 4 + 8;

type Result<T> = std::result::Result<T, GgufError>;

/// The checked header of a file.
pub(super) struct Header {
    pub(super) version: u32,
    pub(super) metadata: Vec<(String, MetadataValue)>,
    pub(super) tensors: Vec<TensorInfo>,
    keys: NameIndex,
    names: NameIndex,
}

impl Header {
    /// Reads and checks the header of a whole file.
    pub(super) fn parse(file: &[u8]) -> Result<Header> {
        let mut reader = Reader::new(file);
        let version = read_version(&mut reader)?;
        let n_tensors = reader.count(LEAST_TENSOR, format_args!("the tensor count"))?;
        let n_entries = reader.count(LEAST_ENTRY, format_args!("the metadata count"))?;

        let metadata = (0..n_entries).map(|i| read_entry(&mut reader, i)).collect::<Result<Vec<_>>>()?;
        let keys = NameIndex::new(metadata.len(), |i| &metadata[i].0)
            .map_err(|key| GgufError::DuplicateKey { key })?;

        let records = (0..n_tensors).map(|i| Record::read(&mut reader, i)).collect::<Result<Vec<_>>>()?;
        let names = NameIndex::new(records.len(), |i| &records[i].name)
            .map_err(|tensor| GgufError::DuplicateTensor { tensor })?;

        let alignment = alignment(&metadata)?;
        let tensors = place(records, reader.position(), alignment, file.len() as u64)?;
        Ok(Header { version, metadata, tensors, keys, names })
    }

    /// The metadata value under `key`.
    pub(super) fn value(&self, key: &str) -> Option<&MetadataValue> {
        let found = self.keys.find(key, |i| &self.metadata[i].0)?;
        self.metadata.get(found).map(|(_, value)| value)
    }

    /// The tensor called `name`.
    pub(super) fn tensor(&self, name: &str) -> Option<&TensorInfo> {
        let found = self.names.find(name, |i| &self.tensors[i].name)?;
        self.tensors.get(found)
    }
}

/// Positions of named things in order of their names: finds one without a second copy of the names.
struct NameIndex(Vec<usize>);

impl NameIndex {
    /// Sorts `len` positions; a name that occurs twice is the error.
    fn new<'a>(len: usize, name: impl Fn(usize) -> &'a String) -> std::result::Result<Self, String> {
        let mut order: Vec<usize> = (0..len).collect();
        order.sort_unstable_by_key(|&i| name(i));
        match order.array_windows().find(|&&[a, b]| name(a) == name(b)) {
            Some(&[twice, _]) => Err(name(twice).clone()),
            None => Ok(Self(order)),
        }
    }

    fn find<'a>(&self, wanted: &str, name: impl Fn(usize) -> &'a String) -> Option<usize> {
        let found = self.0.binary_search_by(|&i| name(i).as_str().cmp(wanted));
        found.ok().and_then(|at| self.0.get(at).copied())
    }
}

fn read_version(reader: &mut Reader) -> Result<u32> {
    let what = format_args!("the magic and version");
    match &reader.array(what)? {
        b"GGUF" => {}
        b"FUGG" => return Err(GgufError::BigEndian),
        &found => return Err(GgufError::NotGguf { found }),
    }
    match reader.u32(what)? {
        version @ (2 | 3) => Ok(version),
        version if (1..=3).contains(&version.swap_bytes()) => Err(GgufError::BigEndian),
        version => Err(GgufError::UnsupportedVersion { version }),
    }
}

fn read_entry(reader: &mut Reader, i: usize) -> Result<(String, MetadataValue)> {
    reader.charge(size_of::<(String, MetadataValue)>())?;
    let key = reader.name(GGUF_MAX_METADATA_KEY_LENGTH, format_args!("metadata key {i}"))?;
    let value = reader.typed_value(format_args!("the value of {key:?}"))?;
    Ok((key, value))
}

/// The alignment of the data section.
fn alignment(metadata: &[(String, MetadataValue)]) -> Result<u64> {
    let entry = metadata.iter().find(|(key, _)| key == "general.alignment");
    let Some((key, value)) = entry else {
        return Ok(GGUF_DEFAULT_ALIGNMENT as u64);
    };
    let alignment = value.as_u64().ok_or_else(|| GgufError::WrongType {
        key: key.clone(),
        expected: "an unsigned integer",
        found: format!("a value of type {}", value.value_type()),
    })?;
    if alignment.is_power_of_two() && alignment >= 8 {
        Ok(alignment)
    } else {
        Err(GgufError::BadAlignment { alignment })
    }
}

/// A tensor record, all checked but its place.
struct Record {
    name: String,
    dims: Vec<u64>,
    ty: TensorType,
    n_bytes: u64,
    /// From the start of the data section.
    offset: u64,
}

impl Record {
    fn read(reader: &mut Reader, i: usize) -> Result<Record> {
        reader.charge(size_of::<Record>() + size_of::<TensorInfo>())?;
        let name = reader.name(GGUF_MAX_TENSOR_NAME_LENGTH, format_args!("the name of tensor {i}"))?;
        let what = format_args!("the record of tensor {name:?}");
        let rank = reader.u32(what)?;
        if !(1..=GGUF_MAX_DIMENSIONS as u32).contains(&rank) {
            return Err(GgufError::DimensionCount { tensor: name, count: rank });
        }
        let dims = (0..rank).map(|_| reader.u64(what)).collect::<Result<Vec<_>>>()?;
        let id = reader.u32(what)?;
        let offset = reader.u64(what)?;
        let ty = TensorType::from_u32(id)
            .map_err(|_| GgufError::UnknownTensorType { tensor: name.clone(), id })?;
        let n_bytes = size(&name, &dims, ty)?;
        Ok(Record { name, dims, ty, n_bytes, offset })
    }

    /// Finds the bytes of the tensor in the file, whose data section starts at `base`.
    fn place(self, base: u64, alignment: u64, file_len: u64) -> Result<TensorInfo> {
        let Record { name, dims, ty, n_bytes, offset } = self;
        if !offset.is_multiple_of(alignment) {
            return Err(GgufError::Unaligned { tensor: name, offset, alignment });
        }
        let start = base.checked_add(offset);
        let end = start.and_then(|start| start.checked_add(n_bytes));
        match (start, end) {
            (Some(start), Some(end)) if end <= file_len => {
                Ok(TensorInfo { name, dims, ty, range: start as usize..end as usize })
            }
            _ => Err(GgufError::OutsideFile {
                tensor: name,
                offset,
                bytes: n_bytes,
                data_len: file_len.saturating_sub(base),
            }),
        }
    }
}

/// The size of a tensor in bytes: rows must be whole blocks, and nothing may overflow.
fn size(name: &str, dims: &[u64], ty: TensorType) -> Result<u64> {
    if dims.contains(&0) {
        return Err(GgufError::ZeroDimension { tensor: name.to_owned(), dims: dims.to_owned() });
    }
    let cols = dims.first().copied().unwrap_or_default();
    let block = ty.block_size() as u64;
    if !cols.is_multiple_of(block) {
        return Err(GgufError::PartialBlock { tensor: name.to_owned(), cols, ty, block });
    }
    let elements = dims.iter().try_fold(1u64, |n, &dim| n.checked_mul(dim));
    let countable = elements.filter(|&n| usize::try_from(n).is_ok());
    let bytes = countable.and_then(|n| ty.checked_calculate_size(n));
    bytes.ok_or_else(|| GgufError::SizeOverflow { tensor: name.to_owned(), dims: dims.to_owned() })
}

/// Places all tensors behind a header of `header_len` bytes.
fn place(records: Vec<Record>, header_len: u64, alignment: u64, file_len: u64) -> Result<Vec<TensorInfo>> {
    // A base that overflows is past the end of any file.
    let base = header_len.checked_next_multiple_of(alignment).unwrap_or(u64::MAX);
    let tensors = records
        .into_iter()
        .map(|record| record.place(base, alignment, file_len))
        .collect::<Result<Vec<_>>>()?;
    let mut order: Vec<&TensorInfo> = tensors.iter().collect();
    order.sort_unstable_by_key(|tensor| tensor.range.start);
    match order.array_windows().find(|[a, b]| a.range.end > b.range.start) {
        Some([first, second]) => {
            Err(GgufError::Overlap { first: first.name.clone(), second: second.name.clone() })
        }
        None => Ok(tensors),
    }
}
