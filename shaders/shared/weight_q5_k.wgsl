// Q5_K: a super-block of 256 weights = a header (d, dmin, six-bit scale and minimum of each block of 32)
// and eight words of nibbles, each as in Q4_0. Scales of a block: a u32 of the fifth bits.
// weight = d * scale * q - dmin * minimum.
#import packed_bits
#import six_bit_pairs
@group(0) @binding(2) var<storage, read> scales: array<u32>;

// d * scale and dmin * minimum.
struct Block { quants: vec4<u32>, high: u32, d_m: vec2<f32> }

fn load_block(row: u32, block: u32, n_blocks: u32) -> Block {
    let lane = row % 32u;
    let at = block_index(row, block / 8u, n_blocks / 8u) * 288u + lane;
    let header = quants_at(at);
    return Block(
        quants_at(at + 32u + (block % 8u) * 32u),
        scales[block_index(row, block, n_blocks) * 32u + lane],
        unpack2x16float(header.x) * six_bit_pair(header, block),
    );
}

// 1 + q / 32.
fn raw(b: Block, i: u32) -> vec4<f32> {
    return unit_floats(nibble_bytes(b.quants[i % 4u], i / 4u) | (bit_bytes(b.high, i) << 4u), 5u);
}

fn affine(b: Block) -> vec2<f32> {
    return vec2<f32>(32.0 * b.d_m.x, fma(-32.0, b.d_m.x, -b.d_m.y));
}
