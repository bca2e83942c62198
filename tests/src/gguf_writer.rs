//! Writes small GGUF files for tests, sound or broken: every count, type, offset and byte can be a
//! lie. It follows <https://github.com/ggml-org/ggml/blob/master/docs/gguf.md> and shares no code
//! with the reader under test.

/// Type ids of metadata values in the format.
pub mod value_type {
    /// Unsigned 8-bit integer.
    pub const U8: u32 = 0;
    /// Signed 16-bit integer.
    pub const I16: u32 = 3;
    /// Unsigned 32-bit integer.
    pub const U32: u32 = 4;
    /// Signed 32-bit integer.
    pub const I32: u32 = 5;
    /// 32-bit float.
    pub const F32: u32 = 6;
    /// Boolean: one byte, 0 or 1.
    pub const BOOL: u32 = 7;
    /// String: length as u64, then UTF-8.
    pub const STRING: u32 = 8;
    /// Array: element type as u32, count as u64, elements.
    pub const ARRAY: u32 = 9;
    /// Unsigned 64-bit integer.
    pub const U64: u32 = 10;
    /// 64-bit float.
    pub const F64: u32 = 12;
}

/// Type ids of tensors in the format.
pub mod tensor_type {
    /// 32-bit float.
    pub const F32: u32 = 0;
    /// 16-bit float.
    pub const F16: u32 = 1;
    /// Blocks of 32 in 18 bytes.
    pub const Q4_0: u32 = 2;
    /// Blocks of 32 in 20 bytes.
    pub const Q4_1: u32 = 3;
    /// Blocks of 32 in 34 bytes.
    pub const Q8_0: u32 = 8;
}

/// A file in the making. What is not set is what a sound file has.
#[derive(Clone)]
pub struct GgufWriter {
    magic: [u8; 4],
    version: u32,
    alignment: u64,
    metadata_count: Option<u64>,
    tensor_count: Option<u64>,
    /// Key, type and value of each entry, as they go into the file.
    entries: Vec<Vec<u8>>,
    tensors: Vec<RawTensor>,
}

/// A tensor record and its data, unchecked.
#[derive(Clone)]
pub struct RawTensor {
    /// The bytes of the name.
    pub name: Vec<u8>,
    /// Dimensions, the one that varies fastest first.
    pub dims: Vec<u64>,
    /// The type id.
    pub ty: u32,
    /// The offset to claim; `None` for where the data really goes.
    pub offset: Option<u64>,
    /// The data.
    pub data: Vec<u8>,
}

impl Default for GgufWriter {
    fn default() -> Self {
        Self::new()
    }
}

impl GgufWriter {
    /// An empty file of version 3.
    pub fn new() -> Self {
        Self {
            magic: *b"GGUF",
            version: 3,
            alignment: 32,
            metadata_count: None,
            tensor_count: None,
            entries: Vec::new(),
            tensors: Vec::new(),
        }
    }

    /// Sets the first four bytes.
    pub fn magic(mut self, magic: [u8; 4]) -> Self {
        self.magic = magic;
        self
    }

    /// Sets the version.
    pub fn version(mut self, version: u32) -> Self {
        self.version = version;
        self
    }

    /// Sets the alignment that data is laid out with and writes `general.alignment`.
    pub fn alignment(mut self, alignment: u32) -> Self {
        self.alignment = u64::from(alignment);
        self.u32("general.alignment", alignment)
    }

    /// Claims a number of metadata entries.
    pub fn metadata_count(mut self, count: u64) -> Self {
        self.metadata_count = Some(count);
        self
    }

    /// Claims a number of tensors.
    pub fn tensor_count(mut self, count: u64) -> Self {
        self.tensor_count = Some(count);
        self
    }

    /// Adds an entry of any type id and any bytes.
    pub fn raw(mut self, key: impl AsRef<[u8]>, ty: u32, value: impl AsRef<[u8]>) -> Self {
        let parts = [&string(key), &ty.to_le_bytes()[..], value.as_ref()];
        self.entries.push(parts.concat());
        self
    }

    /// Adds an unsigned integer.
    pub fn u32(self, key: &str, value: u32) -> Self {
        self.raw(key, value_type::U32, value.to_le_bytes())
    }

    /// Adds an unsigned 64-bit integer.
    pub fn u64(self, key: &str, value: u64) -> Self {
        self.raw(key, value_type::U64, value.to_le_bytes())
    }

    /// Adds a signed integer.
    pub fn i32(self, key: &str, value: i32) -> Self {
        self.raw(key, value_type::I32, value.to_le_bytes())
    }

    /// Adds a floating-point number.
    pub fn f32(self, key: &str, value: f32) -> Self {
        self.raw(key, value_type::F32, value.to_le_bytes())
    }

    /// Adds a boolean.
    pub fn bool(self, key: &str, value: bool) -> Self {
        self.raw(key, value_type::BOOL, [u8::from(value)])
    }

    /// Adds a string.
    pub fn str(self, key: &str, value: &str) -> Self {
        self.raw(key, value_type::STRING, string(value))
    }

    /// Adds an array of strings.
    pub fn strs(self, key: &str, values: &[&str]) -> Self {
        let elements: Vec<u8> = values.iter().flat_map(string).collect();
        self.array(key, value_type::STRING, values.len(), &elements)
    }

    /// Adds an array of floating-point numbers.
    pub fn f32s(self, key: &str, values: &[f32]) -> Self {
        let elements: Vec<u8> = values.iter().flat_map(|v| v.to_le_bytes()).collect();
        self.array(key, value_type::F32, values.len(), &elements)
    }

    /// Adds an array of signed integers.
    pub fn i32s(self, key: &str, values: &[i32]) -> Self {
        let elements: Vec<u8> = values.iter().flat_map(|v| v.to_le_bytes()).collect();
        self.array(key, value_type::I32, values.len(), &elements)
    }

    /// Adds an array of unsigned integers.
    pub fn u32s(self, key: &str, values: &[u32]) -> Self {
        let elements: Vec<u8> = values.iter().flat_map(|v| v.to_le_bytes()).collect();
        self.array(key, value_type::U32, values.len(), &elements)
    }

    fn array(self, key: &str, ty: u32, count: usize, elements: &[u8]) -> Self {
        self.raw(key, value_type::ARRAY, array(ty, count as u64, elements))
    }

    /// Adds a tensor with its data.
    pub fn tensor(self, name: &str, dims: &[u64], ty: u32, data: Vec<u8>) -> Self {
        self.raw_tensor(RawTensor { name: name.into(), dims: dims.to_vec(), ty, offset: None, data })
    }

    /// Adds a tensor as it is.
    pub fn raw_tensor(mut self, tensor: RawTensor) -> Self {
        self.tensors.push(tensor);
        self
    }

    /// The length of the header in bytes, without the padding that follows.
    pub fn header_len(&self) -> usize {
        self.header().len()
    }

    /// The bytes of the file.
    pub fn build(&self) -> Vec<u8> {
        let mut file = self.header();
        for tensor in &self.tensors {
            file.resize(file.len().next_multiple_of(self.alignment as usize), 0);
            file.extend(&tensor.data);
        }
        file
    }

    fn header(&self) -> Vec<u8> {
        let tensor_count = self.tensor_count.unwrap_or(self.tensors.len() as u64);
        let metadata_count = self.metadata_count.unwrap_or(self.entries.len() as u64);
        let mut header = self.magic.to_vec();
        header.extend(self.version.to_le_bytes());
        header.extend(tensor_count.to_le_bytes());
        header.extend(metadata_count.to_le_bytes());
        header.extend(self.entries.concat());
        let mut next = 0;
        for tensor in &self.tensors {
            tensor.write_record(next, &mut header);
            next = (next + tensor.data.len() as u64).next_multiple_of(self.alignment);
        }
        header
    }
}

impl RawTensor {
    fn write_record(&self, next: u64, header: &mut Vec<u8>) {
        header.extend(string(&self.name));
        header.extend((self.dims.len() as u32).to_le_bytes());
        header.extend(self.dims.iter().flat_map(|dim| dim.to_le_bytes()));
        header.extend(self.ty.to_le_bytes());
        header.extend(self.offset.unwrap_or(next).to_le_bytes());
    }
}

/// A string as the format has it: length, then bytes.
pub fn string(text: impl AsRef<[u8]>) -> Vec<u8> {
    let text = text.as_ref();
    [&(text.len() as u64).to_le_bytes(), text].concat()
}

/// An array as the format has it: element type, count, then elements.
pub fn array(ty: u32, count: u64, elements: &[u8]) -> Vec<u8> {
    [&ty.to_le_bytes()[..], &count.to_le_bytes(), elements].concat()
}
