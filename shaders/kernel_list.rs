// Which kernels there are; read by build.rs, which validates each with the example constants, and
// by the library. Constants that size an array cannot be WGSL overrides, so the host puts them in
// front of the source as `const NAME: u32 = value;`.

/// The weight types that kernels read, each a file `shared/weight_<name>.wgsl`.
pub const WEIGHTS: &[&str] = &[
    "f32", "f16", "bf16", "q4_0", "q4_1", "q5_0", "q5_1", "q8_0", "q2_k", "q3_k", "q4_k", "q5_k", "q6_k", "iq4_nl",
    "iq4_xs", "mxfp4",
];

/// Name of a kernel file, whether it exists once per weight type, and its constants with one value
/// that they can have.
#[allow(clippy::type_complexity)]
pub const KERNELS: &[(&str, bool, &[(&str, u32)])] = &[
    ("embed", true, &[]),
    ("embed_texture", true, &[]),
    ("rms_norm", false, &[]),
    ("quantize", false, &[("INPUT", 1)]),
    ("matmul", true, &[("TOKENS", 8), ("ROWS", 4)]),
    ("matmul_subgroup", true, &[("TOKENS", 8), ("ROWS", 4)]),
    ("matmul_subgroup_u64", true, &[("TOKENS", 8), ("ROWS", 4)]),
    ("matmul_subgroup_texture", true, &[("TOKENS", 8), ("ROWS", 4)]),
    ("matvec_subgroup", true, &[("ROWS", 4), ("INPUT", 1)]),
    ("matvec_subgroup_u64", true, &[("ROWS", 4), ("INPUT", 1)]),
    ("matvec_subgroup_texture", true, &[("ROWS", 4), ("INPUT", 1)]),
    ("rope_kv", false, &[]),
    ("rope_kv_texture", false, &[]),
    ("attention", false, &[("HEAD_DIM", 64), ("SOFTCAP", 1)]),
    (
        "attention_subgroup",
        false,
        &[("HEAD_DIM", 64), ("HEADS", 3), ("SUBGROUP", 8), ("SOFTCAP", 1), ("TOKENS", 4)],
    ),
    (
        "attention_subgroup_u64",
        false,
        &[("HEAD_DIM", 64), ("HEADS", 3), ("SUBGROUP", 8), ("SOFTCAP", 1), ("TOKENS", 4)],
    ),
    (
        "attention_subgroup_texture",
        false,
        &[("HEAD_DIM", 64), ("HEADS", 3), ("SUBGROUP", 8), ("SOFTCAP", 1), ("TOKENS", 4)],
    ),
    (
        "rope_attention_subgroup",
        false,
        &[("HEAD_DIM", 64), ("HEADS", 3), ("SUBGROUP", 8), ("SOFTCAP", 1)],
    ),
    (
        "rope_attention_subgroup_u64",
        false,
        &[("HEAD_DIM", 64), ("HEADS", 3), ("SUBGROUP", 8), ("SOFTCAP", 1)],
    ),
    (
        "rope_attention_subgroup_texture",
        false,
        &[("HEAD_DIM", 64), ("HEADS", 3), ("SUBGROUP", 8), ("SOFTCAP", 1)],
    ),
    ("silu_mul", false, &[]),
    ("gelu_mul", false, &[]),
    ("softcap", false, &[]),
    ("read_bandwidth", false, &[("STRIDE", 1), ("WORDS_PER_LANE", 64)]),
];

/// The weight types that [`INTEGER_KERNELS`] read: their files bring `packed` too.
pub const INTEGER_WEIGHTS: &[&str] =
    &["q4_0", "q4_1", "q5_0", "q5_1", "q8_0", "q2_k", "q3_k", "q4_k", "q5_k", "q6_k"];

/// Kernels that multiply integers, as in [`KERNELS`]; each exists once per integer weight type.
pub const INTEGER_KERNELS: &[(&str, &[(&str, u32)])] = &[
    ("matmul_int8", &[("ROWS", 4), ("TOKENS", 8)]),
    ("matmul_int8_subgroup", &[("ROWS", 4)]),
    ("matmul_int8_subgroup_u64", &[("ROWS", 4)]),
    ("matmul_int8_subgroup_texture", &[("ROWS", 4)]),
    ("matvec_int8_subgroup", &[("ROWS", 4)]),
    ("matvec_int8_subgroup_u64", &[("ROWS", 4)]),
    ("matvec_int8_subgroup_texture", &[("ROWS", 4)]),
];
