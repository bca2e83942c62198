// Q5_1: 32 weights = 16 bytes of nibbles as in Q4_0, 4 bytes of fifth bits, an f16 scale and an f16
// minimum; weight = d * q + m. Scales of a block: a u32 of both halves, then the fifth bits.
#import packed_bits
@group(0) @binding(2) var<storage, read> scales: array<vec2<u32>>;

struct Block { quants: vec4<u32>, high: u32, d_m: vec2<f32> }

fn load_block(row: u32, block: u32, n_blocks: u32) -> Block {
    let at = block_index(row, block, n_blocks) * 32u + row % 32u;
    let scale = scales[at];
    return Block(quants_at(at), scale.y, unpack2x16float(scale.x));
}

// 1 + q / 32.
fn raw(b: Block, i: u32) -> vec4<f32> {
    return unit_floats(nibble_bytes(b.quants[i % 4u], i / 4u) | (bit_bytes(b.high, i) << 4u), 5u);
}

fn affine(b: Block) -> vec2<f32> {
    return vec2<f32>(32.0 * b.d_m.x, b.d_m.y - 32.0 * b.d_m.x);
}
