// The layout of a weight matrix on the GPU, made once at upload. 32 rows are interleaved: word w (16
// bytes) of block b of row r stands at ((r / 32 * n_blocks + b) * WORDS + w) * 32 + r % 32. Eight lanes
// that own four rows each, eight apart, so read one stream, in which neighbours read neighbouring
// words. Rows are padded to 32. Scales are interleaved in the same way, each as wide as it is loaded. A
// K-quant's block here is a super-block of 256 weights; kernels ask for its eight blocks of 32.
//
// A weight type brings: `Block`, `load_block`, `raw` and `affine`, so that
// weight = affine.x * raw + affine.y, and a dot product with x needs the two factors once a block:
// sum w x = affine.x * sum raw x + affine.y * sum x.

// Row `r` of those that a lane owns, when lanes own `rows` each; `lane` counts over all workgroups.
fn row_of(lane: u32, r: u32, rows: u32) -> u32 {
    return (lane / 8u) * 8u * rows + r * 8u + lane % 8u;
}

fn block_index(row: u32, block: u32, n_blocks: u32) -> u32 {
    return (row / 32u) * n_blocks + block;
}

fn half_of(pair: u32, which: u32) -> f32 {
    let both = unpack2x16float(pair);
    return select(both.x, both.y, which == 1u);
}

// Nibble j of each byte of `word` as 1 + nibble / 16, made without a conversion: the nibble becomes
// the top of a mantissa.
fn nibbles(word: u32, j: u32) -> vec4<f32> {
    let spread = vec4<u32>(word << (19u - 4u * j), word << (11u - 4u * j), word << 3u >> (4u * j), word >> (5u + 4u * j));
    return bitcast<vec4<f32>>((spread & vec4<u32>(0x00780000u)) | vec4<u32>(0x3f800000u));
}

// Weights 4 i .. 4 i + 3 of the block.
fn weights(b: Block, i: u32) -> vec4<f32> {
    let a = affine(b);
    return fma(raw(b, i), vec4<f32>(a.x), vec4<f32>(a.y));
}
