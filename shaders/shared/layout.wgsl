// The layout of a weight matrix on the GPU, made once at upload: one list of words of 16 bytes. 32 rows
// are interleaved, so that eight lanes that own four rows each, eight apart, read one stream in which
// neighbours read neighbouring words. Rows are padded to 32.
//
// A row is a run of super-blocks of SUPER blocks of 32 weights; the last one has the blocks that are left.
// A super-block is its words of scales, then its words of quants: n blocks take SCALE_BYTES * n / 8 bytes of
// scales, filled up to whole words, and QUANT_WORDS * n / 8 words of quants. Word o of row r stands at
// (r / 32 * row_words(n_cols) + o) * 32 + r % 32.
//
// A weight type brings these three constants and:
//   Scales, load_scales(at, n)      the scales of a super-block of n blocks, whose first word is `at`
//   Block, load_block(s, at, k)     block k of a super-block, whose first word of quants is `at`
//   raw(s, k, b, i), affine(s, k, b)   weights 4 i .. 4 i + 3 of block k, so that
//                                   weight = affine.x * raw + affine.y
// A dot product with x so needs the two factors once a block:
// sum w x = affine.x * sum raw x + affine.y * sum x.

// Between a word of a row and its next.
const NEXT: u32 = 32u;

// Words of the scales and of the quants of a super-block of n blocks.
fn scale_words(n: u32) -> u32 {
    return (n * SCALE_BYTES + 127u) / 128u;
}

fn quant_words(n: u32) -> u32 {
    return n * QUANT_WORDS / 8u;
}

fn row_words(n_cols: u32) -> u32 {
    let n_blocks = n_cols / 32u;
    let rest = n_blocks % SUPER;
    let whole = n_blocks / SUPER * (scale_words(SUPER) + quant_words(SUPER));
    return whole + scale_words(rest) + quant_words(rest);
}

// The first word of a row.
fn row_begin(row: u32, n_cols: u32) -> u32 {
    return row / 32u * row_words(n_cols) * 32u + row % 32u;
}

// Row `r` of those that a lane owns, when lanes own `rows` each; `lane` counts over all workgroups.
fn row_of(lane: u32, r: u32, rows: u32) -> u32 {
    return (lane / 8u) * 8u * rows + r * 8u + lane % 8u;
}

// Half k of the eight in a word.
fn half_of(word: vec4<u32>, k: u32) -> f32 {
    let both = unpack2x16float(word[k / 2u]);
    return select(both.x, both.y, k % 2u == 1u);
}

// Nibble j of each byte of `word` as 1 + nibble / 16, made without a conversion: the nibble becomes
// the top of a mantissa.
fn nibbles(word: u32, j: u32) -> vec4<f32> {
    let spread = vec4<u32>(word << (19u - 4u * j), word << (11u - 4u * j), (word << 3u) >> (4u * j), word >> (5u + 4u * j));
    return bitcast<vec4<f32>>((spread & vec4<u32>(0x00780000u)) | vec4<u32>(0x3f800000u));
}

// Weights 4 i .. 4 i + 3 of block k.
fn weights(s: Scales, k: u32, b: Block, i: u32) -> vec4<f32> {
    let a = affine(s, k, b);
    return fma(raw(s, k, b, i), vec4<f32>(a.x), vec4<f32>(a.y));
}
