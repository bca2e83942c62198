// The layout of a weight matrix on the GPU, made once at upload. Eight rows are interleaved so that
// neighbouring lanes, which own neighbouring rows, read neighbouring 16-byte words: word w of block b
// of row r stands at ((r / 8 * n_blocks + b) * WORDS + w) * 8 + r % 8. Rows are padded to eight.

fn block_index(row: u32, block: u32, n_blocks: u32) -> u32 {
    return (row / 8u) * n_blocks + block;
}

fn half_of(pair: u32, which: u32) -> f32 {
    let both = unpack2x16float(pair);
    return select(both.x, both.y, which == 1u);
}
